//! What happens to a pool, and what a pool wants done.

use std::time::Instant;

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
    /// Another pool needs the room of one container: the one that is missed least, as [`super::Pool::spare`] says.
    GiveWay,
    /// There is room for one more container. Told after [`Action::Want`] alone.
    Granted,
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
    /// The room of one container is free again: it is gone, or was granted and is not wanted any more.
    Vacate,
    /// Room is wanted for so many containers from now on, those not counted that were granted.
    Want(Want),
}

/// How many containers a pool would start if there were room, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// For requests that wait, a trial, or to have `min_containers`.
    pub now: usize,
    /// For requests that may come (`buffer_containers`).
    pub ahead: usize,
    /// How many of those that there are never give way (`min_containers`).
    pub kept: usize,
    /// Whether one of the first is to prove that a version works.
    pub trial: bool,
}

/// What of a pool could give way to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spare {
    /// Since when nobody has used the idle container that would give way, if there is one.
    pub idle_since: Option<Instant>,
    /// How many of those at work could be the next to leave, at the end of their requests.
    pub busy: usize,
    /// Containers that leave already.
    pub leaving: usize,
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
