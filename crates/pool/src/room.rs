//! The room of a machine, shared by its pools: core's room machine behind a lock, and who is told what it grants.
//!
//! Nothing here is asked for a request that finds a free slot. A pool asks when it would start a container, and tells when
//! one is gone. Only while somebody waits for room is every pool asked what it could let go. Locks are taken in one order:
//! a desk's, then the room's; who is told something is told after both.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pilotlight_core::pool::Event;
use pilotlight_core::room::{Event as RoomEvent, Room as Machine, Share, Tenant};
use tokio::time::Instant;

use crate::desk::Desk;

/// The room of one machine. Cheap to clone; all clones are the same room.
#[derive(Clone, Debug)]
pub struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    capacity: Share,
    state: Mutex<State>,
    /// Whether somebody should give way. Read for every request that ends.
    short: AtomicBool,
    /// Held while somebody is made to give way, so that no two give way for one.
    making: Mutex<()>,
}

#[derive(Debug)]
struct State {
    machine: Machine,
    desks: BTreeMap<Tenant, Weak<Desk>>,
    next: u64,
}

/// The place of one pool in a room. Dropped, it gives back what the pool had.
#[derive(Debug)]
pub(crate) struct Seat {
    room: Room,
    tenant: Tenant,
    /// Whether a container of the pool fits into the machine at all.
    pub(crate) fits: bool,
}

/// What a pool's news led to.
#[derive(Default)]
pub(crate) struct Granted {
    /// How many containers the pool itself may start.
    pub(crate) own: usize,
    /// Others that may start one each.
    pub(crate) others: Vec<Arc<Desk>>,
}

impl Room {
    /// A machine of this size, without containers.
    pub fn new(capacity: Share) -> Self {
        let state = State { machine: Machine::new(capacity), desks: BTreeMap::new(), next: 0 };
        Self(Arc::new(Shared {
            capacity,
            state: Mutex::new(state),
            short: AtomicBool::new(false),
            making: Mutex::default(),
        }))
    }

    /// All there is.
    pub fn capacity(&self) -> Share {
        self.0.capacity
    }

    /// What the containers that are there, or are about to start, ask for together.
    pub fn used(&self) -> Share {
        self.lock().machine.used()
    }

    /// A place for a pool, each of whose containers asks for `share`.
    pub(crate) fn join(&self, desk: Weak<Desk>, share: Share) -> Seat {
        // Of processors a container can use no more than there are, and works with less; of memory it does not.
        let share = Share { cpu_millis: share.cpu_millis.min(self.0.capacity.cpu_millis), ..share };
        let mut state = self.lock();
        let tenant = Tenant(state.next);
        state.next += 1;
        state.desks.insert(tenant, desk);
        // Nobody is granted anything by it.
        state.machine.step(Instant::now().into_std(), RoomEvent::Joined(tenant, share), &mut Vec::new());
        drop(state);
        Seat { room: self.clone(), tenant, fits: share.fits(self.0.capacity) }
    }

    /// Makes pools give way until those who wait will have room, or nobody is left who should.
    pub(crate) fn make(&self) {
        let _making = self.0.making.lock().unwrap_or_else(PoisonError::into_inner);
        while self.is_short() {
            let desks: Vec<(Tenant, Arc<Desk>)> = {
                let state = self.lock();
                state.desks.iter().filter_map(|(tenant, desk)| Some((*tenant, desk.upgrade()?))).collect()
            };
            let spares: Vec<_> = desks.iter().map(|(tenant, desk)| (*tenant, desk.spare())).collect();
            let now = Instant::now().into_std();
            let Some(next) = self.lock().machine.give_way(now, &spares) else { return };
            let Some((_, desk)) = desks.iter().find(|(tenant, _)| *tenant == next) else { return };
            if !desk.give_way() {
                // It has been given a request meanwhile, or something else was faster. Its news will bring us back.
                return;
            }
        }
    }

    pub(crate) fn is_short(&self) -> bool {
        self.0.short.load(Ordering::Relaxed)
    }

    /// When to tell the room that time has passed.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.lock().machine.deadline().map(Instant::from_std)
    }

    fn tell(&self, event: RoomEvent) -> Vec<(Tenant, Arc<Desk>)> {
        let mut granted = Vec::new();
        let mut state = self.lock();
        state.machine.step(Instant::now().into_std(), event, &mut granted);
        self.0.short.store(state.machine.is_short(), Ordering::Relaxed);
        // One that is being dropped leaves, and its grant with it.
        granted
            .into_iter()
            .filter_map(|tenant| Some((tenant, state.desks.get(&tenant)?.upgrade()?)))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// Tells the room something of this pool, under the pool's lock: so its news come in order.
    pub(crate) fn tell(&self, event: impl FnOnce(Tenant) -> RoomEvent) -> Granted {
        let mut granted = Granted::default();
        for (tenant, desk) in self.room.tell(event(self.tenant)) {
            // Those of others are held until the lock is free: the last to hold a desk ends its seat.
            if tenant == self.tenant {
                granted.own += 1;
            } else {
                granted.others.push(desk);
            }
        }
        granted
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.lock().desks.remove(&self.tenant);
        for (_, desk) in self.room.tell(RoomEvent::Left(self.tenant)) {
            desk.happen(Event::Granted);
        }
    }
}
