//! The one place that spawns long-lived tasks, each with a name that a log line can carry.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::Instrument as _;

/// What a task is for. One variant per kind of task that the server runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Serves the control socket.
    Control,
    /// Follows one container's control channel and log from start to end.
    Container,
    /// Follows one zygote from its lighting to its end.
    Zygote,
    /// Makes shells ahead for one function.
    Shells,
    /// Puts out zygotes that are too many or too old.
    Hearth,
    /// Keeps images within what they may take on disk.
    Images,
    /// Uses renewed certificates.
    Certificates,
    /// A function's pool.
    Pool,
    /// Applies a manifest: builds, verifies, swaps.
    Apply,
    /// Lets what a stopped or replaced version has under way come to its end.
    Ending,
    /// Feeds one reader of logs.
    Logs,
}

/// Spawns a task. A panic in it ends that task alone and is logged by the runtime's panic hook.
pub(crate) fn spawn<F>(kind: Kind, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future.instrument(tracing::debug_span!("task", ?kind)))
}
