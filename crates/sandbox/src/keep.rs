//! Making a layer of a container's upper directory: owners shifted back from the container's range to the image's ids.
//!
//! The overlay's own marks stay as they are, character devices 0:0 (a removed name) and `trusted.overlay.opaque` (a
//! replaced directory): they mean the same to the overlay that will have this layer below.

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, RenameFlags, Uid};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use crate::owner::Owner;
use crate::places::Entry;

/// From which ids to which.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shift {
    /// The first id of the range that holds an image's ids now: a container's, or 0.
    pub(crate) first: u32,
    /// How many ids of it are an image's.
    pub(crate) count: u32,
    /// By how much they are shifted on disk.
    pub(crate) by: u32,
    /// Who owns them on disk.
    pub(crate) owner: Owner,
}

/// Shifts the owners of everything below and at `upper` in `scratch` and moves it to `target`, which must not exist.
pub(crate) fn keep(scratch: BorrowedFd<'_>, upper: &OsStr, target: &Entry, to: Shift) -> io::Result<()> {
    shift_all(scratch, upper, to)?;
    let (there, name) = (&target.directory, target.name.as_os_str());
    Ok(rustix::fs::renameat_with(scratch, upper, there, name, RenameFlags::NOREPLACE)?)
}

/// Shifts the owners of everything below and at a directory.
pub(crate) fn shift_all(parent: BorrowedFd<'_>, name: &OsStr, to: Shift) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    shift_below(directory.as_fd(), to, 0)?;
    shift(parent, name, to)
}

/// Directories deeper than this are a mistake or an attack: each level holds a descriptor open.
const DEPTH_MAX: u32 = 4096;

/// Shifts the owners of everything below and at an opened directory.
pub(crate) fn shift_inside(directory: BorrowedFd<'_>, to: Shift) -> io::Result<()> {
    shift_below(directory, to, 0)?;
    let stat = rustix::fs::fstat(directory)?;
    let (user, group) = (Uid::from_raw(to.user(stat.st_uid)), Gid::from_raw(to.group(stat.st_gid)));
    Ok(rustix::fs::fchown(directory, Some(user), Some(group))?)
}

/// Shifts the owner of one file.
pub(crate) fn shift_one(directory: BorrowedFd<'_>, name: &OsStr, to: Shift) -> io::Result<()> {
    shift(directory, name, to)
}

fn shift_below(directory: BorrowedFd<'_>, to: Shift, depth: u32) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::other("directories are nested too deeply"));
    }
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        // The owner first would be as good: nobody else has this directory open any more.
        if entry.file_type() == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let inner = rustix::fs::openat(directory, name, flags, Mode::empty())?;
            shift_below(inner.as_fd(), to, depth + 1)?;
        }
        shift(directory, name, to)?;
    }
    Ok(())
}

fn shift(directory: BorrowedFd<'_>, name: &OsStr, to: Shift) -> io::Result<()> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let (user, group) = (to.user(stat.st_uid), to.group(stat.st_gid));
    if user == stat.st_uid && group == stat.st_gid {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    rustix::fs::chownat(directory, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    // A change of owner clears the set-id bits, of root's files too. chown(2)
    let set_id = stat.st_mode & (libc::S_ISUID | libc::S_ISGID) != 0;
    if set_id && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        rustix::fs::chmodat(directory, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
    }
    Ok(())
}

impl Shift {
    fn user(self, id: u32) -> u32 {
        self.image_id(id).map_or(id, |id| self.by + self.owner.user_on_disk(id))
    }

    fn group(self, id: u32) -> u32 {
        self.image_id(id).map_or(id, |id| self.by + self.owner.group_on_disk(id))
    }

    /// The image's id. Whiteouts and the like belong to the host's root, which is the image's then; other ids outside
    /// of the range are left.
    fn image_id(self, id: u32) -> Option<u32> {
        match id.checked_sub(self.first) {
            Some(inner) if inner < self.count => Some(inner),
            _ => (id == 0).then_some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::IDS;

    #[test]
    fn only_ids_of_the_range_are_shifted() {
        let first = 0x7000_0000;
        let to = |uid| Shift { first, count: IDS, by: 0, owner: Owner { uid, gid: uid } };
        let ids = [first, first + 1000, 0, first + IDS, 5];
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(ids.map(|id| to(own).user(id)), [0, 1000, 0, first + IDS, 5]);
        assert_eq!(ids.map(|id| to(998).group(id)), [998, 0x6fff_03e8, 998, first + IDS, 5]);
    }

    #[test]
    fn a_users_layers_lie_shifted_and_stay_so() {
        let owner = Owner::this_process();
        let errand = Shift { first: 0, count: IDS, by: 1, owner };
        assert_eq!([0, 33, 65_535].map(|id| errand.user(id)), [1, 34, 65_536]);
        let kept = Shift { first: 1, ..errand };
        assert_eq!([1, 34, 65_536].map(|id| kept.user(id)), [1, 34, 65_536]);
        // What the server wrote, and what was shifted before.
        let adopted = Shift { count: 1, ..errand };
        assert_eq!([0, 1, 34].map(|id| adopted.group(id)), [1, 1, 34]);
    }
}
