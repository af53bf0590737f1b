//! The project's one door: `cargo xtask test | lint | fmt | tidy | generate | bench`.

use std::process::ExitCode;

use anyhow::{Result, bail};

mod bench;
mod generate;
mod lint;
mod packages;
mod run;
mod test;
mod tidy;
mod tree;
mod venv;

use run::say;
use tree::Tree;

const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  test [--only rust|sdk|compat|runner|e2e|security]... [-- PYTEST ARGS]
         Install what the tests need, build, run every suite
  test --vm [doctor|sandbox|security|containers|rootless]...
         The suites that depend on the machine, in a Debian guest with systemd (slow without KVM)
  lint   Formatting, clippy, tidy, ruff and pyright; changes nothing
  fmt    Format Rust and Python in place
  tidy   The layout rules alone
  generate [--check]
         Write the generated pages, or fail when one of them is out of date
  bench [BENCH ARGS]
         Build for release and measure; `cargo xtask bench --help` lists the rows
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        bail!("no command given\n\n{USAGE}");
    };
    if matches!(command.as_str(), "help" | "-h" | "--help") {
        say(USAGE);
        return Ok(());
    }
    let tree = Tree::find()?;
    match command.as_str() {
        "test" => test::run(&tree, &test::Options::parse(rest)?),
        "bench" => bench::run(&tree, rest),
        "generate" => match rest {
            [] => generate::run(&tree, false),
            [check] if check == "--check" => generate::run(&tree, true),
            _ => bail!("`generate` takes `--check` or nothing\n\n{USAGE}"),
        },
        "lint" | "fmt" | "tidy" if !rest.is_empty() => bail!("`{command}` takes no arguments\n\n{USAGE}"),
        "lint" => lint::run(&tree),
        "fmt" => lint::format(&tree),
        "tidy" => tidy::run(&tree),
        other => bail!("no command `{other}`\n\n{USAGE}"),
    }
}
