//! DECIDES whose container is started next when a machine cannot have all that are wanted.
//!
//! A pure machine beside the pools': each pool is a tenant that says how many containers it wants and which of them are
//! gone; out come grants, one for each container that may be started.
//!
//! - A grant is given while there is room for what the container asks for, of memory and of processors.
//! - The tenant that has least of the machine comes first, as its larger part of the two counts (dominant resource
//!   fairness, <https://www.usenix.org/conference/nsdi11>); of equals the one that waits for longest.
//! - Who comes first and does not fit is not passed by those that would, every other [`KEPT`] of its wait: small ones would
//!   else take for ever what a large one waits for, and a large one would for ever keep what it cannot have.
//! - Whoever waits makes others give way: idle containers, the one used longest ago first; then, at the end of their
//!   requests, those of a tenant that has more of the machine than the one that waits would have. Who has nothing comes
//!   before those that have several containers, and takes turns with one that has a single one.
//! - What a tenant keeps at any time (`min_containers`) never gives way.
//! - The proof of a new version is never refused: the old one, which it replaces, may have all there is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::pool::{Spare, Want};

#[cfg(test)]
mod tests;

/// For how long what is free is kept for the first in line, if that does not fit; then others are let in for as long.
pub const KEPT: Duration = Duration::from_secs(10);

/// The whole machine, as parts of it are counted.
const WHOLE: u64 = 1_000_000;

/// A part of a machine, or all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Processors, thousandths of one.
    pub cpu_millis: u64,
}

/// Who has containers: the pool of one function. The caller numbers them and never uses a number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(pub u64);

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// There is another tenant; each of its containers asks for so much.
    Joined(Tenant, Share),
    /// The tenant and its containers are gone.
    Left(Tenant),
    /// So many containers of the tenant are gone, or were granted and are not wanted any more.
    Returned(Tenant, usize),
    /// What the tenant wants from now on.
    Wants(Tenant, Want),
    /// Nothing, but [`Room::deadline`] has passed.
    Woke,
}

/// The machine, and who has which part of it.
#[derive(Debug)]
pub struct Room {
    capacity: Share,
    used: Share,
    /// What never gives way.
    kept: Share,
    tenants: BTreeMap<Tenant, Account>,
    /// Those that wait: what they have of the machine, and since when they wait.
    line: BTreeSet<(u64, Instant, Tenant)>,
    /// Those that would have spare containers, likewise.
    ahead: BTreeSet<(u64, Instant, Tenant)>,
    /// When who may pass whom will be another question.
    turn: Option<Instant>,
}

/// One tenant.
#[derive(Clone, Copy, Debug)]
struct Account {
    share: Share,
    /// The larger of the parts of the machine that one container is.
    weight: u64,
    held: usize,
    want: Want,
    /// Since when it waits, or was last given something.
    since: Instant,
}

impl Share {
    /// So many of these.
    #[must_use]
    pub fn times(self, count: usize) -> Self {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        Self {
            memory_mib: self.memory_mib.saturating_mul(count),
            cpu_millis: self.cpu_millis.saturating_mul(count),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
        }
    }

    /// What is left of this without the other, which may be more.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self {
            memory_mib: self.memory_mib.saturating_sub(other.memory_mib),
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis),
        }
    }

    /// Whether there is no more of this than of the other, of either kind.
    pub fn fits(self, other: Self) -> bool {
        self.memory_mib <= other.memory_mib && self.cpu_millis <= other.cpu_millis
    }
}

impl Account {
    /// What the tenant has of the machine if it has so many containers.
    fn part(&self, count: usize) -> u64 {
        self.weight.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// Whether what is free is kept for the tenant, and until when that is so.
    fn turn(&self, now: Instant) -> (bool, Instant) {
        let turns = now.saturating_duration_since(self.since).as_secs() / KEPT.as_secs();
        let until = self.since + KEPT * u32::try_from(turns + 1).unwrap_or(u32::MAX);
        (turns.is_multiple_of(2), until)
    }

    /// What never gives way.
    fn kept(&self) -> Share {
        self.share.times(self.want.kept.min(self.held))
    }
}

impl Room {
    /// A machine without containers. A capacity of nothing is one that never has room.
    pub fn new(capacity: Share) -> Self {
        Self {
            capacity,
            used: Share::default(),
            kept: Share::default(),
            tenants: BTreeMap::new(),
            line: BTreeSet::new(),
            ahead: BTreeSet::new(),
            turn: None,
        }
    }

    /// All there is.
    pub fn capacity(&self) -> Share {
        self.capacity
    }

    /// What the containers that are there, or may be started, ask for together.
    pub fn used(&self) -> Share {
        self.used
    }

    /// Whether somebody should give way: for one that waits and could be let in, or because there are more than fit.
    pub fn is_short(&self) -> bool {
        let waits = self.line.iter().any(|(_, _, tenant)| self.can_have(&self.tenants[tenant]));
        waits || !self.used.fits(self.capacity)
    }

    /// When to call `step(now, Event::Woke)`, if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        self.turn
    }

    /// Moves the machine by one event at `now`, and pushes who may start a container each to `out`.
    pub fn step(&mut self, now: Instant, event: Event, out: &mut Vec<Tenant>) {
        match event {
            Event::Joined(tenant, share) => self.join(now, tenant, share),
            Event::Left(tenant) => {
                self.change(tenant, |account| {
                    account.held = 0;
                    account.want = Want::default();
                });
                self.tenants.remove(&tenant);
            }
            Event::Returned(tenant, count) => {
                self.change(tenant, |account| account.held = account.held.saturating_sub(count));
            }
            Event::Wants(tenant, want) => self.change(tenant, |account| {
                if account.want.now == 0 {
                    account.since = now;
                }
                account.want = want;
            }),
            Event::Woke => {}
        }
        self.grant(now, out);
    }

    /// Who has to give way next for somebody that waits; one of its containers, as [`Spare`] says. Ask again once it
    /// did.
    pub fn give_way(&self, now: Instant, spares: &[(Tenant, Spare)]) -> Option<Tenant> {
        let coming = spares.iter().fold(Share::default(), |sum, (tenant, spare)| {
            sum.plus(self.tenants.get(tenant).map_or(sum, |account| account.share.times(spare.leaving)))
        });
        let left = self.used.less(coming);
        let idle = |but: Option<Tenant>| {
            let idle = spares.iter().filter(|(tenant, _)| Some(*tenant) != but);
            let idle = idle.filter_map(|(tenant, spare)| Some((spare.idle_since?, *tenant)));
            idle.min().map(|(_, tenant)| tenant)
        };
        if !left.fits(self.capacity) {
            return idle(None);
        }
        let mut needed = left;
        for (_, _, tenant) in &self.line {
            let account = &self.tenants[tenant];
            for more in 1..=account.want.now {
                let with = needed.plus(account.share);
                if !with.fits(self.capacity) {
                    if !self.can_have(account) || !account.turn(now).0 {
                        break;
                    }
                    let way = idle(Some(*tenant)).or_else(|| self.richest(now, spares, *tenant, more));
                    if way.is_some() {
                        return way;
                    }
                    break;
                }
                needed = with;
            }
        }
        None
    }

    /// Of the tenants that are at work, the one with the largest part that should give way for so many more of another:
    /// it would still have as much as that one. For one that has nothing, whoever has several should, and whoever has one
    /// after a while: the two take turns.
    fn richest(&self, now: Instant, spares: &[(Tenant, Spare)], of: Tenant, more: usize) -> Option<Tenant> {
        let poor = self.tenants.get(&of)?;
        let enough = poor.part(poor.held + more);
        let has_nothing = poor.held + more == 1;
        let is_late = now.saturating_duration_since(poor.since) >= KEPT;
        let rich = spares.iter().filter(|(tenant, spare)| *tenant != of && spare.busy > 0);
        let rich = rich.filter_map(|(tenant, spare)| {
            let account = self.tenants.get(tenant)?;
            let stays = account.held.saturating_sub(spare.leaving + 1);
            let gives = account.part(stays) >= enough || (has_nothing && (stays > 0 || is_late));
            gives.then_some((account.part(stays), *tenant))
        });
        rich.max().map(|(_, tenant)| tenant)
    }

    fn join(&mut self, now: Instant, tenant: Tenant, share: Share) {
        let part = |of: u64, all: u64| of.saturating_mul(WHOLE) / all.max(1);
        let memory = part(share.memory_mib, self.capacity.memory_mib);
        let weight = memory.max(part(share.cpu_millis, self.capacity.cpu_millis)).max(1);
        self.tenants.insert(tenant, Account { share, weight, held: 0, want: Want::default(), since: now });
    }

    /// Gives grants until nobody wants one, or nobody may have one.
    fn grant(&mut self, now: Instant, out: &mut Vec<Tenant>) {
        loop {
            let (next, turn) = self.next(now);
            self.turn = turn;
            let Some(tenant) = next else { return };
            self.change(tenant, |account| {
                account.held += 1;
                account.since = now;
                account.want.trial = false;
                match account.want.now {
                    0 => account.want.ahead -= 1,
                    now => account.want.now = now - 1,
                }
            });
            out.push(tenant);
        }
    }

    /// Who is given the next grant, and when somebody that waits may be passed, or not be passed any more.
    fn next(&self, now: Instant) -> (Option<Tenant>, Option<Instant>) {
        let (mut is_kept, mut turn) = (false, None);
        for (_, _, tenant) in &self.line {
            let account = &self.tenants[tenant];
            let fits = !is_kept && self.used.plus(account.share).fits(self.capacity);
            if fits || account.want.trial {
                return (Some(*tenant), turn);
            }
            if self.can_have(account) {
                let (kept, until) = account.turn(now);
                is_kept |= kept;
                turn = turn.into_iter().chain([until]).min();
            }
        }
        // Spare ones are for room that nobody waits for.
        let mut ahead = self.ahead.iter().map(|(_, _, tenant)| *tenant).filter(|_| self.line.is_empty());
        let next = ahead.find(|tenant| self.used.plus(self.tenants[tenant].share).fits(self.capacity));
        (next, turn)
    }

    /// Whether there would be room for another one if all gave way.
    fn can_have(&self, account: &Account) -> bool {
        self.kept.plus(account.share).fits(self.capacity)
    }

    /// Changes a tenant's account, and with it all that is computed from accounts.
    fn change(&mut self, tenant: Tenant, how: impl FnOnce(&mut Account)) {
        let Some(account) = self.tenants.get_mut(&tenant) else { return };
        let before = *account;
        how(account);
        let after = *account;
        let key = |account: &Account| (account.part(account.held), account.since, tenant);
        self.line.remove(&key(&before));
        self.ahead.remove(&key(&before));
        // What is larger than the machine waits for nothing.
        let fits = after.share.fits(self.capacity);
        if after.want.now > 0 && (fits || after.want.trial) {
            self.line.insert(key(&after));
        } else if after.want.ahead > 0 && fits {
            self.ahead.insert(key(&after));
        }
        self.used = self.used.less(before.share.times(before.held)).plus(after.share.times(after.held));
        self.kept = self.kept.less(before.kept()).plus(after.kept());
    }
}

impl Room {
    /// Panics if a promise of this type is broken. Tests call it after each step.
    pub fn check(&self) {
        let sum = |of: fn(&Account) -> Share| {
            self.tenants.values().fold(Share::default(), |sum, account| sum.plus(of(account)))
        };
        assert_eq!(self.used, sum(|account| account.share.times(account.held)), "what is used is miscounted");
        assert_eq!(self.kept, sum(Account::kept), "what is kept is miscounted");
        let waiting =
            self.tenants.values().filter(|it| it.want.now > 0 && it.share.fits(self.capacity)).count();
        assert!(self.line.len() >= waiting, "the line is not of those who wait");
        if let Some((_, _, first)) = self.line.first() {
            let with = self.used.plus(self.tenants[first].share);
            assert!(!with.fits(self.capacity), "the first in line waits beside its room");
        }
    }
}
