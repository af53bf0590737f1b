//! A pool at its largest: n containers, and ten times as many requests each second, in waves.
//!
//! Each request takes 40 to 120 ms, so that n containers are just enough at the height of a wave and a third of them
//! stops behind it. After one request in a thousand the container dies with what it holds, one in fifty has little patience.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use pilotlight_core::pool::{Action, ContainerNumber, Event, Pool, RequestId, Settings};

use crate::random::Random;

/// High for so long, then low for so long.
const WAVE: Duration = Duration::from_millis(200);

/// How the pool is moved: who measures does it with a clock, who tests with a check.
pub(crate) type Decide<'a> = &'a mut dyn FnMut(&mut Pool, Instant, Event, &mut Vec<Action>);

/// The pool and the world around it.
pub(crate) struct Crowd {
    /// How many requests came.
    pub(crate) arrived: u64,
    /// How many of them were given to a container.
    pub(crate) served: u64,
    /// The most containers that there were at a time.
    pub(crate) most: usize,
    containers: usize,
    random: Random,
    now: Instant,
    pool: Pool,
    /// What will happen, in order. The second number keeps those of one moment apart.
    agenda: BTreeMap<(Instant, u64), Event>,
    scheduled: u64,
    alive: BTreeSet<ContainerNumber>,
    open: BTreeSet<RequestId>,
}

impl Crowd {
    /// A crowd for at most so many containers. Nothing has happened yet.
    pub(crate) fn new(containers: usize) -> Self {
        let settings = Settings {
            idle: Duration::from_millis(100),
            max_containers: Some(containers),
            min_containers: containers / 2,
            queue_max: containers,
            ..Settings::default()
        };
        Self {
            arrived: 0,
            served: 0,
            most: 0,
            containers,
            random: Random(containers as u64),
            now: Instant::now(),
            pool: Pool::new(settings),
            agenda: BTreeMap::new(),
            scheduled: 0,
            alive: BTreeSet::new(),
            open: BTreeSet::new(),
        }
    }

    /// Lets requests come for `waves` times two fifths of a second, and waits until the last has ended.
    pub(crate) fn run(&mut self, waves: u32, decide: Decide<'_>) {
        for wave in 0..waves {
            self.invite(2 * wave * WAVE, 12);
            self.invite((2 * wave + 1) * WAVE, 8);
        }
        self.step(Event::Woke, decide);
        while let Some((&(at, _), _)) = self.agenda.first_key_value() {
            let event = match self.pool.deadline() {
                Some(deadline) if deadline < at => {
                    self.now = deadline;
                    Event::Woke
                }
                _ => {
                    self.now = at;
                    self.agenda.pop_first().expect("there is a next").1
                }
            };
            self.step(event, decide);
        }
        assert!(self.open.is_empty(), "{} requests never ended", self.open.len());
        self.pool.check();
    }

    /// So many requests for each container and second, from a moment on for half a wave.
    fn invite(&mut self, from: Duration, rate: u32) {
        let containers = u32::try_from(self.containers).expect("a pool is smaller");
        let requests = rate * containers / 5;
        for index in 0..requests {
            let request = RequestId(self.arrived);
            self.arrived += 1;
            let at = from + WAVE * index / requests;
            self.schedule(at, Event::Arrived(request));
            if self.random.below(50) == 0 {
                self.schedule(at + Duration::from_millis(5), Event::Abandoned(request));
            }
        }
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.scheduled += 1;
        self.agenda.insert((self.now + after, self.scheduled), event);
    }

    fn micros(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_micros(from + self.random.below(to - from))
    }

    fn step(&mut self, event: Event, decide: Decide<'_>) {
        match &event {
            Event::Arrived(request) => _ = self.open.insert(*request),
            Event::Abandoned(request) => _ = self.open.remove(request),
            Event::Exited(number) => _ = self.alive.remove(number),
            _ => {}
        }
        let mut out = Vec::new();
        decide(&mut self.pool, self.now, event, &mut out);
        for action in out {
            self.act(action);
        }
        self.most = self.most.max(self.alive.len());
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Assign(request, number) => {
                assert!(self.open.remove(&request), "{request:?} was answered before");
                self.served += 1;
                let work = self.micros(40_000, 120_000);
                self.schedule(work, Event::Finished(number, request));
                if self.random.below(1_000) == 0 {
                    // Not before it has served: that would be a crash loop, and end the scale-out for a second.
                    self.schedule(work + Duration::from_millis(1), Event::Exited(number));
                }
            }
            Action::Reject(request, _) => {
                assert!(self.open.remove(&request), "{request:?} was answered before");
            }
            Action::Start(number) => {
                assert!(self.alive.insert(number), "{number:?} was started before");
                assert!(self.alive.len() <= self.containers, "more containers than allowed");
                let start = self.micros(5_000, 25_000);
                self.schedule(start, Event::Started(number));
            }
            Action::Stop(number, _) => {
                let time = self.micros(1_000, 10_000);
                self.schedule(time, Event::Exited(number));
            }
            Action::TrialFailed(_) | Action::TrialPassed => panic!("nobody asked for a trial"),
            Action::Vacate | Action::Want(_) => panic!("it has the machine for itself"),
        }
    }
}
