//! `mount_setattr(2)`, which `rustix` does not have yet.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Attributes to set on a mount, as `MOUNT_ATTR_*`. <https://man7.org/linux/man-pages/man2/mount_setattr.2.html>
#[derive(Clone, Copy, Default)]
pub(crate) struct Attributes<'fd> {
    pub(crate) read_only: bool,
    pub(crate) no_suid: bool,
    pub(crate) no_dev: bool,
    /// Shifts owners as this user namespace maps them.
    pub(crate) id_map: Option<BorrowedFd<'fd>>,
}

/// Sets attributes on the mount that `tree` refers to; on everything below it too when `recursive`.
pub(crate) fn set_attributes(
    tree: BorrowedFd<'_>,
    recursive: bool,
    wanted: Attributes<'_>,
) -> io::Result<()> {
    let mut attr = libc::mount_attr { attr_set: 0, attr_clr: 0, propagation: 0, userns_fd: 0 };
    if wanted.read_only {
        attr.attr_set |= libc::MOUNT_ATTR_RDONLY;
    }
    if wanted.no_suid {
        attr.attr_set |= libc::MOUNT_ATTR_NOSUID;
    }
    if wanted.no_dev {
        attr.attr_set |= libc::MOUNT_ATTR_NODEV;
    }
    if let Some(namespace) = wanted.id_map {
        attr.attr_set |= libc::MOUNT_ATTR_IDMAP;
        attr.userns_fd = u64::try_from(namespace.as_raw_fd()).unwrap_or(0);
    }
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // JUSTIFICATION: no safe wrapper exists.
    // SAFETY: the path is a NUL-terminated literal, `attr` outlives the call and its true size is passed; the kernel
    // reads both and writes neither.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
