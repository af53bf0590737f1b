//! Removing trees of others' making: from an opened directory, never through a symbolic link.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::places;

/// Directories deeper than this are a mistake or an attack: each level holds a descriptor open.
const DEPTH_MAX: u32 = 4096;

/// Removes `name` in `directory`, whatever it is. Nothing there is fine.
pub(crate) fn erase(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    remove(directory, name, 0)
}

/// Removes what lies at a whole path in which no part but the last may be a symbolic link.
pub(crate) fn erase_at(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::INVAL.into());
    };
    match places::open_true(parent) {
        Ok(directory) => erase(directory.as_fd(), name),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove(directory: BorrowedFd<'_>, name: &OsStr, depth: u32) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::other("directories are nested too deeply"));
    }
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // A directory. unlink(2): EISDIR, POSIX says EPERM.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inner = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    // Read whole before anything goes: what a file system lists while entries vanish is its own affair.
    let entries = Dir::read_from(&inner)?.collect::<Result<Vec<_>, _>>()?;
    for entry in entries {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            remove(inner.as_fd(), name, depth + 1)?;
        }
    }
    match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    #[test]
    fn a_tree_goes_and_what_its_links_lead_to_stays() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("tree/a/b")).unwrap();
        fs::create_dir_all(at("kept/c")).unwrap();
        fs::write(at("tree/a/file"), "").unwrap();
        fs::os::unix::fs::symlink(at("kept"), at("tree/a/link")).unwrap();
        erase_at(&at("tree")).unwrap();
        assert!(!at("tree").exists() && at("kept/c").exists());
        erase_at(&at("tree")).unwrap();
        erase_at(&at("none/at/all")).unwrap();
    }

    #[test]
    fn a_path_through_a_link_is_refused_and_a_link_at_its_end_is_what_goes() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("kept/c")).unwrap();
        fs::os::unix::fs::symlink(at("kept"), at("link")).unwrap();
        erase_at(&at("link/c")).unwrap_err();
        erase_at(&at("link")).unwrap();
        assert!(at("kept/c").exists() && !at("link").is_symlink());
    }
}
