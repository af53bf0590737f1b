//! Rules for every text file of ours.

use std::path::Path;

use super::Fault;

/// The kinds of file that are read, by extension.
pub(super) const KINDS: &[&str] = &["rs", "py", "md", "toml", "sql", "css", "js", "html", "sh"];

/// Words that promise work; written apart so that this file does not break its own rule.
const PROMISES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Folders that exist on one machine only. A match inside a longer path (`upper/…`) is none.
const PLACES: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/opt/wh", "eels"),
    concat!("/root/.py", "env"),
    concat!("/root/.ca", "rgo"),
    concat!("/Us", "ers/"),
];

/// Checks one file.
pub(super) fn check(path: &Path, content: &str, faults: &mut Vec<Fault>) {
    for (index, line) in content.lines().enumerate() {
        let mut fault = |rule: String| faults.push(Fault::new(path, index + 1, rule));
        if line.ends_with([' ', '\t']) {
            fault("ends with white space".to_owned());
        }
        for promise in PROMISES {
            if promises_without_issue(line, promise) {
                fault(format!("`{promise}` names no issue: write `{promise}(#12)`, or do it"));
            }
        }
        for place in PLACES {
            if names_place(line, place) {
                fault(format!("`{place}` is a folder of one machine"));
            }
        }
    }
    if !content.is_empty() && !content.ends_with('\n') {
        faults.push(Fault::new(path, 0, "does not end with a line break"));
    }
}

fn promises_without_issue(line: &str, promise: &str) -> bool {
    line.match_indices(promise).any(|(at, _)| {
        let word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let bytes = line.as_bytes();
        let alone = !word(at.checked_sub(1).and_then(|before| bytes.get(before)))
            && !word(bytes.get(at + promise.len()));
        let rest = &line[at + promise.len()..];
        let numbered =
            rest.strip_prefix("(#").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        alone && !numbered
    })
}

fn names_place(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-./}>)*…".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(content: &str) -> usize {
        let mut faults = Vec::new();
        check(Path::new("x.md"), content, &mut faults);
        faults.len()
    }

    #[test]
    fn white_space_and_a_missing_line_break_are_found() {
        assert_eq!(rules("good\n"), 0);
        assert_eq!(rules(""), 0);
        assert_eq!(rules("bad \n"), 1);
        assert_eq!(rules("bad"), 1);
    }

    #[test]
    fn promises_need_an_issue() {
        let word = PROMISES[0];
        assert_eq!(rules(&format!("// {word}: later\n")), 1);
        assert_eq!(rules(&format!("// {word}(#12): later\n")), 0);
        assert_eq!(rules(&format!("my{word}S\n")), 0);
    }

    #[test]
    fn folders_of_one_machine_are_found() {
        let place = PLACES[0];
        assert_eq!(rules(&format!("see {place}main\n")), 1);
        assert_eq!(rules(&format!("`upper{place}x`\n")), 0);
    }
}
