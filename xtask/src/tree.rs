//! Where things are in the working tree, and which of its files are ours.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Folders that hold nothing written by us, wherever they are.
const FOREIGN: &[&str] =
    &[".git", ".venv", "target", "dist", "node_modules", "__pycache__", ".pytest_cache", ".ruff_cache"];

/// The working tree and the folder that builds go to.
pub(crate) struct Tree {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
}

impl Tree {
    /// The tree this program was started in.
    pub(crate) fn find() -> Result<Self> {
        // Cargo sets it when it runs us; the value known at build time goes stale when the tree is moved.
        let manifest =
            env::var_os("CARGO_MANIFEST_DIR").context("not started by cargo: say `cargo xtask`")?;
        let root = Path::new(&manifest).parent().context("xtask has no parent folder")?.to_path_buf();
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        Ok(Self { root, target })
    }

    /// The built `pilotlight`, of the given profile (`debug` or `release`).
    pub(crate) fn binary(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join("pilotlight")
    }

    /// Every file of the tree that is ours, relative to its root and sorted.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        collect(&self.root, &self.root, &mut files)?;
        files.sort();
        Ok(files)
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Not followed: a link out of the tree is not ours.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !FOREIGN.contains(&name.as_ref()) && !name.ends_with(".egg-info") {
                collect(root, &entry.path(), files)?;
            }
        } else if kind.is_file() {
            let path = entry.path();
            files.push(path.strip_prefix(root).context("a file outside its tree")?.to_path_buf());
        }
    }
    Ok(())
}
