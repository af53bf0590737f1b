//! Brings uv from the configured package index, once per state directory.
//!
//! Debian's Python has no pip, so a small script of ours, standard library only, fetches the wheel. It is the static
//! one (musl), because the same program runs on the host and inside images of any libc. Pinned by hash; an index that
//! lacks the pinned version (a mirror with a delay) gives its newest, checked with the index's own hash.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pilotlight_core::image::{UV, UV_CACHE};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::host::HostPython;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::{lock, process, store};

const SCRIPT: &str = include_str!("tools/fetch_uv.py");
const PIN: &str = include_str!("../locks/uv.json");
/// pip's and uv's own default; any setting of the machine replaces it.
const DEFAULT_INDEX: &str = "https://pypi.org/simple";
const STAGING: &str = ".staging-";
const FETCH_LIMIT: Duration = Duration::from_mins(10);

/// Why there is no uv.
#[derive(Debug, Error)]
pub enum Error {
    /// The script failed; its last line says why.
    #[error(
        "cannot bring uv from the package index; check PIP_INDEX_URL or UV_DEFAULT_INDEX, proxy and certificates"
    )]
    Fetch(#[source] process::Error),
    /// There is no wheel for this kind of processor.
    #[error("uv cannot be brought for {arch}; put a uv executable at {}", path.display())]
    Architecture {
        /// As the compiler calls it.
        arch: String,
        /// Where one would be used.
        path: PathBuf,
    },
    /// A file operation failed; the source names the path.
    #[error("cannot keep uv")]
    Io(#[from] io::Error),
}

#[derive(Deserialize)]
struct Pin {
    version: String,
    wheels: BTreeMap<String, Wheel>,
}

#[derive(Deserialize)]
struct Wheel {
    file: String,
    sha256: String,
}

#[derive(Serialize)]
struct Order<'a> {
    version: &'a str,
    file: &'a str,
    sha256: &'a str,
    arch: &'a str,
    dest: &'a Path,
    default_index: &'a str,
}

#[derive(Deserialize)]
struct Fetched {
    version: String,
}

/// uv on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uv {
    /// Its version.
    pub version: String,
    /// The executable.
    pub path: PathBuf,
    /// A layer that shows it to build steps at [`UV`], with an empty directory at [`UV_CACHE`].
    pub layer: PathBuf,
}

/// The pinned version's directory, or that of the version once taken in its place; makes nothing.
pub fn find(state_dir: &Path) -> Option<Uv> {
    let tools = state_dir.join("tools");
    let pin = pin();
    let other = fs_err::read_to_string(instead(&tools, &pin)).ok();
    [Some(pin.version), other].into_iter().flatten().find_map(|version| {
        let directory = tools.join(format!("uv-{version}"));
        let path = directory.join("uv");
        path.is_file().then(|| Uv { version, path, layer: directory.join("layer") })
    })
}

/// Whose packages a cache of uv holds. Installing from source runs code of the package, which can write to the cache;
/// what the host itself and every image get must not come from there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cache {
    /// The eras' sets, installed on the host for discovery, by whoever runs the command.
    Host,
    /// The eras' sets and the runner's packages in images. Files of another owner, as the host's are, have none inside:
    /// nothing there could take their place (EOVERFLOW, mount_setattr(2)).
    Images,
    /// What is installed without a sandbox: nothing of that is to be believed by anybody else.
    Process,
    /// What users name in `pip_install`.
    Users,
}

impl Cache {
    /// Those of build steps.
    pub(crate) const OF_STEPS: [Self; 2] = [Self::Images, Self::Users];

    /// Where it is in a state directory.
    pub(crate) fn place(self) -> &'static str {
        match self {
            Self::Host => "cache/uv",
            Self::Images => "cache/uv-images",
            Self::Process => "process/.cache",
            Self::Users => "cache/uv-users",
        }
    }

    /// What is pinned while it is used.
    pub(crate) fn pin(self) -> String {
        self.place().replace('/', "-")
    }
}

/// A cache of this state directory, made if it is not there.
pub(crate) fn cache(state_dir: &Path, whose: Cache) -> io::Result<PathBuf> {
    let cache = state_dir.join(whose.place());
    fs_err::create_dir_all(&cache)?;
    Ok(cache)
}

/// uv, fetched if it is not there. `python` runs the script.
pub fn ensure(
    state_dir: &Path,
    python: &HostPython,
    settings: &Settings,
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<Uv, Error> {
    if let Some(found) = find(state_dir).filter(|uv| uv.layer.exists()) {
        return Ok(found);
    }
    let tools = state_dir.join("tools");
    fs_err::create_dir_all(&tools)?;
    let lock = lock::acquire(&tools.join(".lock"), cancel, || {})?;
    sweep(&tools)?;
    let found = match find(state_dir) {
        Some(found) => found,
        None => fetch(&tools, python, settings, progress, cancel)?,
    };
    if !found.layer.exists() {
        make_layer(&found)?;
    }
    drop(lock);
    Ok(found)
}

/// Removes what dead processes left half-made; the lock is held.
fn sweep(tools: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(tools)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            store::remove(&entry.path())?;
        }
    }
    Ok(())
}

fn pin() -> Pin {
    serde_json::from_str(PIN).expect("the embedded file is tested")
}

fn instead(tools: &Path, pin: &Pin) -> PathBuf {
    tools.join(format!("instead-of-{}", pin.version))
}

fn fetch(
    tools: &Path,
    python: &HostPython,
    settings: &Settings,
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<Uv, Error> {
    let pin = pin();
    let arch = std::env::consts::ARCH;
    let wheel = pin.wheels.get(arch).ok_or_else(|| {
        let path = tools.join(format!("uv-{}/uv", pin.version));
        Error::Architecture { arch: arch.to_owned(), path }
    })?;
    let (id, text) = ("uv", format!("uv {} from the package index", pin.version));
    let start = std::time::Instant::now();
    progress.step_started(id, &text);
    let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(tools)?;
    let order = Order {
        version: &pin.version,
        file: &wheel.file,
        sha256: &wheel.sha256,
        arch,
        dest: &staging.path().join("uv"),
        default_index: DEFAULT_INDEX,
    };
    let input = serde_json::to_vec(&order).map_err(io::Error::from)?;
    let mut command = Command::new(&python.executable);
    command.args(["-I", "-S", "-c", SCRIPT]).envs(settings.env_on_host());
    // The last line is for us.
    let line = |line: &str| {
        if !line.starts_with('{') {
            progress.line(id, line);
        }
    };
    let lines = process::run(&mut command, &input, FETCH_LIMIT, cancel, &line).map_err(|error| {
        if let process::Error::Failed { tail, .. } = &error {
            progress.failed(id, &text, tail);
        }
        Error::Fetch(error)
    })?;
    let fetched: Fetched =
        serde_json::from_str(lines.last().map_or("", String::as_str)).map_err(io::Error::from)?;
    let directory = tools.join(format!("uv-{}", fetched.version));
    store::remove(&directory)?;
    fs_err::set_permissions(staging.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs_err::rename(staging.keep(), &directory)?;
    if fetched.version != pin.version {
        fs_err::write(instead(tools, &pin), &fetched.version)?;
    }
    let text = format!("uv {} from the package index", fetched.version);
    progress.done(id, &text, false, start.elapsed().as_secs_f64());
    Ok(Uv { path: directory.join("uv"), layer: directory.join("layer"), version: fetched.version })
}

/// Lays the executable out as build steps see it. A hard link: it is the same file.
fn make_layer(uv: &Uv) -> Result<(), Error> {
    let tools = uv.layer.ancestors().nth(2).expect("a layer is two levels inside tools");
    let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(tools)?;
    let inside = |path: &str| staging.path().join(path.trim_start_matches('/'));
    let program = inside(UV);
    fs_err::create_dir_all(program.parent().expect("an absolute path has a parent"))?;
    fs_err::create_dir_all(inside(UV_CACHE))?;
    fs_err::hard_link(&uv.path, &program)?;
    fs_err::set_permissions(staging.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs_err::rename(staging.keep(), &uv.layer)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_pin_names_static_wheels_of_its_version() {
        let pin = pin();
        for arch in ["x86_64", "aarch64"] {
            let wheel = &pin.wheels[arch];
            assert!(wheel.file.starts_with(&format!("uv-{}-py3-none-", pin.version)));
            assert!(wheel.file.contains("musllinux") && wheel.file.ends_with(&format!("_{arch}.whl")));
            assert_eq!(wheel.sha256.len(), 64);
        }
    }
}
