//! A shell: an idle, empty container with its pid 1 waiting for orders. `make` builds one, `run` gives it a command.
//!
//! The two are apart so that shells can be made ahead of the requests that need them.

pub(crate) mod nested;
pub(crate) mod stage;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use fs_err as fs;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

use crate::authority::Authority;
use crate::channel::Channel;
use crate::disk::{Disk, Disks};
use crate::error::Doing;
use crate::keep::Shift;
use crate::message::{Given, Make, Role, Target, ToInit};
use crate::net::{self, netlink};
use crate::slots::{self, Slot};
use crate::sys::process::Forked;
use crate::{Command, Failure, Network, Phases, Spec, cgroup, init, sys};

/// What the helper has at hand for making shells.
pub(crate) struct Workshop {
    pub(crate) authority: Authority,
    /// Where slots are held.
    pub(crate) slots: PathBuf,
    pub(crate) run_dir: PathBuf,
    pub(crate) stage: stage::Stage,
    pub(crate) cgroups: Box<dyn cgroup::Backend>,
    pub(crate) route: netlink::Socket,
    /// Where the next search for a slot begins.
    pub(crate) next_slot: u32,
    pub(crate) disks: Disks,
    /// Whether it has been told that disks have no bounds here.
    pub(crate) said_boundless: bool,
    /// The group of the links that it makes.
    pub(crate) group: u32,
    /// What keeps containers from reaching the outside, until it has been told.
    pub(crate) obstacle: Option<String>,
    /// Where this process's argument bytes are, for naming its children in `ps`.
    pub(crate) title: Option<crate::title::Area>,
}

impl Workshop {
    /// How ids that begin with `first` become those of a layer on disk.
    pub(crate) fn shift(&self, first: u32) -> Shift {
        let (by, owner) = (self.authority.shift(), self.stage.places.owner());
        Shift { first, count: slots::IDS, by, owner }
    }
}

/// A container's pid 1 and all that belongs to it. Dropping it frees the slot and nothing else.
pub(crate) struct Shell {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) channel: Channel,
    pub(crate) slot: Slot,
    /// The slots of the zygotes around it.
    pub(crate) outer: Vec<u32>,
    pub(crate) phases: Phases,
}

impl Shell {
    /// The number of pid 1 in the pid namespace around its own. pidfd_open(2), `NSpid`
    pub(crate) fn inner_number(&self) -> Option<i32> {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", self.pidfd.as_raw_fd())).ok()?;
        let numbers = info.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        numbers.split_whitespace().rev().nth(1)?.parse().ok()
    }
}

/// The group of a container, below the home of all groups.
pub(crate) fn group(run_dir: &Path, id: &str) -> String {
    format!("{}/{id}", server_name(run_dir))
}

/// The name under which a server's containers are grouped.
pub(crate) fn server_name(run_dir: &Path) -> String {
    run_dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Where the run directory records the scratch directory of a container: a symbolic link to it.
pub(crate) fn scratch_record(run_dir: &Path, id: &str) -> PathBuf {
    run_dir.join("scratch").join(id)
}

/// Builds a shell and orders its pid 1 to furnish itself; `FromInit::Made` says when it has. On failure everything
/// made so far is left for the caller to clear up. With a `zygote`, its children can join the container.
pub(crate) fn make(
    workshop: &mut Workshop,
    spec: &Spec,
    zygote: Option<&Shell>,
    notes: &mut Vec<String>,
) -> Result<Shell, Failure> {
    let mut phases = Phases::default();
    let mut clock = Instant::now();
    let mut lap = |field: &mut std::time::Duration| {
        *field = clock.elapsed();
        clock = Instant::now();
    };

    let slot = slots::take(&workshop.slots, workshop.next_slot)?;
    workshop.next_slot = (slot.number + 1) % slots::COUNT;
    let group = group(&workshop.run_dir, &spec.id);
    workshop.cgroups.create(&group, &spec.limits).doing("make the container's cgroup with its limits")?;
    let entry = workshop.cgroups.entry(&group).doing("open the container's cgroup")?;
    lap(&mut phases.limits);

    let (channel, theirs) = Channel::pair().doing("make a channel for pid 1")?;
    let outer: Vec<u32> =
        zygote.iter().flat_map(|it| it.outer.iter().copied().chain([it.slot.number])).collect();
    let map = workshop.authority.map(slot.number, spec.zygote, &outer);
    let first = workshop.authority.first_id(&slot);
    let life = || init::run(&theirs, &entry, workshop.title);
    let (pid, pidfd) = match zygote {
        Some(zygote) => nested::clone_below(zygote, &entry, &map, life)?,
        None => clone(&entry, life)?,
    };
    drop((theirs, entry));
    // From here on the owner of the returned shell kills what was cloned; until it is returned this guard does.
    let guard = KillOnDrop(&pidfd);
    if zygote.is_none() {
        write_maps(pid, &map)?;
    }
    // Under memory pressure of the whole machine containers go before the server does. Only advice to the kernel.
    let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), "300");
    lap(&mut phases.process);

    if spec.limits.disk_mib.is_some() && !workshop.authority.is_root() && !workshop.said_boundless {
        workshop.said_boundless = true;
        notes.push("`ephemeral_disk` has no effect: only root can mount a file system of a size".to_owned());
    }
    let scratch = make_scratch(workshop, spec, first)?;
    let namespace = format!("/proc/{pid}/ns/user");
    let namespace = fs::File::open(namespace).doing("open the container's user namespace")?;
    let namespace = (namespace.as_fd(), first);
    let mounts = workshop.stage.mount(spec, &scratch, namespace, notes)?;
    lap(&mut phases.mounts);

    let address = match spec.network {
        Network::Outbound => {
            notes.extend(workshop.obstacle.take());
            net::link::make(&workshop.route, slot.number, pid, workshop.group)
                .doing("make the container's link")?;
            Some(net::address(slot.number))
        }
        Network::None => None,
    };
    lap(&mut phases.network);

    let order = Make {
        title: spec.id.clone(),
        hostname: spec.hostname.clone(),
        directory: spec.command.cwd.clone(),
        binds: targets(spec, &mounts),
        address,
        role: role(spec),
        limits: workshop.cgroups.is_off().then_some(spec.limits),
    };
    let fds: Vec<BorrowedFd<'_>> = [&mounts.overlay, &mounts.dev]
        .into_iter()
        .chain(mounts.binds.iter().map(|bind| &bind.tree))
        .map(AsFd::as_fd)
        .collect();
    channel.send(&ToInit::Make(order), &fds).doing("give pid 1 its orders")?;
    std::mem::forget(guard);
    Ok(Shell { pid, pidfd, channel, slot, outer, phases })
}

/// Orders a shell to run a command with stdout, stderr, control and listener, as `given`.
pub(crate) fn run(shell: &Shell, command: &Command, given: Given, fds: &[OwnedFd]) -> Result<(), Failure> {
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let order = ToInit::Run { command: command.clone(), given };
    shell.channel.send(&order, &fds).doing("give pid 1 its command")
}

fn targets(spec: &Spec, mounts: &stage::Mounts) -> Vec<Target> {
    let pairs = spec.binds.iter().zip(&mounts.binds);
    pairs.map(|(bind, made)| Target { path: bind.target.clone(), directory: made.directory }).collect()
}

/// Clones a pid 1 whose life is `life`; its number and handle.
fn clone(entry: &cgroup::Entry, life: impl FnOnce() -> i32) -> Result<(i32, OwnedFd), Failure> {
    let cloned = sys::process::clone_into_namespaces(entry.directory());
    match cloned.doing("clone pid 1 into its namespaces")? {
        Forked::Child => sys::process::exit_now(life()),
        Forked::Parent { pid, pidfd } => Ok((pid, pidfd)),
    }
}

fn role(spec: &Spec) -> Role {
    match spec {
        Spec { zygote: true, .. } => Role::Zygote,
        Spec { keep_upper: Some(_), .. } => Role::Build,
        Spec { .. } => Role::Plain,
    }
}

/// Writes both maps of a process in a new user namespace. user_namespaces(7)
fn write_maps(pid: i32, map: &str) -> Result<(), Failure> {
    for file in ["uid_map", "gid_map"] {
        let path = PathBuf::from(format!("/proc/{pid}/{file}"));
        fs::write(&path, map).doing_at("map the container's ids", &path)?;
    }
    Ok(())
}

/// Makes the scratch directory and opens it. All of it is done from its opened parent: the path is the server's.
fn make_scratch(workshop: &mut Workshop, spec: &Spec, owner: u32) -> Result<Scratch, Failure> {
    let record = scratch_record(&workshop.run_dir, &spec.id);
    let entry = workshop.stage.places.entry(&spec.scratch).doing_at("find", &spec.scratch)?;
    let (parent, name) = (&entry.directory, entry.name.as_os_str());
    // The record comes first: a crash between the two leaves a record without directory, never the reverse.
    fs::os::unix::fs::symlink(&entry.path, &record).doing_at("record the scratch directory", &record)?;
    // What a container writes is no other user's business. The overlay does not pass through here to reach the parts.
    if let Err(error) = rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
        // It may be there already and somebody else's: without a record nothing of ours removes it.
        let _ = fs::remove_file(&record);
        return Err(error).doing_at("make the scratch directory", &spec.scratch);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(parent, name, flags, Mode::empty());
    let opened = opened.doing_at("open the scratch directory", &spec.scratch)?;
    // The directory around it is the server's, who may have put another in its place.
    let stat = rustix::fs::fstat(&opened).doing_at("open the scratch directory", &spec.scratch)?;
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(rustix::io::Errno::PERM).doing_at("open the scratch directory", &spec.scratch);
    }
    match spec.limits.disk_mib {
        // A layer is moved to its place, which no file system of its own would allow.
        Some(mib) if spec.keep_upper.is_none() && workshop.authority.is_root() => {
            Ok(Scratch::Disk { disk: workshop.disks.make(opened.as_fd(), mib)?, owner })
        }
        _ => {
            make_parts(opened.as_fd(), owner).doing_at("make the scratch directory", &spec.scratch)?;
            Ok(Scratch::Directory(opened))
        }
    }
}

/// Where a container writes.
pub(crate) enum Scratch {
    /// A directory of the server's file system, with both parts.
    Directory(OwnedFd),
    /// A file system of its own, which has them once it is mounted; for this owner.
    Disk { disk: Disk, owner: u32 },
}

/// Makes the overlay's two directories.
pub(crate) fn make_parts(directory: BorrowedFd<'_>, owner: u32) -> rustix::io::Result<()> {
    let (user, group) = (Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)));
    ["upper", "work"].iter().try_for_each(|part| {
        // The helper's umask is 022.
        rustix::fs::mkdirat(directory, *part, Mode::from_raw_mode(0o755))?;
        rustix::fs::chownat(directory, *part, user, group, AtFlags::SYMLINK_NOFOLLOW)
    })
}

/// Kills the process unless forgotten.
struct KillOnDrop<'fd>(&'fd OwnedFd);

impl Drop for KillOnDrop<'_> {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(self.0, rustix::process::Signal::KILL);
        let id = rustix::process::WaitId::PidFd(self.0.as_fd());
        let _ = rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED);
    }
}
