//! Giving up rights, in the only order that works: ids first, while there are capabilities; the filter last.

use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets, Gid, Uid};

use crate::error::Doing;
use crate::message::Role;
use crate::{Failure, Limits, seccomp, sys};

/// What build steps keep, all of it inside their user namespace only: apt, dpkg and pip change owners and modes, read
/// what they may not, and drop to users of their own.
const BUILD: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP);

/// Open files per process: what most distributions give a service.
const FILES_MAX: u64 = 65_536;

/// The stacks of 64 threads, as the C library makes them.
const STACKS_MIB: u64 = 512;

/// Becomes uid and gid 0 of the user namespace, which are ids of the slot on the host. The maps are written by now.
pub(super) fn become_root() -> Result<(), Failure> {
    drop_groups()?;
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)
        .doing("become the container's group")?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)
        .doing("become the container's root")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    Ok(())
}

/// Gives up the groups that this process was born with. Where there is but one id nobody may: the groups are the user's,
/// and so is the process.
pub(crate) fn drop_groups() -> Result<(), Failure> {
    match rustix::thread::set_thread_groups(&[]) {
        Err(rustix::io::Errno::PERM) if are_groups_denied() => Ok(()),
        result => result.doing("drop the groups"),
    }
}

fn are_groups_denied() -> bool {
    fs_err::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim() == "deny")
}

/// Drops every capability (but those of build steps), forbids new ones, and installs the system call filter.
pub(super) fn give_up_rights(role: Role, limits: Option<Limits>) -> Result<(), Failure> {
    let build = role == Role::Build;
    let keep = if build { BUILD } else { CapabilitySet::empty() };
    limit_resources()?;
    if let Some(limits) = limits {
        stand_in(limits)?;
    }
    for capability in all_capabilities().difference(keep).iter() {
        let dropped = rustix::thread::remove_capability_from_bounding_set(capability);
        dropped.doing("drop capabilities from the bounding set")?;
    }
    rustix::thread::clear_ambient_capability_set().doing("clear the ambient capabilities")?;
    if !build {
        // Root is a user like any other from here on: an exec gives it nothing.
        let bits = CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
            | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
        rustix::thread::set_capabilities_secure_bits(bits).doing("lock the secure bits")?;
    }
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).doing("drop capabilities")?;
    rustix::thread::set_no_new_privs(true).doing("forbid new privileges")?;
    // The one that was inherited is that of who started the server. Nobody inside may use either, so that a kernel
    // without key rings, or a user with too many, is no reason to fail.
    let _ = sys::landlock::join_session_keyring();
    // This memory is a copy of the helper's, with the environments of other containers in it. Without this flag, a
    // command (of the same uid) could read it through ptrace or /proc/1/mem.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .doing("hide the memory of pid 1")?;
    // Set now since every change of ids clears it. A helper that died before is noticed at the next read.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).doing("tie pid 1 to the helper")?;
    super::enclose::enclose(role).doing("put Landlock's wall up")?;
    sys::seccomp::install(&seccomp::filter(role == Role::Zygote)).doing("install the system call filter")
}

fn limit_resources() -> Result<(), Failure> {
    let files = rustix::process::getrlimit(Resource::Nofile);
    let most = files.maximum.map_or(FILES_MAX, |maximum| maximum.min(FILES_MAX));
    let limits = [
        (Resource::Nofile, Rlimit { current: Some(most), maximum: Some(most) }),
        (Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }),
    ];
    for (resource, limit) in limits {
        rustix::process::setrlimit(resource, limit).doing("limit open files and core dumps")?;
    }
    Ok(())
}

/// What limits of processes can do in the place of cgroups. The kernel counts processes by user and user namespace, so
/// that theirs is the container's own (getrlimit(2), user_namespaces(7)). Memory is counted for each process alone, and
/// with it the stacks of threads, most of which are never touched: these are let through.
fn stand_in(limits: Limits) -> Result<(), Failure> {
    let set = |resource, most| {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        rustix::process::setrlimit(resource, limit).doing("limit processes and memory")
    };
    set(Resource::Nproc, limits.pids)?;
    match limits.memory_mib {
        Some(mib) => set(Resource::Data, mib.saturating_add(STACKS_MIB).saturating_mul(1024 * 1024)),
        None => Ok(()),
    }
}

/// Those this kernel knows: in a fresh user namespace the permitted set holds exactly them.
fn all_capabilities() -> CapabilitySet {
    rustix::thread::capabilities(None).map_or(CapabilitySet::all(), |sets| sets.permitted)
}
