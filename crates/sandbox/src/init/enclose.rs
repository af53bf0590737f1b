//! A second wall, where the kernel has Landlock: it holds when the filter, the namespaces or the ids have a hole.
//!
//! Under it no device can be made, no mount changed and no process outside be traced (6.1 and before); nor signalled, nor
//! spoken to by an abstract socket (6.12). Nothing else changes for programs. It is not asked for on kernels before
//! 5.19, whose first version refuses every move of a file to another folder.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{CWD, Mode, OFlags};

use crate::message::Role;
use crate::sys::{landlock, probe};

/// `LANDLOCK_ACCESS_FS_*` of `<linux/landlock.h>`. Moving a file to another folder is refused by every set of rules that
/// does not allow it, and so it is allowed below the root.
const MAKE_CHARACTER: u64 = 1 << 6;
const MAKE_BLOCK: u64 = 1 << 11;
const MOVE: u64 = 1 << 13;

/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET` and `LANDLOCK_SCOPE_SIGNAL`.
const SCOPES: u64 = 0b11;

/// The versions that know moves, and scopes.
const MOVES_SINCE: u32 = 2;
const SCOPES_SINCE: u32 = 6;

/// Puts this process under the rules. The root is the container's by now. A kernel without them is none the worse, and
/// `doctor` says so.
pub(super) fn enclose(role: Role) -> io::Result<()> {
    let Some(version) = probe::landlock_version().filter(|version| *version >= MOVES_SINCE) else {
        return Ok(());
    };
    // A zygote's forks have another root each, below which rules that they inherit would allow no move, not even rules
    // without a word of files. Each fork puts up its own.
    if role == Role::Zygote {
        return Ok(());
    }
    let scopes = if version >= SCOPES_SINCE { SCOPES } else { 0 };
    let rules = landlock::ruleset(MAKE_CHARACTER | MAKE_BLOCK | MOVE, scopes)?;
    let root = rustix::fs::openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    landlock::allow(rules.as_fd(), root.as_fd(), MOVE)?;
    landlock::restrict(rules.as_fd())
}
