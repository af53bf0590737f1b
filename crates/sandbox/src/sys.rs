//! The calls that have no safe wrapper. The only unsafe code of the workspace.
//!
//! Everything else goes through `rustix`. Each function here is one system call (or one idiom around it), and says
//! why safe code will not do (JUSTIFICATION) and why the call is sound (SAFETY).

pub(crate) mod fd;
pub(crate) mod landlock;
pub(crate) mod loops;
pub(crate) mod mount;
pub(crate) mod probe;
pub(crate) mod process;
pub(crate) mod seccomp;
pub(crate) mod signal;
