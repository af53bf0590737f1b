//! Containers that are forked from a zygote: the order to it, and the look at who came.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::LazyLock;

use fs_err as fs;
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};

use super::Helper;
use super::container::{Container, Phase};
use crate::channel::Channel;
use crate::error::Doing;
use crate::message::{Given, ToInit};
use crate::shell::Workshop;
use crate::shell::nested::namespace;
use crate::{Command, Failure, seccomp, shell};

/// What is to be forked into a shell once that is furnished.
pub(super) struct Birth {
    pub(super) zygote: String,
    pub(super) command: Command,
    pub(super) given: Given,
    pub(super) fds: Vec<OwnedFd>,
}

/// What a fork needs to come into a container: opened when the container is furnished, since that may be long before
/// the fork is wanted.
pub(super) struct Entrance {
    /// In the order of `NAMESPACES`.
    namespaces: Vec<OwnedFd>,
    doors: Vec<OwnedFd>,
}

/// The process that a zygote put into a container.
pub(super) struct Joined {
    pub(super) pidfd: OwnedFd,
    /// Its number in the zygote's pid namespace, by which the zygote's pid 1 tells of its end.
    pub(super) inner: i32,
}

/// The order on descriptor 5. The runner's `zygote.py` is the other side.
#[derive(Serialize)]
struct Order<'order> {
    id: &'order str,
    /// What each of the descriptors is, in their order.
    fds: Vec<&'static str>,
    env: &'order [(String, String)],
    cwd: &'order Path,
    /// The filter to add to the zygote's own, as the bytes of the kernel's instructions in hexadecimal. None for what
    /// is a zygote again.
    filter: Option<&'order str>,
}

/// The filter of every fork that is no zygote again.
static FILTER: LazyLock<String> = LazyLock::new(|| hexadecimal(&seccomp::filter(false)));

/// What the fork says when it is inside, or why it is not.
#[derive(Deserialize)]
struct Word {
    error: Option<String>,
}

/// The namespaces that a fork joins, in the order in which it must.
const NAMESPACES: [&str; 7] = ["user", "pid", "net", "ipc", "uts", "cgroup", "mnt"];

impl Helper {
    /// Orders the zygote to fork into a shell that has just been furnished.
    pub(super) fn conceive(&mut self, id: &str) -> Result<(), Failure> {
        let Some(container) = self.containers.get_mut(id) else { return Ok(()) };
        let Some(birth) = container.birth.take() else { return Ok(()) };
        let again = container.orders.is_some();
        let (here, there) = Channel::pair().doing("make a channel for the fork")?;
        here.ask_for_senders().doing("ask who joins")?;
        container.joining = Some(here);
        let entrance = self.containers.get(id).and_then(|container| container.entrance.as_ref());
        let entrance = entrance.ok_or(Failure::Died)?;

        let mut names = Vec::from(NAMESPACES);
        let mut fds: Vec<BorrowedFd<'_>> = entrance.namespaces.iter().map(AsFd::as_fd).collect();
        names.push("joined");
        fds.push(there.as_fd());
        names.extend(entrance.doors.iter().map(|_| "cgroup.procs"));
        fds.extend(entrance.doors.iter().map(AsFd::as_fd));
        names.extend(["stdout", "stderr"]);
        let optional =
            [("control", birth.given.control), ("listener", birth.given.listener), ("orders", again)];
        names.extend(optional.into_iter().filter_map(|(name, given)| given.then_some(name)));
        fds.extend(birth.fds.iter().map(AsFd::as_fd));
        let order = Order {
            id,
            fds: names,
            env: &birth.command.env,
            cwd: &birth.command.cwd,
            filter: (!again).then_some(&*FILTER),
        };
        let zygote = self.containers.get(&birth.zygote).and_then(|zygote| zygote.orders.as_ref());
        let zygote = zygote.ok_or_else(|| Failure::Unknown { id: birth.zygote.clone() })?;
        // Never waits: a zygote that does not read its orders must not hold up everybody else.
        zygote.try_send_with(&order, &fds).doing("order the zygote to fork")
    }

    /// Reads the word of a fork.
    pub(super) fn meet(&mut self, id: &str) -> io::Result<()> {
        let Some(container) = self.containers.get_mut(id) else { return Ok(()) };
        let Some(joining) = container.joining.take() else { return Ok(()) };
        let depth = 1 + container.shell.outer.len();
        let met = match joining.try_receive_from::<Word>() {
            Ok(Some((Word { error: None }, Some(pid)))) => inspect(container, pid, depth),
            Ok(Some((Word { error: Some(error) }, _))) => Err(io::Error::other(error)),
            Ok(_) => Err(io::Error::other("it ended instead")),
            Err(error) => Err(error),
        };
        let met = met.and_then(|joined| joining.send(&"go", &[]).map(|()| joined));
        match met.doing("fork from the zygote") {
            Ok(joined) => {
                container.joined = Some(joined);
                container.entrance = None;
                match container.runs() {
                    Some((number, answer)) => self.answer(number, Ok(answer)),
                    None => Ok(()),
                }
            }
            Err(failure) => {
                container.give_up(failure);
                Ok(())
            }
        }
    }

    /// A zygote's pid 1 has buried a child that was not the zygote's command.
    pub(super) fn reaped(&mut self, zygote: &str, inner: i32, status: crate::ExitStatus) -> io::Result<()> {
        let below = |container: &Container| container.from.as_deref() == Some(zygote);
        let shell = self.containers.iter_mut().find(|(_, it)| below(it) && it.is_inner(inner));
        if let Some((id, container)) = shell {
            container.end = Some(status);
            let id = id.clone();
            return self.bury(&id);
        }
        let theirs = |container: &Container| {
            below(container) && container.joined.as_ref().is_some_and(|joined| joined.inner == inner)
        };
        let ended = self.containers.iter_mut().find(|(_, container)| theirs(container));
        if let Some((id, container)) = ended
            && let Phase::Running = container.phase
        {
            container.phase = Phase::Ended(status);
            let id = id.clone();
            // A shell without its process has nothing to do any more, but those below it would end with it.
            self.release(&id);
        }
        Ok(())
    }

    /// Ends a shell whose process has ended, unless something is below it. Shells made ahead of forks that will never be
    /// are nothing.
    pub(super) fn release(&mut self, zygote: &str) {
        let Some(Phase::Ended(_)) = self.containers.get(zygote).map(|container| &container.phase) else {
            return;
        };
        let (parked, below): (Vec<_>, Vec<_>) = self
            .containers
            .values()
            .filter(|container| container.from.as_deref() == Some(zygote))
            .partition(|container| matches!(container.phase, Phase::Parked { .. }));
        let ended = if below.is_empty() && parked.is_empty() { self.containers.get(zygote) } else { None };
        for container in parked.into_iter().chain(ended) {
            if let Err(error) = container.kill() {
                tracing::warn!("cannot end a shell: {error}");
            }
        }
    }
}

impl Entrance {
    /// Opens the entrance of a container that is furnished, and lets its pid 1 know that nothing more comes.
    pub(super) fn open(workshop: &Workshop, container: &Container, id: &str) -> Result<Entrance, Failure> {
        let pid = container.shell.pid;
        let namespaces = NAMESPACES.iter().map(|kind| namespace(pid, kind)).collect::<Result<_, _>>()?;
        let doors = workshop.cgroups.doors(&shell::group(&workshop.run_dir, id));
        let doors = doors.doing("open the container's cgroup")?;
        container.shell.channel.send(&ToInit::Host, &[]).doing("give pid 1 its orders")?;
        Ok(Entrance { namespaces, doors })
    }
}

/// Believes nothing that a zygote's fork says: looks whether it is where it must be, and can do no more than it may.
/// None of it can be undone by the fork later, and until it is told to go on it only waits.
fn inspect(container: &Container, pid: Pid, depth: usize) -> io::Result<Joined> {
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let theirs = format!("/proc/{}", pid.as_raw_nonzero());
    let entrance = container.entrance.as_ref().ok_or(io::ErrorKind::NotFound)?;
    for (kind, own) in NAMESPACES.iter().zip(&entrance.namespaces) {
        // A namespace's device and number are its name. namespaces(7)
        let (joined, own) = (rustix::fs::stat(format!("{theirs}/ns/{kind}"))?, rustix::fs::fstat(own)?);
        if (joined.st_dev, joined.st_ino) != (own.st_dev, own.st_ino) {
            return Err(io::Error::other(format!("it did not join the {kind} namespace")));
        }
    }
    let status = fs::read_to_string(format!("{theirs}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim).unwrap_or_default()
    };
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        if field(name).bytes().any(|digit| digit != b'0') {
            return Err(io::Error::other("it kept capabilities"));
        }
    }
    let filters: usize = field("Seccomp_filters").parse().unwrap_or(0);
    let least = if container.orders.is_some() { 1 } else { 2 };
    if field("NoNewPrivs") != "1" || filters < least {
        return Err(io::Error::other("it did not install the system call filter"));
    }
    // From the helper's own namespace inwards; the zygote's is the last but one.
    let inner = field("NSpid").split_whitespace().nth(depth - 1).and_then(|number| number.parse().ok());
    let inner = inner.ok_or_else(|| io::Error::other("its number is not to be read"))?;
    Ok(Joined { pidfd, inner })
}

fn hexadecimal(program: &[crate::sys::seccomp::Instruction]) -> String {
    use std::fmt::Write as _;
    program.iter().fold(String::new(), |mut text, step| {
        let [code, k] = [step.code.to_ne_bytes().to_vec(), step.k.to_ne_bytes().to_vec()];
        for byte in code.into_iter().chain([step.jt, step.jf]).chain(k) {
            let _ = write!(text, "{byte:02x}");
        }
        text
    })
}
