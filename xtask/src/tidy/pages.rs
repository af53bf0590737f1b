//! Every error code that the gateway answers with has a page in `docs/errors`, and every page a code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Fault;

const CODES: &str = "crates/gateway/src/respond.rs";
const PAGES: &str = "docs/errors";

/// Compares the codes in the gateway's source with the pages.
pub(super) fn check(root: &Path) -> Result<Vec<Fault>> {
    let codes = codes(&fs_err::read_to_string(root.join(CODES))?);
    if codes.is_empty() {
        return Ok(vec![Fault::new(
            Path::new(CODES),
            0,
            "no `fn code(&self)` with the codes of errors was found",
        )]);
    }
    let mut pages = BTreeSet::new();
    for entry in fs_err::read_dir(root.join(PAGES))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(code) = name.strip_suffix(".md").filter(|name| *name != "README") {
            pages.insert(code.to_owned());
        }
    }
    Ok(compare(&codes, &pages))
}

/// The string literals in the body of `fn code(&self)`.
fn codes(source: &str) -> BTreeSet<String> {
    let body = source.split("fn code(&self)").nth(1).unwrap_or_default();
    let body = body.split("\n    }\n").next().unwrap_or_default();
    body.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn compare(codes: &BTreeSet<String>, pages: &BTreeSet<String>) -> Vec<Fault> {
    let page = |code: &String| PathBuf::from(PAGES).join(format!("{code}.md"));
    let without_page =
        codes.difference(pages).map(|code| Fault::new(&page(code), 0, format!("`{code}` has no page")));
    let without_code =
        pages.difference(codes).map(|code| Fault::new(&page(code), 0, "no code has this page"));
    without_page.chain(without_code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn codes_and_pages_are_compared_both_ways() {
        assert_eq!(compare(&set(&["queue_full"]), &set(&["queue_full"])), []);
        assert_eq!(compare(&set(&["queue_full"]), &set(&["queue_empty"])).len(), 2);
    }

    #[test]
    fn codes_are_read_from_the_body_of_their_function_only() {
        let source = "\
            impl Refusal {\n    pub fn code(&self) -> &'static str {\n        match self {\n            \
            Self::A => \"a\",\n            Self::B => \"b_c\",\n        }\n    }\n\n    fn other() { \"d\" }\n}\n";
        assert_eq!(codes(source), set(&["a", "b_c"]));
    }
}
