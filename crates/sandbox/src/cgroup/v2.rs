//! Version 2: one tree, whose controllers each parent must hand down.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{Backend, Entry, HOME, counter, try_write, write};
use crate::Limits;

/// The period over which a cpu quota counts, in microseconds; the kernel's default.
const PERIOD_US: u64 = 100_000;

/// Handed down from the root to each container. Memory must be there; a missing other one leaves its limit out.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

/// The mounted tree.
#[derive(Debug)]
pub(super) struct Unified {
    root: PathBuf,
}

impl Unified {
    /// The first cgroup2 mount that offers memory. On hybrid machines the tree exists without it.
    pub(super) fn detect(mounts: &str) -> Option<Unified> {
        let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let root = lines.find_map(|fields| match *fields.as_slice() {
            [_, at, "cgroup2", ..] => Some(PathBuf::from(at)),
            _ => None,
        })?;
        let offered = fs::read_to_string(root.join("cgroup.controllers")).ok()?;
        offered.split_whitespace().any(|name| name == "memory").then_some(Unified { root })
    }

    /// The part of a tree below a group that was handed to this user.
    pub(super) fn at(root: PathBuf) -> Unified {
        Unified { root }
    }

    fn group(&self, group: &str) -> PathBuf {
        self.root.join(HOME).join(group)
    }

    /// Hands the controllers that a directory has on to its children.
    fn hand_down(directory: &Path) -> io::Result<()> {
        let has = fs::read_to_string(directory.join("cgroup.controllers"))?;
        let control = directory.join("cgroup.subtree_control");
        for name in CONTROLLERS.iter().filter(|name| has.split_whitespace().any(|had| had == **name)) {
            let value = format!("+{name}");
            // Processes in this very group forbid it (the "no internal processes" rule): so it is when the server
            // itself runs in a container whose root this is. They move one level down, as other engines do.
            if try_write(&control, &value) == Err(Errno::BUSY) {
                Self::move_processes_down(directory)?;
            }
            write(&control, &value)?;
        }
        Ok(())
    }

    fn move_processes_down(directory: &Path) -> io::Result<()> {
        let leaf = directory.join("pilotlight-host");
        fs::create_dir_all(&leaf)?;
        for pid in fs::read_to_string(directory.join("cgroup.procs"))?.lines() {
            match try_write(&leaf.join("cgroup.procs"), pid) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn limit(group: &Path, file: &str, value: &str) -> io::Result<()> {
        let path = group.join(file);
        if path.exists() { write(&path, value) } else { Ok(()) }
    }
}

/// The group of a process and its controllers, if the process may make groups in it. `own`: its /proc/self/cgroup.
pub(super) fn delegated(
    mounts: &str,
    own: &str,
    writable: &dyn Fn(&Path) -> bool,
) -> Option<(PathBuf, Vec<String>)> {
    let root = mounts.lines().find_map(|line| match *line.split(' ').collect::<Vec<_>>().as_slice() {
        [_, at, "cgroup2", ..] => Some(PathBuf::from(at)),
        _ => None,
    })?;
    let group = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let group = root.join(group);
    // Both, cgroups(7): to make groups below it, and to move processes among those.
    if ![group.clone(), group.join("cgroup.procs")].iter().all(|path| writable(path)) {
        return None;
    }
    let has = fs::read_to_string(group.join("cgroup.controllers")).ok()?;
    Some((group, has.split_whitespace().map(str::to_owned).collect()))
}

impl Backend for Unified {
    fn controllers(&self) -> Vec<String> {
        let has = fs::read_to_string(self.root.join("cgroup.controllers")).unwrap_or_default();
        has.split_whitespace().map(str::to_owned).collect()
    }

    fn roots(&self) -> Vec<&Path> {
        vec![&self.root]
    }

    fn prepare(&self, server: &str) -> io::Result<()> {
        let home = self.root.join(HOME);
        let server = self.group(server);
        fs::create_dir_all(&server)?;
        [self.root.as_path(), &home, &server].into_iter().try_for_each(Self::hand_down)
    }

    fn create(&self, group: &str, limits: &Limits) -> io::Result<()> {
        let group = self.group(group);
        fs::create_dir(&group)?;
        if let Some(mib) = limits.memory_mib {
            write(&group.join("memory.max"), &mib.saturating_mul(1024 * 1024).to_string())?;
            Self::limit(&group, "memory.swap.max", "0")?;
        }
        // The whole container is one program: half of one, after an out of memory kill, helps nobody.
        Self::limit(&group, "memory.oom.group", "1")?;
        if let Some(millis) = limits.cpu_millis {
            Self::limit(
                &group,
                "cpu.max",
                &format!("{} {PERIOD_US}", millis.saturating_mul(PERIOD_US) / 1000),
            )?;
        }
        Self::limit(&group, "pids.max", &limits.pids.to_string())
    }

    fn entry(&self, group: &str) -> io::Result<Entry> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Entry::Directory(rustix::fs::open(self.group(group), flags, Mode::empty())?))
    }

    fn doors(&self, group: &str) -> io::Result<Vec<OwnedFd>> {
        let path = self.group(group).join("cgroup.procs");
        Ok(vec![fs::OpenOptions::new().write(true).open(path)?.into_file().into()])
    }

    fn memory_kib(&self, group: &str) -> Option<u64> {
        let stat = fs::read_to_string(self.group(group).join("memory.stat")).ok()?;
        // Kernels before 5.18 do not sum up what is theirs.
        let kernel = counter(&stat, "kernel").max(counter(&stat, "slab") + counter(&stat, "kernel_stack"));
        Some((counter(&stat, "anon") + kernel) / 1024)
    }

    fn oom_killed(&self, group: &str) -> bool {
        let path = self.group(group).join("memory.events");
        fs::read_to_string(path).is_ok_and(|text| counter(&text, "oom_kill") > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Forked, clone_into_namespaces};

    /// A directory that looks like a cgroup2 tree with the given groups.
    fn tree(groups: &[&str]) -> (tempfile::TempDir, Unified) {
        let root = tempfile::tempdir().unwrap();
        for group in ["", "pilotlight", "pilotlight/e1"].iter().chain(groups) {
            let group = root.path().join(group);
            fs::create_dir_all(&group).unwrap();
            fs::write(group.join("cgroup.controllers"), "cpuset cpu memory pids\n").unwrap();
            fs::write(group.join("cgroup.subtree_control"), "").unwrap();
        }
        let unified = Unified { root: root.path().to_owned() };
        (root, unified)
    }

    fn mounts(root: &Path) -> String {
        format!("cgroup2 {} cgroup2 rw,nosuid 0 0\n", root.display())
    }

    #[test]
    fn detected_only_with_a_memory_controller() {
        let (root, _) = tree(&[]);
        assert!(Unified::detect(&mounts(root.path())).is_some());
        fs::write(root.path().join("cgroup.controllers"), "hugetlb\n").unwrap();
        assert!(Unified::detect(&mounts(root.path())).is_none());
    }

    #[test]
    fn a_group_is_delegated_when_it_can_be_written_to() {
        let (root, _) = tree(&["user.slice/user@1000.service"]);
        let own = "1:name=systemd:/x\n0::/user.slice/user@1000.service\n";
        let (group, controllers) = delegated(&mounts(root.path()), own, &|_| true).unwrap();
        assert_eq!(group, root.path().join("user.slice/user@1000.service"));
        assert_eq!(controllers, ["cpuset", "cpu", "memory", "pids"]);
        assert_eq!(delegated(&mounts(root.path()), own, &|path| !path.ends_with("cgroup.procs")), None);
        assert_eq!(delegated("", own, &|_| true), None);
    }

    #[test]
    fn every_level_hands_its_controllers_down() {
        let (root, unified) = tree(&[]);
        unified.prepare("e1").unwrap();
        for level in ["", "pilotlight", "pilotlight/e1"] {
            let control = root.path().join(level).join("cgroup.subtree_control");
            // A plain file keeps the last write, over what the one before left.
            assert!(fs::read_to_string(control).unwrap().starts_with("+pids"));
        }
    }

    #[test]
    fn a_memory_limit_without_its_file_is_an_error() {
        let (_root, unified) = tree(&[]);
        let limits = Limits { memory_mib: Some(64), pids: 10, ..Limits::default() };
        let failed = unified.create("e1/co-1", &limits).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn an_out_of_memory_kill_is_read_from_the_events() {
        let (root, unified) = tree(&["pilotlight/e1/co-1"]);
        assert!(!unified.oom_killed("e1/co-1"));
        let events = root.path().join("pilotlight/e1/co-1/memory.events");
        fs::write(events, "low 0\noom 1\noom_kill 1\n").unwrap();
        assert!(unified.oom_killed("e1/co-1"));
    }

    #[test]
    fn a_group_is_entered_by_its_directory() {
        let (_root, unified) = tree(&["pilotlight/e1/co-1"]);
        assert!(unified.entry("e1/co-1").unwrap().directory().is_some());
    }

    /// On hybrid machines too there is a version 2 tree, if one without controllers: enough to see a process born in a
    /// group of it, and killed by it.
    #[test]
    fn a_process_is_cloned_into_its_group_and_killed_with_it() {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let mut trees = mounts.lines().filter(|line| line.split(' ').nth(2) == Some("cgroup2"));
        let root = trees.next().unwrap().split(' ').nth(1).unwrap();
        let unified = Unified { root: root.into() };
        let server = format!("unit{}", std::process::id());
        let group = format!("{server}/co-1");
        unified.prepare(&server).unwrap();
        unified.create(&group, &Limits::default()).unwrap();
        let entry = unified.entry(&group).unwrap();
        let (pid, pidfd) = match clone_into_namespaces(entry.directory()).unwrap() {
            // Of a test's many threads only this one exists here: nothing but plain system calls until it is killed.
            Forked::Child => loop {
                rustix::event::pause();
            },
            Forked::Parent { pid, pidfd } => (pid, pidfd),
        };
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        assert!(groups.contains(&format!("0::/pilotlight/{group}\n")), "{groups}");
        assert!(!crate::cgroup::remove(&unified, &group).unwrap(), "it is in use");

        super::super::kill_all(&unified.group(&group)).unwrap();
        let id = rustix::process::WaitId::PidFd(std::os::fd::AsFd::as_fd(&pidfd));
        rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED).unwrap();
        assert_eq!(crate::cgroup::clear(&unified, &server).unwrap(), 1);
        assert!(!unified.group(&server).exists());
    }
}
