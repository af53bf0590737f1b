//! Clearing up after a container in a process of its own: its files may be many, and the helper has others to serve.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use fs_err as fs;
use rustix::process::{Signal, WaitId, WaitIdOptions};

use crate::sys::process::Forked;
use crate::{ExitStatus, Failure, keep, sys, title};

/// What there is to do.
pub(super) struct Work {
    pub(super) scratch: PathBuf,
    /// The run directory's record of it, without which the directory is not ours to remove.
    pub(super) record: PathBuf,
    pub(super) keep: Option<Keep>,
}

/// For build steps that went well.
pub(super) struct Keep {
    pub(super) target: PathBuf,
    pub(super) first_id: u32,
    /// The step's own standard error, where a failure to keep is told.
    pub(super) stderr: Option<OwnedFd>,
}

/// What to tell the server when it is done.
#[derive(Clone)]
pub(super) enum Tell {
    Exited {
        status: ExitStatus,
        oom: bool,
    },
    Failed {
        number: u64,
        failure: Failure,
    },
    /// A shell that was never used.
    Nobody,
}

/// A janitor at work.
pub(super) struct Janitor {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
}

/// How the work went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// Something is left to the next sweep.
    Left,
    /// The upper is not where it should be.
    NotKept,
}

impl Work {
    /// Starts a janitor; where there can be no further process, does its work here and now.
    pub(super) fn start(&self, area: Option<title::Area>) -> Result<Janitor, Outcome> {
        match sys::process::fork() {
            Ok(Forked::Child) => {
                // What it leaves behind if the helper dies is recorded, and swept.
                let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
                title::set(area, "pl-janitor", "pilotlight: janitor");
                let stderr = self.keep.as_ref().and_then(|keep| keep.stderr.as_ref());
                let keep: Vec<i32> = stderr.iter().map(|fd| fd.as_raw_fd()).collect();
                // Above all the channel to the server, which must see its end when the helper ends.
                let _ = sys::fd::close_all_but(&keep);
                sys::process::exit_now(self.run() as i32)
            }
            Ok(Forked::Parent { pid, pidfd }) => Ok(Janitor { pid, pidfd }),
            Err(_) => Err(self.run()),
        }
    }

    fn run(&self) -> Outcome {
        let mut outcome = Outcome::Done;
        if let Some(step) = &self.keep
            && let Err(error) = keep::keep(&self.scratch.join("upper"), &step.target, step.first_id)
        {
            outcome = Outcome::NotKept;
            step.complain(&error);
        }
        match self.remove() {
            Err(_) if outcome == Outcome::Done => Outcome::Left,
            _ => outcome,
        }
    }

    fn remove(&self) -> io::Result<()> {
        match fs::read_link(&self.record) {
            Ok(recorded) if recorded == self.scratch => {}
            _ => return Ok(()),
        }
        match fs::remove_dir_all(&self.scratch) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::remove_file(&self.record),
        }
    }
}

impl Keep {
    fn complain(&self, error: &io::Error) {
        if let Some(stderr) = self.stderr.as_ref().and_then(|fd| fd.try_clone().ok()) {
            let mut stderr = fs::File::from_parts(stderr.into(), "standard error");
            let _ = writeln!(stderr, "pilotlight: cannot keep the files of this step: {error}");
        }
    }
}

impl Janitor {
    /// Waits for its end and says how it went.
    pub(super) fn reap(&self) -> Outcome {
        let ended = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
        match ended.ok().flatten().and_then(|status| status.exit_status()) {
            Some(code) if code == Outcome::Done as i32 => Outcome::Done,
            Some(code) if code == Outcome::Left as i32 => Outcome::Left,
            _ => Outcome::NotKept,
        }
    }
}
