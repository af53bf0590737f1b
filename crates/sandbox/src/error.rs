//! What can go wrong: [`Error`] for callers, [`Failure`] for one container, as the helper reports it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a call of this crate failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The helper process could not be started.
    #[error("cannot start the sandbox helper {program}")]
    Spawn {
        /// The file that was executed.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A directory or file of the run directory cannot be used.
    #[error("cannot use {path}")]
    RunDir {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another server, or the helper of one that just died, holds the run directory.
    #[error("{path} is in use by another server; stop it or choose another state directory")]
    Busy {
        /// The run directory.
        path: PathBuf,
    },
    /// The helper process is gone, and with it every container.
    #[error("the sandbox helper has died; the server must start a new one")]
    HelperDied,
    /// Arguments, environment and paths together exceed what one message carries.
    #[error(
        "the description of container {id} has {bytes} bytes, more than {limit}; pass less in its environment"
    )]
    TooLarge {
        /// The container.
        id: String,
        /// Its size.
        bytes: usize,
        /// The most that fits.
        limit: usize,
    },
    /// The helper did not answer in time.
    #[error("the sandbox helper did not answer within {} s", waited.as_secs())]
    Deadline {
        /// How long was waited.
        waited: Duration,
    },
    /// The helper refused, or failed at, what was asked.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Why the helper could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// One step of making or running a container failed.
    #[error("cannot {step}{}: {cause}", at(path.as_deref()))]
    Step {
        /// What was tried: "mount the overlay".
        step: String,
        /// On what.
        path: Option<PathBuf>,
        /// What the system said.
        cause: String,
    },
    /// The file system of a layer does not support idmapped mounts.
    #[error(
        "{path} is on {file_system}, which cannot be mounted with shifted owners; \
         move the state directory to ext4, xfs or btrfs"
    )]
    NotShiftable {
        /// The layer.
        path: PathBuf,
        /// Its file system: "nfs".
        file_system: String,
    },
    /// All 4096 id ranges of this machine are taken.
    #[error("every one of this machine's {slots} container slots is taken; stop some containers")]
    NoSlot {
        /// How many there are.
        slots: u32,
    },
    /// An ordinary user without other ids cannot unpack files of several users.
    #[error(
        "{errand} makes files of several users, and you have no subordinate ids for them; \
         sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER"
    )]
    NoIds {
        /// What needs them.
        errand: String,
    },
    /// The container's id is in use.
    #[error("there is a container {id} already")]
    Exists {
        /// The id.
        id: String,
    },
    /// No container of that id runs.
    #[error("there is no container {id}")]
    Unknown {
        /// The id.
        id: String,
    },
    /// The specification is wrong in itself.
    #[error("the specification of container {id} is wrong: {what}")]
    Invalid {
        /// The id.
        id: String,
        /// What is wrong.
        what: String,
    },
    /// The request is not one that the helper can be asked.
    #[error("the sandbox helper refused a request: {what}")]
    Refused {
        /// What is wrong.
        what: String,
    },
    /// The program of a command cannot be executed inside.
    #[error("cannot run {program} in the container: {}", io::Error::from_raw_os_error(*errno))]
    Exec {
        /// The first word of the command.
        program: String,
        /// The system's error number.
        errno: i32,
    },
    /// The container did not come up in time.
    #[error("the container was not ready to run its command within {seconds} s")]
    Slow {
        /// How long was waited.
        seconds: u64,
    },
    /// Pid 1 of the container ended while it was being set up.
    #[error("the container ended while it was being set up")]
    Died,
}

fn at(path: Option<&Path>) -> String {
    path.map(|path| format!(" ({})", path.display())).unwrap_or_default()
}

/// Names the step a system call belongs to.
pub(crate) trait Doing<T> {
    fn doing(self, step: &str) -> Result<T, Failure>;
    fn doing_at(self, step: &str, path: &Path) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, step: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::Step { step: step.into(), path: None, cause: error.into().to_string() })
    }

    fn doing_at(self, step: &str, path: &Path) -> Result<T, Failure> {
        self.map_err(|error| Failure::Step {
            step: step.into(),
            path: Some(path.into()),
            cause: error.into().to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_reads_as_a_sentence() {
        let path = Path::new("/x");
        let failed: Result<(), _> =
            Err(io::Error::from_raw_os_error(libc::EPERM)).doing_at("mount the overlay", path);
        let text = failed.unwrap_err().to_string();
        assert_eq!(text, "cannot mount the overlay (/x): Operation not permitted (os error 1)");
    }
}
