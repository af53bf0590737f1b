//! Every check that reads the tree and changes nothing, and the formatter that does.

use std::process::Command;

use anyhow::{Result, bail};

use crate::generate;
use crate::run::{check, command, say, status};
use crate::tidy;
use crate::tree::Tree;
use crate::venv::{self, Venv};

/// The Python that ruff looks at. Example programs and fixtures are written as users write them.
const PYTHON: &[&str] = &["python", "tests", "bench"];

/// Runs all checks, then fails if one of them did.
pub(crate) fn run(tree: &Tree) -> Result<()> {
    components()?;
    let mut failed = Vec::new();
    let mut step = |name: &'static str, outcome: Result<bool>| {
        match outcome {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => say(&format!("{name}: {error:#}")),
        }
        failed.push(name);
    };
    step("tidy", tidy::run(tree).map(|()| true));
    step("cargo fmt", passes(cargo(tree).args(["fmt", "--all", "--check"])));
    step(
        "clippy",
        passes(cargo(tree).args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ])),
    );
    match python(tree) {
        Ok(venv) => {
            step("ruff check", passes(ruff(tree, &venv).arg("check").args(PYTHON)));
            step("ruff format", passes(ruff(tree, &venv).args(["format", "--check"]).args(PYTHON)));
            step("pyright", passes(&mut pyright(tree, &venv)));
            step("generate --check", generate::compatibility(tree, &venv, true));
        }
        Err(error) => step("python tools", Err(error)),
    }
    if !failed.is_empty() {
        bail!("lint found faults: {}", failed.join(", "));
    }
    say("lint: no faults");
    Ok(())
}

/// Formats Rust and Python in place.
pub(crate) fn format(tree: &Tree) -> Result<()> {
    components()?;
    check(cargo(tree).args(["fmt", "--all"]))?;
    let venv = python(tree)?;
    check(ruff(tree, &venv).args(["check", "--select", "I", "--fix"]).args(PYTHON))?;
    check(ruff(tree, &venv).arg("format").args(PYTHON))
}

fn passes(command: &mut Command) -> Result<bool> {
    Ok(status(command)?.success())
}

fn cargo(tree: &Tree) -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&tree.root);
    cargo
}

/// A toolchain of the minimal profile has neither rustfmt nor clippy.
fn components() -> Result<()> {
    for (probe, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let found =
            command("cargo").args([probe, "--version"]).output().is_ok_and(|output| output.status.success());
        if !found {
            check(command("rustup").args(["component", "add", component]))?;
        }
    }
    Ok(())
}

fn python(tree: &Tree) -> Result<Venv> {
    if venv::needs_binary() {
        check(cargo(tree).args(["build", "--package", "pilotlight", "--locked"]))?;
    }
    Venv::prepare(tree, &tree.binary("debug"))
}

fn ruff(tree: &Tree, venv: &Venv) -> Command {
    let mut ruff = command(venv.tool("ruff"));
    ruff.current_dir(&tree.root).env("RUFF_CACHE_DIR", tree.target.join("ruff-cache"));
    ruff
}

fn pyright(tree: &Tree, venv: &Venv) -> Command {
    let mut pyright = command(venv.tool("pyright"));
    pyright
        .current_dir(&tree.root)
        .arg("--pythonpath")
        .arg(venv.tool("python"))
        .args(["python/pilotlight", "python/modal.py"]);
    // The wheel carries pyright itself, and node comes as a wheel too: nothing is looked up at run time.
    pyright.env("PYRIGHT_PYTHON_IGNORE_WARNINGS", "1").env("PYRIGHT_PYTHON_USE_BUNDLED_PYRIGHT", "1");
    pyright
}
