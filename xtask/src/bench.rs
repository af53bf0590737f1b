//! Builds for release and hands over to `bench/bench.py`.

use anyhow::Result;

use crate::run::{check, command};
use crate::tree::Tree;
use crate::venv::{Venv, index_settings};

/// Measures; `arguments` are those of `bench/bench.py`.
pub(crate) fn run(tree: &Tree, arguments: &[String]) -> Result<()> {
    let built = [
        &["pilotlight"][..],
        &["pilotlight-gateway", "--example", "traffic"],
        &["pilotlight-core", "--example", "crowd"],
    ];
    for what in built {
        let mut build = command("cargo");
        build.args(["build", "--release", "--locked", "--package"]).args(what);
        check(build.current_dir(&tree.root))?;
    }
    let binary = tree.binary("release");
    let venv = Venv::prepare(tree, &binary)?;
    let mut bench = command(venv.tool("python"));
    bench.current_dir(&tree.root).arg("bench/bench.py").args(arguments);
    bench.env("PILOTLIGHT_BINARY", &binary).env("UV", &venv.uv).env("PATH", venv.path()?);
    let examples = binary.with_file_name("examples");
    bench.env("PILOTLIGHT_TRAFFIC", examples.join("traffic")).env("PILOTLIGHT_CROWD", examples.join("crowd"));
    bench.env("PILOTLIGHT_BENCH_DIR", tree.target.join("bench"));
    for (name, value) in index_settings() {
        bench.env(name, value);
    }
    check(&mut bench)
}
