//! Errands under way: each is pid 1 of namespaces of its own, so that killing it takes along whatever it started and
//! mounted.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;

use fs_err as fs;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountFlags, MoveMountFlags, mount, move_mount};
use rustix::process::{Signal, WaitId, WaitIdOptions};

use super::Helper;
use crate::error::Doing;
use crate::keep;
use crate::message::{Answer, Reply};
use crate::places::Entry;
use crate::shell::stage::{YARD, clone_of};
use crate::sys::process::{Forked, clone_apart, exit_now};
use crate::{Errand, ExitStatus, Failure, Yard, erase, spec, sys, title};

/// The code of an errand that could not be run, or whose tree could not be kept.
const FAILED: i32 = 125;

/// What the server asks for.
pub(super) struct Order {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) argument: String,
    /// The directory in which the errand makes `fs`.
    pub(super) target: std::path::PathBuf,
    pub(super) fds: Vec<OwnedFd>,
}

impl Helper {
    /// Begins an errand. Answered when it runs; `Reply::Exited` follows.
    pub(super) fn errand(&mut self, number: u64, order: Order) -> io::Result<()> {
        let id = order.id.clone();
        let begun = self.begin(order).map(|pidfd| {
            self.errands.insert(id, pidfd);
            Answer::Begun
        });
        self.answer(number, begun)
    }

    fn begin(&mut self, order: Order) -> Result<OwnedFd, Failure> {
        let Order { id, name, argument, target, fds } = order;
        let invalid = |what: &str| Failure::Invalid { id: id.clone(), what: what.into() };
        let errand = self.catalogue.iter().find(|errand| errand.name == name);
        let errand = *errand.ok_or_else(|| invalid("there is no such errand"))?;
        if !spec::is_file_name(&id) {
            return Err(invalid("the id is not 1 to 64 letters, digits, - and _"));
        }
        if !self.workshop.authority.has_ids() {
            return Err(Failure::NoIds { errand: name });
        }
        let entry = self.workshop.stage.places.entry(&target.join("fs")).doing_at("find", &target)?;
        // Here, where what is opened is mounted; a process of another mount namespace could not.
        let trees = ["fs", "work"].map(|name| clone_of(make(&entry, OsStr::new(name))?.as_fd()));
        let [tree, work] = trees.map(|made| made.doing_at("make a directory in", &target));
        let (tree, work) = (tree?, work?);
        match clone_apart().doing("clone a process for an errand")? {
            Forked::Parent { pidfd, .. } => Ok(pidfd),
            Forked::Child => {
                title::set(self.workshop.title, "pl-errand", &format!("pilotlight: {name}"));
                let keep: Vec<i32> = [&entry.directory, &tree, &work]
                    .into_iter()
                    .chain(&fds)
                    .map(AsRawFd::as_raw_fd)
                    .collect();
                // Above all the channel to the server, which must see its end when the helper ends.
                let _ = sys::fd::close_all_but(&keep);
                let shift = self.workshop.shift(0);
                let yard = self.workshop.run_dir.join("stage").join(YARD);
                let done = run(errand, &argument, &yard, [&tree, &work], &fds).and_then(|code| {
                    if code == 0 {
                        keep::shift_all(entry.directory.as_fd(), OsStr::new("fs"), shift)?;
                        erase::erase(entry.directory.as_fd(), OsStr::new("work"))?;
                    }
                    Ok(code)
                });
                exit_now(done.unwrap_or_else(|error| {
                    if let Some(stderr) = fds.get(1).and_then(|fd| fd.try_clone().ok()) {
                        let mut stderr = fs::File::from_parts(stderr.into(), "standard error");
                        let _ = writeln!(stderr, "pilotlight: cannot run {name}: {error}");
                    }
                    FAILED
                }))
            }
        }
    }

    /// An errand has ended, or is killed.
    pub(super) fn returned(&mut self, id: &str) -> io::Result<()> {
        let Some(pidfd) = self.errands.remove(id) else { return Ok(()) };
        let ended = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
        let ended = ended.ok().flatten();
        let code = ended.as_ref().and_then(rustix::process::WaitIdStatus::exit_status).map(ExitStatus::Code);
        let status = code.unwrap_or(ExitStatus::Signal(libc::SIGKILL));
        self.server.send(&Reply::Exited { id: id.into(), status, oom: false }, &[])
    }
}

/// Ends an errand, with all it started.
pub(super) fn end(pidfd: &OwnedFd) -> io::Result<()> {
    match rustix::process::pidfd_send_signal(pidfd, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes a directory of the helper's own in one of the server's, and opens it.
fn make(at: &Entry, name: &OsStr) -> io::Result<OwnedFd> {
    rustix::fs::mkdirat(&at.directory, name, Mode::from_raw_mode(0o755))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(&at.directory, name, flags, Mode::empty())?;
    // The server may have put another in its place.
    if rustix::fs::fstat(&opened)?.st_uid != rustix::process::geteuid().as_raw() {
        return Err(rustix::io::Errno::PERM.into());
    }
    Ok(opened)
}

/// The life of an errand's pid 1; its program's exit code.
fn run(
    errand: Errand,
    argument: &str,
    yard: &Path,
    trees: [&OwnedFd; 2],
    fds: &[OwnedFd],
) -> io::Result<i32> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    sys::signal::reset();
    mount("proc", "/proc", "proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)?;
    let places = ["fs", "work"].map(|name| yard.join(name));
    for (tree, place) in trees.into_iter().zip(&places) {
        // By what was opened: nobody can lead the errand elsewhere.
        move_mount(tree, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    }
    let [fs, work] = places;
    let mut command = (errand.command)(argument, &Yard { fs, work }).map_err(io::Error::other)?;
    let mut outputs = fds.iter().map(|fd| fd.try_clone().map_or_else(|_| Stdio::null(), Stdio::from));
    command.stdin(Stdio::null());
    command.stdout(outputs.next().unwrap_or_else(Stdio::null));
    command.stderr(outputs.next().unwrap_or_else(Stdio::null));
    let status = command.current_dir("/").status()?;
    Ok(status.code().unwrap_or(128))
}
