//! The layout rules, held as data and run as a test: who may depend on whom, what a file looks like.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::run::say;
use crate::tree::Tree;

mod invariants;
mod pages;
mod python;
mod rooms;
mod rust;
mod text;

/// A rule that is broken somewhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    path: PathBuf,
    /// Counted from 1; 0 stands for the whole file.
    line: usize,
    rule: String,
}

impl Fault {
    fn new(path: &Path, line: usize, rule: impl Into<String>) -> Self {
        Self { path: path.to_path_buf(), line, rule: rule.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path.display(), self.rule),
            line => write!(f, "{}:{line}: {}", self.path.display(), self.rule),
        }
    }
}

/// Checks the tree and names every fault.
pub(crate) fn run(tree: &Tree) -> Result<()> {
    let faults = check(tree)?;
    for fault in &faults {
        say(&fault.to_string());
    }
    if !faults.is_empty() {
        bail!("tidy found {} faults", faults.len());
    }
    Ok(())
}

fn check(tree: &Tree) -> Result<Vec<Fault>> {
    let mut faults = rooms::check(&tree.root)?;
    faults.extend(pages::check(&tree.root)?);
    let mut claims = invariants::Claims::read(&tree.root)?;
    for path in tree.files()? {
        let kind = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if !text::KINDS.contains(&kind) && !path.starts_with(".ci") {
            continue;
        }
        let Ok(content) = fs_err::read_to_string(tree.root.join(&path)) else {
            faults.push(Fault::new(&path, 0, "is not UTF-8 text"));
            continue;
        };
        text::check(&path, &content, &mut faults);
        claims.meet(&content);
        match kind {
            "rs" => rust::check(&path, &content, &mut faults),
            "py" => python::check(&path, &content, &mut faults),
            _ => {}
        }
    }
    faults.extend(claims.unmet());
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf();
        let faults = check(&Tree { target: root.join("target"), root }).unwrap();
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "{}", lines.join("\n"));
    }
}
