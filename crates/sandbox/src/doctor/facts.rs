//! What is known of a machine: plain data.

use serde::{Deserialize, Serialize};

/// What a machine, and the account on it, has and does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The effective user id.
    pub user: u32,
    /// That user's name.
    pub user_name: Option<String>,
    /// The effective capabilities, as `CAP_…`.
    pub capabilities: Vec<String>,
    /// The hard limit of open files; none is no limit.
    pub open_files: Option<u64>,
    /// The kernel's release.
    pub kernel: String,
    /// `ID` of os-release: "debian".
    pub distribution: String,
    /// The container that all this is inside of.
    pub container: Option<Container>,
    /// What there is of user namespaces.
    pub user_namespaces: UserNamespaces,
    /// The user's ids beside the own one.
    pub subordinate: Subordinate,
    /// Whether the kernel has the overlay file system.
    pub overlay: bool,
    /// Whether the kernel filters system calls.
    pub seccomp: bool,
    /// The version of Landlock, where it is active.
    pub landlock: Option<u32>,
    /// Whether something is mounted over parts of /proc.
    pub proc_covered: bool,
    /// What there is of cgroups.
    pub cgroups: Cgroups,
    /// Why the packet filter cannot be used, if it cannot.
    pub nf_tables: Option<String>,
    /// What of somebody else's packet filter drops what is forwarded.
    pub obstacle: Option<String>,
    /// Whether the machine forwards packets.
    pub ip_forward: bool,
    /// Whether there is a /dev/net/tun that this account may open.
    pub tun: bool,
    /// Those of the programs we can use that are installed.
    pub programs: Vec<String>,
}

/// An engine that this runs inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// A pod.
    Kubernetes,
    /// Some other.
    Other,
}

/// What there is of user namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserNamespaces {
    /// Whether the kernel has them.
    pub exist: bool,
    /// `user.max_user_namespaces`.
    pub max: Option<u64>,
    /// `kernel.unprivileged_userns_clone`, of Debian's kernels.
    pub clone: Option<bool>,
    /// `kernel.apparmor_restrict_unprivileged_userns`.
    pub apparmor: Option<bool>,
    /// What came of trying, if it failed.
    pub refused: Option<String>,
}

/// The ids of /etc/subuid and /etc/subgid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subordinate {
    /// How many user ids.
    pub users: u64,
    /// How many group ids.
    pub groups: u64,
    /// Why newuidmap and newgidmap do not work; empty if they do, none if they are not installed.
    pub tools: Option<String>,
}

/// What there is of cgroups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroups {
    /// 1 or 2; 3 for both at once with the controllers in version 1; 0 for none.
    pub version: u8,
    /// The controllers that this account can use.
    pub controllers: Vec<String>,
    /// Whether they are mounted read-only.
    pub read_only: bool,
    /// Whether systemd runs the machine.
    pub systemd: bool,
}
