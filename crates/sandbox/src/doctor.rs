//! What a machine gives to containers: decided from [`Facts`] alone, so that tests can hold up the facts of machines
//! that they do not run on.

mod facts;
mod gather;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub(crate) use gather::{name_of, program, ranges, tools};

pub use facts::{Cgroups, Container, Facts, Subordinate, UserNamespaces};

/// What was found about one feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which feature: "user namespaces".
    pub feature: &'static str,
    /// Whether it is there.
    pub state: State,
    /// What there is, or what is missing.
    pub text: String,
    /// What to do about it, best a command. None where nothing is to be done.
    pub remedy: Option<String>,
}

impl Finding {
    /// Whether it is about what a container of any image gets, and not about what images can be.
    pub fn concerns_isolation(&self) -> bool {
        !["mmdebstrap", "Landlock"].contains(&self.feature)
    }
}

/// Whether a feature is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is.
    Fine,
    /// Containers run, with less: the text says with how much less.
    Weaker,
    /// Without it no container runs in a sandbox.
    Missing,
}

/// The first kernel whose overlay takes idmapped layers, which root's containers are made of.
const KERNEL_OF_ROOT: (u32, u32) = (5, 19);

/// The first kernel that lets the owner of a user namespace mount overlays that are safe to keep.
const KERNEL_OF_USERS: (u32, u32) = (5, 11);

/// The ids that a container of an ordinary user has for its own users.
const IDS: u64 = 65_536;

/// What the helper of root uses. Pid 1s have every capability in their own user namespace, whatever the helper has.
pub(crate) const NEEDED: [&str; 9] = [
    "CAP_SYS_ADMIN",
    "CAP_NET_ADMIN",
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
];

/// Looks at this machine. Changes nothing on it.
pub fn facts() -> Facts {
    gather::facts()
}

/// Decides what each feature of a machine means for containers there.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![kernel(facts), account(facts)];
    findings.extend(engine(facts));
    findings.push(user_namespaces(facts));
    if !facts.is_root() {
        findings.push(subordinate_ids(facts));
    }
    findings.extend([overlay(facts), idmapped(facts), seccomp(facts), landlock(facts)]);
    findings.extend([proc(facts), cgroups(facts), packet_filter(facts), outside(facts)]);
    findings.push(mmdebstrap(facts));
    findings
}

fn finding(
    feature: &'static str,
    state: State,
    text: impl Into<String>,
    remedy: impl Into<Option<String>>,
) -> Finding {
    Finding { feature, state, text: text.into(), remedy: remedy.into() }
}

fn fine(feature: &'static str, text: impl Into<String>) -> Finding {
    finding(feature, State::Fine, text, None)
}

impl Facts {
    fn is_root(&self) -> bool {
        self.user == 0
    }

    /// The command that installs a package, by the names it has in Debian's and in Red Hat's distributions.
    fn install(&self, debian: &str, red_hat: &str) -> String {
        let sudo = if self.is_root() { "" } else { "sudo " };
        match self.distribution.as_str() {
            "fedora" | "rhel" | "centos" | "rocky" | "almalinux" => format!("{sudo}dnf install {red_hat}"),
            "arch" => format!("{sudo}pacman -S {red_hat}"),
            "alpine" => format!("{sudo}apk add {red_hat}"),
            "opensuse-leap" | "opensuse-tumbleweed" | "sles" => format!("{sudo}zypper install {red_hat}"),
            _ => format!("{sudo}apt-get install {debian}"),
        }
    }

    fn sysctl(&self, setting: &str) -> String {
        let sudo = if self.is_root() { "" } else { "sudo " };
        format!("{sudo}sysctl -w {setting}")
    }
}

/// Major and minor number of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-', '+']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn kernel(facts: &Facts) -> Finding {
    let least = if facts.is_root() { KERNEL_OF_ROOT } else { KERNEL_OF_USERS };
    let wsl = facts.kernel.to_lowercase().contains("microsoft");
    let what = if wsl { "Linux of WSL2" } else { "Linux" };
    if version(&facts.kernel).is_none_or(|version| version >= least) {
        return fine("kernel", format!("{what} {}", facts.kernel));
    }
    let remedy = if wsl {
        "run `wsl --update` in Windows".to_owned()
    } else {
        format!("upgrade to Linux {}.{} or newer; every distribution since 2023 has it", least.0, least.1)
    };
    finding("kernel", State::Missing, format!("{what} {} is too old", facts.kernel), remedy)
}

fn account(facts: &Facts) -> Finding {
    if !facts.is_root() {
        let text = format!("user {}: containers live in a user namespace of yours", facts.user);
        return fine("rights", text);
    }
    let lacking: Vec<&str> =
        NEEDED.iter().copied().filter(|name| !facts.capabilities.iter().any(|had| had == name)).collect();
    if !lacking.is_empty() {
        let text = format!("this root is restricted: {}", lacking.join(", "));
        let remedy = match facts.container {
            Some(Container::Docker) => "start this container with `docker run --privileged`",
            Some(Container::Podman) => "start this container with `podman run --privileged`",
            _ => "run the server outside of the container, or start that one with --privileged",
        };
        return finding("rights", State::Missing, text, remedy.to_owned());
    }
    // Raising a hard limit takes it; nothing of a container's start does.
    if facts.capabilities.iter().any(|had| had == "CAP_SYS_RESOURCE") {
        return fine("rights", "root with every capability that the helper uses");
    }
    let text = format!(
        "root without CAP_SYS_RESOURCE: the limit of {} open files cannot be raised",
        facts.open_files.map_or_else(|| "any number of".to_owned(), |files| files.to_string())
    );
    // A container costs the server some ten descriptors and the helper three.
    if facts.open_files.is_none_or(|files| files >= 8192) {
        return fine("rights", text);
    }
    let remedy = "raise the hard limit where this session comes from (`ulimit -Hn`, LimitNOFILE=)";
    finding("rights", State::Weaker, text, remedy.to_owned())
}

fn engine(facts: &Facts) -> Option<Finding> {
    let name = match facts.container? {
        Container::Docker => "a Docker container",
        Container::Podman => "a Podman container",
        Container::Kubernetes => "a Kubernetes pod",
        Container::Other => "a container",
    };
    let has_rights = !facts.is_root() || facts.capabilities.iter().any(|had| had == "CAP_SYS_ADMIN");
    if has_rights && !facts.proc_covered && facts.user_namespaces.refused.is_none() {
        return Some(fine("surroundings", format!("inside {name} with enough rights")));
    }
    let text = format!("inside {name}, whose seccomp filter, capabilities and masked /proc are in the way");
    let remedy = match facts.container {
        Some(Container::Kubernetes) => "set `securityContext.privileged: true`, or serve outside of it",
        _ => "start it with `--privileged`, or serve outside of it; `--isolation=process` works inside",
    };
    Some(finding("surroundings", State::Missing, text, remedy.to_owned()))
}

fn user_namespaces(facts: &Facts) -> Finding {
    let UserNamespaces { exist, max, clone, apparmor, ref refused } = facts.user_namespaces;
    let missing = |text: &str, remedy: String| finding("user namespaces", State::Missing, text, remedy);
    if !exist {
        return missing("the kernel has none", "use a kernel with CONFIG_USER_NS".to_owned());
    }
    if max == Some(0) {
        let remedy = facts.sysctl("user.max_user_namespaces=15000");
        return missing("none may be made (user.max_user_namespaces is 0)", remedy);
    }
    if !facts.is_root() && clone == Some(false) {
        let remedy = facts.sysctl("kernel.unprivileged_userns_clone=1");
        return missing("only root may make them (kernel.unprivileged_userns_clone is 0)", remedy);
    }
    if !facts.is_root() && apparmor == Some(true) && refused.is_some() {
        let text = "AppArmor takes their rights away (kernel.apparmor_restrict_unprivileged_userns is 1)";
        return missing(text, facts.sysctl("kernel.apparmor_restrict_unprivileged_userns=0"));
    }
    match refused {
        Some(error) if facts.container.is_some() => {
            missing(&format!("refused here: {error}"), "start this container with --privileged".to_owned())
        }
        Some(error) => missing(&format!("refused: {error}"), "see the log of the kernel (dmesg)".to_owned()),
        None => fine("user namespaces", "can be made"),
    }
}

fn subordinate_ids(facts: &Facts) -> Finding {
    let Subordinate { users, groups, ref tools } = facts.subordinate;
    let least = users.min(groups);
    let without = "containers run with your own user id, and cannot have users of their own: apt_install and other \
                   steps that change owners are refused";
    let weaker = |text: String, remedy: String| finding("subordinate ids", State::Weaker, text, remedy);
    if least == 0 {
        let remedy = format!(
            "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {}",
            facts.user_name.as_deref().unwrap_or("$USER")
        );
        return weaker(format!("none in /etc/subuid and /etc/subgid: {without}"), remedy);
    }
    let package = facts.install("uidmap", "shadow-utils");
    match tools.as_deref() {
        None => weaker(format!("newuidmap and newgidmap are not installed: {without}"), package),
        Some("") if least < IDS => weaker(
            format!("{least} of them, and images have up to {IDS}: files of others cannot be made"),
            "give the user a range of 65536 in /etc/subuid and /etc/subgid".to_owned(),
        ),
        Some("") => fine("subordinate ids", format!("{least} of them, for the users inside containers")),
        Some(reason) => weaker(
            format!("{reason}: {without}"),
            "sudo chmod u+s /usr/bin/newuidmap /usr/bin/newgidmap".to_owned(),
        ),
    }
}

fn overlay(facts: &Facts) -> Finding {
    if facts.overlay {
        return fine("overlay file system", "the kernel has it");
    }
    let remedy = "run `modprobe overlay` as root, or use a kernel with CONFIG_OVERLAY_FS";
    finding("overlay file system", State::Missing, "the kernel does not have it", remedy.to_owned())
}

fn idmapped(facts: &Facts) -> Finding {
    if facts.is_root() {
        return fine("idmapped mounts", "each container has user ids that no other has");
    }
    let text = "only root can make them: containers share one range of user ids, and layers are kept shifted";
    finding("idmapped mounts", State::Weaker, text, "run the server as root".to_owned())
}

fn seccomp(facts: &Facts) -> Finding {
    if facts.seccomp {
        return fine("seccomp", "system calls are filtered");
    }
    let remedy = "use a kernel with CONFIG_SECCOMP_FILTER".to_owned();
    finding("seccomp", State::Missing, "the kernel cannot filter system calls", remedy)
}

fn landlock(facts: &Facts) -> Finding {
    match facts.landlock {
        Some(version) => fine("Landlock", format!("version {version}")),
        None => finding(
            "Landlock",
            State::Weaker,
            "not active: containers have no second wall behind their namespaces and the system call filter",
            "add `landlock` to the kernel's option `lsm=`".to_owned(),
        ),
    }
}

fn proc(facts: &Facts) -> Finding {
    if !facts.proc_covered {
        return fine("/proc", "whole, so that containers can have their own");
    }
    let remedy = "start the container that this runs in with --privileged".to_owned();
    finding("/proc", State::Missing, "parts of it are hidden by the container that this runs in", remedy)
}

fn cgroups(facts: &Facts) -> Finding {
    let Cgroups { version, ref controllers, read_only, systemd } = facts.cgroups;
    let kind = match version {
        0 => "none",
        1 => "version 1",
        2 => "version 2",
        _ => "hybrid, limits by version 1",
    };
    let wanted: Vec<&str> = ["memory", "cpu", "pids"]
        .into_iter()
        .filter(|name| !controllers.iter().any(|had| had == name))
        .collect();
    if wanted.is_empty() && !read_only {
        return fine("cgroups", format!("{kind}, with memory, cpu and pids"));
    }
    if facts.is_root() {
        if read_only {
            let remedy = "start the container that this runs in with --privileged".to_owned();
            return finding("cgroups", State::Missing, "/sys/fs/cgroup is read-only", remedy);
        }
        if wanted.contains(&"memory") {
            let remedy = "mount cgroup2 on /sys/fs/cgroup with the memory controller (kernel option \
                          `cgroup_enable=memory` where it is off)";
            return finding("cgroups", State::Missing, "no memory controller", remedy.to_owned());
        }
        let text = format!("{kind}, without {}: these limits have no effect", wanted.join(" and "));
        return finding("cgroups", State::Weaker, text, "mount the missing controllers".to_owned());
    }
    let text = format!("{kind}, without {} for you: these limits have no effect", wanted.join(", "));
    let remedy = match (version, systemd) {
        (2, true) => {
            "sudo systemctl edit user@.service, with `[Service]` and `Delegate=cpu cpuset io memory pids`; log in \
             again"
        }
        (2, false) => "have an administrator give you a cgroup of your own, with the controllers",
        _ => "boot with `systemd.unified_cgroup_hierarchy=1`: version 1 can be handed to nobody but root",
    };
    finding("cgroups", State::Weaker, text, remedy.to_owned())
}

fn packet_filter(facts: &Facts) -> Finding {
    match &facts.nf_tables {
        None => fine("nf_tables", "the kernel has it"),
        Some(error) => finding(
            "nf_tables",
            State::Missing,
            format!("cannot be used: {error}"),
            "run `modprobe nf_tables nft_masq nft_ct` as root, or use a kernel with CONFIG_NF_TABLES"
                .to_owned(),
        ),
    }
}

/// Whether containers reach what is outside.
fn outside(facts: &Facts) -> Finding {
    const FEATURE: &str = "network";
    if facts.is_root() {
        return match &facts.obstacle {
            Some(obstacle) => finding(FEATURE, State::Weaker, obstacle.clone(), None),
            None if facts.ip_forward => fine(FEATURE, "packets of containers are forwarded"),
            None => fine(FEATURE, "net.ipv4.ip_forward is off; the server turns it on"),
        };
    }
    let program = facts.programs.iter().find(|name| ["pasta", "slirp4netns"].contains(&name.as_str()));
    match program {
        Some(_) if !facts.tun => finding(
            FEATURE,
            State::Weaker,
            "/dev/net/tun is not there or not for everybody: containers reach nothing outside",
            "sudo sh -c 'modprobe tun; chmod 0666 /dev/net/tun'".to_owned(),
        ),
        Some(program) => fine(FEATURE, format!("{program} connects containers with the outside")),
        None => finding(
            FEATURE,
            State::Weaker,
            "neither pasta nor slirp4netns is installed: containers, and image builds, reach nothing outside",
            facts.install("passt", "passt"),
        ),
    }
}

fn mmdebstrap(facts: &Facts) -> Finding {
    if facts.programs.iter().any(|name| name == "mmdebstrap") {
        return fine("mmdebstrap", "images can start from a Debian");
    }
    let text = "not installed: images start from this machine's own userland, and apt_install is refused";
    let remedy = (facts.distribution == "debian").then(|| facts.install("mmdebstrap", ""));
    finding("mmdebstrap", State::Weaker, text, remedy)
}
