//! What a container has written: its upper directory, listed for a server that may not look there itself.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

/// Directories deeper than this are a mistake or an attack: each level holds a descriptor open.
const DEPTH_MAX: u32 = 256;

/// The most that is listed: what is more comes to the same.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// One path below an upper directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Without a leading `/`.
    pub path: PathBuf,
    /// When it was last changed: seconds and nanoseconds.
    pub changed: (i64, i64),
    /// Whether it is a directory.
    pub directory: bool,
}

/// Writes what lies below `directory`, one record each.
pub(crate) fn write(directory: BorrowedFd<'_>, to: &mut impl Write) -> io::Result<()> {
    below(directory, Path::new(""), 0, to)
}

fn below(directory: BorrowedFd<'_>, at: &Path, depth: u32, to: &mut impl Write) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        // The container goes on meanwhile.
        let Ok(stat) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let path = at.join(name);
        write!(to, "{} {} {} ", stat.st_ctime, stat.st_ctime_nsec, u8::from(is_directory))?;
        to.write_all(path.as_os_str().as_bytes())?;
        to.write_all(&[0])?;
        if is_directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let Ok(inner) = rustix::fs::openat(directory, name, flags, Mode::empty()) {
                below(inner.as_fd(), &path, depth + 1, to)?;
            }
        }
    }
    Ok(())
}

/// Reads such records until the end of what is sent, or until there are enough.
pub(crate) fn read(from: fs::File) -> io::Result<Vec<Seen>> {
    let mut bytes = Vec::new();
    from.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes.split(|byte| *byte == 0).filter_map(parse).collect())
}

fn parse(record: &[u8]) -> Option<Seen> {
    let mut fields = record.splitn(4, |byte| *byte == b' ');
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse::<i64>().ok();
    let (seconds, nanoseconds, directory) = (number()?, number()?, number()? == 1);
    let path = std::ffi::OsString::from_vec(fields.next()?.to_vec()).into();
    Some(Seen { path, changed: (seconds, nanoseconds), directory })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places;

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a b/c")).unwrap();
        fs::write(root.path().join("a b/c/new\nline"), "").unwrap();
        fs::os::unix::fs::symlink("/", root.path().join("link")).unwrap();
        let mut bytes = tempfile::tempfile().unwrap();
        let opened = places::open_true(root.path()).unwrap();
        write(opened.as_fd(), &mut bytes).unwrap();
        std::io::Seek::rewind(&mut bytes).unwrap();
        let mut seen = read(fs::File::from_parts(bytes, "a pipe")).unwrap();
        seen.sort_by(|one, other| one.path.cmp(&other.path));
        let found: Vec<_> = seen.iter().map(|seen| (seen.path.to_str().unwrap(), seen.directory)).collect();
        let expected = [("a b", true), ("a b/c", true), ("a b/c/new\nline", false), ("link", false)];
        assert_eq!(found, expected);
        assert!(seen.iter().all(|seen| seen.changed.0 > 0));
    }
}
