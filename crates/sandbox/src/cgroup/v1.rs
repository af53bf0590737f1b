//! Version 1: a tree per controller. Memory is required, cpu and pids are used where mounted.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::{Backend, Entry, HOME, counter, write};
use crate::Limits;

/// The period over which a cpu quota counts, in microseconds; the kernel's default.
const PERIOD_US: u64 = 100_000;

/// The mounted trees. Two fields may name the same one (`cpu,pids`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Legacy {
    memory: PathBuf,
    cpu: Option<PathBuf>,
    pids: Option<PathBuf>,
}

impl Legacy {
    /// Reads `/proc/self/mounts`: a tree's controllers are among its mount options.
    pub(super) fn detect(mounts: &str) -> Option<Legacy> {
        let tree = |controller: &str| {
            let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
            lines.find_map(|fields| match *fields.as_slice() {
                [_, at, "cgroup", options, ..] if options.split(',').any(|option| option == controller) => {
                    Some(PathBuf::from(at))
                }
                _ => None,
            })
        };
        Some(Legacy { memory: tree("memory")?, cpu: tree("cpu"), pids: tree("pids") })
    }

    fn group(root: &Path, group: &str) -> PathBuf {
        root.join(HOME).join(group)
    }
}

impl Backend for Legacy {
    fn roots(&self) -> Vec<&Path> {
        let mut roots = vec![self.memory.as_path()];
        for root in [&self.cpu, &self.pids].into_iter().flatten() {
            if !roots.contains(&root.as_path()) {
                roots.push(root);
            }
        }
        roots
    }

    fn controllers(&self) -> Vec<String> {
        let others = [("cpu", &self.cpu), ("pids", &self.pids)];
        let mounted = others.into_iter().filter_map(|(name, root)| root.as_ref().map(|_| name));
        ["memory"].into_iter().chain(mounted).map(str::to_owned).collect()
    }

    fn prepare(&self, server: &str) -> io::Result<()> {
        self.roots().into_iter().try_for_each(|root| fs::create_dir_all(Self::group(root, server)))
    }

    fn create(&self, group: &str, limits: &Limits) -> io::Result<()> {
        for root in self.roots() {
            fs::create_dir(Self::group(root, group))?;
        }
        if let Some(mib) = limits.memory_mib {
            let bytes = mib.saturating_mul(1024 * 1024).to_string();
            let group = Self::group(&self.memory, group);
            write(&group.join("memory.limit_in_bytes"), &bytes)?;
            // Memory and swap together; the file is there only when swap is accounted.
            let with_swap = group.join("memory.memsw.limit_in_bytes");
            if with_swap.exists() {
                write(&with_swap, &bytes)?;
            }
        }
        if let (Some(millis), Some(cpu)) = (limits.cpu_millis, &self.cpu) {
            let quota = (millis.saturating_mul(PERIOD_US) / 1000).to_string();
            write(&Self::group(cpu, group).join("cpu.cfs_quota_us"), &quota)?;
        }
        if let Some(pids) = &self.pids {
            write(&Self::group(pids, group).join("pids.max"), &limits.pids.to_string())?;
        }
        Ok(())
    }

    fn entry(&self, group: &str) -> io::Result<Entry> {
        self.doors(group).map(Entry::Tasks)
    }

    fn doors(&self, group: &str) -> io::Result<Vec<OwnedFd>> {
        let open = |root: &Path| {
            let path = Self::group(root, group).join("tasks");
            Ok(OwnedFd::from(fs::OpenOptions::new().write(true).open(path)?.into_file()))
        };
        self.roots().into_iter().map(open).collect()
    }

    fn memory_kib(&self, group: &str) -> Option<u64> {
        let group = Self::group(&self.memory, group);
        let own = counter(&fs::read_to_string(group.join("memory.stat")).ok()?, "rss");
        let kernel = fs::read_to_string(group.join("memory.kmem.usage_in_bytes")).unwrap_or_default();
        Some((own + kernel.trim().parse::<u64>().unwrap_or(0)) / 1024)
    }

    fn oom_killed(&self, group: &str) -> bool {
        let path = Self::group(&self.memory, group).join("memory.oom_control");
        fs::read_to_string(path).is_ok_and(|text| counter(&text, "oom_kill") > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_found_by_controller_not_by_name() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
            cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n\
            cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\n\
            cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n";
        let found = Legacy::detect(mounts).unwrap();
        assert_eq!(found.cpu, Some("/sys/fs/cgroup/cpu,cpuacct".into()));
        assert_eq!(found.pids, None);
        assert_eq!(found.roots().len(), 2);
    }

    #[test]
    fn without_a_memory_tree_there_is_nothing_to_use() {
        assert_eq!(Legacy::detect("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"), None);
    }
}
