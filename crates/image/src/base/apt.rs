//! Reads the host's apt sources and keeps those of Debian itself for one suite, as lines for mmdebstrap.
//!
//! Mirrors and their options are honoured this way. Other vendors' archives are left out: their keys are not in the
//! new system, where apt would fail on them later. They are told apart by the keyring they name.

use std::path::Path;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// `deb` lines for `suite` and its updates, from `sources.list` and `sources.list.d` under `etc_apt`.
pub(super) fn sources(etc_apt: &Path, suite: &str) -> Vec<String> {
    let mut files = vec![etc_apt.join("sources.list")];
    if let Ok(entries) = fs_err::read_dir(etc_apt.join("sources.list.d")) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        let Ok(text) = fs_err::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => lines.extend(text.lines().filter_map(|line| one_line(line, suite))),
            Some("sources") => lines.extend(stanzas(&text).iter().flat_map(|stanza| deb822(stanza, suite))),
            _ => {}
        }
    }
    lines.dedup();
    lines
}

fn belongs(candidate: &str, suite: &str) -> bool {
    let rest = candidate.strip_prefix(suite);
    matches!(rest, Some("" | "-updates" | "-security" | "/updates"))
}

fn line(uri: &str, suite: &str) -> String {
    format!("deb [signed-by={KEYRING}] {uri} {suite} main")
}

/// `deb [options] uri suite component…`, see sources.list(5).
fn one_line(text: &str, suite: &str) -> Option<String> {
    let text = text.split('#').next()?.trim().strip_prefix("deb ")?.trim();
    let (options, rest) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", text),
    };
    if !debian_signed(options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="))) {
        return None;
    }
    let mut words = rest.split_whitespace();
    let (uri, named) = (words.next()?, words.next()?);
    (belongs(named, suite) && words.any(|component| component == "main")).then(|| line(uri, named))
}

fn debian_signed(keyring: Option<&str>) -> bool {
    keyring.is_none_or(|keyring| keyring.contains("debian-archive"))
}

fn stanzas(text: &str) -> Vec<Vec<(String, String)>> {
    let mut all = vec![Vec::new()];
    for line in text.lines() {
        let stanza: &mut Vec<(String, String)> = all.last_mut().expect("starts with one");
        if line.trim().is_empty() {
            all.push(Vec::new());
        } else if line.starts_with('#') {
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanza.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            stanza.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    all
}

fn deb822(stanza: &[(String, String)], suite: &str) -> Vec<String> {
    let field = |name: &str| stanza.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let has = |name: &str, word: &str| field(name).unwrap_or_default().split_whitespace().any(|w| w == word);
    let enabled = field("enabled").is_none_or(|value| !value.eq_ignore_ascii_case("no"));
    if !enabled || !has("types", "deb") || !has("components", "main") || !debian_signed(field("signed-by")) {
        return Vec::new();
    }
    let suites = field("suites").unwrap_or_default().split_whitespace().filter(|named| belongs(named, suite));
    let uris = || field("uris").unwrap_or_default().split_whitespace();
    suites.flat_map(|named| uris().map(move |uri| line(uri, named))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_is_kept_in_both_formats_and_others_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let parts = dir.path().join("sources.list.d");
        fs_err::create_dir(&parts).unwrap();
        fs_err::write(
            dir.path().join("sources.list"),
            "# comment\ndeb [arch=amd64] http://mirror.test/debian bookworm main contrib # here\n\
             deb-src http://mirror.test/debian bookworm main\ndeb http://mirror.test/debian trixie main\n\
             deb http://mirror.test/debian bookworm contrib\n",
        )
        .unwrap();
        fs_err::write(
            parts.join("debian.sources"),
            "Types: deb deb-src\n# note\nURIs: http://a.test/debian\nSuites: bookworm bookworm-updates\n \
             bookworm-backports\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
             Types: deb\nEnabled: no\nURIs: http://b.test\nSuites: bookworm\nComponents: main\n",
        )
        .unwrap();
        fs_err::write(
            parts.join("other.list"),
            "deb [signed-by=/usr/share/keyrings/other.gpg] http://other.test bookworm main\n",
        )
        .unwrap();
        let expected = [
            "http://mirror.test/debian bookworm",
            "http://a.test/debian bookworm",
            "http://a.test/debian bookworm-updates",
        ];
        let expected = expected.map(|part| format!("deb [signed-by={KEYRING}] {part} main"));
        assert_eq!(sources(dir.path(), "bookworm"), expected);
        assert!(sources(&dir.path().join("none"), "bookworm").is_empty());
    }
}
