//! Rules for Rust files.

use std::path::Path;

use super::Fault;

/// The longest that a file may be, tests not counted.
pub(super) const LINES_MAX: usize = 600;

/// The only place where `unsafe` may stand.
const UNSAFE: &str = "crates/sandbox/src/sys";

/// What core must not name: it decides, and somebody else acts and reads the clock.
const ACTS: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::io",
    "Instant::now",
    "SystemTime::now",
];

/// Checks one file.
pub(super) fn check(path: &Path, content: &str, faults: &mut Vec<Fault>) {
    let mut fault = |line: usize, rule: String| faults.push(Fault::new(path, line, rule));
    if path.ends_with("mod.rs") {
        fault(0, "a module with children is `foo.rs` beside `foo/`".to_owned());
    }
    // `foo/tests.rs` says so by its name.
    if !path.ends_with("tests.rs")
        && !content.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with("//!"))
    {
        fault(1, "does not begin with a `//!` line that says what it decides or touches".to_owned());
    }
    let test_file = is_test(path);
    let code: Vec<&str> = content.lines().collect();
    let tests_at = code.iter().position(|line| line.trim() == "#[cfg(test)]").unwrap_or(code.len());
    let product = if test_file { 0 } else { tests_at_end(&code, tests_at) };
    if product > LINES_MAX {
        fault(0, format!("has {product} lines without its tests; the most is {LINES_MAX}"));
    }
    let core = path.starts_with("crates/core/src");
    for (index, line) in code.iter().enumerate() {
        let line_code = without_comment(line);
        if line_code.contains(concat!("#[ign", "ore")) {
            fault(index + 1, "a test that does not run is not a test".to_owned());
        }
        if has_unsafe(line_code) && !in_sys(path) {
            fault(index + 1, format!("`unsafe` outside {UNSAFE}"));
        }
        let spawns = line_code.contains("tokio::spawn") && path.starts_with("crates");
        if spawns && index < product && !path.ends_with("tasks.rs") {
            fault(index + 1, "long-lived tasks are spawned in a `tasks.rs` only".to_owned());
        }
        if core && index < product {
            for name in ACTS.iter().filter(|name| line_code.contains(**name)) {
                fault(index + 1, format!("core must not use `{name}`: pass the value in"));
            }
        }
    }
}

/// Whether a whole file is tests.
fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

/// The number of lines before the tests: everything from a `#[cfg(test)]` that opens the module at the bottom.
fn tests_at_end(code: &[&str], first: usize) -> usize {
    (first..code.len())
        .find(|&at| {
            code[at].trim() == "#[cfg(test)]" && code.get(at + 1).is_some_and(|next| next.starts_with("mod "))
        })
        .unwrap_or(code.len())
}

fn in_sys(path: &Path) -> bool {
    path.starts_with(UNSAFE) || path == Path::new(&format!("{UNSAFE}.rs"))
}

fn without_comment(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

fn has_unsafe(code: &str) -> bool {
    const WORD: &str = concat!("uns", "afe");
    code.match_indices(WORD).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + WORD.len()..].trim_start();
        let begins = ["{", "fn", "impl", "extern", "trait", "("].iter().any(|token| after.starts_with(token));
        let word = before.is_none_or(|c| !c.is_alphanumeric() && !"_\"`".contains(c));
        // A block may open on the next line.
        word && (begins || after.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, content: &str) -> Vec<String> {
        let mut faults = Vec::new();
        check(Path::new(path), content, &mut faults);
        faults.into_iter().map(|fault| fault.rule).collect()
    }

    #[test]
    fn a_file_begins_by_saying_what_it_is() {
        assert_eq!(rules("crates/pool/src/lib.rs", "//! Says.\n"), [""; 0]);
        assert_eq!(rules("crates/pool/src/lib.rs", "use x;\n").len(), 1);
        assert_eq!(rules("crates/pool/src/foo/mod.rs", "//! Says.\n").len(), 1);
    }

    #[test]
    fn long_files_are_found_and_tests_are_not_counted() {
        let long = format!("//! Says.\n{}", "\n".repeat(LINES_MAX));
        assert_eq!(rules("crates/pool/src/lib.rs", &long).len(), 1);
        assert_eq!(rules("crates/pool/tests/it/main.rs", &long), [""; 0]);
        let tests = format!("//! Says.\n#[cfg(test)]\nmod tests {{{}}}\n", "\n".repeat(LINES_MAX));
        assert_eq!(rules("crates/pool/src/lib.rs", &tests), [""; 0]);
    }

    #[test]
    fn only_sys_is_unsafe() {
        let code = format!("//! Says.\nlet a = {} {{ f() }};\n", concat!("uns", "afe"));
        assert_eq!(rules("crates/pool/src/lib.rs", &code).len(), 1);
        assert_eq!(rules("crates/sandbox/src/apply.rs", &code).len(), 1);
        assert_eq!(rules("crates/sandbox/src/sys/mount.rs", &code), [""; 0]);
        assert_eq!(rules("crates/sandbox/src/sys.rs", &code), [""; 0]);
        let lint = format!("//! Says.\n#![forbid({}_code)]\n// {0} {{\n", concat!("uns", "afe"));
        assert_eq!(rules("crates/pool/src/lib.rs", &lint), [""; 0]);
    }

    #[test]
    fn core_does_not_act_but_its_tests_may() {
        assert_eq!(rules("crates/core/src/pool.rs", "//! Says.\nlet now = Instant::now();\n").len(), 1);
        let test = "//! Says.\n#[cfg(test)]\nmod tests {\nuse std::fs;\n}\n";
        assert_eq!(rules("crates/core/src/pool.rs", test), [""; 0]);
        assert_eq!(rules("crates/pool/src/lib.rs", "//! Says.\nlet now = Instant::now();\n"), [""; 0]);
    }

    #[test]
    fn tasks_are_spawned_in_one_place() {
        let code = "//! Says.\nfn f() { tokio::spawn(task) }\n";
        assert_eq!(rules("crates/gateway/src/listen.rs", code).len(), 1);
        assert_eq!(rules("crates/gateway/src/tasks.rs", code), [""; 0]);
    }

    #[test]
    fn tests_run() {
        let code = format!("//! Says.\n{}]\nfn x() {{}}\n", concat!("#[ign", "ore"));
        assert_eq!(rules("crates/pool/tests/it/main.rs", &code).len(), 1);
    }
}
