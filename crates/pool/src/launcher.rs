//! The port through which a pool reaches containers. Declared here, by its user; the binary brings the adapter.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pilotlight_core::id::ContainerId;
use pilotlight_core::pool::Stop;
use tokio::sync::mpsc;

use crate::lease::Receipt;

/// Starts and stops the containers of one function. No method blocks: what comes of it arrives as an event.
///
/// For every launch the implementation sends at most one `Ready` and then exactly one of `Failed` and `Exited`, be it
/// asked to stop the container or not: the pool counts a container until then. `Failed` is for one that was never
/// ready; whatever of it is left is the launcher's to clean up.
pub trait Launcher: Send + Sync + 'static {
    /// Starts a container and tells `events` what becomes of it. The launcher names it, since it may have made much of
    /// it before it was asked to. No id is given twice.
    fn launch(&self, events: Sender) -> ContainerId;

    /// Stops a container. May be called for one that is still starting or already gone, and twice for the same one.
    fn stop(&self, container: ContainerId, stop: Stop);

    /// A request that had to wait was given to a container. Told for the records; nothing is expected of it.
    fn waited(&self, container: &ContainerId, receipt: &Receipt) {
        let _ = (container, receipt);
    }

    /// Hears why a container will be stopped: a request to it went over this limit.
    fn overdue(&self, container: &ContainerId, limit: TimeLimit);
}

/// How long a request may be with a container, in one of two senses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimit {
    /// As the user sets it: `timeout`, `total_timeout`.
    pub name: &'static str,
    /// How long it is.
    pub after: Duration,
}

/// What became of a container.
#[derive(Clone, Debug)]
pub enum LaunchEvent {
    /// The container is gone.
    Exited {
        /// Which one.
        container: ContainerId,
    },
    /// The container could not start.
    Failed {
        /// Which one.
        container: ContainerId,
        /// Why, for the person who asked for it.
        failure: StartFailure,
    },
    /// The container listens.
    Ready {
        /// Which one.
        container: ContainerId,
        /// Where it listens.
        address: Address,
        /// Where the time of its start went.
        receipt: StartReceipt,
    },
}

/// Where a launcher sends its events. Cheap to clone; sending never blocks, from any thread.
#[derive(Clone, Debug)]
pub struct Sender(mpsc::UnboundedSender<LaunchEvent>);

impl Sender {
    /// The queue has no bound of its own: a container sends two events in its life, and containers are bounded.
    pub(crate) fn channel() -> (Self, mpsc::UnboundedReceiver<LaunchEvent>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Tells the pool. Without effect once the pool is gone.
    pub fn send(&self, event: LaunchEvent) {
        // A pool that ended has no containers left to hear about.
        let _ = self.0.send(event);
    }
}

/// The Unix socket of one container. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address(Arc<Path>);

impl Address {
    /// The address of the socket at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self(path.into())
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Self {
        Self::new(path)
    }
}

/// Where the time of a start went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartReceipt {
    /// Making the empty container; without a zygote, to the first word of its interpreter.
    pub sandbox: Duration,
    /// From there to the first word of the fork of a zygote; zero without one.
    pub fork: Duration,
    /// Importing the user's module.
    pub import: Duration,
    /// Building the web app, its lifespan start included.
    pub app: Duration,
    /// Which way was taken, a word for people: `function-zygote`, `image-zygote`, `plain`.
    pub path: &'static str,
}

/// Why a container did not become ready. Written for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{summary}")]
pub struct StartFailure {
    /// How far it got.
    pub stage: Stage,
    /// One line: `ModuleNotFoundError: No module named 'x'`.
    pub summary: String,
    /// The user's traceback, if there is one.
    pub traceback: Option<String>,
}

impl StartFailure {
    /// A failure without a traceback.
    pub fn new(stage: Stage, summary: impl Into<String>) -> Self {
        Self { stage, summary: summary.into(), traceback: None }
    }
}

/// How far the start of a container got before it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The user's web app could not be built.
    App,
    /// The container ended before it was ready, without saying why.
    Exited,
    /// The user's module could not be imported.
    Import,
    /// The lifespan start of the user's app failed.
    Lifespan,
    /// The pool was retired meanwhile.
    Retired,
    /// The container itself could not be made. Not the user's fault.
    Sandbox,
    /// The container was not ready in time.
    Timeout,
}

impl Stage {
    /// True if the user's own code failed.
    pub fn is_users(self) -> bool {
        matches!(self, Self::App | Self::Import | Self::Lifespan)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::App => "app",
            Self::Exited => "exited",
            Self::Import => "import",
            Self::Lifespan => "lifespan",
            Self::Retired => "retired",
            Self::Sandbox => "sandbox",
            Self::Timeout => "timeout",
        })
    }
}
