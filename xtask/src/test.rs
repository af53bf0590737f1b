//! Runs every suite against what was just built, and counts.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::run::{check, command, result, say, status, watched};
use crate::tree::Tree;
use crate::venv::{self, Venv, index_settings};

mod count;
mod leftover;
mod pythons;
mod vm;

use count::Count;
use leftover::Watch;

/// How long the guard of the gateway is fuzzed; by itself its test takes a second.
const FUZZ_SECONDS: &str = "PILOTLIGHT_FUZZ_SECONDS";

/// One suite of tests, in the order they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Suite {
    /// `cargo test` of the whole workspace.
    Rust,
    /// The SDK, in each Python of this machine that it supports.
    Sdk,
    /// The table of compatibility, against the SDK and the built binary's words.
    Compat,
    /// The runner, without a container.
    Runner,
    /// The gateway before the servers that containers may run.
    Http,
    /// The built binary, in real containers: what must work.
    E2e,
    /// What must not be possible, tried from inside real containers.
    Security,
}

impl Suite {
    const ALL: [Self; 7] =
        [Self::Rust, Self::Sdk, Self::Compat, Self::Runner, Self::Http, Self::E2e, Self::Security];

    fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Sdk => "sdk",
            Self::Compat => "compat",
            Self::Runner => "runner",
            Self::Http => "http",
            Self::E2e => "e2e",
            Self::Security => "security",
        }
    }

    fn needs_binary(self) -> bool {
        matches!(self, Self::Compat) || self.contains()
    }

    /// Whether it makes containers.
    fn contains(self) -> bool {
        matches!(self, Self::E2e | Self::Security)
    }

    fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|suite| suite.name() == name).with_context(|| {
            format!("no suite `{name}`: there are rust, sdk, compat, runner, http, e2e and security")
        })
    }
}

/// What to run.
#[derive(Clone)]
pub(crate) struct Options {
    suites: Vec<Suite>,
    pytest: Vec<String>,
    /// What to run in a virtual machine instead.
    guest: Option<Vec<String>>,
}

impl Options {
    /// Reads `[--only SUITE]... [-- PYTEST ARGS]`, or `--vm [SUITE OF THE GUEST]...`.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut suites = Vec::new();
        let mut rest = arguments.iter();
        let mut pytest = Vec::new();
        if let Some((first, chosen)) = arguments.split_first()
            && first == "--vm"
        {
            return Ok(Self { suites, pytest, guest: Some(vm::chosen(chosen)?) });
        }
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--only" => {
                    suites.push(Suite::parse(rest.next().context("`--only` needs the name of a suite")?)?);
                }
                "--" => pytest.extend(rest.by_ref().cloned()),
                other => bail!("`test` does not know `{other}`; pytest's own arguments come after `--`"),
            }
        }
        if suites.is_empty() {
            suites.extend(Suite::ALL);
        }
        suites.sort_unstable();
        suites.dedup();
        Ok(Self { suites, pytest, guest: None })
    }
}

/// Prepares the machine, builds, runs the suites, and fails when one of them failed or left something behind.
pub(crate) fn run(tree: &Tree, options: &Options) -> Result<()> {
    if let Some(suites) = &options.guest {
        return vm::run(tree, suites);
    }
    if options.suites.iter().any(|suite| suite.contains() || *suite == Suite::Rust) {
        packages::install()?;
    }
    let binary_is_tested = options.suites.iter().any(|suite| suite.needs_binary());
    if binary_is_tested || options.suites != [Suite::Rust] && venv::needs_binary() {
        check(cargo(tree).args(["build", "--package", "pilotlight", "--locked"]))?;
    }
    let binary = tree.binary("debug");
    let venv = if options.suites == [Suite::Rust] { None } else { Some(Venv::prepare(tree, &binary)?) };

    let watch = Watch::begin(&binary)?;
    let mut rows = Vec::new();
    for suite in &options.suites {
        let begun = Instant::now();
        let count = match (suite, &venv) {
            (Suite::Rust, _) | (_, None) => rust(tree, &watch)?,
            (Suite::Sdk, Some(venv)) => {
                python(tree, venv, *suite, options, &watch)? + sdk_elsewhere(tree, venv, options, &watch)?
            }
            (_, Some(venv)) => python(tree, venv, *suite, options, &watch)?,
        };
        rows.push((*suite, count, begun.elapsed().as_secs_f64()));
    }
    let left = watch.end()?;

    let total = rows.iter().fold(Count::default(), |sum, (_, count, _)| sum + *count);
    say("\nsuite    passed  failed  skipped  flaky  seconds");
    for (suite, count, seconds) in &rows {
        let (name, Count { passed, failed, skipped, flaky }) = (suite.name(), count);
        say(&format!("{name:<8} {passed:>6}  {failed:>6}  {skipped:>7}  {flaky:>5}  {seconds:>7.1}"));
    }
    for process in &left {
        say(&format!("left behind: {process}"));
    }
    let Count { passed, failed, skipped, flaky } = total;
    result(&format!("{passed} passed, {failed} failed, {skipped} skipped, {flaky} flaky"));
    if failed > 0 {
        bail!("{failed} tests failed");
    }
    if flaky > count::FLAKY_MAX {
        bail!("{flaky} tests held only when they ran once more, {} may", count::FLAKY_MAX);
    }
    if skipped > 0 && ci() {
        bail!("{skipped} tests were skipped; in CI each one runs");
    }
    if !left.is_empty() {
        bail!("{} processes were left behind by the tests (and ended now)", left.len());
    }
    Ok(())
}

fn ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

fn cargo(tree: &Tree) -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&tree.root);
    cargo
}

fn rust(tree: &Tree, watch: &Watch) -> Result<Count> {
    let mut failed = Vec::new();
    let count = libtest(tree, watch, &[], &mut failed)?;
    if !count.may_be_flaky() || failed.is_empty() {
        return Ok(count);
    }
    say("once more, those that failed:");
    let again: Vec<_> = ["--", "--exact"].into_iter().chain(failed.iter().map(String::as_str)).collect();
    Ok(count.after(libtest(tree, watch, &again, &mut Vec::new())?))
}

/// Runs `cargo test` of the workspace with more arguments, and collects the names of what failed.
fn libtest(tree: &Tree, watch: &Watch, arguments: &[&str], failed: &mut Vec<String>) -> Result<Count> {
    let mut count = Count::default();
    let mut tests = cargo(tree);
    tests.args(["test", "--workspace", "--locked", "--no-fail-fast"]).args(arguments);
    if std::env::var_os(FUZZ_SECONDS).is_none() {
        tests.env(FUZZ_SECONDS, "60");
    }
    watch.mark(&mut tests);
    let status = watched(&mut tests, |line| {
        count = count + count::libtest_line(line);
        failed.extend(count::libtest_failed(line).map(str::to_owned));
    })?;
    Ok(count.with_status(status.success()))
}

/// The SDK's suite in the other Pythons of this machine. What a type checker says does not depend on them.
fn sdk_elsewhere(tree: &Tree, venv: &Venv, options: &Options, watch: &Watch) -> Result<Count> {
    let mut count = Count::default();
    let own = pythons::version(&venv.tool("python")).unwrap_or_default();
    let others = pythons::others(&own);
    let named: Vec<_> = others.iter().map(|(version, _)| version.as_str()).collect();
    say(&format!("sdk: in Python {own}, and here besides: {}", named.join(", ")));
    for (version, path) in &others {
        let other = venv.prepare_sdk(tree, path, version)?;
        let options = Options {
            suites: Vec::new(),
            guest: None,
            pytest: [&["--ignore=python/tests/sdk/test_types.py".to_owned()], &*options.pytest].concat(),
        };
        count = count + python(tree, &other, Suite::Sdk, &options, watch)?;
    }
    Ok(count)
}

fn python(tree: &Tree, venv: &Venv, suite: Suite, options: &Options, watch: &Watch) -> Result<Count> {
    // pytest keeps there which tests failed.
    let cache = tree.target.join("test-cache");
    if cache.exists() {
        fs_err::remove_dir_all(&cache)?;
    }
    let mut options = options.clone();
    options.pytest.extend(["-o".to_owned(), format!("cache_dir={}", cache.display())]);
    let count = pytest(tree, venv, suite, &options, watch)?;
    if !count.may_be_flaky() {
        return Ok(count);
    }
    say("once more, those that failed:");
    options.pytest.extend(["--last-failed", "--last-failed-no-failures=none"].map(str::to_owned));
    Ok(count.after(pytest(tree, venv, suite, &options, watch)?))
}

fn pytest(tree: &Tree, venv: &Venv, suite: Suite, options: &Options, watch: &Watch) -> Result<Count> {
    let report = tree.target.join(format!("test-{}.xml", suite.name()));
    if report.exists() {
        fs_err::remove_file(&report)?;
    }
    let mut pytest = command(venv.tool("python"));
    pytest.current_dir(&tree.root).args(["-m", "pytest", "-ra", "--timeout=300"]);
    pytest.arg("--rootdir").arg(&tree.root).arg(format!("--junitxml={}", report.display()));
    pytest.args(places(tree, suite)).args(&options.pytest);
    pytest.env("PATH", venv.path()?).env("PYTHONDONTWRITEBYTECODE", "1");
    // Some tests install packages themselves.
    pytest.env("UV", &venv.uv).envs(index_settings());
    if suite.needs_binary() {
        pytest.env("PILOTLIGHT_BINARY", tree.binary("debug"));
    }
    if !suite.contains() {
        pytest.env("PYTHONPATH", tree.root.join("python"));
    }
    if suite == Suite::Http {
        check(cargo(tree).args([
            "build",
            "--package",
            "pilotlight-gateway",
            "--example",
            "traffic",
            "--locked",
        ]))?;
        pytest.env("PILOTLIGHT_TRAFFIC", tree.binary("debug").with_file_name("examples").join("traffic"));
        pytest.env("PILOTLIGHT_SERVERS", venv.prepare_servers(tree)?.folder());
    }
    watch.mark(&mut pytest);
    let status = status(&mut pytest)?;
    // pytest writes no report when it cannot even start.
    let count = fs_err::read_to_string(&report).map_or_else(|_| Count::default(), |text| count::junit(&text));
    Ok(count.with_status(status.success()))
}

/// The folders that pytest is to collect; those that a tree has none of are left out.
fn places(tree: &Tree, suite: Suite) -> Vec<&'static str> {
    let folders: &[&str] = match suite {
        Suite::Rust => &[],
        Suite::Sdk => &["python/tests/sdk"],
        Suite::Compat => &["python/tests/compat"],
        Suite::Runner => &["python/tests/runner"],
        Suite::Http => &["tests/http"],
        Suite::E2e => &["tests/e2e"],
        Suite::Security => &["tests/security"],
    };
    folders.iter().copied().filter(|folder| tree.root.join(folder).is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options> {
        Options::parse(&arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn no_choice_means_every_suite() {
        assert_eq!(parsed(&[]).unwrap().suites, Suite::ALL);
    }

    #[test]
    fn suites_are_chosen_and_pytest_gets_the_rest() {
        let options = parsed(&["--only", "e2e", "--only", "rust", "--", "-k", "hello"]).unwrap();
        assert_eq!(options.suites, [Suite::Rust, Suite::E2e]);
        assert_eq!(options.pytest, ["-k", "hello"]);
    }

    #[test]
    fn unknown_words_are_refused() {
        assert!(parsed(&["--only", "nothing"]).is_err());
        assert!(parsed(&["--only"]).is_err());
        assert!(parsed(&["-k"]).is_err());
        assert!(parsed(&["--vm", "nothing"]).is_err());
    }

    #[test]
    fn the_guest_runs_all_its_suites_or_those_that_are_named() {
        assert_eq!(parsed(&["--vm"]).unwrap().guest.unwrap(), vm::SUITES);
        assert_eq!(parsed(&["--vm", "sandbox"]).unwrap().guest.unwrap(), ["sandbox"]);
    }
}
