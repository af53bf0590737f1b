//! Making a layer of a container's upper directory: owners shifted back from the container's range to the image's ids.
//!
//! The overlay's own marks stay as they are, character devices 0:0 (a removed name) and `trusted.overlay.opaque` (a
//! replaced directory): they mean the same to the overlay that will have this layer below.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fs_err as fs;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid};

use crate::slots::IDS;

/// Shifts the owners of everything below and at `upper` and moves it to `target`, which must not exist.
pub(crate) fn keep(upper: &Path, target: &Path, first_id: u32) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, upper, flags, Mode::empty())?;
    shift_below(directory.as_fd(), first_id, 0)?;
    shift(CWD, upper.as_os_str(), first_id)?;
    fs::rename(upper, target)
}

/// Directories deeper than this are a mistake or an attack: each level holds a descriptor open.
const DEPTH_MAX: u32 = 4096;

fn shift_below(directory: BorrowedFd<'_>, first_id: u32, depth: u32) -> io::Result<()> {
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
            shift_below(inner.as_fd(), first_id, depth + 1)?;
        }
        shift(directory, name, first_id)?;
    }
    Ok(())
}

fn shift(directory: BorrowedFd<'_>, name: &OsStr, first_id: u32) -> io::Result<()> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let (user, group) = (shifted(stat.st_uid, first_id), shifted(stat.st_gid, first_id));
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

/// The image's id. Ids outside of the range are left: whiteouts and the like belong to the host's root.
fn shifted(id: u32, first: u32) -> u32 {
    match id.checked_sub(first) {
        Some(inner) if inner < IDS => inner,
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_of_the_range_are_shifted() {
        let first = 0x7000_0000;
        assert_eq!(shifted(first, first), 0);
        assert_eq!(shifted(first + 1000, first), 1000);
        assert_eq!(shifted(0, first), 0);
        assert_eq!(shifted(first + IDS, first), first + IDS);
    }
}
