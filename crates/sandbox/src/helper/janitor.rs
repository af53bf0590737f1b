//! Clearing up after a container in a process of its own: its files may be many, and the helper has others to serve.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, WaitId, WaitIdOptions};

use crate::keep::Shift;
use crate::places::Entry;
use crate::sys::process::Forked;
use crate::{ExitStatus, Failure, erase, keep, look, places, sys, title};

/// What there is to do.
pub(super) enum Work {
    /// After a container.
    Container {
        /// The run directory's record of the scratch directory: a link to it, without which it is not ours to remove.
        record: PathBuf,
        keep: Option<Keep>,
    },
    /// Removes what the server may not.
    Erase(Entry),
    /// Lists what a container has written.
    Look { record: PathBuf, to: OwnedFd },
}

/// For build steps that went well.
pub(super) struct Keep {
    pub(super) target: Entry,
    pub(super) shift: Shift,
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
    /// A request for removal.
    Erased {
        number: u64,
    },
    /// A request for a look.
    Looked {
        number: u64,
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
                let keep: Vec<i32> = self.descriptors().iter().map(AsRawFd::as_raw_fd).collect();
                // Above all the channel to the server, which must see its end when the helper ends.
                let _ = sys::fd::close_all_but(&keep);
                sys::process::exit_now(self.run() as i32)
            }
            Ok(Forked::Parent { pid, pidfd }) => Ok(Janitor { pid, pidfd }),
            Err(_) => Err(self.run()),
        }
    }

    /// What a janitor still needs.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Work::Container { keep: Some(keep), .. } => {
                let stderr = keep.stderr.as_ref().map(AsFd::as_fd);
                stderr.into_iter().chain([keep.target.directory.as_fd()]).collect()
            }
            Work::Container { .. } => Vec::new(),
            Work::Erase(entry) => vec![entry.directory.as_fd()],
            Work::Look { to, .. } => vec![to.as_fd()],
        }
    }

    fn run(&self) -> Outcome {
        match self {
            Work::Container { record, keep } => {
                // No record: the directory was never made, or is somebody else's.
                let Ok(scratch) = fs::read_link(record) else { return Outcome::Done };
                let mut outcome = Outcome::Done;
                if let Some(step) = keep
                    && let Err(error) = step.keep(&scratch)
                {
                    outcome = Outcome::NotKept;
                    step.complain(&error);
                }
                match erase::erase_at(&scratch).and_then(|()| fs::remove_file(record)) {
                    Err(_) if outcome == Outcome::Done => Outcome::Left,
                    _ => outcome,
                }
            }
            Work::Look { record, to } => {
                // A server that has read enough leaves.
                let _ = list(record, to);
                Outcome::Done
            }
            Work::Erase(entry) => match erase::erase(entry.directory.as_fd(), &entry.name) {
                Ok(()) => Outcome::Done,
                Err(_) => Outcome::Left,
            },
        }
    }
}

fn list(record: &Path, to: &OwnedFd) -> io::Result<()> {
    let scratch = places::open_true(&fs::read_link(record)?)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let upper = rustix::fs::openat(&scratch, "upper", flags, Mode::empty())?;
    let mut to = io::BufWriter::new(fs::File::from_parts(to.try_clone()?.into(), "a pipe"));
    look::write(upper.as_fd(), &mut to)?;
    to.flush()
}

impl Keep {
    fn keep(&self, scratch: &Path) -> io::Result<()> {
        let scratch = places::open_true(scratch)?;
        keep::keep(scratch.as_fd(), OsStr::new("upper"), &self.target, self.shift)
    }

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
