//! What happens to a pool, and what a pool wants done.

use super::Settings;

/// One request of a pool. The caller numbers them and never uses a number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// One container of a pool, numbered by the pool and never reused. Who runs the actions gives each a
/// [`crate::id::ContainerId`]: that one is unique beyond this pool and needs entropy, which there is none of here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerNumber(pub u64);

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A waiting request does not want a container any more: its client left, or its deadline passed.
    Abandoned(RequestId),
    /// A request wants a container.
    Arrived(RequestId),
    /// The container must not be given another request.
    Broken(ContainerNumber),
    /// Other settings from now on. `max_inputs` and `single_use` hold for containers that start from now on.
    Configure(Settings),
    /// The container is gone.
    Exited(ContainerNumber),
    /// A request that was assigned to this container has ended, well or not.
    Finished(ContainerNumber, RequestId),
    /// No new containers and no new requests. `Drain` lets containers finish what they hold, `Kill` does not.
    Retire(Stop),
    /// The container could not start, and is gone.
    StartFailed(ContainerNumber),
    /// The container is ready for requests.
    Started(ContainerNumber),
    /// Somebody wants to know whether a container of this function can start.
    Trial,
    /// Nothing, but [`super::Pool::deadline`] has passed.
    Woke,
}

/// What must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give the request to the container.
    Assign(RequestId, ContainerNumber),
    /// Tell the request that it gets no container.
    Reject(RequestId, Reason),
    /// Start a container.
    Start(ContainerNumber),
    /// Stop the container. `Kill` may follow a `Drain`.
    Stop(ContainerNumber, Stop),
    /// Tell everybody who asked for a trial that it did not work.
    TrialFailed(Reason),
    /// Tell everybody who asked for a trial that a container is ready.
    TrialPassed,
}

/// Why a request gets no container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Too many requests wait already.
    Full,
    /// The pool takes no requests any more.
    Retired,
    /// The container could not start, and there is no other.
    StartFailed,
    /// The container was not ready in time, and there is no other.
    StartTimeout,
}

/// How a container is stopped, the gentler first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Finish what is held, shut down, exit.
    Drain,
    /// Gone at once, with what is held.
    Kill,
}
