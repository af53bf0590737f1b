//! Installing a seccomp filter.

use std::io;

/// One instruction of a filter: code, jump if true, jump if false, operand.
pub(crate) type Instruction = libc::sock_filter;

/// Installs the filter on the calling thread, for good. Needs no_new_privs.
pub(crate) fn install(program: &[Instruction]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // JUSTIFICATION: no safe wrapper takes a filter.
    // SAFETY: `program` points at `length` instructions that live through the call; the kernel copies them and writes
    // nothing, so the cast to mut is never used.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
