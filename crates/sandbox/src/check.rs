//! What this machine cannot give to containers, and how to get it.

use std::path::Path;

use fs_err as fs;
use rustix::mount::{FsOpenFlags, fsopen};
use rustix::thread::CapabilitySet;

use crate::{cgroup, net};

/// A part of isolation that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What: "user namespaces".
    pub part: String,
    /// What the user can do, as a sentence without a period.
    pub how_to_get: String,
}

/// What the helper uses. Pid 1s have every capability in their own user namespace, whatever the helper has.
const NEEDED: [(CapabilitySet, &str); 9] = [
    (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN"),
    (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
    (CapabilitySet::SETUID, "CAP_SETUID"),
    (CapabilitySet::SETGID, "CAP_SETGID"),
    (CapabilitySet::CHOWN, "CAP_CHOWN"),
    (CapabilitySet::DAC_OVERRIDE, "CAP_DAC_OVERRIDE"),
    (CapabilitySet::FOWNER, "CAP_FOWNER"),
    (CapabilitySet::FSETID, "CAP_FSETID"),
    (CapabilitySet::KILL, "CAP_KILL"),
];

/// The first kernel whose overlay takes idmapped layers.
const KERNEL_MIN: (u32, u32) = (5, 19);

/// Looks for every part that isolation needs. Empty: containers can be started here. Changes nothing on the machine.
///
/// Whether the state directory's file system can be mounted with shifted owners is only known once a layer is there:
/// see `Failure::NotShiftable`.
pub fn check() -> Vec<Missing> {
    let parts = [rights(), kernel(), user_namespaces(), overlay(), cgroups(), packet_filter(), proc_mounts()];
    parts.into_iter().flatten().collect()
}

fn missing(part: impl Into<String>, how_to_get: impl Into<String>) -> Missing {
    Missing { part: part.into(), how_to_get: how_to_get.into() }
}

fn rights() -> Option<Missing> {
    let has = rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let lacking: Vec<&str> =
        NEEDED.iter().filter(|(capability, _)| !has.contains(*capability)).map(|(_, name)| *name).collect();
    if lacking.is_empty() {
        return None;
    }
    if !rustix::process::geteuid().is_root() {
        return Some(missing("root", "run the server as root (with sudo, or as a system service)"));
    }
    Some(missing(
        format!("capabilities ({})", lacking.join(", ")),
        "this root is restricted: run the server outside of the container, or start that one with --privileged",
    ))
}

fn kernel() -> Option<Missing> {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    if version(&release)? >= KERNEL_MIN {
        return None;
    }
    Some(missing(
        format!("idmapped layers (this is Linux {release})"),
        "upgrade to Linux 5.19 or newer; every distribution since 2023 has it",
    ))
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-', '+']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn user_namespaces() -> Option<Missing> {
    let read = |path: &str| fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    if !Path::new("/proc/self/ns/user").exists() {
        return Some(missing("user namespaces", "use a kernel with CONFIG_USER_NS"));
    }
    if read("/proc/sys/user/max_user_namespaces") == Some(0) {
        return Some(missing("user namespaces", "run `sysctl -w user.max_user_namespaces=15000`"));
    }
    None
}

/// Opening a file system context loads the module where there is one, and mounts nothing.
fn overlay() -> Option<Missing> {
    match fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC) {
        Err(rustix::io::Errno::NODEV) => Some(missing(
            "the overlay file system",
            "run `modprobe overlay`, or use a kernel with CONFIG_OVERLAY_FS",
        )),
        // Any other refusal is one of rights, which is reported apart.
        _ => None,
    }
}

fn cgroups() -> Option<Missing> {
    if let Some(backend) = cgroup::detect() {
        let read_only = |root: &Path| {
            let flags = rustix::fs::statvfs(root).map(|stat| stat.f_flag);
            flags.is_ok_and(|flags| flags.contains(rustix::fs::StatVfsMountFlags::RDONLY))
        };
        if !backend.roots().into_iter().any(read_only) {
            return None;
        }
        return Some(missing(
            "write access to /sys/fs/cgroup",
            "it is read-only in the container this runs in: start that one with --privileged",
        ));
    }
    Some(missing(
        "the memory controller of cgroups",
        "mount cgroup2 on /sys/fs/cgroup with the memory controller (kernel option `cgroup_enable=memory` where it is off)",
    ))
}

fn packet_filter() -> Option<Missing> {
    let error = net::nat::probe().err()?;
    if error.raw_os_error() == Some(libc::EPERM) {
        return None;
    }
    Some(missing(
        format!("nf_tables ({error})"),
        "run `modprobe nf_tables nft_masq nft_ct`, or use a kernel with CONFIG_NF_TABLES",
    ))
}

/// Engines put mounts over parts of `/proc`; the kernel then refuses a whole one to new user namespaces.
fn proc_mounts() -> Option<Missing> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    covered(&mounts).then_some(())?;
    Some(missing(
        "an uncovered /proc",
        "parts of /proc are hidden by the container this runs in: start that one with --privileged",
    ))
}

fn covered(mounts: &str) -> bool {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    // The one mount point in there that every system may use.
    points.filter(|point| point.starts_with("/proc/")).any(|point| point != "/proc/sys/fs/binfmt_misc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_of_distributions_are_read() {
        assert_eq!(version("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!(version("6.18.44-fc-v509"), Some((6, 18)));
        assert!(version("5.15.0").unwrap() < KERNEL_MIN);
    }

    #[test]
    fn a_masked_proc_is_seen() {
        assert!(covered("proc /proc proc rw 0 0\ntmpfs /proc/kcore tmpfs rw 0 0\n"));
        assert!(!covered("proc /proc proc rw 0 0\nsystemd-1 /proc/sys/fs/binfmt_misc autofs rw 0 0\n"));
    }
}
