//! Rules for Python files. Programs written as users write them (examples, fixtures) are exempt.

use std::path::Path;

use super::Fault;
use super::rust::LINES_MAX;

/// Ways of not running a test; written apart so that a search for them finds only offenders.
const SKIPS: &[&str] = &[
    concat!("pytest.mark.", "skip"),
    concat!("pytest.", "skip("),
    concat!("pytest.", "importorskip"),
    concat!("pytest.mark.", "xfail"),
    concat!("pytest.", "xfail("),
    concat!("unittest.", "skip"),
];

/// Checks one file.
pub(super) fn check(path: &Path, content: &str, faults: &mut Vec<Fault>) {
    for (index, line) in content.lines().enumerate() {
        for skip in SKIPS.iter().filter(|skip| line.contains(**skip)) {
            faults.push(Fault::new(
                path,
                index + 1,
                format!("`{skip}`: a test that does not run is not a test"),
            ));
        }
    }
    if path.starts_with("examples") || path.components().any(|part| part.as_os_str() == "fixtures") {
        return;
    }
    let first = content.lines().find(|line| !line.is_empty() && !line.starts_with('#'));
    // An empty `__init__.py` only makes a folder a package.
    if !content.is_empty()
        && !first.is_some_and(|line| line.starts_with("\"\"\"") || line.starts_with("r\"\"\""))
    {
        faults.push(Fault::new(path, 1, "does not begin with a docstring that says what it is for"));
    }
    let test = path.components().any(|part| part.as_os_str() == "tests");
    let lines = content.lines().count();
    if !test && lines > LINES_MAX {
        faults.push(Fault::new(path, 0, format!("has {lines} lines; the most is {LINES_MAX}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, content: &str) -> usize {
        let mut faults = Vec::new();
        check(Path::new(path), content, &mut faults);
        faults.len()
    }

    #[test]
    fn a_file_begins_with_its_docstring() {
        assert_eq!(rules("python/pilotlight/app.py", "\"\"\"Says.\"\"\"\n"), 0);
        assert_eq!(rules("python/pilotlight/app.py", "#!/usr/bin/env python3\n\"\"\"Says.\"\"\"\n"), 0);
        assert_eq!(rules("python/pilotlight/app.py", "import os\n"), 1);
        assert_eq!(rules("python/tests/runner/__init__.py", ""), 0);
        assert_eq!(rules("examples/hello_world.py", "import modal\n"), 0);
        assert_eq!(rules("tests/fixtures/hello.py", "import modal\n"), 0);
    }

    #[test]
    fn tests_run() {
        let content = format!("\"\"\"Says.\"\"\"\n@{}\n", SKIPS[0]);
        assert_eq!(rules("python/tests/test_app.py", &content), 1);
    }

    #[test]
    fn long_files_are_found() {
        let content = format!("\"\"\"Says.\"\"\"\n{}", "\n".repeat(LINES_MAX));
        assert_eq!(rules("python/pilotlight/app.py", &content), 1);
        assert_eq!(rules("python/tests/test_app.py", &content), 0);
    }
}
