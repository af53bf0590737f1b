//! Every error code that the gateway answers with has a page in `docs/errors`, and every page a code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Fault;

const CODES: &str = "crates/gateway/src";
const PAGES: &str = "docs/errors";

/// Compares the codes in the gateway's source with the pages.
pub(super) fn check(root: &Path) -> Result<Vec<Fault>> {
    let mut codes = BTreeSet::new();
    read_codes(&root.join(CODES), &mut codes)?;
    let mut pages = BTreeSet::new();
    if root.join(PAGES).exists() {
        for entry in fs_err::read_dir(root.join(PAGES))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if let Some(stem) = name.strip_suffix(".md").filter(|stem| is_code(stem)) {
                pages.insert(stem.to_owned());
            }
        }
    }
    Ok(compare(&codes, &pages))
}

fn compare(codes: &BTreeSet<String>, pages: &BTreeSet<String>) -> Vec<Fault> {
    let page = |code: &String| PathBuf::from(PAGES).join(format!("{code}.md"));
    let without_page =
        codes.difference(pages).map(|code| Fault::new(&page(code), 0, format!("`{code}` has no page")));
    let without_code =
        pages.difference(codes).map(|code| Fault::new(&page(code), 0, "no code has this page"));
    without_page.chain(without_code).collect()
}

fn read_codes(folder: &Path, codes: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_codes(&path, codes)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            // A code is a string literal of its own: every second piece between quotes.
            let content = fs_err::read_to_string(&path)?;
            codes.extend(content.split('"').filter(|piece| is_code(piece)).map(str::to_owned));
        }
    }
    Ok(())
}

/// Codes are `PL` and four digits.
fn is_code(text: &str) -> bool {
    text.strip_prefix("PL")
        .is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_pages_are_compared_both_ways() {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(compare(&set(&["PL0001"]), &set(&["PL0001"])), []);
        assert_eq!(compare(&set(&["PL0001"]), &set(&["PL0002"])).len(), 2);
    }

    #[test]
    fn a_code_is_two_letters_and_four_digits() {
        assert!(is_code("PL0001"));
        assert!(!is_code("PL001"));
        assert!(!is_code("pl0001"));
    }
}
