//! Cloning a container's pid 1 below a zygote, so that the zygote's children may join it.
//!
//! To join namespaces takes a capability over them, and a zygote has none but this: whoever owns a user namespace has
//! every capability over it, from the namespace around it (user_namespaces(7)). So the new user namespace is made inside
//! the zygote's and by the zygote's user; and the new pid namespace inside the zygote's, since a process can only move
//! its children further down (pid_namespaces(7)). The helper itself cannot go there and come back: a *midwife*, a fork
//! of it, goes there, forks once more to be inside the pid namespace too, clones pid 1 from there, writes the maps, which
//! must be done from the namespace around, and ends. The new pid 1 is then a child of the zygote's pid 1.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use fs_err as fs;
use rustix::process::{DumpableBehavior, Signal, WaitId, WaitIdOptions};
use rustix::thread::{Gid, Uid};

use super::Shell;
use crate::channel::Channel;
use crate::error::Doing;
use crate::sys::process::{self, Forked};
use crate::{Failure, cgroup, init};

/// Clones pid 1 of a new container below `zygote`, with this id map; its life is `child`.
pub(super) fn clone_below(
    zygote: &Shell,
    entry: &cgroup::Entry,
    map: &str,
    child: impl FnOnce() -> i32,
) -> Result<(i32, OwnedFd), Failure> {
    let [user, pid] = ["user", "pid"].map(|kind| namespace(zygote.pid, kind));
    let (user, pid) = (user?, pid?);
    let (here, there) = Channel::pair().doing("make a channel for the midwife")?;
    let midwife = match process::fork_into(entry.directory()).doing("fork the midwife")? {
        Forked::Child => {
            let code = match deliver(user.as_fd(), pid.as_fd(), map) {
                Ok(Birth::Child) => child(),
                Ok(Birth::Inside(pid, pidfd)) => {
                    i32::from(there.send(&Ok::<i32, Failure>(pid), &[pidfd.as_fd()]).is_err())
                }
                Ok(Birth::Outside) => 0,
                Err(failure) => i32::from(there.send(&Err::<i32, Failure>(failure), &[]).is_err()),
            };
            process::exit_now(code)
        }
        Forked::Parent { pidfd, .. } => pidfd,
    };
    drop(there);
    let delivered = here.receive::<Result<i32, Failure>>();
    // Gone before pid 1 gets its first order: its parent is then the zygote's pid 1, to whose life it ties its own.
    let ended = rustix::process::waitid(WaitId::PidFd(midwife.as_fd()), WaitIdOptions::EXITED);
    ended.doing("wait for the midwife")?;
    match delivered.doing("hear the midwife")? {
        Some((Ok(pid), mut fds)) => {
            let pidfd = fds.pop().ok_or(rustix::io::Errno::BADF).doing("take over pid 1")?;
            Ok((pid, pidfd))
        }
        Some((Err(failure), _)) => Err(failure),
        None => Err(Failure::Died),
    }
}

/// A namespace of the process, opened.
pub(crate) fn namespace(pid: i32, kind: &str) -> Result<OwnedFd, Failure> {
    let path = PathBuf::from(format!("/proc/{pid}/ns/{kind}"));
    Ok(fs::File::open(&path).doing("open a namespace")?.into_file().into())
}

/// Which process of the three this is.
enum Birth {
    /// The midwife that entered the namespaces, its work done.
    Outside,
    /// The one within the pid namespace, with the new pid 1 as the helper sees it.
    Inside(i32, OwnedFd),
    /// The new pid 1.
    Child,
}

fn deliver(user: BorrowedFd<'_>, pid: BorrowedFd<'_>, map: &str) -> Result<Birth, Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).doing("tie the midwife")?;
    process::enter(user).doing("enter the zygote's user namespace")?;
    process::enter(pid).doing("enter the zygote's pid namespace")?;
    init::lockdown::drop_groups()?;
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).doing("become the zygote's group")?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).doing("become the zygote's user")?;
    // The change of ids made the files of this process, and of its child, the machine's root's; the maps among them.
    // Nobody of this user can see either: the zygote's pid namespace is further down.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).doing("own the id maps")?;
    if let Forked::Parent { pidfd, .. } = process::fork().doing("fork into the zygote's pid namespace")? {
        let ended = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
        return ended.map(|_| Birth::Outside).doing("wait for the midwife");
    }
    match process::clone_into_namespaces(None).doing("clone pid 1 into its namespaces")? {
        Forked::Child => Ok(Birth::Child),
        Forked::Parent { pidfd, .. } => {
            let named = number(&pidfd).doing("read the number of pid 1");
            match named.and_then(|pid| super::write_maps(pid, map).map(|()| pid)) {
                Ok(pid) => Ok(Birth::Inside(pid, pidfd)),
                Err(failure) => {
                    let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
                    Err(failure)
                }
            }
        }
    }
}

/// The number of a process as /proc has it, which here is still the helper's. pidfd_open(2)
fn number(pidfd: &OwnedFd) -> std::io::Result<i32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let number = info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    number.filter(|number| *number > 0).ok_or_else(|| std::io::ErrorKind::NotFound.into())
}
