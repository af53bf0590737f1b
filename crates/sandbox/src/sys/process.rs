//! Making processes: clone into namespaces, fork, unshare, and leaving without unwinding.
//!
//! The helper and everything cloned from it are single threaded. That is what makes ordinary Rust legal after these
//! forks: no other thread can have held an allocator or stdio lock at the moment of the copy.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Which side of a fork this is.
pub(crate) enum Forked {
    Child,
    Parent { pid: i32, pidfd: OwnedFd },
}

/// The namespaces of a container. The cgroup namespace comes later, once the process is in its cgroup.
const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWNS;

/// From `<linux/sched.h>`; the constant in `libc` has too few bits.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks this process into fresh namespaces as their pid 1; with `cgroup`, directly into that v2 cgroup.
pub(crate) fn clone_into_namespaces(cgroup: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    clone3(NAMESPACES.cast_unsigned().into(), cgroup)
}

/// Forks this process; with `cgroup`, directly into that v2 cgroup.
pub(crate) fn fork_into(cgroup: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    clone3(0, cgroup)
}

/// Forks this process as pid 1 of a pid namespace of its own, with a mount namespace of its own.
pub(crate) fn clone_apart() -> io::Result<Forked> {
    clone3((libc::CLONE_NEWPID | libc::CLONE_NEWNS).cast_unsigned().into(), None)
}

/// Moves this single-threaded process into a namespace; into a pid namespace only what it forks later.
pub(crate) fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::thread::move_into_link_name_space(namespace, None)?)
}

/// Makes this process the parent of what its ended children leave behind.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Makes a user namespace with these maps of user and group ids, which lives as long as its descriptor.
pub(crate) fn user_namespace(maps: &[String; 2]) -> io::Result<OwnedFd> {
    match clone3(libc::CLONE_NEWUSER.cast_unsigned().into(), None)? {
        // Lives until it is killed, below: only what lives has a namespace to open.
        Forked::Child => loop {
            let _ = rustix::event::poll(&mut [], None);
        },
        Forked::Parent { pid, pidfd } => {
            let made = (|| {
                for (file, map) in ["uid_map", "gid_map"].iter().zip(maps) {
                    fs_err::write(format!("/proc/{pid}/{file}"), map)?;
                }
                Ok(fs_err::File::open(format!("/proc/{pid}/ns/user"))?.into_file().into())
            })();
            let _ = rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL);
            let id = rustix::process::WaitId::PidFd(pidfd.as_fd());
            let _ = rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED);
            made
        }
    }
}

/// Does something with the file system as this user and group would, who have no power over it beyond their own.
/// setfsuid(2): it takes the calling thread's capabilities over files away meanwhile.
pub(crate) fn as_identity<T>(uid: u32, gid: u32, act: impl FnOnce() -> T) -> T {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // JUSTIFICATION: `rustix` has no wrapper.
    // SAFETY: both take an integer and touch no memory; they concern this thread alone.
    let set = |uid, gid| unsafe {
        libc::setfsgid(gid);
        libc::setfsuid(uid);
    };
    set(uid, gid);
    let result = act();
    set(user, group);
    result
}

/// Forks this process.
pub(crate) fn fork() -> io::Result<Forked> {
    // clone(2) by the C library rather than clone3, which the containers' own filter answers with ENOSYS.
    // JUSTIFICATION: fork has no safe wrapper, since threads and locks do not survive it.
    // SAFETY: the calling process is single threaded (see the module's text), so the child's memory is consistent.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => {
            let id = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
            let pidfd = rustix::process::pidfd_open(id, rustix::process::PidfdFlags::empty())?;
            Ok(Forked::Parent { pid, pidfd })
        }
    }
}

/// Leaves the process at once: no destructor, no exit handler, nothing of the parent's copied state is touched.
pub(crate) fn exit_now(code: i32) -> ! {
    // JUSTIFICATION: `std::process::exit` runs exit handlers that belong to the parent of a fork.
    // SAFETY: takes an integer and does not return.
    unsafe { libc::_exit(code) }
}

/// Gives the calling, single-threaded process a mount namespace of its own.
pub(crate) fn unshare_mounts() -> io::Result<()> {
    unshare(rustix::thread::UnshareFlags::NEWNS)
}

/// Gives the calling, single-threaded process a user namespace of its own, without maps as yet.
pub(crate) fn unshare_user() -> io::Result<()> {
    unshare(rustix::thread::UnshareFlags::NEWUSER)
}

/// Gives the calling process a network namespace of its own.
pub(crate) fn unshare_network() -> io::Result<()> {
    unshare(rustix::thread::UnshareFlags::NEWNET)
}

/// Makes the calling process's cgroups the roots of what it can see.
pub(crate) fn unshare_cgroups() -> io::Result<()> {
    unshare(rustix::thread::UnshareFlags::NEWCGROUP)
}

fn unshare(flags: rustix::thread::UnshareFlags) -> io::Result<()> {
    // JUSTIFICATION: the wrapper is unsafe because CLONE_FILES would detach descriptors from their owners' thread.
    // SAFETY: the flags given here concern namespaces only, never the descriptor table.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}

fn clone3(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    let mut pidfd: RawFd = -1;
    // JUSTIFICATION: the C struct has no constructor.
    // SAFETY: clone_args is integers only, for which all-zero is a value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | u64::from(libc::CLONE_PIDFD.cast_unsigned());
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or(0);
    }
    // JUSTIFICATION: no safe wrapper exists; the C library has none at all for clone3.
    // SAFETY: without CLONE_VM and with a null stack this behaves as fork: the child gets a copy of the memory and
    // returns here on its copy of the stack. `args` and `pidfd` outlive the call. The process is single threaded.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => {
            // JUSTIFICATION: the kernel hands the descriptor over as a number.
            // SAFETY: clone3 succeeded in the parent, so it stored a fresh descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent { pid: i32::try_from(pid).unwrap_or(i32::MAX), pidfd })
        }
    }
}
