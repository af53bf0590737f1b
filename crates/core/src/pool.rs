//! DECIDES when containers of one function start and stop, and which request goes to which container.
//!
//! A pure machine: events go in with the time at which they happened, actions come out. It performs nothing and reads
//! no clock, so that every rule below is tested without a runtime.
//!
//! - There is no container until a request comes, but for `min_containers`.
//! - A request that finds no free slot waits, first come first served, and containers are started for those waiting.
//! - The container used last is used next, so that surplus containers go idle and stop.
//! - A request is given to at most one container; what dies with its container is never given to another.
//! - A container for a single use leaves with the one request that it is given.
//! - Where the machine is shared, a container is started when there is room for it (`room.rs` of this crate decides that),
//!   and others are let go when they have to give way.
//! - A container is named by a number that is never reused: late news about one that is gone is ignored.
//!
//! With n containers and waiting requests each event and each action costs O(log n): whatever is looked for stands in an
//! order of its own (`roster.rs`). Only what concerns every container, other settings and the end, looks at them all.

mod backoff;
mod check;
mod container;
mod event;
mod queue;
mod roster;
mod settings;
#[cfg(test)]
mod tests;

use std::mem::take;
use std::time::Instant;

use backoff::Backoff;
use container::{Container, Phase};
pub use event::{Action, ContainerNumber, Event, Reason, RequestId, Spare, Stop, Want};
use queue::Queue;
use roster::Roster;
pub use settings::{Pace, Settings};

/// The containers of one function and the requests that wait for them.
#[derive(Debug)]
pub struct Pool {
    settings: Settings,
    containers: Roster,
    waiting: Queue,
    backoff: Backoff,
    next: u64,
    retired: bool,
    /// When the next start may begin, if one waits for its turn.
    paced: Option<Instant>,
    /// What was said to be wanted last.
    told: Want,
    /// Somebody wants one container to be ready, and none is yet.
    trial: bool,
}

/// How many containers and requests a pool has at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Containers that may be given requests, those at work included.
    pub ready: usize,
    /// Containers that are not ready yet.
    pub starting: usize,
    /// Containers that hold at least one request.
    pub busy: usize,
    /// Requests that wait for a container.
    pub waiting: usize,
    /// Containers that get no more requests and are not gone yet.
    pub leaving: usize,
}

impl Pool {
    /// A pool without containers. The first [`Pool::step`] (a [`Event::Woke`] will do) starts `min_containers`.
    pub fn new(settings: Settings) -> Self {
        let settings = settings.normalised();
        Self {
            containers: Roster::new(settings.target_inputs),
            settings,
            waiting: Queue::default(),
            backoff: Backoff::default(),
            next: 0,
            retired: false,
            paced: None,
            told: Want::default(),
            trial: false,
        }
    }

    /// Moves the pool by one event at `now` and pushes what must be done to `out`, in the order to do it.
    pub fn step(&mut self, now: Instant, event: Event, out: &mut Vec<Action>) {
        let granted = matches!(event, Event::Granted);
        match event {
            Event::Abandoned(request) => self.waiting.remove(request),
            Event::Arrived(request) => self.arrived(now, request, out),
            // Not drained: what is broken may not listen. Other requests that it holds may still end.
            Event::Broken(number) => self.dismiss(now, number, Stop::Kill, out),
            Event::Configure(settings) => self.configure(now, settings, out),
            Event::Exited(number) | Event::StartFailed(number) => self.gone(now, number, out),
            Event::Finished(number, request) => self.finished(now, number, request, out),
            Event::Retire(stop) => self.retire(now, stop, out),
            Event::Started(number) => self.started(now, number, out),
            Event::Trial => self.try_out(out),
            Event::GiveWay => self.give_way(now, out),
            Event::Granted | Event::Woke => {}
        }
        self.expire(now, out);
        self.assign(out);
        while self.waiting.len() > self.settings.queue_max {
            out.extend(self.waiting.pop_newest().map(|request| Action::Reject(request, Reason::Full)));
        }
        self.grow(now, granted, out);
        self.shrink(now, out);
    }

    /// When to call `step(now, Event::Woke)` next, if nothing else happens. Always later than the last step.
    pub fn deadline(&self) -> Option<Instant> {
        let end = self.containers.first_end().map(|(at, _)| at);
        let surplus = self.surplus().map(|(_, at)| at);
        // Nothing to wake for while it waits for room.
        let asking = self.told.now + self.told.ahead > 0;
        let pausing = self.containers.starting() == 0 && !asking && self.missing() > 0;
        let again = if pausing { self.backoff.until() } else { None };
        [end, surplus, again, self.paced].into_iter().flatten().min()
    }

    /// True once the pool is retired and its last container is gone. Nothing will happen any more.
    pub fn is_over(&self) -> bool {
        self.retired && self.containers.is_empty()
    }

    /// Whether more containers would be started if there were room.
    pub fn waits_for_room(&self) -> bool {
        self.told.now > 0
    }

    /// What could give way to another pool. Never what `min_containers` keeps.
    pub fn spare(&self) -> Spare {
        let usable = self.containers.usable();
        let above = usable.saturating_sub(self.settings.min_containers);
        let idle_since = self.containers.idlest().map(|(used, _)| used).filter(|_| above > 0);
        Spare { idle_since, busy: above.min(self.containers.busy()), leaving: self.containers.len() - usable }
    }

    /// How many containers and requests there are now.
    pub fn stats(&self) -> Stats {
        Stats {
            ready: self.containers.ready(),
            starting: self.containers.starting(),
            busy: self.containers.holding(),
            waiting: self.waiting.len(),
            leaving: self.containers.len() - self.containers.usable(),
        }
    }

    fn arrived(&mut self, now: Instant, request: RequestId, out: &mut Vec<Action>) {
        if self.retired {
            out.push(Action::Reject(request, Reason::Retired));
            return;
        }
        // First what is overdue: a start that fails in this instant was not made for this request.
        self.expire(now, out);
        self.waiting.push(request);
    }

    fn started(&mut self, now: Instant, number: ContainerNumber, out: &mut Vec<Action>) {
        if !self.containers.get(number).is_some_and(Container::is_starting) {
            return;
        }
        self.containers.change(number, |container| {
            container.phase = Phase::Ready;
            container.used = now;
        });
        self.backoff.succeeded();
        if take(&mut self.trial) {
            out.push(Action::TrialPassed);
        }
    }

    /// The container is gone, whatever it was doing. Requests inside it are lost, never given to another.
    fn gone(&mut self, now: Instant, number: ContainerNumber, out: &mut Vec<Action>) {
        let Some(container) = self.containers.remove(number) else { return };
        if self.settings.admitted {
            out.push(Action::Vacate);
        }
        match container.phase {
            Phase::Starting { .. } => self.start_failed(now, Reason::StartFailed, out),
            // Ready, then dead before it was given anything: the other half of a crash loop. What dies in its first
            // request had started well.
            Phase::Ready if !container.served && container.is_idle() => self.backoff.failed(now),
            Phase::Leaving { .. } | Phase::Ready | Phase::Stopping { .. } => {}
        }
    }

    /// One start failed. If nothing else can serve those who wait, they learn it now.
    fn start_failed(&mut self, now: Instant, reason: Reason, out: &mut Vec<Action>) {
        self.backoff.failed(now);
        if self.containers.usable() == 0 {
            self.reject_all(reason, out);
        }
    }

    fn finished(&mut self, now: Instant, number: ContainerNumber, request: RequestId, out: &mut Vec<Action>) {
        let held = self.containers.change(number, |container| {
            let index = container.running.iter().position(|running| *running == request)?;
            container.running.swap_remove(index);
            container.served = true;
            container.used = now;
            Some((container.phase, container.is_idle()))
        });
        if let Some(Some((Phase::Leaving { how }, true))) = held {
            self.stop(now, number, how, out);
        }
    }

    fn configure(&mut self, now: Instant, settings: Settings, out: &mut Vec<Action>) {
        self.settings = settings.normalised();
        self.containers.aim(self.settings.target_inputs);
        let surplus =
            self.containers.usable().saturating_sub(self.settings.max_containers.unwrap_or(usize::MAX));
        // The least useful first: those not ready yet, the idle, those used longest ago.
        let mut usable: Vec<_> =
            self.containers.iter().filter(|(_, container)| container.is_usable()).collect();
        usable.sort_by_key(|(number, container)| {
            (!container.is_starting(), !container.is_idle(), container.used, *number)
        });
        let surplus: Vec<_> = usable.into_iter().take(surplus).map(|(number, _)| number).collect();
        for number in surplus {
            self.dismiss(now, number, Stop::Drain, out);
        }
    }

    fn retire(&mut self, now: Instant, stop: Stop, out: &mut Vec<Action>) {
        self.retired = true;
        self.reject_all(Reason::Retired, out);
        let numbers: Vec<_> = self.containers.iter().map(|(number, _)| number).collect();
        for number in numbers {
            match stop {
                Stop::Drain => self.dismiss(now, number, Stop::Drain, out),
                Stop::Kill => self.stop(now, number, Stop::Kill, out),
            }
        }
    }

    fn try_out(&mut self, out: &mut Vec<Action>) {
        if self.retired {
            out.push(Action::TrialFailed(Reason::Retired));
        } else if self.containers.ready() > 0 {
            out.push(Action::TrialPassed);
        } else {
            self.trial = true;
        }
    }

    /// Ends the waits that are over: starts that take too long, and drains that nobody listens to.
    fn expire(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some((number, was_starting)) = self.overdue(now) {
            self.stop(now, number, Stop::Kill, out);
            if was_starting {
                self.start_failed(now, Reason::StartTimeout, out);
            }
        }
    }

    /// Gives waiting requests to free slots.
    fn assign(&mut self, out: &mut Vec<Action>) {
        while !self.waiting.is_empty()
            && let Some(number) = self.containers.free()
            && let Some(request) = self.waiting.pop()
        {
            self.containers.change(number, |container| {
                container.running.push(request);
                if container.single_use {
                    container.phase = Phase::Leaving { how: Stop::Drain };
                }
            });
            out.push(Action::Assign(request, number));
        }
    }

    /// Starts the containers that are missing. After a failure: one at a time, and not before the pause is over,
    /// unless a request or a trial has nothing else to wait for. Where each needs room, says how many it would start.
    fn grow(&mut self, now: Instant, granted: bool, out: &mut Vec<Action>) {
        let mut missing = self.missing();
        if missing > 0
            && let Some(until) = self.backoff.until()
        {
            let pressed = self.containers.usable() == 0 && (self.trial || !self.waiting.is_empty());
            let may_try = self.containers.starting() == 0 && (pressed || now >= until);
            missing = usize::from(may_try);
        }
        let turn = self.turn(now);
        self.paced = (missing > turn.0).then_some(turn.1).flatten();
        missing = missing.min(turn.0);
        if self.settings.admitted {
            let needed = if missing > 0 { self.lacking(0).min(missing) } else { 0 };
            let starts = missing.min(usize::from(granted));
            self.want(missing - starts, needed.saturating_sub(starts), granted, out);
            if granted && starts == 0 {
                out.push(Action::Vacate);
            }
            missing = starts;
        }
        for _ in 0..missing {
            let number = ContainerNumber(self.next);
            self.next += 1;
            self.containers.insert(number, Container::starting(now, &self.settings));
            out.push(Action::Start(number));
        }
    }

    /// Says what is wanted, if that is not known: a grant may have crossed what was said last.
    fn want(&mut self, missing: usize, needed: usize, granted: bool, out: &mut Vec<Action>) {
        let want = Want {
            now: needed,
            ahead: missing - needed,
            kept: if self.retired { 0 } else { self.settings.min_containers },
            trial: self.trial && needed > 0 && self.containers.usable() == 0,
        };
        if std::mem::replace(&mut self.told, want) != want || granted {
            out.push(Action::Want(want));
        }
    }

    /// Lets one container go that others need the room of: the one that nobody has used for longest, or else the one at
    /// work that has the least to end.
    fn give_way(&mut self, now: Instant, out: &mut Vec<Action>) {
        let spare = self.spare();
        let least = || {
            let ready = self.containers.iter().filter(|(_, container)| container.is_ready());
            let least =
                ready.min_by_key(|(number, container)| (container.running.len(), container.used, *number));
            least.map(|(number, _)| number).filter(|_| spare.busy > 0)
        };
        let idlest = self.containers.idlest().filter(|_| spare.idle_since.is_some());
        if let Some(number) = idlest.map(|(_, number)| number).or_else(least) {
            self.dismiss(now, number, Stop::Drain, out);
        }
    }

    /// How many starts may begin now, and when the next may if nothing else happens.
    fn turn(&self, now: Instant) -> (usize, Option<Instant>) {
        let Some(pace) = self.settings.pace else { return (usize::MAX, None) };
        let recent = self.containers.begun().map(|begun| begun + pace.slow).take_while(|until| *until > now);
        let (mut count, mut next) = (0, None);
        for until in recent.take(pace.starts) {
            count += 1;
            next = Some(until);
        }
        (pace.starts - count, next.or(Some(now + pace.slow)))
    }

    /// Stops the containers that nobody has used for a while.
    fn shrink(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some((number, at)) = self.surplus()
            && at <= now
        {
            self.stop(now, number, Stop::Drain, out);
        }
    }

    /// Lets a container go as gently as it can be: at once if it holds nothing, else when its last request ends.
    fn dismiss(&mut self, now: Instant, number: ContainerNumber, how: Stop, out: &mut Vec<Action>) {
        let Some(container) = self.containers.get(number) else { return };
        match container.phase {
            // It holds nothing, and does not listen yet.
            Phase::Starting { .. } => self.stop(now, number, Stop::Kill, out),
            Phase::Ready if container.is_idle() => self.stop(now, number, how, out),
            Phase::Ready => self.leave(number, how),
            Phase::Leaving { how: before } => self.leave(number, before.max(how)),
            Phase::Stopping { .. } => {}
        }
    }

    /// No more requests for this one; it is stopped when its last has ended.
    fn leave(&mut self, number: ContainerNumber, how: Stop) {
        self.containers.change(number, |container| container.phase = Phase::Leaving { how });
    }

    fn stop(&mut self, now: Instant, number: ContainerNumber, how: Stop, out: &mut Vec<Action>) {
        let told = self.containers.get(number).map(|container| container.phase);
        if matches!(told, None | Some(Phase::Stopping { kill_at: None })) {
            return;
        }
        let kill_at = (how == Stop::Drain).then(|| now + self.settings.drain_timeout);
        self.containers.change(number, |container| container.phase = Phase::Stopping { kill_at });
        out.push(Action::Stop(number, how));
    }

    fn reject_all(&mut self, reason: Reason, out: &mut Vec<Action>) {
        out.extend(std::iter::from_fn(|| self.waiting.pop()).map(|request| Action::Reject(request, reason)));
        if take(&mut self.trial) {
            out.push(Action::TrialFailed(reason));
        }
    }

    /// How many containers to start if no pause forbade it.
    fn missing(&self) -> usize {
        self.lacking(self.buffer())
    }

    /// How many are missing if so many are to be spare.
    fn lacking(&self, spare: usize) -> usize {
        if self.retired {
            return 0;
        }
        let queued = self.waiting.len().div_ceil(self.settings.max_inputs);
        let wanted = self.floor(spare).max(self.containers.busy() + queued + spare);
        let wanted = wanted.max(self.aim(self.waiting.len())).max(usize::from(self.trial));
        let room = self.settings.max_containers.unwrap_or(usize::MAX).saturating_sub(self.containers.len());
        wanted.saturating_sub(self.containers.usable()).min(room)
    }

    /// The idle container to stop next and when, if there are more ready ones than to be kept.
    fn surplus(&self) -> Option<(ContainerNumber, Instant)> {
        if self.retired || self.containers.ready() <= self.floor(self.buffer()) {
            return None;
        }
        let (used, number) = self.containers.idlest()?;
        Some((number, used + self.settings.idle))
    }

    /// The container whose wait is over, and whether it was to become ready.
    fn overdue(&self, now: Instant) -> Option<(ContainerNumber, bool)> {
        let (at, number) = self.containers.first_end()?;
        let was_starting = self.containers.get(number).is_some_and(Container::is_starting);
        (at <= now).then_some((number, was_starting))
    }

    /// How many containers are kept though nobody waits, so many of them spare.
    fn floor(&self, spare: usize) -> usize {
        let floor = self.settings.min_containers.max(self.containers.busy() + spare).max(self.aim(0));
        floor.min(self.settings.max_containers.unwrap_or(usize::MAX))
    }

    /// How many containers would hold the requests that run, and so many that wait, at the target.
    fn aim(&self, waiting: usize) -> usize {
        let Some(target) = self.settings.target_inputs else { return 0 };
        (self.containers.running() + waiting).div_ceil(target)
    }

    /// Spare containers are kept only while there is work.
    fn buffer(&self) -> usize {
        let active = !self.waiting.is_empty() || self.containers.holding() > 0;
        if active { self.settings.buffer_containers } else { 0 }
    }
}
