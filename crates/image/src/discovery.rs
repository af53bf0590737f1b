//! Makes the discovery environment: the era's packages for the local interpreter, as a directory for its path.
//!
//! The user's file is imported on the local machine in the user's own environment, and programs expect packages there
//! that the user may not have (the first line of many is `import fastapi`). This directory is put *behind* the user's
//! own packages, and holds the same set as images of the era do. It is installed on the host, without a container:
//! nothing of the user's runs, and wheels run no code when they are installed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pilotlight_core::image::{Era, Key, PackageSet};
use thiserror::Error;

use crate::host::HostPython;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::store::{self, Meta, Store};
use crate::tools::{self, Uv};
use crate::{output, process};

const LIMIT: Duration = Duration::from_mins(20);
const ID: &str = "discovery";

/// What functions with `serialized=True` are pickled by, whatever the era; the runner brings its own to read them.
const PICKLER: &str = "cloudpickle>=3";

/// Why there is no discovery environment.
#[derive(Debug, Error)]
pub enum Error {
    /// Installing or importing the packages failed.
    #[error("cannot prepare the packages that the program may import on this machine")]
    Install(#[source] process::Error),
    /// uv could not be brought.
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// The directory could not be kept.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What is wanted of a discovery environment.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The interpreter that will import the program.
    pub python: &'a HostPython,
    /// The era of the program.
    pub era: Era,
    /// The era's packages.
    pub set: &'a PackageSet,
}

impl Wanted<'_> {
    fn key(&self) -> Key {
        let version = self.python.python().to_string();
        let lead = [std::env::consts::ARCH, &version, self.era.as_str()].map(str::to_owned);
        let rest = self.set.packages.iter().chain(&self.set.imports).cloned().chain([PICKLER.to_owned()]);
        Key::of("pilotlight discovery 1", lead.into_iter().chain(rest))
    }
}

/// The directory to put behind the interpreter's path, made if it is not there. Needs no sandbox and no root.
pub fn ensure(
    state_dir: &Path,
    wanted: &Wanted<'_>,
    settings: &Settings,
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<PathBuf, Error> {
    let store = Store::open_at(state_dir.join("discovery"), true)?;
    if let Some(found) = store.find(&wanted.key()) {
        return Ok(found);
    }
    let uv = tools::ensure(state_dir, wanted.python, settings, progress, cancel)?;
    let cache = tools::cache(state_dir, tools::Cache::Host).map_err(store::Error::Io)?;
    let text = format!("packages for importing programs with Python {} here", wanted.python.python());
    let waiting = || progress.line(ID, "waiting for another server that installs them");
    let (path, _) = store.make(&wanted.key(), cancel, waiting, |staging, cancel| {
        let start = Instant::now();
        progress.step_started(ID, &text);
        let target = staging.join("fs");
        let tail = output::Tail::default();
        let line = |line: &str| {
            tail.push(line);
            progress.line(ID, line);
        };
        let run = |command: &mut Command| process::run(command, b"", LIMIT, cancel, &line);
        let mut install = install(wanted, &uv, &cache, settings, &target);
        let done = run(&mut install).and_then(|_| run(&mut import(wanted, &target)));
        done.map_err(|error| {
            progress.failed(ID, &text, &tail.take());
            Error::Install(error)
        })?;
        let seconds = start.elapsed().as_secs_f64();
        progress.done(ID, &text, false, seconds);
        let command = install.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        Ok::<_, Error>(Meta { text: text.clone(), parent: None, command, seconds })
    })?;
    Ok(path)
}

fn install(wanted: &Wanted<'_>, uv: &Uv, cache: &Path, settings: &Settings, target: &Path) -> Command {
    let mut command = Command::new(&uv.path);
    command.args(["pip", "install", "--only-binary", ":all:", "--python"]);
    command.arg(&wanted.python.executable).arg("--target").arg(target);
    // A project's own uv configuration has no say in our set; index settings of the machine come as variables.
    command.args(&wanted.set.packages).arg(PICKLER).env("UV_CACHE_DIR", cache);
    command.envs(settings.env_on_host()).current_dir("/");
    command
}

/// Imports the set. Proves that it works together, and compiles what programs will import; compiling all of it at
/// once would take three times as long.
fn import(wanted: &Wanted<'_>, target: &Path) -> Command {
    let mut command = Command::new(&wanted.python.executable);
    let script = format!("import sys; sys.path.insert(0, sys.argv[1]); import sys, {}", {
        let imports = wanted.set.imports.join(", ");
        if imports.is_empty() { "os".to_owned() } else { imports }
    });
    command.args(["-I", "-S", "-W", "ignore", "-c", &script]).arg(target).current_dir("/");
    command
}
