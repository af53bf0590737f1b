//! The one place where the gateway spawns: a task per listener and per connection to a container. A client's
//! connection is a task of its listener's set.

use std::future::Future;

use tokio::task::JoinHandle;

/// Runs what reads files, where it is in nobody's way.
pub(crate) fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}

/// Runs a task until it ends or its handle aborts it.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}
