//! The Python of an image: its own, or one that is put into it.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use pilotlight_core::image::{Key, PythonVersion};
use pilotlight_sandbox::Network;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use serde::Deserialize;

use super::tool::Tool;
use super::{Error, Pull};
use crate::hostconf::HostConf;
use crate::step;
use crate::store::Meta;
use crate::tools;

/// Where the image's Python has been written down, in its layer.
const FACTS: &str = "opt/pilotlight/python.json";
const FACTS_MAX: u64 = 4096;
/// What the tool says of an image without any.
pub(super) const NO_PYTHON: &str = "there is no python3 and no python on its PATH";

/// Run by the image's Python: makes it what `/opt/python` leads to, and writes down what it is.
const FIND: &str = r#"
import json, os, sys
version = "%d.%d" % sys.version_info[:2]
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION").replace(" ", "-")
except (ValueError, OSError):
    libc = "musl"
home = getattr(sys, "base_prefix", sys.prefix)
if not os.path.exists("%s/bin/python%s" % (home, version)):
    sys.exit("its Python has no %s/bin/python%s" % (home, version))
if os.path.realpath("/opt/python") != os.path.realpath(home):
    if os.path.lexists("/opt/python"):
        os.remove("/opt/python")
    os.symlink(home, "/opt/python")
if not os.path.isdir("/opt/pilotlight"):
    os.makedirs("/opt/pilotlight")
with open("/opt/pilotlight/python.json", "w") as file:
    json.dump({"version": version, "libc": libc, "apt": os.path.exists("/usr/bin/apt-get")}, file)
"#;

/// What is known of an image's Python.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Facts {
    /// `3.11`.
    pub(super) version: String,
    pub(super) libc: String,
    /// Whether the image takes Debian packages.
    pub(super) apt: bool,
}

/// The Python that is wanted of an image.
pub(super) struct Python<'a> {
    pub(super) pull: &'a Pull<'a>,
    pub(super) image: &'a str,
    /// The image's search path.
    pub(super) search: &'a str,
    /// The image's topmost layer.
    pub(super) top: Option<&'a Key>,
    /// What the program asks for; without it the image's own is taken.
    pub(super) asked: Option<PythonVersion>,
}

impl Python<'_> {
    /// Its layer, if it is here.
    pub(super) fn find(&self) -> Option<PathBuf> {
        let store = self.pull.store;
        let own = || store.find(&self.own_key());
        match self.asked {
            None => own(),
            Some(version) => {
                store.find(&self.added_key(version)).or_else(|| own().filter(|layer| is(layer, version)))
            }
        }
    }

    /// Its layer: that of the image's own where it is what is asked for, else one with another.
    pub(super) fn make(&self, tool: &Tool, below: &[PathBuf]) -> Result<PathBuf, Error> {
        match (self.own(tool, below), self.asked) {
            (Ok(layer), Some(version)) if !is(&layer, version) => self.added(version, tool, below),
            (Err(Error::NoPython { .. }), Some(version)) => self.added(version, tool, below),
            (own, _) => own,
        }
    }

    /// Finds the image's own by running it.
    fn own(&self, tool: &Tool, below: &[PathBuf]) -> Result<PathBuf, Error> {
        let words = ["python", self.search, FIND].map(str::to_owned);
        self.layer(&self.own_key(), format!("the Python of {}", self.image), |staging, cancel| {
            self.pull.run(tool, &words, None, (staging, below), cancel).map_err(|error| match error {
                step::Error::Failed { how, tail, .. } => {
                    let reason = tail.last().cloned().unwrap_or(how);
                    Error::NoPython { image: self.image.to_owned(), reason }
                }
                other => other.into(),
            })
        })
    }

    /// Puts a Python of python-build-standalone into the image: uv brings it, from where the machine's settings say.
    fn added(&self, version: PythonVersion, tool: &Tool, below: &[PathBuf]) -> Result<PathBuf, Error> {
        let Pull { state_dir, python, settings, progress, cancel, store, .. } = *self.pull;
        let uv = tools::ensure(state_dir, python, settings, progress, cancel)?;
        let host = HostConf::of_this_machine(settings.ca_file());
        let hostconf = host.layer(store)?;
        progress.line(self.image, &format!("python {version} of python-build-standalone"));
        let words = ["add", &version.to_string(), FIND].map(str::to_owned);
        self.layer(
            &self.added_key(version),
            format!("Python {version} in {}", self.image),
            |staging, cancel| {
                let mut request = super::request(tool, &words, staging, below)?;
                request.lowers.splice(2..2, [uv.layer.clone(), hostconf.clone()]);
                request.network = Network::Outbound;
                request.doors = host.doors.iter().copied().chain(settings.doors()).collect();
                request.env.extend(settings.env_inside());
                let said = |name: &str, value: &str| (name.to_owned(), value.to_owned());
                request.env.extend([
                    said("UV_PYTHON_DOWNLOADS", "automatic"),
                    said("UV_COMPILE_BYTECODE", "1"),
                    said("UV_NO_PROGRESS", "1"),
                ]);
                self.pull.carry_out(request, cancel).map_err(|error| match error {
                    step::Error::Failed { how, tail, .. } => {
                        let causes = tail.iter().rev().take(3).rev().map(|line| line.trim());
                        let causes = causes.collect::<Vec<_>>().join("; ");
                        let reason = if causes.is_empty() { how } else { causes };
                        Error::NotAdded { image: self.image.to_owned(), version, reason }
                    }
                    other => other.into(),
                })
            },
        )
    }

    fn layer(
        &self,
        key: &Key,
        text: String,
        run: impl FnOnce(&Path, &AtomicBool) -> Result<(), Error>,
    ) -> Result<PathBuf, Error> {
        let Pull { store, cancel, .. } = *self.pull;
        let (path, _) = store.make(
            key,
            cancel,
            || {},
            |staging, cancel| {
                let start = Instant::now();
                run(staging, cancel)?;
                let (parent, seconds) = (self.top.map(Key::to_string), start.elapsed().as_secs_f64());
                Ok::<_, Error>(Meta { text, parent, command: Vec::new(), seconds })
            },
        )?;
        Ok(path)
    }

    fn own_key(&self) -> Key {
        Key::of("pilotlight registry python 1", [self.top.map_or("", Key::as_str), self.search])
    }

    fn added_key(&self, version: PythonVersion) -> Key {
        let top = self.top.map_or("", Key::as_str);
        Key::of("pilotlight registry added python 1", [top, &version.to_string()])
    }
}

/// Whether the Python of a layer is of this version.
fn is(layer: &Path, version: PythonVersion) -> bool {
    facts(layer).is_ok_and(|facts| facts.version == version.to_string())
}

/// What the image's Python wrote down. The layer is somebody else's making: no link in it leads out.
pub(super) fn facts(layer: &Path) -> Result<Facts, Error> {
    let directory = fs_err::File::open(layer)?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::openat2(directory.file().as_fd(), FACTS, flags, Mode::empty(), resolve);
    let mut text = String::new();
    let file = std::fs::File::from(opened.map_err(std::io::Error::from)?);
    file.take(FACTS_MAX).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text).map_err(std::io::Error::from)?)
}
