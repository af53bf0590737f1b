//! File descriptors at fixed numbers: the command's 0 to 4, and closing all the rest.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Makes `number` refer to the file of `fd`, open across an exec.
///
/// Whatever was open at `number` is closed. Only for a child that is about to exec: safe code owns its descriptors by
/// number, and this pulls them away from under it.
pub(crate) fn install(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // JUSTIFICATION: `rustix::io::dup2` wants an `OwnedFd` for the target, which here names nothing yet.
    // SAFETY: dup2 takes two integers and touches no memory. The caller is the only thread of a process that gives up
    // its Rust state at the exec that follows.
    let result = unsafe { libc::dup2(fd.as_raw_fd(), number) };
    check(result)
}

/// Closes `number`, if open.
pub(crate) fn close(number: RawFd) {
    // JUSTIFICATION: the number is not owned by any Rust value.
    // SAFETY: takes an integer and touches no memory; callers use it before their exec only. See `install`.
    unsafe { libc::close(number) };
}

/// Marks every descriptor from `first` on to be closed by the next exec.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    close_range(first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor from 3 on but the given ones.
///
/// For a forked child that never returns to its parent's code: the parent's values which own those descriptors still
/// exist in its memory and must not be dropped (the child leaves by `process::exit_now`).
pub(crate) fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<u32> =
        keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).filter(|fd| *fd >= 3).collect();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep {
        if fd > first {
            close_range(first, fd - 1, 0)?;
        }
        first = fd + 1;
    }
    close_range(first, u32::MAX, 0)
}

fn close_range(first: u32, last: u32, flags: u32) -> io::Result<()> {
    // JUSTIFICATION: no safe wrapper exists, since it closes what others may own.
    // SAFETY: takes three integers and touches no memory. The callers are children that leave by exec or `_exit`, so no
    // owner of a closed number runs again.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
