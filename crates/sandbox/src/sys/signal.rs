//! Signal dispositions, masks, and SIGCHLD as a descriptor.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Ignores the signals in this process; a later exec keeps them ignored.
pub(crate) fn ignore(signals: &[i32]) {
    for signal in signals {
        // JUSTIFICATION: `rustix` offers no dispositions outside its unstable runtime module.
        // SAFETY: SIG_IGN installs no code of ours, and the numbers are constants of the C library.
        unsafe { libc::signal(*signal, libc::SIG_IGN) };
    }
}

/// Gives every signal its default disposition and unblocks all.
pub(crate) fn reset() {
    for signal in 1..=64 {
        // JUSTIFICATION: as in `ignore`.
        // SAFETY: SIG_DFL installs no code. Numbers that cannot be changed (SIGKILL, SIGSTOP, the C library's own) are
        // refused with EINVAL, which is what is wanted.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    unblock();
}

/// Unblocks every signal: who watches some by a descriptor has them blocked, and what it starts inherits that.
pub(crate) fn unblock() {
    // JUSTIFICATION: no safe wrapper exists for the mask.
    // SAFETY: the set lives on the stack and is initialised by sigemptyset before it is read.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Blocks SIGCHLD and gives a descriptor that is readable while one is pending.
pub(crate) fn child_events() -> io::Result<OwnedFd> {
    watch(&[libc::SIGCHLD])
}

/// The signals that have come, of those that a descriptor of [`watch`] watches.
pub(crate) fn read(events: &OwnedFd) -> Vec<i32> {
    let mut bytes = [0_u8; 8 * size_of::<libc::signalfd_siginfo>()];
    let read = rustix::io::read(events, &mut bytes[..]).unwrap_or(0);
    // Its first field is the number, 4 bytes. signalfd(2)
    let each = bytes.get(..read).unwrap_or_default().chunks_exact(size_of::<libc::signalfd_siginfo>());
    each.filter_map(|info| Some(i32::from_ne_bytes(info.get(..4)?.try_into().ok()?))).collect()
}

/// Blocks these signals and gives a descriptor that is readable while one is pending.
pub(crate) fn watch(signals: &[i32]) -> io::Result<OwnedFd> {
    // JUSTIFICATION: no safe wrapper exists for the mask nor for signalfd.
    // SAFETY: the set lives on the stack and is initialised before use; the kernel copies it. The returned number is
    // fresh and owned by nobody else.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) < 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}
