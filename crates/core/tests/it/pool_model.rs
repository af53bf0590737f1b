//! The pool machine against a model that sees only events and actions.
//!
//! The events are arbitrary: containers report twice, late or in the wrong order, requests end twice or in a container
//! that never held them. The model keeps its own books of what was promised and refuses any action that breaks it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use pilotlight_core::pool::{Action, ContainerNumber, Event, Pace, Pool, Reason, RequestId, Settings, Stop};
use proptest::prelude::*;

/// One thing that happens. The numbers are indices that may or may not name something that exists.
#[derive(Clone, Debug)]
enum Op {
    Abandon(u64),
    Arrive,
    Break(u64),
    Configure(Settings),
    Exit(u64),
    Fail(u64),
    /// The request ends where it is.
    Finish(u64),
    /// A request is said to end in a container, whatever is true.
    FinishIn(u64, u64),
    GiveWay,
    Pass(u64),
    Retire(Stop),
    Start(u64),
    Trial,
    /// Time passes until the pool wants to be woken.
    Wake,
}

/// The books: what the pool said, and what that allows.
#[derive(Default)]
struct Model {
    settings: Settings,
    /// Containers that were started and are not gone.
    alive: BTreeMap<ContainerNumber, Seen>,
    waiting: Vec<RequestId>,
    ended: BTreeSet<RequestId>,
    numbers: BTreeSet<ContainerNumber>,
    places: HashMap<RequestId, ContainerNumber>,
    retired: bool,
    trials: usize,
}

#[derive(Default)]
struct Seen {
    assigned: BTreeSet<RequestId>,
    max_inputs: usize,
    single_use: bool,
    ready: bool,
    /// It was told to stop, is broken or used up: nothing may be assigned any more.
    closed: bool,
    stop: Option<Stop>,
}

impl Model {
    /// What is known before the pool answers.
    fn before(&mut self, event: &Event) {
        match event {
            Event::Abandoned(request) => {
                if let Some(index) = self.waiting.iter().position(|waiting| waiting == request) {
                    self.waiting.remove(index);
                    self.ended.insert(*request);
                }
            }
            Event::Arrived(request) => self.waiting.push(*request),
            Event::Broken(number) => {
                if let Some(seen) = self.alive.get_mut(number) {
                    seen.closed = true;
                }
            }
            Event::Configure(settings) => self.settings = settings.clone(),
            Event::Exited(number) | Event::StartFailed(number) => {
                self.alive.remove(number);
            }
            Event::Finished(number, request) => {
                if let Some(seen) = self.alive.get_mut(number) {
                    seen.assigned.remove(request);
                }
            }
            Event::Retire(_) => self.retired = true,
            Event::Started(number) => {
                if let Some(seen) = self.alive.get_mut(number) {
                    seen.ready = true;
                }
            }
            Event::Trial => self.trials += 1,
            Event::GiveWay | Event::Granted | Event::Woke => {}
        }
    }

    fn check(&mut self, action: Action) {
        match action {
            Action::Assign(request, number) => {
                assert_eq!(self.waiting.first(), Some(&request), "the longest waiting comes first");
                self.waiting.remove(0);
                assert!(self.places.insert(request, number).is_none(), "given to two containers");
                let seen = self.alive.get_mut(&number).expect("assigned to a container that is gone");
                assert!(seen.ready, "assigned to a container that is not ready");
                assert!(!seen.closed && seen.stop.is_none(), "assigned to a container on its way out");
                assert!(!self.retired, "assigned by a retired pool");
                seen.assigned.insert(request);
                assert!(seen.assigned.len() <= seen.max_inputs, "more requests than slots");
                seen.closed = seen.single_use;
            }
            Action::Reject(request, reason) => {
                let index = self.waiting.iter().position(|waiting| *waiting == request);
                self.waiting.remove(index.expect("rejected a request that does not wait"));
                assert!(self.ended.insert(request), "rejected twice");
                assert_eq!(reason == Reason::Retired, self.retired, "{reason:?}");
            }
            Action::Start(number) => {
                assert!(!self.retired, "a start in a retired pool");
                assert!(self.numbers.insert(number), "a number used twice");
                let Settings { max_inputs, single_use, .. } = self.settings;
                let seen = Seen { max_inputs, single_use, ..Seen::default() };
                self.alive.insert(number, seen);
                let max = self.settings.max_containers.unwrap_or(usize::MAX);
                assert!(self.alive.len() <= max, "more containers than allowed");
            }
            Action::Stop(number, stop) => {
                let seen = self.alive.get_mut(&number).expect("stopped a container that is gone");
                assert!(seen.stop < Some(stop), "stopped twice");
                assert!(stop == Stop::Kill || seen.assigned.is_empty(), "drained while busy");
                seen.stop = Some(stop);
            }
            Action::Vacate | Action::Want(_) => panic!("it has the machine for itself"),
            Action::TrialFailed(_) => self.trials = 0,
            Action::TrialPassed => {
                assert!(
                    self.alive.values().any(|seen| seen.ready),
                    "a trial that passed without a container"
                );
                self.trials = 0;
            }
        }
    }

    fn after(&self, pool: &Pool) {
        let stats = pool.stats();
        assert_eq!(stats.waiting, self.waiting.len());
        assert_eq!(stats.ready + stats.starting + stats.leaving, self.alive.len());
        assert_eq!(stats.busy, self.alive.values().filter(|seen| !seen.assigned.is_empty()).count());
        assert!(self.waiting.len() <= self.settings.queue_max, "the queue is over its bound");
        assert!(self.trials == 0 || stats.ready == 0, "a trial without an answer");
        assert_eq!(pool.is_over(), self.retired && self.alive.is_empty());
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    let seconds = |range: std::ops::Range<u64>| range.prop_map(Duration::from_secs);
    let target = prop::option::of(1..4usize);
    let counts = (0..3usize, prop::option::of(1..5usize), 1..4usize, 1..8usize, 0..2usize, target);
    let pace = prop::option::of((1..3usize, seconds(1..3)).prop_map(|(starts, slow)| Pace { starts, slow }));
    (counts, seconds(0..5), seconds(1..5), pace, prop::bool::weighted(0.2)).prop_map(
        |(
            (min_containers, max_containers, max_inputs, queue_max, buffer_containers, target_inputs),
            idle,
            startup_timeout,
            pace,
            single_use,
        )| Settings {
            admitted: false,
            buffer_containers,
            drain_timeout: Duration::from_secs(3),
            idle,
            max_containers,
            max_inputs,
            min_containers,
            pace,
            queue_max,
            single_use,
            startup_timeout,
            target_inputs,
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        30 => Just(Op::Arrive),
        20 => (0..40u64).prop_map(Op::Start),
        20 => (0..60u64).prop_map(Op::Finish),
        10 => Just(Op::Wake),
        6 => (0..40u64).prop_map(Op::Exit),
        6 => (0..3000u64).prop_map(Op::Pass),
        4 => (0..40u64).prop_map(Op::Fail),
        4 => (0..60u64).prop_map(Op::Abandon),
        3 => (0..40u64, 0..60u64).prop_map(|(container, request)| Op::FinishIn(container, request)),
        3 => (0..40u64).prop_map(Op::Break),
        3 => Just(Op::GiveWay),
        2 => Just(Op::Trial),
        1 => settings().prop_map(Op::Configure),
        1 => prop_oneof![4 => Just(Stop::Drain), 1 => Just(Stop::Kill)].prop_map(Op::Retire),
    ]
}

/// What the operation means to the pool. Recent containers and requests are meant more often than old ones.
fn event(op: &Op, model: &Model, arrived: &mut u64) -> Event {
    let last = model.numbers.last().map_or(0, |number| number.0);
    let container = |index: u64| ContainerNumber((last + 2).saturating_sub(index % (last + 3)));
    let newest = *arrived;
    let request = |index: u64| RequestId((newest + 2).saturating_sub(index % (newest + 3)));
    match op {
        Op::Abandon(index) => Event::Abandoned(request(*index)),
        Op::Arrive => {
            *arrived += 1;
            Event::Arrived(RequestId(*arrived))
        }
        Op::Break(index) => Event::Broken(container(*index)),
        Op::Configure(settings) => Event::Configure(settings.clone()),
        Op::Exit(index) => Event::Exited(container(*index)),
        Op::Fail(index) => Event::StartFailed(container(*index)),
        Op::Finish(index) => {
            let request = request(*index);
            Event::Finished(model.places.get(&request).copied().unwrap_or(container(*index)), request)
        }
        Op::GiveWay => Event::GiveWay,
        Op::FinishIn(index, of) => Event::Finished(container(*index), request(*of)),
        Op::Pass(_) | Op::Wake => Event::Woke,
        Op::Retire(stop) => Event::Retire(*stop),
        Op::Start(index) => Event::Started(container(*index)),
        Op::Trial => Event::Trial,
    }
}

proptest! {
    // How many cases is proptest's own setting, `PROPTEST_CASES`.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pool_keeps_its_promises(settings in settings(), ops in prop::collection::vec(op(), 1..300)) {
        let mut now = Instant::now();
        let mut pool = Pool::new(settings.clone());
        let mut model = Model { settings, ..Model::default() };
        let mut arrived = 0;
        let mut out = Vec::new();
        for op in ops {
            match op {
                Op::Pass(millis) => now += Duration::from_millis(millis),
                Op::Wake => now = pool.deadline().unwrap_or(now).max(now),
                _ => now += Duration::from_millis(1),
            }
            let event = event(&op, &model, &mut arrived);
            model.before(&event);
            pool.step(now, event, &mut out);
            pool.check();
            prop_assert!(pool.deadline().is_none_or(|deadline| deadline > now), "a deadline in the past");
            for action in out.drain(..) {
                model.check(action);
            }
            model.after(&pool);
        }
    }
}
