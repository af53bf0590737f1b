//! Gathers the facts of this machine. Looks only: what is tried is tried in a process that ends at once.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fs_err as fs;
use rustix::fs::Access;
use rustix::mount::{FsOpenFlags, fsopen};
use rustix::process::Resource;
use rustix::thread::CapabilitySet;

use super::facts::{Cgroups, Container, Facts, Subordinate, UserNamespaces};
use crate::{cgroup, net, sys};

/// The capabilities that anything is decided by.
const CAPABILITIES: [(CapabilitySet, &str); 10] = [
    (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN"),
    (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
    (CapabilitySet::SETUID, "CAP_SETUID"),
    (CapabilitySet::SETGID, "CAP_SETGID"),
    (CapabilitySet::CHOWN, "CAP_CHOWN"),
    (CapabilitySet::DAC_OVERRIDE, "CAP_DAC_OVERRIDE"),
    (CapabilitySet::FOWNER, "CAP_FOWNER"),
    (CapabilitySet::FSETID, "CAP_FSETID"),
    (CapabilitySet::KILL, "CAP_KILL"),
    (CapabilitySet::SYS_RESOURCE, "CAP_SYS_RESOURCE"),
];

/// The programs that anything is decided by.
const PROGRAMS: [&str; 3] = ["pasta", "slirp4netns", "mmdebstrap"];

pub(super) fn facts() -> Facts {
    let user = rustix::process::geteuid().as_raw();
    let user_name = name_of(user);
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    Facts {
        user,
        capabilities: capabilities(),
        open_files: rustix::process::getrlimit(Resource::Nofile).maximum,
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        distribution: distribution(),
        container: container(),
        user_namespaces: user_namespaces(),
        subordinate: subordinate(user, user_name.as_deref()),
        overlay: overlay(),
        seccomp: Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
        landlock: sys::probe::landlock_version(),
        proc_covered: covered(&mounts),
        cgroups: cgroups(&mounts),
        nf_tables: nf_tables(),
        obstacle: net::nat::obstacle::obstacle(),
        ip_forward: read("/proc/sys/net/ipv4/ip_forward").as_deref() == Some("1"),
        tun: rustix::fs::access("/dev/net/tun", Access::READ_OK | Access::WRITE_OK).is_ok(),
        programs: PROGRAMS.into_iter().filter(|name| program(name).is_some()).map(str::to_owned).collect(),
        user_name,
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Where a program is. The directories of administration are not on every user's path.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories =
        std::env::split_paths(&path).chain(["/usr/sbin", "/usr/bin", "/sbin"].map(PathBuf::from));
    let mut places = directories.map(|directory| directory.join(name));
    places.find(|place| place.metadata().is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0))
}

/// The name of a user, from /etc/passwd alone.
pub(crate) fn name_of(user: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    })
}

fn capabilities() -> Vec<String> {
    let has = rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let had = CAPABILITIES.iter().filter(|(capability, _)| has.contains(*capability));
    had.map(|(_, name)| (*name).to_owned()).collect()
}

fn distribution() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let id = text.lines().find_map(|line| line.strip_prefix("ID="));
    id.unwrap_or("linux").trim_matches(['"', '\'']).to_owned()
}

fn container() -> Option<Container> {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Some(Container::Kubernetes);
    }
    if Path::new("/.dockerenv").exists() {
        return Some(Container::Docker);
    }
    if Path::new("/run/.containerenv").exists() {
        return Some(Container::Podman);
    }
    // systemd and most engines tell it to pid 1. systemd-detect-virt(1)
    let told = fs::read("/proc/1/environ").unwrap_or_default();
    let told = told.split(|byte| *byte == 0).any(|line| line.starts_with(b"container=") && line.len() > 10);
    let wsl = Path::new("/proc/sys/fs/binfmt_misc/WSLInterop").exists();
    (told && !wsl).then_some(Container::Other)
}

fn user_namespaces() -> UserNamespaces {
    let flag = |path: &str| read(path).map(|text| text != "0");
    UserNamespaces {
        exist: Path::new("/proc/self/ns/user").exists(),
        max: read("/proc/sys/user/max_user_namespaces").and_then(|text| text.parse().ok()),
        clone: flag("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor: flag("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        refused: refused(),
    }
}

/// Tries what an ordinary user's helper begins with. Its program is a part of util-linux, which every distribution has.
fn refused() -> Option<String> {
    let unshare = program("unshare")?;
    let mut command = Command::new(unshare);
    command.args(["--user", "--map-root-user", "--mount", "--net", "--", "true"]);
    let done = command.stdin(Stdio::null()).stdout(Stdio::null()).output().ok()?;
    if done.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Some(said.lines().last().unwrap_or("no reason was given").trim_start_matches("unshare: ").to_owned())
}

fn subordinate(user: u32, name: Option<&str>) -> Subordinate {
    let count = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        ranges(&text, user, name).into_iter().map(|(_, count)| count).sum()
    };
    Subordinate { users: count("/etc/subuid"), groups: count("/etc/subgid"), tools: tools() }
}

/// The ranges of a user in a text of subuid(5), first id and count.
pub(crate) fn ranges(text: &str, user: u32, name: Option<&str>) -> Vec<(u64, u64)> {
    let ours = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let who = fields.next()?;
        let range = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (Some(who) == name || who.parse() == Ok(user)).then_some(range)
    });
    ours.collect()
}

/// They write id maps with rights of their own: set-user-id root, or file capabilities.
pub(crate) fn tools() -> Option<String> {
    let mut reason = String::new();
    for name in ["newuidmap", "newgidmap"] {
        let path = program(name)?;
        let set_id = path.metadata().is_ok_and(|meta| meta.mode() & libc::S_ISUID != 0 && meta.uid() == 0);
        let capable = || rustix::fs::getxattr(&path, "security.capability", &mut [0_u8; 64][..]).is_ok();
        if !set_id && !capable() {
            reason = format!("{name} is not set-user-id root");
        }
    }
    Some(reason)
}

/// Opening a file system context loads the module where there is one, and mounts nothing; but only root may.
fn overlay() -> bool {
    match fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC) {
        Ok(_) => return true,
        Err(rustix::io::Errno::NODEV) => return false,
        Err(_) => {}
    }
    let listed = |path: &str, name: &str| fs::read_to_string(path).is_ok_and(|text| text.contains(name));
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    listed("/proc/filesystems", "\toverlay\n")
        || listed(&format!("/lib/modules/{release}/modules.dep"), "/overlay.ko")
}

fn cgroups(mounts: &str) -> Cgroups {
    let kinds: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    let (first, second) = (kinds.contains(&"cgroup"), kinds.contains(&"cgroup2"));
    let version = match (first, second) {
        (false, false) => 0,
        (true, false) => 1,
        (false, true) => 2,
        (true, true) => 3,
    };
    let backend = cgroup::detect();
    let read_only = backend.as_ref().is_some_and(|backend| {
        backend.roots().into_iter().any(|root| {
            let flags = rustix::fs::statvfs(root).map(|stat| stat.f_flag);
            flags.is_ok_and(|flags| flags.contains(rustix::fs::StatVfsMountFlags::RDONLY))
        })
    });
    let controllers = if rustix::process::geteuid().is_root() {
        backend.map(|backend| backend.controllers()).unwrap_or_default()
    } else {
        cgroup::delegated().map(|(_, controllers)| controllers).unwrap_or_default()
    };
    Cgroups { version, controllers, read_only, systemd: Path::new("/run/systemd/system").exists() }
}

fn nf_tables() -> Option<String> {
    let error = net::nat::probe().err()?;
    // Without the right to ask there is nothing to tell.
    (error.raw_os_error() != Some(libc::EPERM)).then(|| error.to_string())
}

/// Engines put mounts over parts of `/proc`; the kernel then refuses a whole one to new user namespaces.
fn covered(mounts: &str) -> bool {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    // The one mount point in there that every system may use.
    points.filter(|point| point.starts_with("/proc/")).any(|point| point != "/proc/sys/fs/binfmt_misc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_proc_is_seen() {
        assert!(covered("proc /proc proc rw 0 0\ntmpfs /proc/kcore tmpfs rw 0 0\n"));
        assert!(!covered("proc /proc proc rw 0 0\nsystemd-1 /proc/sys/fs/binfmt_misc autofs rw 0 0\n"));
    }

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let text = "ann:100000:65536\n# none\nbob:1:2\n1000:300000:10\n";
        assert_eq!(ranges(text, 1000, Some("ann")), [(100_000, 65_536), (300_000, 10)]);
        assert_eq!(ranges(text, 5, None), []);
    }

    #[test]
    fn this_machine_can_be_asked() {
        let facts = facts();
        assert_eq!(facts.user, rustix::process::geteuid().as_raw());
        assert!(facts.seccomp && facts.user_namespaces.exist, "{facts:?}");
    }
}
