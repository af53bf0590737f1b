//! Decides what an image starts from, and makes it: a true Debian by mmdebstrap, else the host's own userland.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pilotlight_core::image::{PythonVersion, VersionError};
use pilotlight_sandbox::Bind;
use thiserror::Error;

use crate::host::{self, HostPython, OsRelease};
use crate::progress::Progress;
use crate::step::{self, Steps};
use crate::store::{self, Store};

/// The host's package sources, for the base that is made from them.
mod apt;
/// A prefix of conda's.
pub(crate) mod conda;
/// Debian by mmdebstrap.
pub(crate) mod debian;
/// The host's userland.
mod userland;

/// Which bases may be used; `PILOTLIGHT_BASE` says it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// Debian where mmdebstrap can make one with the Python asked for, else the host's userland.
    #[default]
    Auto,
    /// Debian or nothing.
    Debian,
    /// The host's userland.
    Host,
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.trim() {
            "" | "auto" => Ok(Self::Auto),
            "debian" => Ok(Self::Debian),
            "host" => Ok(Self::Host),
            other => Err(Error::Choice { text: other.to_owned() }),
        }
    }
}

/// Why there is no base.
#[derive(Debug, Error)]
pub enum Error {
    /// The setting is none of the known words.
    #[error("PILOTLIGHT_BASE is {text:?}; it can be auto, debian or host")]
    Choice {
        /// The setting.
        text: String,
    },
    /// A Debian was demanded and cannot be made.
    #[error("no Debian base with python {python}: {reason}")]
    NoDebian {
        /// The version asked for.
        python: PythonVersion,
        /// What is in the way, and what to do.
        reason: String,
    },
    /// mmdebstrap failed.
    #[error("mmdebstrap could not make a Debian base")]
    Mmdebstrap(#[source] step::Error),
    /// The version cannot be run.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// No interpreter of the version for the host base.
    #[error(transparent)]
    Python(#[from] host::Error),
    /// An image of a registry cannot be one.
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
    /// The layer could not be kept.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The base's own files could not be written.
    #[error("cannot lay out the base")]
    Io(#[from] std::io::Error),
}

/// An interpreter of a base's that runs programs of ours in build steps, beside the image's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// Its prefix: inside the base, or on the machine where that does not show it.
    pub home: PathBuf,
    /// Whether it is on the machine only.
    pub hidden: bool,
    /// Whether it needs `libpython` from its prefix.
    pub shared: bool,
}

/// A base, ready to be built on.
#[derive(Clone, Debug)]
pub struct Base {
    /// What later keys are chained to; the same for bases that layers can be moved between.
    pub identity: String,
    /// For the terminal: `Debian bookworm by mmdebstrap`.
    pub used: String,
    /// The version of its interpreter.
    pub python: PythonVersion,
    /// Its C library, which compiled packages are for: `glibc`, `glibc-2.31`, `musl`.
    pub libc: String,
    /// The base's layers, topmost first.
    pub layers: Vec<PathBuf>,
    /// What of the host it shows.
    pub binds: Vec<Bind>,
    /// Variables its interpreter needs.
    pub env: Vec<(String, String)>,
    /// The working directory, where it names one.
    pub workdir: Option<String>,
    /// What its containers begin with; empty for none.
    pub entrypoint: Vec<String>,
    /// The user that it asks for; empty or root for none.
    pub user: String,
    /// What runs programs of ours in steps that change the image's own interpreter; only such bases have such steps.
    pub interpreter: Option<Interpreter>,
    /// Whether Debian packages can be installed on it.
    pub takes_packages: bool,
    /// Whether it had to be made just now.
    pub made: bool,
    /// Something the user should know.
    pub warning: Option<String>,
}

/// The oldest Python that the installer of conda's packages runs on.
const INSTALLER: PythonVersion = PythonVersion::new(3, 10);

/// Finds or makes bases.
#[derive(Clone, Debug)]
pub struct Bases {
    choice: Choice,
    local: HostPython,
    os: OsRelease,
    /// Why mmdebstrap failed under [`Choice::Auto`]; it is not tried again by this process.
    debian_failed: Arc<OnceLock<String>>,
    /// Interpreters found so far; asking one takes tens of milliseconds.
    found: Arc<Mutex<HashMap<PythonVersion, HostPython>>>,
}

impl Bases {
    /// Bases by `choice` on this machine; `local` is the interpreter of the user's program.
    pub fn new(choice: Choice, local: HostPython) -> Self {
        let os = OsRelease::of_this_machine();
        Self { choice, local, os, debian_failed: Arc::default(), found: Arc::default() }
    }

    /// The same with another local interpreter.
    #[must_use]
    pub fn with_local(&self, local: HostPython) -> Self {
        // What was found elsewhere may be less fitting than the new local one.
        Self { local, found: Arc::default(), ..self.clone() }
    }

    /// The interpreter of this version, of this machine.
    pub(crate) fn interpreter(&self, python: PythonVersion) -> Result<HostPython, Error> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = found.get(&python).filter(|known| known.executable.exists()) {
            return Ok(known.clone());
        }
        let interpreter = host::find(python, &self.local)?;
        found.insert(python, interpreter.clone());
        Ok(interpreter)
    }

    /// The base for images with `python`.
    pub fn get(
        &self,
        python: PythonVersion,
        store: &Store,
        steps: &dyn Steps,
        progress: &dyn Progress,
        cancel: &AtomicBool,
    ) -> Result<Base, Error> {
        let python = python.supported()?;
        if self.choice != Choice::Host && self.debian_failed.get().is_none() {
            match self.debian(python, store, steps, progress, cancel) {
                Ok(base) => return Ok(base),
                Err(error) if self.choice == Choice::Debian || cancel.load(Ordering::Relaxed) => {
                    return Err(error);
                }
                Err(Error::NoDebian { .. }) => {}
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                    let warning =
                        format!("{error}{}; the host's userland is used", cause.unwrap_or_default());
                    tracing::warn!("{warning}");
                    // Another build may have been first; its reason is as good.
                    let _ = self.debian_failed.set(warning);
                }
            }
        }
        let interpreter = self.interpreter(python)?;
        let base = userland::base(&interpreter, &self.os, Path::new("/"), store)?;
        Ok(Base { warning: self.debian_failed.get().cloned(), ..base })
    }

    /// What a prefix of conda's can stand on: any base whose interpreter can run the installer.
    pub(crate) fn beneath(
        &self,
        store: &Store,
        steps: &dyn Steps,
        progress: &dyn Progress,
        cancel: &AtomicBool,
    ) -> Result<Base, Error> {
        let newer = (INSTALLER.minor..=PythonVersion::NEWEST.minor).map(|minor| PythonVersion::new(3, minor));
        // A Debian where one can be made, since that takes packages.
        let own = debian::offered(&self.os).filter(|_| self.choice != Choice::Host);
        let candidates = own.into_iter().chain([self.local.python()]).chain(newer);
        let mut refused = None;
        for python in candidates.filter(|python| *python >= INSTALLER) {
            match self.get(python, store, steps, progress, cancel) {
                Ok(base) => return Ok(base),
                Err(error @ (Error::Python(_) | Error::NoDebian { .. })) => refused = refused.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(refused.expect("there is a newer one than the oldest"))
    }

    fn debian(
        &self,
        python: PythonVersion,
        store: &Store,
        steps: &dyn Steps,
        progress: &dyn Progress,
        cancel: &AtomicBool,
    ) -> Result<Base, Error> {
        let suite = debian::suite(&self.os, python)?;
        debian::base(&suite, python, store, steps, progress, cancel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_has_three_words() {
        assert_eq!("".parse::<Choice>().unwrap(), Choice::Auto);
        assert_eq!("host".parse::<Choice>().unwrap(), Choice::Host);
        assert_eq!("debian".parse::<Choice>().unwrap(), Choice::Debian);
        let error = "docker".parse::<Choice>().unwrap_err().to_string();
        assert_eq!(error, "PILOTLIGHT_BASE is \"docker\"; it can be auto, debian or host");
    }
}
