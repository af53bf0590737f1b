//! A true Debian, made once by mmdebstrap from the host's own package sources and kept as a layer.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pilotlight_core::image::{Key, PythonVersion};

use super::{Base, Error, apt};
use crate::host::OsRelease;
use crate::process;
use crate::progress::Progress;
use crate::store::{self, Meta, Store};

const PROGRAM: &str = "mmdebstrap";
/// Runs a program so that nothing of it outlives its end or ours, `kill -9` of either included: it mounts the host's
/// /proc, /sys and /dev/shm into what it makes, and removing that with the mounts in place would reach the host's own
/// files. Both programs are part of util-linux, which every Debian has.
const ALONE: [&str; 9] = [
    "setpriv",
    "--pdeathsig=KILL",
    "unshare",
    "--mount",
    "--pid",
    "--mount-proc",
    "--fork",
    "--kill-child=KILL",
    "--",
];
const INCLUDE: &str = "python3,ca-certificates";
const LIMIT: Duration = Duration::from_mins(20);
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

pub(super) fn base(
    suite: &str,
    python: PythonVersion,
    store: &Store,
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
    let (layer, made) =
        store.make(&key, cancel, waiting, |staging| make(suite, &used, staging, progress, cancel))?;
    Ok(Base {
        identity,
        used,
        layer,
        binds: Vec::new(),
        env: Vec::new(),
        takes_packages: true,
        made,
        warning: None,
    })
}

fn make(
    suite: &str,
    used: &str,
    staging: &Path,
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<Meta, Error> {
    let fs = staging.join("fs");
    let mut command = Command::new(ALONE[0]);
    command.args(&ALONE[1..]).arg(PROGRAM).args(["--mode=root", "--variant=minbase", "--format=directory"]);
    command.arg(format!("--include={INCLUDE}")).args(apt_options(cancel));
    command.arg(suite).arg(&fs);
    // Its temporary files go with the rest when it is killed.
    command.env("TMPDIR", staging);
    let sources = apt::sources(Path::new("/etc/apt"), suite);
    if !sources.is_empty() {
        let list = staging.join("sources.list");
        fs_err::write(&list, sources.join("\n") + "\n")?;
        command.arg(list);
    }
    let start = Instant::now();
    progress.step_started("base", used);
    let line = |line: &str| progress.line("base", line);
    process::run(&mut command, b"", LIMIT, cancel, &line).map_err(|error| {
        if let process::Error::Failed { tail, .. } = &error {
            progress.failed("base", used, tail);
        }
        Error::Mmdebstrap(error)
    })?;
    prepare(&fs)?;
    let seconds = start.elapsed().as_secs_f64();
    progress.done("base", used, false, seconds);
    let argv = std::iter::once(command.get_program()).chain(command.get_args());
    let command = argv.map(|word| word.to_string_lossy().into_owned()).collect();
    Ok(Meta { text: used.to_owned(), parent: None, command, seconds })
}

/// What an image expects beside Debian: the interpreter's place, and no device files, which containers bring.
fn prepare(fs: &Path) -> Result<(), Error> {
    for entry in fs_err::read_dir(fs.join("dev"))? {
        store::remove(&entry?.path())?;
    }
    for name in ["etc/resolv.conf", "etc/hostname"] {
        store::remove(&fs.join(name))?;
    }
    fs_err::os::unix::fs::symlink("/usr", fs.join("opt/python"))?;
    Ok(())
}

/// The proxies of the host's apt, which mmdebstrap's apt does not read by itself.
fn apt_options(cancel: &AtomicBool) -> Vec<String> {
    let mut options = Vec::new();
    for name in ["Acquire::http::Proxy", "Acquire::https::Proxy"] {
        let mut command = Command::new("apt-config");
        command.args(["shell", "VALUE", name]);
        let Ok(lines) = process::run(&mut command, b"", Duration::from_secs(20), cancel, &|_| {}) else {
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
