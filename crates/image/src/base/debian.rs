//! A true Debian, made once by mmdebstrap from the host's own package sources and kept as a layer.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pilotlight_core::image::{Key, PythonVersion};
use pilotlight_sandbox::{Errand, Yard};

use super::{Base, Error, Interpreter, apt};
use crate::host::OsRelease;
use crate::process;
use crate::progress::Progress;
use crate::step::{self, Steps};
use crate::store::{Meta, Store};

const PROGRAM: &str = "mmdebstrap";
/// How the helper makes one: it mounts the machine's own /proc, /sys and /dev into what it makes, and what it unpacks
/// has an image's owners, so it takes the helper's rights.
pub(crate) const ERRAND: Errand = Errand { name: PROGRAM, command };
const INCLUDE: &str = "python3,ca-certificates";
/// Which Python each suite's `python3` package is.
const SUITES: &[(&str, PythonVersion)] = &[
    ("bullseye", PythonVersion::new(3, 9)),
    ("bookworm", PythonVersion::new(3, 11)),
    ("trixie", PythonVersion::new(3, 13)),
];

/// The suite to make: the host's own, when its Python is the one asked for.
pub(super) fn suite(os: &OsRelease, python: PythonVersion) -> Result<String, Error> {
    let no = |reason: String| Err(Error::NoDebian { python, reason });
    let Some((suite, offered)) = SUITES.iter().find(|(suite, _)| os.id == "debian" && *suite == os.codename)
    else {
        return no(format!("the host is {}, not a Debian release we know", os.title()));
    };
    if *offered != python {
        return no(format!(
            "Debian {suite} has python {offered}; set PILOTLIGHT_BASE=host or ask for {offered}"
        ));
    }
    Ok((*suite).to_owned())
}

/// The Python of the host's own suite.
pub(super) fn offered(os: &OsRelease) -> Option<PythonVersion> {
    SUITES.iter().find(|(suite, _)| os.id == "debian" && *suite == os.codename).map(|(_, python)| *python)
}

pub(super) fn base(
    suite: &str,
    python: PythonVersion,
    store: &Store,
    steps: &dyn Steps,
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<Base, Error> {
    let key = Key::of("pilotlight debian 1", [suite, std::env::consts::ARCH, INCLUDE]);
    let identity = format!("debian {suite} {}", std::env::consts::ARCH);
    let used = format!("Debian {suite} by mmdebstrap");
    if store.find(&key).is_none() && program().is_none() {
        let reason = "mmdebstrap is not installed; apt-get install mmdebstrap".to_owned();
        return Err(Error::NoDebian { python, reason });
    }
    let waiting = || progress.line("base", "waiting for another server that builds it");
    let (layer, made) = store.make(&key, cancel, waiting, |staging, cancel| {
        make(suite, &used, staging, store, steps, progress, cancel)
    })?;
    Ok(Base {
        identity,
        used,
        python,
        libc: "glibc".to_owned(),
        layers: vec![layer],
        binds: Vec::new(),
        env: Vec::new(),
        workdir: None,
        entrypoint: Vec::new(),
        user: String::new(),
        interpreter: Some(Interpreter { home: "/usr".into(), hidden: false, shared: false }),
        takes_packages: true,
        made,
        warning: None,
    })
}

fn make(
    suite: &str,
    used: &str,
    staging: &Path,
    store: &Store,
    steps: &dyn Steps,
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<Meta, Error> {
    let start = Instant::now();
    progress.step_started("base", used);
    let line = |line: &str| progress.line("base", line);
    steps.errand((PROGRAM, suite), staging, &line, cancel).map_err(|error| {
        if let step::Error::Failed { tail, .. } = &error {
            progress.failed("base", used, tail);
        }
        Error::Mmdebstrap(error)
    })?;
    prepare(&staging.join("fs"), store)?;
    let seconds = start.elapsed().as_secs_f64();
    progress.done("base", used, false, seconds);
    let command = [PROGRAM, suite].map(str::to_owned).to_vec();
    Ok(Meta { text: used.to_owned(), parent: None, command, seconds })
}

/// The helper's side: everything but the suite is read from the machine.
fn command(suite: &str, yard: &Yard) -> Result<Command, String> {
    if !SUITES.iter().any(|(known, _)| *known == suite) {
        return Err(format!("{suite} is no Debian release we know"));
    }
    let mut command = Command::new(PROGRAM);
    command.args(["--mode=root", "--variant=minbase", "--format=directory"]);
    command.arg(format!("--include={INCLUDE}")).args(apt_options());
    // The interpreter's place in an image. Made here: what was unpacked need not be the server's to write to.
    command.arg(r#"--customize-hook=ln -s /usr "$1/opt/python""#);
    command.arg(suite).arg(&yard.fs).env("TMPDIR", &yard.work);
    let sources = apt::sources(Path::new("/etc/apt"), suite);
    if !sources.is_empty() {
        let list = yard.work.join("sources.list");
        fs_err::write(&list, sources.join("\n") + "\n").map_err(|error| error.to_string())?;
        command.arg(list);
    }
    Ok(command)
}

/// Takes out what an image does not have: device files, which containers bring, and names of this machine.
fn prepare(fs: &Path, store: &Store) -> Result<(), Error> {
    for entry in fs_err::read_dir(fs.join("dev"))? {
        store.remove(&entry?.path())?;
    }
    for name in ["etc/resolv.conf", "etc/hostname"] {
        store.remove(&fs.join(name))?;
    }
    Ok(())
}

const APT_LIMIT: Duration = Duration::from_secs(20);

/// The proxies of the host's apt, which mmdebstrap's apt does not read by itself.
fn apt_options() -> Vec<String> {
    let mut options = Vec::new();
    for name in ["Acquire::http::Proxy", "Acquire::https::Proxy"] {
        let mut command = Command::new("apt-config");
        command.args(["shell", "VALUE", name]);
        let Ok(lines) = process::run(&mut command, b"", APT_LIMIT, &AtomicBool::new(false), &|_| {}) else {
            continue;
        };
        let value = lines.iter().find_map(|line| line.strip_prefix("VALUE="));
        if let Some(value) = value.map(|value| value.trim_matches('\'')).filter(|value| !value.is_empty()) {
            options.push(format!("--aptopt={name} \"{value}\""));
        }
    }
    options
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(PROGRAM)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_is_the_hosts_when_its_python_fits() {
        let os = |id: &str, codename: &str| OsRelease {
            id: id.into(),
            codename: codename.into(),
            name: id.into(),
            version_id: "1".into(),
        };
        let (old, new) = (PythonVersion::new(3, 11), PythonVersion::new(3, 13));
        assert_eq!(suite(&os("debian", "bookworm"), old).unwrap(), "bookworm");
        assert_eq!(suite(&os("debian", "trixie"), new).unwrap(), "trixie");
        let error = suite(&os("debian", "bookworm"), new).unwrap_err().to_string();
        assert!(error.contains("Debian bookworm has python 3.11"), "{error}");
        assert!(suite(&os("ubuntu", "bookworm"), old).is_err());
    }
}
