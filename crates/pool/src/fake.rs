//! A launcher without containers, for tests of whatever uses a pool.
//!
//! Each launch follows a plan that the test gives: ready at a socket that the test serves, failed, or held until the
//! test says what becomes of it. A container that is told to stop exits at once, unless the test holds that too.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pilotlight_core::id::ContainerId;
use pilotlight_core::pool::Stop;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::launcher::{Address, LaunchEvent, Launcher, Sender, StartFailure, StartReceipt, TimeLimit};

/// What becomes of a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It cannot start.
    Fail(StartFailure),
    /// Nothing, until the test calls [`FakeLauncher::ready`], [`FakeLauncher::fail`] or [`FakeLauncher::exit`].
    Hold,
    /// It is ready at once.
    Ready(Address),
    /// It is ready after a while. Needs [`FakeLauncher::run`] to be polled.
    ReadyAfter(Duration, Address),
}

/// A launcher without containers. Clones share everything.
#[derive(Clone)]
pub struct FakeLauncher {
    state: Arc<Mutex<State>>,
    /// Changes with every call, for those who wait for one.
    calls: watch::Sender<u64>,
}

type Plan = Box<dyn FnMut(&ContainerId) -> Outcome + Send>;

struct State {
    plan: Plan,
    receipt: StartReceipt,
    holds_stops: bool,
    alive: HashMap<ContainerId, Sender>,
    later: Vec<(Instant, ContainerId, Address)>,
    launched: Vec<ContainerId>,
    stopped: Vec<(ContainerId, Stop)>,
    overdue: Vec<(ContainerId, TimeLimit)>,
}

impl FakeLauncher {
    /// Every container is ready at once, and listens at `path`.
    pub fn serving(path: impl Into<PathBuf>) -> Self {
        let address = Address::new(path.into());
        Self::planned(move |_| Outcome::Ready(address.clone()))
    }

    /// Every launch is held.
    pub fn holding() -> Self {
        Self::planned(|_| Outcome::Hold)
    }

    /// Every launch does what `plan` says.
    pub fn planned(plan: impl FnMut(&ContainerId) -> Outcome + Send + 'static) -> Self {
        let state = State {
            plan: Box::new(plan),
            receipt: StartReceipt::default(),
            holds_stops: false,
            alive: HashMap::new(),
            later: Vec::new(),
            launched: Vec::new(),
            stopped: Vec::new(),
            overdue: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), calls: watch::Sender::new(0) }
    }

    /// Another plan for the launches from now on.
    pub fn plan(&self, plan: impl FnMut(&ContainerId) -> Outcome + Send + 'static) {
        self.lock().plan = Box::new(plan);
    }

    /// The receipt of every start from now on.
    pub fn set_receipt(&self, receipt: StartReceipt) {
        self.lock().receipt = receipt;
    }

    /// Whether a container that is told to stop stays until the test calls [`FakeLauncher::exit`].
    pub fn hold_stops(&self, hold: bool) {
        self.lock().holds_stops = hold;
    }

    /// The container becomes ready, and listens at `path`.
    pub fn ready(&self, container: &ContainerId, path: impl Into<PathBuf>) {
        self.lock().ready(container, Address::new(path.into()));
    }

    /// The container could not start.
    pub fn fail(&self, container: &ContainerId, failure: StartFailure) {
        self.lock().fail(container, failure);
    }

    /// The container is gone: it crashed, or has stopped.
    pub fn exit(&self, container: &ContainerId) {
        self.lock().exit(container);
    }

    /// Every container launched, oldest first.
    pub fn launched(&self) -> Vec<ContainerId> {
        self.lock().launched.clone()
    }

    /// Every stop asked for, oldest first.
    pub fn stopped(&self) -> Vec<(ContainerId, Stop)> {
        self.lock().stopped.clone()
    }

    /// Containers that a request was too long in, with its timeout, in the order in which that was told.
    pub fn overdue(&self) -> Vec<(ContainerId, TimeLimit)> {
        self.lock().overdue.clone()
    }

    /// How many containers are launched and not gone.
    pub fn alive(&self) -> usize {
        self.lock().alive.len()
    }

    /// Waits for the launch of the `index`-th container, counted from zero.
    pub async fn nth_launch(&self, index: usize) -> ContainerId {
        self.wait_for(|state| state.launched.get(index).cloned()).await
    }

    /// Waits for the `index`-th stop, counted from zero.
    pub async fn nth_stop(&self, index: usize) -> (ContainerId, Stop) {
        self.wait_for(|state| state.stopped.get(index).cloned()).await
    }

    /// Plays out [`Outcome::ReadyAfter`]. Never ends: spawn it beside the pool, or poll it in a `select!`.
    pub async fn run(&self) {
        let mut calls = self.calls.subscribe();
        loop {
            calls.borrow_and_update();
            let next = self.lock().later.iter().map(|(at, ..)| *at).min();
            // Without a next one any moment does: the call that makes one wakes us before.
            let at = next.unwrap_or_else(|| Instant::now() + Duration::from_hours(1));
            tokio::select! {
                _ = calls.changed() => {}
                () = sleep_until(at) => self.lock().ready_until(at),
            }
        }
    }

    async fn wait_for<T>(&self, find: impl Fn(&State) -> Option<T>) -> T {
        let mut calls = self.calls.subscribe();
        loop {
            calls.borrow_and_update();
            if let Some(found) = find(&self.lock()) {
                return found;
            }
            calls.changed().await.expect("the sender is a field of self");
        }
    }

    /// A test that panicked elsewhere shall not hide its message behind ours.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Launcher for FakeLauncher {
    fn launch(&self, events: Sender) -> ContainerId {
        let container = ContainerId::from_entropy(entropy());
        let mut state = self.lock();
        state.launched.push(container.clone());
        state.alive.insert(container.clone(), events);
        match (state.plan)(&container) {
            Outcome::Fail(failure) => state.fail(&container, failure),
            Outcome::Hold => {}
            Outcome::Ready(address) => state.ready(&container, address),
            Outcome::ReadyAfter(delay, address) => {
                state.later.push((Instant::now() + delay, container.clone(), address));
            }
        }
        drop(state);
        self.calls.send_modify(|calls| *calls += 1);
        container
    }

    fn overdue(&self, container: &ContainerId, limit: TimeLimit) {
        self.lock().overdue.push((container.clone(), limit));
    }

    fn stop(&self, container: ContainerId, stop: Stop) {
        let mut state = self.lock();
        state.stopped.push((container.clone(), stop));
        if !state.holds_stops {
            state.exit(&container);
        }
        drop(state);
        self.calls.send_modify(|calls| *calls += 1);
    }
}

/// Bits that no other call gives: the standard library keys each of its hashers anew.
fn entropy() -> u128 {
    u128::from(RandomState::new().hash_one(std::process::id()))
}

impl State {
    fn ready(&mut self, container: &ContainerId, address: Address) {
        if let Some(events) = self.alive.get(container) {
            let receipt = self.receipt;
            events.send(LaunchEvent::Ready { container: container.clone(), address, receipt });
        }
    }

    fn ready_until(&mut self, at: Instant) {
        let due: Vec<_> = self.later.extract_if(.., |(due, ..)| *due <= at).collect();
        for (_, container, address) in due {
            self.ready(&container, address);
        }
    }

    fn fail(&mut self, container: &ContainerId, failure: StartFailure) {
        if let Some(events) = self.alive.remove(container) {
            events.send(LaunchEvent::Failed { container: container.clone(), failure });
        }
    }

    fn exit(&mut self, container: &ContainerId) {
        if let Some(events) = self.alive.remove(container) {
            events.send(LaunchEvent::Exited { container: container.clone() });
        }
    }
}
