//! The desk: what the actor and the requests share, behind one lock.
//!
//! A request that finds a free slot is given it where it stands: the machine is stepped by whoever brings the event, and
//! only what has an effect outside is left to the actor. The lock is held for a step, never across an await and never
//! while a lease is dropped, which takes it again.

use std::collections::HashMap;
use std::mem::take;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pilotlight_core::id::ContainerId;
use pilotlight_core::pool::{
    Action, ContainerNumber, Event, Pool as Machine, Reason, RequestId, Settings, Stats, Stop,
};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use crate::launcher::{Address, Stage, StartFailure, StartReceipt};
use crate::lease::{Lease, LeaseError, Receipt, Ticket};
use crate::members::{Members, Ready};

/// What becomes of a request.
pub(crate) type Reply = Result<Lease, LeaseError>;

/// What the actor has to do outside.
#[derive(Debug)]
pub(crate) enum Errand {
    Start(ContainerNumber),
    Stop(ContainerId, Stop),
    Overdue(ContainerId, Duration),
    Waited(ContainerId, Receipt),
}

/// One pool's state, as everybody who has to do with it holds it.
#[derive(Debug)]
pub(crate) struct Desk {
    state: Mutex<State>,
    /// There are errands, or the next deadline is earlier than the one that the actor waits for.
    pub(crate) rouse: Notify,
}

#[derive(Debug)]
struct State {
    machine: Machine,
    members: Members,
    requests: HashMap<RequestId, Waiting>,
    next: u64,
    trials: Vec<oneshot::Sender<Result<(), StartFailure>>>,
    /// The newest reason why a container did not start.
    failure: StartFailure,
    settings: Settings,
    errands: Vec<Errand>,
    /// Leases whose clients had left when they came.
    unclaimed: Vec<Lease>,
    /// Empty between steps.
    actions: Vec<Action>,
    /// Until when the actor sleeps if it is not roused; `None` is for ever.
    asleep_until: Option<Instant>,
    /// Whether there is no actor any more.
    over: bool,
    stats: watch::Sender<Stats>,
}

/// A request that waits.
#[derive(Debug)]
struct Waiting {
    arrived: Instant,
    reply: oneshot::Sender<Reply>,
}

/// What a request is told at once.
pub(crate) enum Told {
    Reply(Reply),
    /// There is no free slot. It waits under that name.
    Later(RequestId, oneshot::Receiver<Reply>),
}

impl Desk {
    pub(crate) fn new(settings: Settings, stats: watch::Sender<Stats>) -> Self {
        let state = State {
            machine: Machine::new(settings.clone()),
            members: Members::default(),
            requests: HashMap::new(),
            next: 0,
            trials: Vec::new(),
            failure: StartFailure::new(Stage::Exited, "the container did not start"),
            settings,
            errands: Vec::new(),
            unclaimed: Vec::new(),
            actions: Vec::new(),
            asleep_until: None,
            over: false,
            stats,
        };
        Self { state: Mutex::new(state), rouse: Notify::new() }
    }

    /// A request arrives.
    pub(crate) fn arrive(self: &Arc<Self>) -> Told {
        self.with(|state| {
            if state.over {
                return Told::Reply(Err(LeaseError::Retired));
            }
            let (request, arrived) = (RequestId(state.next), Instant::now());
            state.next += 1;
            if let Some(reply) = state.step(self, arrived, Event::Arrived(request), Some(request)) {
                return Told::Reply(reply);
            }
            let (reply, answer) = oneshot::channel();
            state.requests.insert(request, Waiting { arrived, reply });
            Told::Later(request, answer)
        })
    }

    /// Somebody wants to know whether a container can start.
    pub(crate) fn try_out(self: &Arc<Self>, reply: oneshot::Sender<Result<(), StartFailure>>) {
        self.with(|state| {
            if !state.over {
                state.trials.retain(|trial| !trial.is_closed());
                state.trials.push(reply);
                state.step(self, Instant::now(), Event::Trial, None);
            }
        });
    }

    /// Other settings, unless `how` gives an error.
    pub(crate) fn change<E>(
        self: &Arc<Self>,
        how: impl FnOnce(&mut Settings) -> Result<(), E>,
    ) -> Result<(), E> {
        self.with(|state| {
            let mut settings = state.settings.clone();
            how(&mut settings)?;
            if settings != state.settings {
                state.settings = settings.clone();
                state.step(self, Instant::now(), Event::Configure(settings), None);
            }
            Ok(())
        })
    }

    /// Something else happened.
    pub(crate) fn happen(self: &Arc<Self>, event: Event) {
        self.with(|state| {
            if let Event::Abandoned(request) = event {
                state.requests.remove(&request);
            }
            state.step(self, Instant::now(), event, None);
        });
    }

    /// A request went over its time limit in a container.
    pub(crate) fn overdue(self: &Arc<Self>, number: ContainerNumber, timeout: Duration) {
        self.with(|state| {
            if let Some(member) = state.members.get(number) {
                state.errands.push(Errand::Overdue(member.id.clone(), timeout));
            }
        });
    }

    /// The container that was to be started is on its way, under that name.
    pub(crate) fn launched(&self, number: ContainerNumber, container: ContainerId, at: Instant) {
        self.lock().members.add(number, container, at);
    }

    /// The container listens.
    pub(crate) fn ready(self: &Arc<Self>, container: &ContainerId, address: Address, receipt: StartReceipt) {
        self.with(|state| {
            let Some(member) = state.members.find(container) else { return };
            let at = Instant::now();
            let ready = member.ready.get_or_insert(Ready { address, at, receipt });
            tracing::debug!(%container, receipt = ?ready.receipt, "container ready");
            let number = member.number;
            state.step(self, at, Event::Started(number), None);
        });
    }

    /// The container is gone: it exited, or could not start.
    pub(crate) fn gone(self: &Arc<Self>, container: &ContainerId, failure: Option<StartFailure>) {
        self.with(|state| {
            let Some(member) = state.members.remove(container) else { return };
            let event = if let Some(failure) = failure {
                tracing::debug!(%container, stage = %failure.stage, summary = failure.summary, "start failed");
                state.failure = failure;
                Event::StartFailed(member.number)
            } else {
                tracing::debug!(%container, "container exited");
                if member.ready.is_none() {
                    state.failure =
                        StartFailure::new(Stage::Exited, "the container exited before it was ready");
                }
                Event::Exited(member.number)
            };
            state.step(self, Instant::now(), event, None);
        });
    }

    /// What there is to do outside, in the order in which to do it.
    pub(crate) fn errands(&self) -> Vec<Errand> {
        take(&mut self.lock().errands)
    }

    /// The actor will sleep until the deadline that this gives, if it is not roused; an error once it need not wake.
    pub(crate) fn sleep(&self) -> Result<Option<Instant>, Over> {
        let mut state = self.lock();
        if state.machine.is_over() {
            return Err(Over);
        }
        state.asleep_until = state.machine.deadline().map(Instant::from_std);
        Ok(state.asleep_until)
    }

    /// There is no actor any more: whoever waits learns it.
    pub(crate) fn close(&self) {
        let (requests, trials) = {
            let mut state = self.lock();
            state.over = true;
            state.stats.send_replace(Stats::default());
            (take(&mut state.requests), take(&mut state.trials))
        };
        drop((requests, trials));
    }

    /// Does `how` under the lock, and outside of it what must not be done there.
    fn with<T>(self: &Arc<Self>, how: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let told = how(&mut state);
        let unclaimed = take(&mut state.unclaimed);
        let rouse = !state.errands.is_empty() || state.machine.is_over() || state.is_due_earlier();
        drop(state);
        if rouse {
            self.rouse.notify_one();
        }
        // Each gives its slot back here.
        drop(unclaimed);
        told
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pool is retired, and its last container is gone.
pub(crate) struct Over;

impl State {
    /// Moves the machine. Gives what becomes of `newcomer`, if it is told at once; it has no reply to hear it by yet.
    fn step(
        &mut self,
        desk: &Arc<Desk>,
        now: Instant,
        event: Event,
        newcomer: Option<RequestId>,
    ) -> Option<Reply> {
        let mut actions = take(&mut self.actions);
        self.machine.step(now.into_std(), event, &mut actions);
        let mut told = None;
        for action in actions.drain(..) {
            match action {
                Action::Assign(request, number) if Some(request) == newcomer => {
                    told = self.lease(desk, request, number, None).map(Ok);
                }
                Action::Reject(request, reason) if Some(request) == newcomer => {
                    told = Some(Err(self.lease_error(reason)));
                }
                other => self.act(desk, now, other),
            }
        }
        self.actions = actions;
        let stats = self.machine.stats();
        self.stats.send_if_modified(|last| std::mem::replace(last, stats) != stats);
        told
    }

    fn act(&mut self, desk: &Arc<Desk>, now: Instant, action: Action) {
        match action {
            Action::Assign(request, number) => self.assign(desk, now, request, number),
            Action::Reject(request, reason) => {
                if let Some(request) = self.requests.remove(&request) {
                    // Nobody listens: nobody needs the error.
                    _ = request.reply.send(Err(self.lease_error(reason)));
                }
            }
            Action::Start(number) => self.errands.push(Errand::Start(number)),
            Action::Stop(number, stop) => {
                if let Some(member) = self.members.get(number) {
                    self.errands.push(Errand::Stop(member.id.clone(), stop));
                }
            }
            Action::TrialFailed(reason) => {
                let failure = match self.lease_error(reason) {
                    LeaseError::Start(failure) => failure,
                    error => StartFailure::new(Stage::Retired, error.to_string()),
                };
                self.end_trials(&Err(failure));
            }
            Action::TrialPassed => self.end_trials(&Ok(())),
        }
    }

    fn assign(&mut self, desk: &Arc<Desk>, now: Instant, request: RequestId, number: ContainerNumber) {
        let Some(Waiting { arrived, reply }) = self.requests.remove(&request) else { return };
        let Some(member) = self.members.get(number) else { return };
        let (container, receipt) = (member.id.clone(), member.receipt(arrived, now));
        let Some(lease) = self.lease(desk, request, number, Some(receipt)) else { return };
        match reply.send(Ok(lease)) {
            Ok(()) => self.errands.push(Errand::Waited(container, receipt)),
            Err(unheard) => self.unclaimed.extend(unheard),
        }
    }

    fn lease(
        &self,
        desk: &Arc<Desk>,
        request: RequestId,
        number: ContainerNumber,
        waited: Option<Receipt>,
    ) -> Option<Lease> {
        let member = self.members.get(number)?;
        let ready = member.ready.as_ref()?;
        let ticket = Ticket { number, request, desk: Arc::clone(desk), broken: AtomicBool::new(false) };
        Some(Lease::new(ready.address.clone(), member.id.clone(), waited, ticket))
    }

    fn end_trials(&mut self, outcome: &Result<(), StartFailure>) {
        for trial in self.trials.drain(..) {
            // Nobody listens: nobody needs the outcome.
            _ = trial.send(outcome.clone());
        }
    }

    fn lease_error(&self, reason: Reason) -> LeaseError {
        match reason {
            Reason::Full => LeaseError::Full,
            Reason::Retired => LeaseError::Retired,
            Reason::StartFailed => LeaseError::Start(self.failure.clone()),
            Reason::StartTimeout => {
                let summary =
                    format!("the container was not ready within {:?}", self.settings.startup_timeout);
                LeaseError::Start(StartFailure::new(Stage::Timeout, summary))
            }
        }
    }

    /// Whether something is due before the actor wakes. It may wake too early instead, which costs nothing: a request
    /// that only moves the end of an idle container later does not rouse it.
    fn is_due_earlier(&self) -> bool {
        let Some(deadline) = self.machine.deadline() else { return false };
        self.asleep_until.is_none_or(|until| deadline < until.into_std())
    }
}
