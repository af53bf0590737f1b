//! A file system of a size for what a container writes: [`Limits::disk_mib`](crate::Limits::disk_mib).
//!
//! It lies in a sparse file without a name, which is gone with the container's last mount, however that ends. What
//! `mke2fs` makes of an empty one is kept in memory and copied into each: some hundred KiB. Project quotas would cost
//! less, but few machines have their file systems mounted with them (`docs/design/0009-limits.md`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use fs_err as fs;
use rustix::fs::{MemfdFlags, Mode, OFlags, SeekFrom};
use rustix::mount::{MountFlags, mount};

use crate::Failure;
use crate::error::Doing;
use crate::sys;

/// Less is not worth a file system, MiB.
const SIZE_MIN: u64 = 16;

/// Nothing that a crash would need: the file system is gone with the machine's memory of it.
const OPTIONS: &std::ffi::CStr = c"noinit_itable,barrier=0";

/// Sizes whose empty file systems are kept.
const TEMPLATES_MAX: usize = 16;

const FEATURES: &str = "^has_journal,^resize_inode,sparse_super2";

/// The file systems of this helper's containers, by their size.
#[derive(Debug, Default)]
pub(crate) struct Disks {
    /// Of an empty one, all that is not zero: where, and what.
    templates: HashMap<u64, Vec<(u64, Vec<u8>)>>,
}

/// One that is ready to be mounted.
#[derive(Debug)]
pub(crate) struct Disk {
    /// Open until it is mounted: the device lets go of its file when nobody has it.
    _device: OwnedFd,
    number: u32,
}

impl Disks {
    /// Makes an empty file system of `mib`, in a file on the file system of `directory`.
    pub(crate) fn make(&mut self, directory: BorrowedFd<'_>, mib: u64) -> Result<Disk, Failure> {
        let bytes = mib.max(SIZE_MIN) << 20;
        if self.templates.len() >= TEMPLATES_MAX {
            self.templates.clear();
        }
        let template = match self.templates.entry(bytes) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let made = template(bytes);
                new.insert(made.doing("make a file system for `ephemeral_disk` (mke2fs, of e2fsprogs)")?)
            }
        };
        let file = filled(directory, bytes, template).doing("write a file system for `ephemeral_disk`")?;
        let (device, number) =
            sys::loops::attach(file.as_fd()).doing("get a loop device for `ephemeral_disk`")?;
        Ok(Disk { _device: device, number })
    }
}

impl Disk {
    /// Mounts it on a directory.
    pub(crate) fn mount(&self, at: &Path) -> Result<(), Failure> {
        let flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOATIME;
        mount(format!("/dev/loop{}", self.number), at, "ext4", flags, OPTIONS)
            .doing("mount the file system of `ephemeral_disk`")
    }
}

/// Lets mke2fs make a file system in memory and reads what it wrote.
fn template(bytes: u64) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let memory = rustix::fs::memfd_create("disk", MemfdFlags::CLOEXEC)?;
    rustix::fs::ftruncate(&memory, bytes)?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
    let made = Command::new("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-m", "0", "-O", FEATURES])
        .args(["-E", "lazy_itable_init=1,nodiscard,num_backup_sb=0", &path])
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .output()?;
    if !made.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&made.stderr).trim().to_owned()));
    }
    let file = fs::File::from_parts(memory.into(), "a file system in memory");
    let mut extents = Vec::new();
    let mut at = 0;
    while let Some(begin) = seek(file.as_fd(), SeekFrom::Data(at))? {
        let end = seek(file.as_fd(), SeekFrom::Hole(begin))?.unwrap_or(bytes);
        let mut content = vec![0; usize::try_from(end - begin).map_err(io::Error::other)?];
        file.file().read_exact_at(&mut content, begin)?;
        extents.push((begin, content));
        at = end;
    }
    Ok(extents)
}

/// Where the next data or hole is; none behind the last.
fn seek(file: BorrowedFd<'_>, to: SeekFrom) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, to) {
        Ok(at) => Ok(Some(at)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A file without a name, sparse but for these parts.
fn filled(directory: BorrowedFd<'_>, bytes: u64, parts: &[(u64, Vec<u8>)]) -> io::Result<fs::File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, ".", flags, Mode::RUSR | Mode::WUSR)?;
    let file = fs::File::from_parts(file.into(), "a container's file system");
    file.set_len(bytes)?;
    for (at, content) in parts {
        file.file().write_all_at(content, *at)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_system_is_small_and_its_file_has_no_name() {
        let extents = template(10 << 30).unwrap();
        let written: usize = extents.iter().map(|(_, content)| content.len()).sum();
        assert!(written < 4 << 20, "{written} bytes");
        let directory = tempfile::tempdir().unwrap();
        let opened = fs::File::open(directory.path()).unwrap();
        let file = filled(opened.as_fd(), 10 << 30, &extents).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 10 << 30);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
