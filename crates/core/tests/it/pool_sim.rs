//! A small world around the pool machine: clients that come, wait and leave, containers that are quick, slow, broken or
//! never ready. Everything follows from a seed, so a failure is repeated by its number.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use pilotlight_core::pool::{Action, ContainerNumber, Event, Pace, Pool, RequestId, Settings, Stop};

use crate::crowd::Crowd;
use crate::random::Random;

/// Which worlds: so many from 0 on, or as many as `PILOTLIGHT_SIM_SEEDS` says; one alone if `PILOTLIGHT_SIM_SEED` names
/// it.
pub(crate) fn seeds(usual: u64) -> Range<u64> {
    let read = |name: &str| {
        let value = std::env::var(name).ok()?;
        Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
    };
    read("PILOTLIGHT_SIM_SEED")
        .map_or(0..read("PILOTLIGHT_SIM_SEEDS").unwrap_or(usual), |seed| seed..seed + 1)
}

/// Says how to see the world again in which something broke, whatever it was.
pub(crate) struct Replay(pub(crate) u64);

impl Drop for Replay {
    #[expect(clippy::print_stderr, reason = "the test is failing, and this is how it says so")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it broke in world {0}; to see it again: PILOTLIGHT_SIM_SEED={0}", self.0);
        }
    }
}

impl Random {
    pub(crate) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).expect("below a usize")
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn millis(&mut self, bound: u64) -> Duration {
        Duration::from_millis(1 + self.below(bound))
    }
}

struct World {
    random: Random,
    now: Instant,
    pool: Pool,
    settings: Settings,
    /// What will happen, in order. The second number keeps those of one moment apart.
    agenda: BTreeMap<(Instant, u64), Event>,
    scheduled: u64,
    alive: BTreeSet<ContainerNumber>,
    open: HashSet<RequestId>,
    assigned: usize,
    rejected: usize,
    abandoned: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let max = random.percent(80).then(|| 1 + random.index(8));
        let settings = Settings {
            admitted: false,
            buffer_containers: random.index(2),
            drain_timeout: random.millis(2_000),
            idle: random.millis(10_000),
            max_containers: max,
            max_inputs: 1 + random.index(3),
            min_containers: random.index(3),
            pace: random
                .percent(50)
                .then(|| Pace { starts: 1 + random.index(4), slow: random.millis(1_000) }),
            queue_max: 1 + random.index(50),
            single_use: random.percent(20),
            startup_timeout: random.millis(5_000),
            target_inputs: random.percent(30).then(|| 1 + random.index(3)),
        };
        Self {
            pool: Pool::new(settings.clone()),
            random,
            now: Instant::now(),
            settings,
            agenda: BTreeMap::new(),
            scheduled: 0,
            alive: BTreeSet::new(),
            open: HashSet::new(),
            assigned: 0,
            rejected: 0,
            abandoned: 0,
        }
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.scheduled += 1;
        self.agenda.insert((self.now + after, self.scheduled), event);
    }

    /// Clients come in bursts over a minute. Some do not wait for long.
    fn invite(&mut self, clients: u64) {
        let mut at = Duration::ZERO;
        for request in (0..clients).map(RequestId) {
            if self.random.percent(30) {
                at += self.random.millis(1_000);
            }
            self.schedule(at, Event::Arrived(request));
            if self.random.percent(10) {
                let patience = self.random.millis(3_000);
                self.schedule(at + patience, Event::Abandoned(request));
            }
        }
    }

    fn run(&mut self) {
        self.step(Event::Woke);
        // Far more than any agenda needs: an endless one is a bug, of the pool or of this world.
        for _ in 0..200_000 {
            let next = self.agenda.first_key_value().map(|(key, _)| *key);
            let deadline = self.pool.deadline();
            match (next, deadline) {
                (Some((at, _)), deadline) if deadline.is_none_or(|deadline| at <= deadline) => {
                    self.now = at;
                    let (_, event) = self.agenda.pop_first().expect("there is a next");
                    self.step(event);
                }
                (_, Some(deadline)) => {
                    self.now = deadline;
                    self.step(Event::Woke);
                }
                (_, None) => return,
            }
            // A floor that always crashes is tried for ever; that is not what is asked here.
            if self.agenda.is_empty() && self.open.is_empty() && self.is_at_rest() {
                return;
            }
        }
        panic!("the world does not come to rest: {:?}", self.pool.stats());
    }

    fn is_at_rest(&self) -> bool {
        let stats = self.pool.stats();
        stats.starting + stats.leaving + stats.busy + stats.waiting == 0
            && stats.ready <= self.settings.min_containers
    }

    fn step(&mut self, event: Event) {
        match &event {
            Event::Arrived(request) => {
                self.open.insert(*request);
            }
            Event::Abandoned(request) => self.abandoned += usize::from(self.open.remove(request)),
            Event::Exited(number) | Event::StartFailed(number) => {
                self.alive.remove(number);
            }
            _ => {}
        }
        let mut out = Vec::new();
        self.pool.step(self.now, event, &mut out);
        self.pool.check();
        for action in out {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Assign(request, number) => {
                assert!(self.open.remove(&request), "{request:?} was answered before");
                self.assigned += 1;
                let work = self.random.millis(800);
                self.schedule(work, Event::Finished(number, request));
                match self.random.below(100) {
                    0..5 => self.schedule(work / 2, Event::Exited(number)),
                    5..8 => self.schedule(work / 2, Event::Broken(number)),
                    _ => {}
                }
            }
            Action::Reject(request, _) => {
                assert!(self.open.remove(&request), "{request:?} was answered before");
                self.rejected += 1;
            }
            Action::Start(number) => {
                assert!(self.alive.insert(number));
                let max = self.settings.max_containers.unwrap_or(usize::MAX);
                assert!(self.alive.len() <= max, "more containers than allowed");
                self.launch(number);
            }
            Action::Stop(number, stop) => {
                // Some do not listen to a gentle word.
                if stop == Stop::Kill || self.random.percent(80) {
                    let time = self.random.millis(200);
                    self.schedule(time, Event::Exited(number));
                }
            }
            Action::TrialFailed(_) | Action::TrialPassed => panic!("nobody asked for a trial"),
            Action::Vacate | Action::Want(_) => panic!("it has the machine for itself"),
        }
    }

    fn launch(&mut self, number: ContainerNumber) {
        let quick = self.random.millis(300);
        match self.random.below(100) {
            0..60 => self.schedule(quick, Event::Started(number)),
            60..80 => self.schedule(quick * 20, Event::Started(number)),
            80..90 => self.schedule(quick, Event::StartFailed(number)),
            90..95 => {
                self.schedule(quick, Event::Started(number));
                self.schedule(quick * 2, Event::Exited(number));
            }
            // It is never heard of again.
            _ => {}
        }
    }
}

#[test]
fn every_request_ends_and_containers_go_when_nobody_needs_them() {
    let mut assigned = 0;
    for seed in seeds(300) {
        let _replay = Replay(seed);
        let mut world = World::new(seed);
        world.invite(200);
        world.run();
        let ended = world.assigned + world.rejected + world.abandoned;
        assert_eq!(ended, 200, "every request ends once");
        assert!(world.open.is_empty());
        assert!(world.is_at_rest(), "{:?}", world.pool.stats());
        assigned += world.assigned;
    }
    // A pool that refused everybody would pass what stands above.
    let worlds = seeds(300).count();
    assert!(worlds == 1 || assigned > 100 * worlds, "only {assigned} were served");
}

#[test]
fn a_pool_that_is_retired_under_load_ends() {
    for seed in seeds(300) {
        let _replay = Replay(seed);
        let mut world = World::new(seed);
        world.invite(200);
        let at = world.random.millis(30_000);
        world.schedule(at, Event::Retire(Stop::Drain));
        world.run();
        assert!(world.pool.is_over(), "{:?}", world.pool.stats());
        assert!(world.alive.is_empty() && world.open.is_empty());
    }
}

#[test]
fn ten_thousand_containers_serve_a_hundred_thousand_requests_a_second() {
    let mut crowd = Crowd::new(10_000);
    let mut decisions = 0;
    crowd.run(2, &mut |pool, now, event, out| {
        pool.step(now, event, out);
        decisions += 1;
        // Not each time: it looks at every container, which is what no decision does.
        if decisions % 5_000 == 0 {
            pool.check();
        }
    });
    assert_eq!(crowd.arrived, 80_000);
    assert!(crowd.served > 75_000, "only {} were served", crowd.served);
    assert!(crowd.most > 9_000, "never more than {} containers", crowd.most);
}
