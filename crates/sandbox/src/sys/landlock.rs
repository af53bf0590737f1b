//! Landlock's system calls and the session key ring, which `rustix` does not have.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Not in `libc`; <https://man7.org/linux/man-pages/man2/landlock_add_rule.2.html>
const RULE_PATH_BENEATH: libc::c_int = 1;

/// `struct landlock_ruleset_attr`; older kernels know its beginning.
#[repr(C)]
struct Attributes {
    file_system: u64,
    network: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`, packed there.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: RawFd,
}

/// A set of rules: these accesses to files are refused unless a rule allows them. `scoped` is left out when it is 0, as
/// kernels before 6.12 want it.
pub(crate) fn ruleset(file_system: u64, scoped: u64) -> io::Result<OwnedFd> {
    let attributes = Attributes { file_system, network: 0, scoped };
    let size = if scoped == 0 { size_of::<u64>() } else { size_of::<Attributes>() };
    // JUSTIFICATION: no safe wrapper exists.
    // SAFETY: the kernel reads `size` bytes of `attributes`, which has at least as many and lives through the call.
    let fd = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attributes, size, 0 as libc::c_uint)
    };
    match RawFd::try_from(fd) {
        Ok(fd) if fd >= 0 => {
            // JUSTIFICATION: the kernel hands the descriptor over as a number.
            // SAFETY: the call succeeded, so the number is a fresh descriptor that nobody else owns.
            Ok(unsafe { OwnedFd::from_raw_fd(fd) })
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Allows these accesses below a folder.
pub(crate) fn allow(ruleset: BorrowedFd<'_>, folder: BorrowedFd<'_>, allowed: u64) -> io::Result<()> {
    let rule = PathBeneath { allowed, parent: folder.as_raw_fd() };
    // JUSTIFICATION: no safe wrapper exists.
    // SAFETY: `rule` has the layout that the kernel reads and lives through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            RULE_PATH_BENEATH,
            &raw const rule,
            0 as libc::c_uint,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Puts the calling thread, and all that it starts, under the rules for good. Needs no_new_privs.
pub(crate) fn restrict(ruleset: BorrowedFd<'_>) -> io::Result<()> {
    // JUSTIFICATION: no safe wrapper exists.
    // SAFETY: takes integers only.
    let result =
        unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0 as libc::c_uint) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Leaves the session key ring that was inherited for a new, empty one.
pub(crate) fn join_session_keyring() -> io::Result<()> {
    // JUSTIFICATION: no safe wrapper exists.
    // SAFETY: takes an integer and a null pointer, which means a ring without a name.
    let result = unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>())
    };
    if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
