//! Limits and accounting of containers: cgroups of version 1 or 2, whichever holds the memory controller.
//!
//! Every container has a group `pilotlight/<run directory's name>/<container id>` below each root in use, so that a
//! sweep finds the groups of a dead server by the name of its run directory alone.

mod off;
mod v1;
mod v2;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use crate::Limits;

/// The directory below each root that holds everything of ours.
const HOME: &str = "pilotlight";

/// How long killed processes may take to disappear from a group before the group is left to the next sweep.
const EMPTY_WITHIN: Duration = Duration::from_secs(5);

/// One version of cgroups, as this machine has it mounted. Group names are relative to `HOME`.
pub(crate) trait Backend {
    /// The directories under which the groups live, one per mounted hierarchy.
    fn roots(&self) -> Vec<&Path>;
    /// Makes the group that holds one server's containers.
    fn prepare(&self, server: &str) -> io::Result<()>;
    /// Makes a group with limits.
    fn create(&self, group: &str, limits: &Limits) -> io::Result<()>;
    /// Opens what a new process needs to be inside.
    fn entry(&self, group: &str) -> io::Result<Entry>;
    /// Opens the files through which a process that exists already moves itself inside, by writing "0" to each.
    fn doors(&self, group: &str) -> io::Result<Vec<OwnedFd>>;
    /// Which of memory, cpu and pids it can limit.
    fn controllers(&self) -> Vec<String>;
    /// What the processes of the group take of memory and what the kernel holds for them, in KiB, without files that
    /// can be read again.
    fn memory_kib(&self, group: &str) -> Option<u64>;
    /// Whether it sets no limit whatever.
    fn is_off(&self) -> bool {
        false
    }
    /// Whether the kernel killed a process of the group for its memory limit.
    fn oom_killed(&self, group: &str) -> bool;
}

/// How a process gets into a group.
pub(crate) enum Entry {
    /// Opened `tasks` files: the process writes "0" to each. A thread that moves itself takes no global lock, while
    /// moving another process waits for every fork and exit of the machine (cgroup_threadgroup_rwsem).
    Tasks(Vec<OwnedFd>),
    /// The opened directory, for CLONE_INTO_CGROUP.
    Directory(OwnedFd),
}

impl Entry {
    /// What clone3 needs.
    pub(crate) fn directory(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Entry::Tasks(_) => None,
            Entry::Directory(fd) => Some(fd.as_fd()),
        }
    }

    /// The new process's own part. The files were opened by the helper, with whose rights the kernel judges the write.
    pub(crate) fn join(&self) -> io::Result<()> {
        if let Entry::Tasks(files) = self {
            for file in files {
                rustix::io::write(file, b"0")?;
            }
        }
        Ok(())
    }
}

/// Finds the version in use: 2 where its tree offers memory, else 1. `None` without a memory controller. An ordinary
/// user's may be none at all. To be called before the helper is anywhere else.
pub(crate) fn detect() -> Option<Box<dyn Backend>> {
    if !rustix::process::geteuid().is_root() {
        return Some(of_user(delegated_with_memory()));
    }
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    if let Some(backend) = v2::Unified::detect(&mounts) {
        return Some(Box::new(backend));
    }
    Some(Box::new(v1::Legacy::detect(&mounts)?))
}

/// What an ordinary user has: the group that was handed to it, else nothing.
pub(crate) fn of_user(group: Option<PathBuf>) -> Box<dyn Backend> {
    match group {
        Some(root) => Box::new(v2::Unified::at(root)),
        None => Box::new(off::Off),
    }
}

/// The group that was handed to this user, if memory is among its controllers.
pub(crate) fn delegated_with_memory() -> Option<PathBuf> {
    let (group, controllers) = delegated()?;
    controllers.iter().any(|name| name == "memory").then_some(group)
}

/// The group of version 2 that this process is in, if it was handed to its user, and the controllers that came with it.
/// systemd hands one to each user who logs in, and more with `Delegate=`; on version 1 it cannot be done safely.
pub(crate) fn delegated() -> Option<(PathBuf, Vec<String>)> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let writable = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    v2::delegated(&mounts, &own, &writable)
}

/// Removes a group that should be empty. `Ok(false)`: something of it is still there, try again soon.
pub(crate) fn remove(backend: &dyn Backend, group: &str) -> io::Result<bool> {
    let mut gone = true;
    for root in backend.roots() {
        match rustix::fs::rmdir(root.join(HOME).join(group)) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::BUSY) => gone = false,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(gone)
}

/// The names of the servers that have groups.
pub(crate) fn servers(backend: &dyn Backend) -> BTreeSet<String> {
    let homes = backend.roots().into_iter().flat_map(|root| children(&root.join(HOME)));
    homes.filter_map(|home| Some(home.file_name()?.to_str()?.to_owned())).collect()
}

/// Kills what is in the groups of a server and removes them. Returns how many container groups there were.
pub(crate) fn clear(backend: &dyn Backend, server: &str) -> io::Result<usize> {
    let homes: Vec<PathBuf> = backend.roots().into_iter().map(|root| root.join(HOME).join(server)).collect();
    let deadline = Instant::now() + EMPTY_WITHIN;
    let count = homes.iter().map(|home| children(home).len()).max().unwrap_or(0);
    loop {
        let mut busy = false;
        for home in &homes {
            for group in children(home).iter().chain([home]) {
                kill_all(group)?;
                match rustix::fs::rmdir(group) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(Errno::BUSY) => busy = true,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        if !busy {
            return Ok(count);
        }
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("processes of {server} do not end")));
        }
        pause(Duration::from_millis(5));
    }
}

/// Kills every process of one group, by `cgroup.kill` where the kernel has it (5.14, version 2 only).
fn kill_all(group: &Path) -> io::Result<()> {
    if fs::write(group.join("cgroup.kill"), "1").is_ok() {
        return Ok(());
    }
    let Ok(processes) = fs::read_to_string(group.join("cgroup.procs")) else { return Ok(()) };
    for pid in processes.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw) {
        match rustix::process::kill_process(pid, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits without a timer thread; the helper has no other.
pub(crate) fn pause(time: Duration) {
    let time = rustix::event::Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
    // A signal that ends the wait early only makes the caller look again sooner.
    let _ = rustix::event::poll(&mut [], Some(&time));
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let entries = entries.filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Writes a value to a control file, and names the file if that fails.
fn write(path: &Path, value: &str) -> io::Result<()> {
    let named = |errno: Errno| {
        let error = io::Error::from(errno);
        io::Error::new(error.kind(), format!("cannot write {value} to {}: {error}", path.display()))
    };
    try_write(path, value).map_err(named)
}

/// As `write`, for those who look at the error number.
fn try_write(path: &Path, value: &str) -> Result<(), Errno> {
    // Never create: a missing file means a missing controller, and in a test directory must look like one.
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, value.as_bytes())?;
    Ok(())
}

fn counter(text: &str, key: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == key).and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_whole_name() {
        let text = "low 1\noom 2\noom_kill 3\noom_group_kill 4\n";
        assert_eq!(counter(text, "oom_kill"), 3);
        assert_eq!(counter(text, "oom_k"), 0);
    }
}
