//! ARCHITECTURE.md names the test that holds each invariant; here each named test must exist.

use std::path::Path;

use anyhow::Result;

use super::Fault;

const PAGE: &str = "ARCHITECTURE.md";
const SECTION: &str = "## Invariants";

/// The tests that the page names and that no file has shown yet.
pub(super) struct Claims {
    /// The line of the page, and the test's name.
    missing: Vec<(usize, String)>,
}

impl Claims {
    /// Reads the page.
    pub(super) fn read(root: &Path) -> Result<Self> {
        Ok(Self { missing: claims(&fs_err::read_to_string(root.join(PAGE))?) })
    }

    /// Looks for the tests in a file.
    pub(super) fn meet(&mut self, content: &str) {
        self.missing.retain(|(_, name)| {
            !content.contains(&format!("fn {name}(")) && !content.contains(&format!("def {name}("))
        });
    }

    /// What was claimed and is nowhere.
    pub(super) fn unmet(self) -> Vec<Fault> {
        let unmet = |(line, name)| Fault::new(Path::new(PAGE), line, format!("there is no test `{name}`"));
        self.missing.into_iter().map(unmet).collect()
    }
}

/// Names in the second column of the section's table.
fn claims(page: &str) -> Vec<(usize, String)> {
    let mut claims = Vec::new();
    let section = page.lines().enumerate().skip_while(|(_, line)| *line != SECTION).skip(1);
    for (index, line) in section.take_while(|(_, line)| !line.starts_with("## ")) {
        let column = line.strip_prefix("| ").and_then(|row| row.split(" | ").nth(1)).unwrap_or_default();
        claims.extend(column.split('`').skip(1).step_by(2).map(|name| (index + 1, name.to_owned())));
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_met_by_a_test_of_that_name() {
        let page = "# x\n## Invariants\n| rule | held by |\n|---|---|\n| A `b` | `one`, `two` |\n## Next\n| A | `no` |\n";
        let mut claims = Claims { missing: claims(page) };
        assert_eq!(claims.missing, [(5, "one".to_owned()), (5, "two".to_owned())]);
        claims.meet("#[test]\nfn one() {}\n");
        let unmet = claims.unmet();
        assert_eq!(unmet, [Fault::new(Path::new(PAGE), 5, "there is no test `two`")]);
    }
}
