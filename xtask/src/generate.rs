//! Pages that are made from data and code, so that they cannot say anything else.

use anyhow::{Result, bail};

use crate::run::{check, command, status};
use crate::tree::Tree;
use crate::venv::{self, Venv};

/// Writes the generated pages; with `only_check`, fails when one of them is out of date instead.
pub(crate) fn run(tree: &Tree, only_check: bool) -> Result<()> {
    if venv::needs_binary() {
        let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        check(cargo.current_dir(&tree.root).args(["build", "--package", "pilotlight", "--locked"]))?;
    }
    let venv = Venv::prepare(tree, &tree.binary("debug"))?;
    if !compatibility(tree, &venv, only_check)? {
        bail!("a generated page is out of date: run `cargo xtask generate`");
    }
    Ok(())
}

/// `docs/reference/compatibility.md`, from the table that the suite `compat` proves. False when out of date.
pub(crate) fn compatibility(tree: &Tree, venv: &Venv, only_check: bool) -> Result<bool> {
    let mut python = command(venv.tool("python"));
    python.current_dir(&tree.root).args(["-m", "compat.document"]).args(only_check.then_some("--check"));
    let places = [tree.root.join("python"), tree.root.join("python/tests")];
    python.env("PYTHONPATH", std::env::join_paths(places)?).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(status(&mut python)?.success())
}
