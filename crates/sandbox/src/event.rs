//! What happens to containers, and what can be done to them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// News from the helper, in the order it happened.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A started container is gone. Sent once for every successful start.
    Exited {
        /// Which one.
        id: String,
        /// How its command ended.
        status: ExitStatus,
        /// Whether the kernel killed something in it for going over its memory limit.
        oom: bool,
    },
    /// The helper process ended by itself, and every container with it. Nothing comes after this.
    HelperDied,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

/// A way to stop a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// SIGTERM to the command.
    Terminate,
    /// SIGKILL to pid 1, which takes everything in the container with it.
    Kill,
}

/// A container whose command is running.
#[derive(Clone, Debug)]
pub struct Started {
    /// Pid 1 of the container, as the host sees it.
    pub pid: i32,
    /// From the helper's reading of the request until the command was executed.
    pub setup: Duration,
    /// Where that time went.
    pub phases: Phases,
    /// What could not be given as asked, for the user to read. Each is said once per helper.
    pub notes: Vec<String>,
}

/// The parts of a start. They overlap: pid 1 works while the helper does.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Phases {
    /// Slot, cgroup and limits.
    pub limits: Duration,
    /// The clone into namespaces and the id maps.
    pub process: Duration,
    /// Idmapped layers, overlay, binds.
    pub mounts: Duration,
    /// The link and its host end.
    pub network: Duration,
    /// Pid 1's own work, from reading its orders to having dropped all rights.
    pub shell: Duration,
    /// From the helper's last order until the command was executed.
    pub run: Duration,
}
