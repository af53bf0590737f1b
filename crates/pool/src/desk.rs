//! The desk: what the actor and the requests share, behind one lock.
//!
//! A request that finds a free slot is given it where it stands: the machine is stepped by whoever brings the event, and
//! only what has an effect outside is left to the actor. The lock is held for a step, never across an await and never
//! while a lease is dropped, which takes it again.

use std::collections::HashMap;
use std::mem::take;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pilotlight_core::id::ContainerId;
use pilotlight_core::pool::{
    Action, ContainerNumber, Event, Pool as Machine, Reason, RequestId, Settings, Spare, Stats, Stop,
};
use pilotlight_core::room::{Event as RoomEvent, Tenant};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use crate::launcher::{Address, Stage, StartFailure, StartReceipt, TimeLimit};
use crate::lease::{Lease, LeaseError, Receipt, Ticket};
use crate::members::{Members, Ready};
use crate::room::Seat;

/// What becomes of a request.
pub(crate) type Reply = Result<Lease, LeaseError>;

/// What the actor has to do outside.
#[derive(Debug)]
pub(crate) enum Errand {
    Start(ContainerNumber),
    /// Of one that is launched by then: the errands are run in their order.
    Stop(ContainerNumber, Stop),
    Overdue(ContainerId, TimeLimit),
    Waited(ContainerId, Receipt),
    /// Somebody waits for room, and something has changed.
    MakeRoom,
}

/// One pool's state, as everybody who has to do with it holds it.
#[derive(Debug)]
pub(crate) struct Desk {
    state: Mutex<State>,
    /// There are errands, or the next deadline is earlier than the one that the actor waits for.
    pub(crate) rouse: Notify,
    /// Where the pool has to ask before it starts a container.
    seat: Option<Seat>,
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
    /// How many containers there is room for, which the machine has not been told.
    room: usize,
    /// Other pools that may start a container each.
    granted: Vec<Arc<Desk>>,
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
    pub(crate) fn new(mut settings: Settings, stats: watch::Sender<Stats>, seat: Option<Seat>) -> Self {
        settings.admitted = seat.is_some();
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
            room: 0,
            granted: Vec::new(),
            actions: Vec::new(),
            asleep_until: None,
            over: false,
            stats,
        };
        Self { state: Mutex::new(state), rouse: Notify::new(), seat }
    }

    /// A request arrives.
    pub(crate) fn arrive(self: &Arc<Self>) -> Told {
        self.with(|state| {
            if state.over {
                return Told::Reply(Err(LeaseError::Retired));
            }
            if self.seat.as_ref().is_some_and(|seat| !seat.fits) {
                return Told::Reply(Err(LeaseError::TooLarge));
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

    /// The deadline has passed that the actor slept for.
    pub(crate) fn wake(self: &Arc<Self>) {
        self.with(|state| {
            if let Some(seat) = &self.seat {
                state.tell(seat, |_| RoomEvent::Woke);
            }
            state.step(self, Instant::now(), Event::Woke, None);
        });
    }

    /// What could give way to another pool.
    pub(crate) fn spare(&self) -> Spare {
        self.lock().machine.spare()
    }

    /// Lets one container go for another pool; false if there is none to let go.
    pub(crate) fn give_way(self: &Arc<Self>) -> bool {
        self.with(|state| {
            let before = state.machine.spare().leaving;
            state.step(self, Instant::now(), Event::GiveWay, None);
            state.machine.spare().leaving > before
        })
    }

    /// Lets others give way to whom waits.
    pub(crate) fn make_room(&self) {
        if let Some(seat) = &self.seat {
            seat.room().make();
        }
    }

    /// Whether the requests that wait do so because the machine is full.
    pub(crate) fn waits_for_room(&self) -> bool {
        self.lock().machine.waits_for_room()
    }

    /// A request went over its time limit in a container.
    pub(crate) fn overdue(self: &Arc<Self>, number: ContainerNumber, limit: TimeLimit) {
        self.with(|state| {
            if let Some(member) = state.members.get(number) {
                state.errands.push(Errand::Overdue(member.id.clone(), limit));
            }
        });
    }

    /// The container that was to be started is on its way, under that name.
    pub(crate) fn launched(&self, number: ContainerNumber, container: ContainerId, at: Instant) {
        self.lock().members.add(number, container, at);
    }

    /// Which container that is, if it is not gone.
    pub(crate) fn container(&self, number: ContainerNumber) -> Option<ContainerId> {
        self.lock().members.get(number).map(|member| member.id.clone())
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
        let room = self.seat.as_ref().and_then(|seat| seat.room().deadline());
        let own = state.machine.deadline().map(Instant::from_std);
        state.asleep_until = own.into_iter().chain(room).min();
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
        let (unclaimed, granted) = (take(&mut state.unclaimed), take(&mut state.granted));
        let rouse = !state.errands.is_empty() || state.machine.is_over() || state.is_due_earlier();
        drop(state);
        if rouse {
            self.rouse.notify_one();
        }
        // Each gives its slot back here.
        drop(unclaimed);
        for desk in granted {
            desk.happen(Event::Granted);
        }
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
        let comes_to_have = matches!(event, Event::Started(_) | Event::Configure(_));
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
        while self.room > 0 {
            // All that the machine wanted before has been heard by now.
            self.room -= 1;
            self.step(desk, now, Event::Granted, None);
        }
        if let Some(seat) = &desk.seat
            && seat.room().is_short()
            && (comes_to_have || self.machine.spare().idle_since.is_some())
        {
            self.make_room();
        }
        let stats = self.machine.stats();
        self.stats.send_if_modified(|last| std::mem::replace(last, stats) != stats);
        told
    }

    /// Tells the room something, and notes what it grants.
    fn tell(&mut self, seat: &Seat, event: impl FnOnce(Tenant) -> RoomEvent) {
        let granted = seat.tell(event);
        self.room += granted.own;
        self.granted.extend(granted.others);
        if seat.room().is_short() {
            self.make_room();
        }
    }

    /// Leaves it to the actor to ask the pools who gives way: that takes their locks.
    fn make_room(&mut self) {
        if !self.errands.iter().any(|errand| matches!(errand, Errand::MakeRoom)) {
            self.errands.push(Errand::MakeRoom);
        }
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
            Action::Stop(number, stop) => self.errands.push(Errand::Stop(number, stop)),
            Action::TrialFailed(reason) => {
                let failure = match self.lease_error(reason) {
                    LeaseError::Start(failure) => failure,
                    error => StartFailure::new(Stage::Retired, error.to_string()),
                };
                self.end_trials(&Err(failure));
            }
            Action::TrialPassed => self.end_trials(&Ok(())),
            Action::Vacate | Action::Want(_) => {
                if let Some(seat) = &desk.seat {
                    self.tell(seat, |tenant| match action {
                        Action::Want(want) => RoomEvent::Wants(tenant, want),
                        _ => RoomEvent::Returned(tenant, 1),
                    });
                }
            }
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
