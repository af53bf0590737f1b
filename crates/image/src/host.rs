//! Finds Python interpreters and names the operating system of this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pilotlight_core::image::PythonVersion;
use serde::Deserialize;
use thiserror::Error;

use crate::process;

/// An interpreter that has not answered by then is broken or a shim that waits for something.
const PROBE_LIMIT: Duration = Duration::from_secs(20);

/// Asked of an interpreter; `-I -S` keeps the user's packages from having a say.
const PROBE: &str = r#"
import json, sys, sysconfig
get = sysconfig.get_config_var
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "executable": sys.executable,
    "base_prefix": sys.base_prefix,
    "shared": bool(get("Py_ENABLE_SHARED")),
    "plain": sys.implementation.name == "cpython" and not get("Py_GIL_DISABLED"),
}))
"#;

/// Why there is no interpreter.
#[derive(Debug, Error)]
pub enum Error {
    /// The given program did not answer as a Python does.
    #[error("{path} does not work as a Python interpreter")]
    Probe {
        /// The program.
        path: PathBuf,
        /// What it did instead.
        #[source]
        source: process::Error,
    },
    /// The given program answered nonsense.
    #[error("{path} does not answer as a Python interpreter does")]
    Answer {
        /// The program.
        path: PathBuf,
        /// What is wrong with the answer.
        #[source]
        source: serde_json::Error,
    },
    /// There is no interpreter of this version.
    #[error(
        "no python {wanted} on this machine (found: {}); install it, or choose a version that is there with \
         debian_slim(python_version=...)",
        if found.is_empty() { "none".to_owned() } else { found.join(", ") }
    )]
    NotFound {
        /// The version asked for.
        wanted: PythonVersion,
        /// Versions and places of the others.
        found: Vec<String>,
    },
}

/// A Python installation of this machine, resolved past shims and virtual environments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPython {
    /// The program that was asked, as it calls itself; may belong to a virtual environment.
    pub executable: PathBuf,
    /// Major, minor, patch.
    pub version: (u8, u8, u8),
    /// `sys.base_prefix`: where the standard library lives under `lib/python3.X`.
    pub base_prefix: PathBuf,
    /// Whether it needs `libpython` from its own prefix.
    pub shared: bool,
}

#[derive(Deserialize)]
struct Answer {
    version: (u8, u8, u8),
    executable: PathBuf,
    base_prefix: PathBuf,
    shared: bool,
    plain: bool,
}

impl HostPython {
    /// Asks the interpreter at `path` (or found on the search path) what it is.
    pub fn probe(path: &Path) -> Result<Self, Error> {
        let answer = ask(path)?;
        Ok(Self {
            executable: answer.executable,
            version: answer.version,
            base_prefix: answer.base_prefix,
            shared: answer.shared,
        })
    }

    /// Major and minor version.
    pub fn python(&self) -> PythonVersion {
        PythonVersion::new(self.version.0, self.version.1)
    }

    /// `3.11.7`.
    pub fn full_version(&self) -> String {
        let (major, minor, patch) = self.version;
        format!("{major}.{minor}.{patch}")
    }

    /// Whether the installation is part of the system's /usr.
    pub fn under_usr(&self) -> bool {
        self.base_prefix.starts_with("/usr")
    }
}

fn ask(path: &Path) -> Result<Answer, Error> {
    let mut command = Command::new(path);
    command.args(["-I", "-S", "-c", PROBE]).env_remove("PYTHONHOME");
    let lines = process::run(&mut command, b"", PROBE_LIMIT, &AtomicBool::new(false), &|_| {})
        .map_err(|source| Error::Probe { path: path.to_owned(), source })?;
    let line = lines.last().map(String::as_str).unwrap_or_default();
    serde_json::from_str(line).map_err(|source| Error::Answer { path: path.to_owned(), source })
}

/// An interpreter of version `wanted`: `given` if it is one, else the first that works on the search path, under
/// pyenv, in /usr/local/bin and /usr/bin, or among those uv installed.
pub fn find(wanted: PythonVersion, given: &HostPython) -> Result<HostPython, Error> {
    if given.python() == wanted {
        return Ok(given.clone());
    }
    let program = format!("python{wanted}");
    let mut tried = Vec::new();
    for directory in directories(Some(wanted)) {
        let path = directory.join(&program);
        if tried.contains(&path) || !path.exists() {
            continue;
        }
        if let Ok(answer) = ask(&path)
            && answer.plain
            && (answer.version.0, answer.version.1) == (wanted.major, wanted.minor)
        {
            let Answer { version, executable, base_prefix, shared, .. } = answer;
            return Ok(HostPython { executable, version, base_prefix, shared });
        }
        tried.push(path);
    }
    Err(Error::NotFound { wanted, found: seen(given) })
}

/// What there is, by looking at names only.
fn seen(given: &HostPython) -> Vec<String> {
    let mut found = BTreeMap::from([(given.python(), given.executable.clone())]);
    for directory in directories(None) {
        for minor in PythonVersion::OLDEST.minor..=PythonVersion::NEWEST.minor {
            let version = PythonVersion::new(3, minor);
            let path = directory.join(format!("python{version}"));
            // A shim exists for every version that pyenv knows, active or not.
            if !path.components().any(|part| part.as_os_str() == "shims") && path.exists() {
                found.entry(version).or_insert(path);
            }
        }
    }
    found.iter().map(|(version, path)| format!("{version} at {}", path.display())).collect()
}

/// Where version managers of this user keep their interpreters.
pub fn installations() -> Vec<PathBuf> {
    let (pyenv, uv) = managed();
    vec![pyenv, uv]
}

/// The directories of pyenv and of uv's interpreters.
fn managed() -> (PathBuf, PathBuf) {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = std::env::home_dir().unwrap_or_default();
    let pyenv = var("PYENV_ROOT").map_or_else(|| home.join(".pyenv"), PathBuf::from);
    let data = var("XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from);
    let uv = var("UV_PYTHON_INSTALL_DIR").map_or_else(|| data.join("uv/python"), PathBuf::from);
    (pyenv, uv)
}

/// Where interpreters are, best first. `wanted` narrows those of version managers.
fn directories(wanted: Option<PythonVersion>) -> Vec<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let (pyenv, uv) = managed();
    let mut directories: Vec<PathBuf> =
        var("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    directories.extend(installs(&pyenv.join("versions"), "", wanted));
    directories.extend(["/usr/local/bin", "/usr/bin"].map(PathBuf::from));
    directories.extend(installs(&uv, "cpython-", wanted));
    directories
}

/// `bin` of each `<prefix>3.X.Y…` in `directory`, newest patch release first.
fn installs(directory: &Path, prefix: &str, wanted: Option<PythonVersion>) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(directory) else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let mut numbers = name.strip_prefix(prefix)?.split(['.', '-', '+']);
            let version = PythonVersion::new(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
            let patch = numbers.next()?.parse().ok()?;
            (wanted.is_none_or(|wanted| wanted == version)).then(|| (patch, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Which operating system this is, from `os-release(5)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `debian`.
    pub id: String,
    /// `12`; empty on rolling releases.
    pub version_id: String,
    /// `bookworm`; empty where there is none.
    pub codename: String,
    /// `Debian GNU/Linux`.
    pub name: String,
}

impl OsRelease {
    /// Reads this machine's file; a machine without one is called `linux`.
    pub fn of_this_machine() -> Self {
        let text = ["/etc/os-release", "/usr/lib/os-release"]
            .into_iter()
            .find_map(|p| fs_err::read_to_string(p).ok());
        Self::parse(&text.unwrap_or_default())
    }

    /// Reads the text of such a file.
    pub fn parse(text: &str) -> Self {
        let field = |wanted: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(name, _)| name.trim() == wanted)
                .map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned())
        };
        let id = field("ID").unwrap_or_else(|| "linux".to_owned());
        Self {
            name: field("NAME").unwrap_or_else(|| id.clone()),
            version_id: field("VERSION_ID").unwrap_or_default(),
            codename: field("VERSION_CODENAME").unwrap_or_default(),
            id,
        }
    }

    /// `Debian 12`.
    pub fn title(&self) -> String {
        let name = self.name.strip_suffix(" GNU/Linux").unwrap_or(&self.name);
        format!("{name} {}", self.version_id).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> HostPython {
        HostPython::probe(Path::new("python3")).unwrap()
    }

    #[test]
    fn an_interpreter_tells_what_it_is() {
        let python = local();
        assert_eq!(python.version.0, 3);
        let library = format!("lib/python{}/os.py", python.python());
        assert!(python.base_prefix.join(library).exists(), "{python:?}");
        assert_eq!(find(python.python(), &python).unwrap(), python);
    }

    #[test]
    fn what_is_not_there_is_said_with_what_is() {
        let python = local();
        let error = find(PythonVersion::new(3, 99), &python).unwrap_err().to_string();
        assert!(error.starts_with("no python 3.99 on this machine (found: "), "{error}");
        assert!(error.contains(&format!("{} at ", python.python())), "{error}");
    }

    #[test]
    fn what_is_no_interpreter_is_refused() {
        assert!(matches!(HostPython::probe(Path::new("/bin/true")), Err(Error::Answer { .. })));
        assert!(matches!(HostPython::probe(Path::new("/bin/false")), Err(Error::Probe { .. })));
        assert!(matches!(HostPython::probe(Path::new("/nope")), Err(Error::Probe { .. })));
    }

    #[test]
    fn newest_patch_releases_come_first() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["3.11.2", "3.11.10", "3.12.1", "3.11.3-debug", "2.7.18", "system"] {
            fs_err::create_dir(dir.path().join(name)).unwrap();
        }
        let found = installs(dir.path(), "", Some(PythonVersion::new(3, 11)));
        let names: Vec<_> = found.iter().map(|p| p.parent().unwrap().file_name().unwrap()).collect();
        assert_eq!(names, ["3.11.10", "3.11.3-debug", "3.11.2"]);
    }

    #[test]
    fn os_release_in_its_spellings() {
        let os = OsRelease::parse(
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID='12'\nID=debian\n\
             VERSION_CODENAME=bookworm\n",
        );
        assert_eq!((os.title().as_str(), os.codename.as_str()), ("Debian 12", "bookworm"));
        assert_eq!(OsRelease::parse("ID=arch\nNAME=Arch").title(), "Arch");
        assert_eq!(OsRelease::parse("").title(), "linux");
    }
}
