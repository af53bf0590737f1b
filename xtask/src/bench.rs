//! Builds for release and hands over to `bench/bench.py`.

use anyhow::Result;

use crate::run::{check, command};
use crate::tree::Tree;
use crate::venv::{Venv, index_settings};

/// Measures; `arguments` are those of `bench/bench.py`.
pub(crate) fn run(tree: &Tree, arguments: &[String]) -> Result<()> {
    for what in [&["pilotlight"][..], &["pilotlight-gateway", "--example", "traffic"]] {
        let mut build = command("cargo");
        build.args(["build", "--release", "--locked", "--package"]).args(what);
        check(build.current_dir(&tree.root))?;
    }
    let binary = tree.binary("release");
    let venv = Venv::prepare(tree, &binary)?;
    let mut bench = command(venv.tool("python"));
    bench.current_dir(&tree.root).arg("bench/bench.py").args(arguments);
    bench.env("PILOTLIGHT_BINARY", &binary).env("UV", &venv.uv).env("PATH", venv.path()?);
    bench.env("PILOTLIGHT_TRAFFIC", binary.with_file_name("examples").join("traffic"));
    bench.env("PILOTLIGHT_BENCH_DIR", tree.target.join("bench"));
    for (name, value) in index_settings() {
        bench.env(name, value);
    }
    check(&mut bench)
}
