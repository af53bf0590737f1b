//! pip's configuration files: which there are, and the options of their `[global]` and `[install]` sections.
//!
//! The order is pip's: <https://pip.pypa.io/en/stable/topics/configuration/>.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The options of all files, later files winning. Files that cannot be read are passed over, as pip does.
pub(super) fn read(vars: &BTreeMap<String, String>, home: Option<&Path>) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    for path in files(vars, home) {
        if let Ok(text) = fs_err::read_to_string(path) {
            options.extend(parse(&text));
        }
    }
    options
}

fn files(vars: &BTreeMap<String, String>, home: Option<&Path>) -> Vec<PathBuf> {
    let named = vars.get("PIP_CONFIG_FILE").map(PathBuf::from);
    if named.as_deref() == Some(Path::new("/dev/null")) {
        return Vec::new();
    }
    let mut files = vec![PathBuf::from("/etc/xdg/pip/pip.conf"), PathBuf::from("/etc/pip.conf")];
    if let Some(home) = home {
        files.push(home.join(".pip/pip.conf"));
        let config = vars.get("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        files.push(config.join("pip/pip.conf"));
    }
    files.extend(vars.get("VIRTUAL_ENV").map(|venv| Path::new(venv).join("pip.conf")));
    files.extend(named);
    files
}

/// The options of one file; those of `[install]` win over those of `[global]`.
fn parse(text: &str) -> BTreeMap<String, String> {
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut section = String::new();
    let mut last: Option<String> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let options = sections.entry(section.clone()).or_default();
        if let (true, Some(name)) = (line.starts_with([' ', '\t']), &last) {
            let value: &mut String = options.entry(name.clone()).or_default();
            value.push('\n');
            value.push_str(trimmed);
        } else if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
            last = None;
        } else if let Some((name, value)) = trimmed.split_once(['=', ':']) {
            let name = name.trim().to_ascii_lowercase().replace('_', "-");
            options.insert(name.clone(), value.trim().to_owned());
            last = Some(name);
        }
    }
    let mut options = sections.remove("global").unwrap_or_default();
    options.extend(sections.remove("install").unwrap_or_default());
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_comments_and_continued_lines() {
        let text = "# a comment\n[global]\nindex-url = https://a.test/simple\nfind_links =\n  /one\n  /two\n\
                    cert: /c.pem\n[install]\ncert=/i.pem\n[list]\nformat=json\n";
        let options = parse(text);
        assert_eq!(options["index-url"], "https://a.test/simple");
        assert_eq!(options["find-links"], "\n/one\n/two");
        assert_eq!(options["cert"], "/i.pem");
        assert!(!options.contains_key("format"));
    }

    #[test]
    fn files_in_the_order_of_pip() {
        let home = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(home.path().join(".config/pip")).unwrap();
        fs_err::create_dir_all(home.path().join(".pip")).unwrap();
        fs_err::write(home.path().join(".pip/pip.conf"), "[global]\ntimeout=1\nproxy=p\n").unwrap();
        fs_err::write(home.path().join(".config/pip/pip.conf"), "[global]\ntimeout=2\n").unwrap();
        let options = read(&BTreeMap::new(), Some(home.path()));
        assert_eq!((options["timeout"].as_str(), options["proxy"].as_str()), ("2", "p"));
        let none = BTreeMap::from([("PIP_CONFIG_FILE".to_owned(), "/dev/null".to_owned())]);
        assert!(read(&none, Some(home.path())).is_empty());
    }
}
