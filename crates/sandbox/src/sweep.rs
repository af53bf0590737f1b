//! Removing what servers that were killed left behind: processes, cgroups, links, scratch directories, run directories.
//!
//! A server (or its helper) that lives holds the lock of its run directory; whatever belongs to a run directory whose
//! lock is free belongs to nobody. Mounts and namespaces need no sweeping: they end with their processes.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{FileType, FlockOperation};

use crate::net::{self, link, netlink};
use crate::{Error, cgroup, erase, shell, slots};

/// What a sweep removed. All zero: there was nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Run directories of dead servers.
    pub servers: usize,
    /// Containers of theirs that had a cgroup.
    pub containers: usize,
    /// Scratch directories.
    pub scratch: usize,
    /// Network links.
    pub links: usize,
    /// Servers that live, and were left alone.
    pub live: usize,
}

/// Sweeps the run directories below `run_root`, normally `/run/pilotlight`. Safe beside live servers and other sweeps.
/// Call it before `Helper::spawn`.
pub fn sweep(run_root: &Path) -> Result<SweepReport, Error> {
    let mut report = SweepReport::default();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| Error::RunDir { path, source }
    };
    if !run_root.exists() {
        return Ok(report);
    }
    for entry in fs::read_dir(run_root).map_err(failed(run_root))? {
        let run_dir = entry.map_err(failed(run_root))?.path();
        // What has no lock file is no run directory: the slots.
        let path = run_dir.join("lock");
        let Ok(lock) = fs::File::open(&path) else { continue };
        let lock = OwnedFd::from(lock.into_file());
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            report.live += 1;
            continue;
        }
        // Another sweep was here first, and by now the directory may be a new server's.
        if !is_at(&lock, &path) {
            continue;
        }
        // The lock is held until the directory is gone, so that no new server moves in meanwhile.
        match clear(&run_dir, &mut report).and_then(|()| fs::remove_dir_all(&run_dir)) {
            Err(error) if is_helpers(&error) => continue,
            result => result.map_err(failed(&run_dir))?,
        }
        report.servers += 1;
    }
    if Path::new(slots::DIRECTORY).starts_with(run_root) {
        report.containers += clear_ownerless(run_root).map_err(failed(Path::new("/sys/fs/cgroup")))?;
        report.links = sweep_links().map_err(failed(Path::new("/sys/class/net")))?;
        // Without a server there is nobody to filter for.
        if report.live == 0 && report.servers > 0 {
            net::hold::sweep().map_err(failed(Path::new("/proc/net/netfilter")))?;
        }
    }
    Ok(report)
}

/// Whether what is in the way of an ordinary user's sweep are files of the users inside, which the next helper removes.
pub(crate) fn is_helpers(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && !rustix::process::geteuid().is_root()
}

/// The sweep of an ordinary user's helper, in whose namespace the files of the users inside can be removed: what a
/// helper before left in `run_dir`, and the run directories of dead servers beside it.
pub(crate) fn in_namespace(run_dir: &Path) {
    let mut report = SweepReport::default();
    if let Err(error) = clear(run_dir, &mut report) {
        tracing::warn!(%error, "files of containers are left behind");
    }
    let beside = run_dir.parent().map(sweep);
    if let Some(Err(error)) = beside {
        tracing::warn!(%error, "files of dead servers are left behind");
    }
}

/// Whether a server lives whose run directory is below `run_root` and not `own`.
pub(crate) fn is_any_live(run_root: &Path, own: Option<&Path>) -> io::Result<bool> {
    for entry in fs::read_dir(run_root)? {
        let run_dir = entry?.path();
        if own == Some(run_dir.as_path()) {
            continue;
        }
        let Ok(lock) = fs::File::open(run_dir.join("lock")) else { continue };
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_err() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Clears the groups of servers whose run directory is gone: a server that had to hurry removes it before the last
/// container has ended. A server that starts makes its run directory before its groups.
fn clear_ownerless(run_root: &Path) -> io::Result<usize> {
    let Some(cgroups) = cgroup::detect() else { return Ok(0) };
    let mut containers = 0;
    for server in cgroup::servers(cgroups.as_ref()) {
        if !run_root.join(&server).exists() {
            containers += cgroup::clear(cgroups.as_ref(), &server)?;
        }
    }
    Ok(containers)
}

/// Whether an opened file is still the one at its path. The lock of one that is not keeps nobody out.
pub(crate) fn is_at(file: &OwnedFd, path: &Path) -> bool {
    match (rustix::fs::fstat(file), rustix::fs::stat(path)) {
        (Ok(ours), Ok(there)) => (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino),
        _ => false,
    }
}

/// Ends and removes everything that is recorded in, or named after, a run directory that is locked by the caller.
pub(crate) fn clear(run_dir: &Path, report: &mut SweepReport) -> io::Result<()> {
    if let Some(cgroups) = cgroup::detect() {
        report.containers += cgroup::clear(cgroups.as_ref(), &shell::server_name(run_dir))?;
    }
    clear_scratch(&run_dir.join("scratch"), report)
}

/// Removes the directories that the links in `records` lead to.
fn clear_scratch(records: &Path, report: &mut SweepReport) -> io::Result<()> {
    // Whoever can write there decides what is removed, as root.
    let ours = |stat: rustix::fs::Stat| {
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        directory && stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_mode & 0o022 == 0
    };
    if !rustix::fs::lstat(records).is_ok_and(ours) {
        return Ok(());
    }
    for record in fs::read_dir(records)? {
        let record: PathBuf = record?.path();
        let Ok(scratch) = fs::read_link(&record) else { continue };
        report.scratch += usize::from(rustix::fs::lstat(&scratch).is_ok());
        // The directories on the way are the server's, who may have put links in their places since.
        match erase::erase_at(&scratch) {
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {}
            result => result?,
        }
        fs::remove_file(&record)?;
    }
    Ok(())
}

/// Removes the host ends of slots that nobody holds. The kernel does so by itself when a container's namespace ends;
/// one whose namespace is kept alive by a process that is being debugged, say, stays.
fn sweep_links() -> io::Result<usize> {
    let socket = netlink::Socket::route()?;
    let mut removed = 0;
    for entry in fs::read_dir("/sys/class/net")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let slot = net::slot_of(&name);
        if slot.is_some_and(|slot| !slots::taken(Path::new(slots::DIRECTORY), slot)) {
            link::remove(&socket, &name)?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_others_could_have_written_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let (records, target) = (root.path().join("scratch"), root.path().join("target"));
        for directory in [&records, &target] {
            fs::create_dir(directory).unwrap();
        }
        fs::os::unix::fs::symlink(&target, records.join("co-1")).unwrap();
        let mut report = SweepReport::default();
        for (mode, followed) in [(0o777, 0), (0o755, 1)] {
            rustix::fs::chmod(&records, rustix::fs::Mode::from_raw_mode(mode)).unwrap();
            clear_scratch(&records, &mut report).unwrap();
            assert_eq!((report.scratch, target.exists()), (followed, followed == 0));
        }
    }
}
