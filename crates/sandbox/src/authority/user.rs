//! The way of an ordinary user's helper into its namespaces.

use std::io;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::outside::{self, Outside, Way};
use super::{Authority, Range};
use crate::doctor::{name_of, program, ranges, tools};
use crate::error::Doing;
use crate::net::{link, netlink};
use crate::{Failure, cgroup, sys};

/// What the helper is told, in its environment, when it is executed again.
const INSIDE: &str = "PILOTLIGHT_HELPER_INSIDE";

/// What there is once the helper is inside.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entered {
    pub(crate) authority: Authority,
    /// The machine's own addresses, which are not its own in here and must stay out of reach.
    pub(crate) machine: Vec<Ipv4Addr>,
    /// What keeps containers from what is outside.
    pub(crate) obstacle: Option<String>,
    /// The group that was handed to the user, where limits can be set.
    cgroup: Option<PathBuf>,
}

impl Entered {
    /// Where limits are set.
    pub(crate) fn cgroups(&self) -> Option<Box<dyn cgroup::Backend>> {
        if self.authority.is_root() { cgroup::detect() } else { Some(cgroup::of_user(self.cgroup.clone())) }
    }
}

/// Moves this single-threaded process into a user and a network namespace of its own, unless it is root's.
///
/// It is executed again there, with the same descriptors: a process's memory belongs to the namespace in which its program
/// was executed, and with it the say over whoever may look at the pid 1s that are forked from it (ptrace(2)).
pub(crate) fn enter() -> Result<Entered, Failure> {
    if let Some(told) = std::env::var_os(INSIDE) {
        return serde_json::from_slice(told.as_encoded_bytes())
            .map_err(io::Error::from)
            .doing("read what is inside");
    }
    if rustix::process::geteuid().is_root() {
        let (machine, obstacle, cgroup) = (Vec::new(), None, None);
        return Ok(Entered { authority: Authority::Root, machine, obstacle, cgroup });
    }
    // Before this process is anywhere else: whose the group is shows only here.
    let cgroup = cgroup::delegated_with_memory();
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let maps = Maps::of_this_machine(user, group);
    let machine = addresses(&fs::read_to_string("/proc/net/fib_trie").unwrap_or_default());
    let ways = Way::of_this_machine();
    // The first writes the maps, whether there is a way out or not.
    let outsides = (0..ways.len().max(1)).map(|_| Outside::leave());
    let outsides: Vec<_> =
        outsides.collect::<io::Result<_>>().doing("leave a process outside of the namespaces")?;
    sys::process::unshare_user().doing("make a user namespace for the helper")?;
    maps.write(&outsides[0]).doing("map the ids of this user")?;
    if maps.range.first > 0 {
        rustix::thread::set_thread_groups(&[]).doing("drop the groups")?;
    }
    sys::process::unshare_network().doing("make a network namespace for the helper")?;
    let route = netlink::Socket::route().doing("open a netlink socket")?;
    link::configure(&route, None).doing("configure the helper's network")?;
    let obstacle = outside::connect(outsides, ways);
    let entered = Entered { authority: Authority::User(maps.range), machine, obstacle, cgroup };
    let told = serde_json::to_string(&entered).map_err(io::Error::from).doing("tell what is inside")?;
    let mut again = Command::new("/proc/self/exe");
    again.arg0("pilotlight").args(std::env::args_os().skip(1)).env(INSIDE, told);
    Err(again.exec()).doing("execute the helper in its namespaces")
}

/// What the ids of the helper's namespace are outside.
struct Maps {
    user: u32,
    group: u32,
    /// The first subordinate user and group id, where they can be used.
    subordinate: Option<[u64; 2]>,
    range: Range,
}

impl Maps {
    fn of_this_machine(user: u32, group: u32) -> Maps {
        let name = name_of(user);
        let read = |path: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            ranges(&text, user, name.as_deref()).into_iter().max_by_key(|(_, count)| *count)
        };
        let usable = tools().is_some_and(|reason| reason.is_empty());
        match (read("/etc/subuid"), read("/etc/subgid")) {
            (Some((users, many)), Some((groups, as_many))) if usable && many.min(as_many) > 0 => {
                Maps { user, group, subordinate: Some([users, groups]), range: Range::of(many.min(as_many)) }
            }
            _ => Maps { user, group, subordinate: None, range: Range::OWN },
        }
    }

    /// Writes the maps of this process, which is in its new namespace: with those tools' help, that is from outside.
    fn write(&self, outside: &Outside) -> io::Result<()> {
        let own = std::process::id();
        let Some([users, groups]) = self.subordinate else {
            // Nobody without a right in the namespace around may drop a group there. user_namespaces(7)
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/uid_map", format!("0 {} 1\n", self.user))?;
            return fs::write("/proc/self/gid_map", format!("0 {} 1\n", self.group));
        };
        let count = self.range.count;
        for (tool, id, first) in [("newuidmap", self.user, users), ("newgidmap", self.group, groups)] {
            let words = format!("{own} 0 {id} 1 1 {first} {count}");
            outside.run(tool, &words)?;
        }
        Ok(())
    }
}

impl Way {
    /// pasta, then slirp4netns: those that are installed. Where AppArmor confines pasta as if it were passt, as in Debian 12,
    /// it may look at no process and ends at once.
    fn of_this_machine() -> Vec<Way> {
        let own = std::process::id();
        // Nothing of the machine is to be had through it: no port in either direction, no address that stands for
        // the machine's loopback. passt(1)
        let words = "--foreground --quiet --config-net --ipv4-only --no-map-gw --mtu 1500";
        let words = format!("{words} -t none -u none -T none -U none {own}");
        let pasta = program("pasta").map(|program| Way { program, words });
        let words = "--configure --mtu=1500 --disable-host-loopback --enable-seccomp";
        let words = format!("{words} --userns-path=/proc/{own}/ns/user {own} tap0");
        let slirp = program("slirp4netns").map(|program| Way { program, words });
        pasta.into_iter().chain(slirp).collect()
    }
}

/// The machine's own IPv4 addresses, of /proc/net/fib_trie: each stands above a line that calls it a local host.
fn addresses(trie: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last = None;
    for line in trie.lines() {
        if let Some(address) = line.trim().strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line.contains("/32 host LOCAL")
            && let Some(address) = last
            && !address.is_loopback()
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_addresses_are_read_without_its_loopback() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 192.0.2.0/24 2 0 2\n\
                    \x20       |-- 192.0.2.0\n           /24 link UNICAST\n        |-- 192.0.2.2\n           /32 host LOCAL\n\
                    \x20       |-- 127.0.0.1\n           /32 host LOCAL\nLocal:\n        |-- 192.0.2.2\n           /32 host LOCAL\n";
        assert_eq!(addresses(trie), [Ipv4Addr::new(192, 0, 2, 2)]);
    }
}
