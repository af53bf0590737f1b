//! A small machine that several pools share: a noisy one that always has requests waiting, and others that have some.
//! Everything follows from a seed, so a failure is repeated by its number.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use pilotlight_core::pool::{Action, ContainerNumber, Event, Pace, Pool, RequestId, Settings, Stop};
use pilotlight_core::room::{self, KEPT, Room, Share, Tenant};

use crate::pool_sim::{Replay, seeds};
use crate::random::Random;

/// How many requests the noisy one has from the start.
const NOISE: u64 = 600;

const CAPACITY: Share = Share { memory_mib: 1000, cpu_millis: 8000 };

/// How long a request of one that is not noisy may wait at most: what is kept for others before it, and the ends and
/// starts of containers on the way.
const PATIENCE: Duration = Duration::from_secs(6 * KEPT.as_secs());

/// One function: its pool, and what is known of its containers and requests.
struct Function {
    pool: Pool,
    share: Share,
    /// Containers that are not gone.
    alive: BTreeSet<ContainerNumber>,
    /// Requests that are not answered, in the order in which they came.
    waiting: VecDeque<(RequestId, Instant)>,
    answered: u64,
}

struct World {
    random: Random,
    now: Instant,
    room: Room,
    functions: BTreeMap<Tenant, Function>,
    agenda: BTreeMap<(Instant, u64), (Tenant, Event)>,
    scheduled: u64,
    longest: BTreeMap<Tenant, Duration>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut functions = BTreeMap::new();
        let now = Instant::now();
        let mut room = Room::new(CAPACITY);
        for tenant in 0..2 + random.below(4) {
            let settings = Settings {
                admitted: true,
                buffer_containers: random.index(2),
                drain_timeout: random.millis(500),
                idle: random.millis(20_000),
                max_inputs: 1 + random.index(3),
                min_containers: usize::from(random.percent(20)),
                pace: random
                    .percent(50)
                    .then(|| Pace { starts: 1 + random.index(4), slow: random.millis(500) }),
                queue_max: 10_000,
                single_use: random.percent(20),
                startup_timeout: Duration::from_secs(2),
                ..Settings::default()
            };
            // What five others keep leaves room for any of them.
            let most = if settings.min_containers > 0 { 60 } else { 500 };
            let share =
                Share { memory_mib: 1 + random.below(most), cpu_millis: 100 + 100 * random.below(10) };
            let mut out = Vec::new();
            room.step(now, room::Event::Joined(Tenant(tenant), share), &mut out);
            let pool = Pool::new(settings);
            let function =
                Function { pool, share, alive: BTreeSet::new(), waiting: VecDeque::new(), answered: 0 };
            functions.insert(Tenant(tenant), function);
        }
        Self { random, now, room, functions, agenda: BTreeMap::new(), scheduled: 0, longest: BTreeMap::new() }
    }

    fn schedule(&mut self, after: Duration, tenant: Tenant, event: Event) {
        self.scheduled += 1;
        self.agenda.insert((self.now + after, self.scheduled), (tenant, event));
    }

    /// The first function has everything asked of it at once, the others a little now and then.
    fn invite(&mut self) {
        let tenants: Vec<Tenant> = self.functions.keys().copied().collect();
        for request in 0..NOISE {
            self.schedule(Duration::ZERO, Tenant(0), Event::Arrived(RequestId(request)));
        }
        for tenant in tenants.into_iter().skip(1) {
            let mut at = Duration::ZERO;
            for request in 0..20 {
                at += self.random.millis(4_000);
                self.schedule(at, tenant, Event::Arrived(RequestId(request)));
            }
        }
    }

    fn run(&mut self) {
        for tenant in self.functions.keys().copied().collect::<Vec<_>>() {
            self.step(tenant, Event::Woke);
        }
        for _ in 0..200_000 {
            if self.agenda.is_empty() && self.functions.values().all(|function| function.waiting.is_empty()) {
                return;
            }
            let next = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let pools = self.functions.iter().filter_map(|(tenant, it)| Some((it.pool.deadline()?, *tenant)));
            let pool = pools.min();
            let room = self.room.deadline();
            let at = [next, pool.map(|(at, _)| at), room].into_iter().flatten().min().expect("nobody acts");
            self.now = at;
            if next == Some(at) {
                let (_, (tenant, event)) = self.agenda.pop_first().expect("there is a next");
                self.step(tenant, event);
            } else if let Some((_, tenant)) = pool.filter(|(due, _)| *due == at) {
                self.step(tenant, Event::Woke);
            } else {
                self.tell(room::Event::Woke);
                self.make_room();
            }
        }
        let stats: Vec<_> = self.functions.values().map(|it| it.pool.stats()).collect();
        panic!("the world does not come to rest: {stats:?}, {:?}", self.room);
    }

    fn step(&mut self, tenant: Tenant, event: Event) {
        self.move_pool(tenant, event);
        self.make_room();
    }

    /// Whoever must give way does as soon as it can.
    fn make_room(&mut self) {
        while self.room.is_short() {
            let spares: Vec<_> =
                self.functions.iter().map(|(tenant, it)| (*tenant, it.pool.spare())).collect();
            let Some(tenant) = self.room.give_way(self.now, &spares) else { break };
            let leaving = self.functions[&tenant].pool.spare().leaving;
            self.move_pool(tenant, Event::GiveWay);
            assert!(self.functions[&tenant].pool.spare().leaving > leaving, "it did not give way");
        }
    }

    fn move_pool(&mut self, tenant: Tenant, event: Event) {
        let function = self.functions.get_mut(&tenant).expect("all are there");
        match &event {
            Event::Arrived(request) => function.waiting.push_back((*request, self.now)),
            Event::Exited(number) | Event::StartFailed(number) => _ = function.alive.remove(number),
            _ => {}
        }
        let mut out = Vec::new();
        function.pool.step(self.now, event, &mut out);
        // Not each time: it looks at every request that waits.
        if self.scheduled.is_multiple_of(64) {
            function.pool.check();
        }
        for action in out {
            self.act(tenant, action);
        }
        let asked = self
            .functions
            .values()
            .fold(Share::default(), |sum, it| sum.plus(it.share.times(it.alive.len())));
        assert!(asked.fits(CAPACITY), "more containers than there is room for: {asked:?}");
    }

    fn act(&mut self, tenant: Tenant, action: Action) {
        match action {
            Action::Assign(request, number) => {
                let waited = self.answered(tenant, request);
                let longest = self.longest.entry(tenant).or_default();
                *longest = waited.max(*longest);
                let work = self.random.millis(800);
                self.schedule(work, tenant, Event::Finished(number, request));
                if self.random.percent(3) {
                    self.schedule(work / 2, tenant, Event::Exited(number));
                }
            }
            Action::Reject(request, _) => _ = self.answered(tenant, request),
            Action::Start(number) => {
                self.functions.get_mut(&tenant).expect("all are there").alive.insert(number);
                let time = self.random.millis(300);
                let failed = self.random.percent(3);
                let event = if failed { Event::StartFailed(number) } else { Event::Started(number) };
                self.schedule(time, tenant, event);
            }
            Action::Stop(number, stop) => {
                // Some do not listen to a gentle word.
                if stop == Stop::Kill || self.random.percent(80) {
                    let time = self.random.millis(100);
                    self.schedule(time, tenant, Event::Exited(number));
                }
            }
            Action::Vacate => self.tell(room::Event::Returned(tenant, 1)),
            Action::Want(want) => self.tell(room::Event::Wants(tenant, want)),
            Action::TrialFailed(_) | Action::TrialPassed => panic!("nobody asked for a trial"),
        }
    }

    /// How long a request waited that is answered now. It is the one that came first.
    fn answered(&mut self, tenant: Tenant, request: RequestId) -> Duration {
        let function = self.functions.get_mut(&tenant).expect("all are there");
        let (first, since) = function.waiting.pop_front().expect("somebody waits");
        assert_eq!(first, request, "another came first");
        function.answered += 1;
        self.now - since
    }

    fn tell(&mut self, event: room::Event) {
        let mut granted = Vec::new();
        self.room.step(self.now, event, &mut granted);
        self.room.check();
        assert!(self.room.used().fits(CAPACITY), "more was granted than there is");
        for tenant in granted {
            self.schedule(Duration::ZERO, tenant, Event::Granted);
        }
    }
}

#[test]
fn a_full_machine_serves_everybody_in_order_and_nobody_starves() {
    for seed in seeds(100) {
        let _replay = Replay(seed);
        let mut world = World::new(seed);
        world.invite();
        world.run();
        for (tenant, function) in &world.functions {
            let expected = if *tenant == Tenant(0) { NOISE } else { 20 };
            assert_eq!(function.answered, expected, "{tenant:?}: every request is answered");
            let longest = world.longest.get(tenant).copied().unwrap_or_default();
            assert!(*tenant == Tenant(0) || longest < PATIENCE, "{tenant:?} waited for {longest:?}");
        }
    }
}
