//! The messages between server, helper and pid 1. Private to this crate: all three are the same executable.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Command, Door, ExitStatus, Failure, Limits, Owner, Phases, PrivateNetworks, Signal, Spec};

/// Server to helper. Every request but `Hello` is answered by `Reply::Done` with its number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// First of all, with the lock file of the run directory. Comes from who started the helper.
    Hello(Hello),
    /// With stdout, stderr, then control and listener where `given` says so.
    Start { number: u64, spec: Box<Spec>, given: Given },
    /// Makes the shell of a container whose start comes later, with the same specification.
    Prepare { number: u64, spec: Box<Spec> },
    /// Stops a container or an errand.
    Signal { number: u64, id: String, signal: Signal },
    /// Runs an errand, which makes `fs` in the directory `target`. With stdout and stderr.
    Errand { number: u64, id: String, name: String, argument: String, target: PathBuf },
    /// Removes a file or tree of the state directory, parts of which the server may not remove.
    Erase { number: u64, path: PathBuf },
    /// Lists what a container has written, to the descriptor that comes along.
    Look { number: u64, id: String },
    /// Makes sockets in a container's network, and sends them over the channel that comes along.
    Open { number: u64, id: String, doors: Vec<Door> },
}

/// For whom the helper works.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) run_dir: PathBuf,
    pub(crate) state_dir: PathBuf,
    /// Of the host, what may be shown beside the userland and interpreters.
    pub(crate) shown: Vec<PathBuf>,
    pub(crate) owner: Owner,
    pub(crate) private: PrivateNetworks,
}

impl Request {
    /// By what its answer is known.
    pub(crate) fn number(&self) -> u64 {
        match self {
            Request::Hello(_) => 0,
            Request::Start { number, .. }
            | Request::Prepare { number, .. }
            | Request::Signal { number, .. }
            | Request::Errand { number, .. }
            | Request::Erase { number, .. }
            | Request::Look { number, .. }
            | Request::Open { number, .. } => *number,
        }
    }

    /// How many descriptors must come with it.
    pub(crate) fn descriptors(&self) -> usize {
        match self {
            Request::Hello(_) | Request::Look { .. } | Request::Open { .. } => 1,
            Request::Start { given, .. } => 2 + usize::from(given.control) + usize::from(given.listener),
            Request::Errand { .. } => 2,
            Request::Prepare { .. } | Request::Signal { .. } | Request::Erase { .. } => 0,
        }
    }
}

/// Which of the optional descriptors come with a command.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Given {
    pub(crate) control: bool,
    pub(crate) listener: bool,
    pub(crate) orders: bool,
}

/// Helper to server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The answer to `Hello`.
    Ready(Result<(), Failure>),
    Done {
        number: u64,
        result: Result<Answer, Failure>,
    },
    Exited {
        id: String,
        status: ExitStatus,
        oom: bool,
    },
}

/// What a request that went well gives.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Started { pid: i32, setup: Duration, phases: Phases, notes: Vec<String> },
    Prepared,
    Signalled,
    Begun,
    Erased,
    Looked,
    Opened,
}

/// Helper to pid 1.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToInit {
    /// Builds the empty container, with the overlay, `/dev` and the binds as descriptors.
    Make(Make),
    /// Runs the command, with stdout, stderr, control, listener as descriptors.
    Run { command: Command, given: Given },
    /// Stays an idle init, for a process that a zygote puts beside it.
    Host,
    /// SIGTERM for the command.
    Terminate,
}

/// How pid 1 furnishes the container.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Make {
    pub(crate) title: String,
    pub(crate) hostname: String,
    /// Where the command starts; made if the image has no such directory.
    pub(crate) directory: PathBuf,
    pub(crate) binds: Vec<Target>,
    pub(crate) address: Option<Address>,
    pub(crate) role: Role,
    /// Limits to be kept by those of processes, where there are no cgroups.
    pub(crate) limits: Option<Limits>,
}

/// What a container may do beyond the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Nothing.
    Plain,
    /// What package managers need.
    Build,
    /// Join the namespaces of those that are forked from it.
    Zygote,
}

/// Where a bind goes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) path: PathBuf,
    pub(crate) directory: bool,
}

/// The container's end of its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) inside: Ipv4Addr,
    pub(crate) gateway: Ipv4Addr,
    pub(crate) prefix: u8,
}

/// Pid 1 to helper, in this order, `Failed` instead of any.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromInit {
    Made {
        took: Duration,
    },
    Running,
    Ended(ExitStatus),
    /// A process that was not the command's ended: of a zygote's pid 1, one of those forked from it.
    Reaped {
        pid: i32,
        status: ExitStatus,
    },
    Failed(Failure),
}
