//! The containers of a pool, in every order in which one is looked for: a decision never looks at all of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::replace;
use std::time::Instant;

use super::ContainerNumber;
use super::container::{Container, Phase};

/// When, and which: those of one moment come in the order in which they were started.
type Moment = (Instant, ContainerNumber);

/// The containers that are not gone. They are changed through [`Roster::change`] alone, which keeps the orders.
#[derive(Debug)]
pub(super) struct Roster {
    by_number: BTreeMap<ContainerNumber, Container>,
    index: Index,
    target: usize,
}

/// What could be computed from the containers at any time, and would cost a look at each.
#[derive(Debug, Default, PartialEq, Eq)]
struct Index {
    /// Those with room for a request; how many it would hold over the target. The last is given the next request.
    free: BTreeSet<(Reverse<usize>, Instant, ContainerNumber)>,
    /// Ready and without a request, by when they were used last.
    idle: BTreeSet<Moment>,
    /// Those that are not ready yet, by when they were begun.
    starting: BTreeSet<Moment>,
    /// Those that are killed at that moment if nothing is heard of them.
    ends: BTreeSet<Moment>,
    counts: Counts,
}

/// How many there are of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    ready: usize,
    /// With at least one request, whatever their phase.
    holding: usize,
    /// Requests inside those that are ready.
    running: usize,
}

/// Where one container stands in the index.
struct Entry {
    free: Option<(Reverse<usize>, Instant, ContainerNumber)>,
    idle: Option<Moment>,
    starting: Option<Moment>,
    ends: Option<Moment>,
    counts: Counts,
}

impl Roster {
    /// No containers. From `target` requests on, a container is given another only if all hold as many.
    pub(super) fn new(target: Option<usize>) -> Self {
        Self { by_number: BTreeMap::new(), index: Index::default(), target: target.unwrap_or(usize::MAX) }
    }

    pub(super) fn insert(&mut self, number: ContainerNumber, container: Container) {
        self.index.change(None, Some(&Entry::of(number, &container, self.target)));
        self.by_number.insert(number, container);
    }

    pub(super) fn remove(&mut self, number: ContainerNumber) -> Option<Container> {
        let container = self.by_number.remove(&number)?;
        self.index.change(Some(&Entry::of(number, &container, self.target)), None);
        Some(container)
    }

    /// Changes one container, if it is still there.
    pub(super) fn change<T>(
        &mut self,
        number: ContainerNumber,
        how: impl FnOnce(&mut Container) -> T,
    ) -> Option<T> {
        let container = self.by_number.get_mut(&number)?;
        let before = Entry::of(number, container, self.target);
        let told = how(container);
        self.index.change(Some(&before), Some(&Entry::of(number, container, self.target)));
        Some(told)
    }

    /// Another target from now on. Looks at all containers, as nothing else does but what concerns them all.
    pub(super) fn aim(&mut self, target: Option<usize>) {
        let target = target.unwrap_or(usize::MAX);
        if replace(&mut self.target, target) != target {
            self.index = self.indexed();
        }
    }

    pub(super) fn get(&self, number: ContainerNumber) -> Option<&Container> {
        self.by_number.get(&number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ContainerNumber, &Container)> {
        self.by_number.iter().map(|(number, container)| (*number, container))
    }

    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// Which one is given the next request: the one used last, so that the others go idle; those that hold as many as
    /// they should come last, the emptiest first.
    pub(super) fn free(&self) -> Option<ContainerNumber> {
        self.index.free.last().map(|(_, _, number)| *number)
    }

    /// The ready one that nobody has used for longest, and since when.
    pub(super) fn idlest(&self) -> Option<(Instant, ContainerNumber)> {
        self.index.idle.first().copied()
    }

    /// The next one whose start or drain takes too long, and when it does.
    pub(super) fn first_end(&self) -> Option<(Instant, ContainerNumber)> {
        self.index.ends.first().copied()
    }

    /// When the starts that are not over were begun, the newest first.
    pub(super) fn begun(&self) -> impl Iterator<Item = Instant> + '_ {
        self.index.starting.iter().rev().map(|(begun, _)| *begun)
    }

    /// Those that may be given requests.
    pub(super) fn ready(&self) -> usize {
        self.index.counts.ready
    }

    /// Those that may be given requests and hold one.
    pub(super) fn busy(&self) -> usize {
        self.index.counts.ready - self.index.idle.len()
    }

    /// Those that hold a request, the leaving ones too.
    pub(super) fn holding(&self) -> usize {
        self.index.counts.holding
    }

    /// Those that are not ready yet.
    pub(super) fn starting(&self) -> usize {
        self.index.starting.len()
    }

    /// Those that serve requests, now or soon.
    pub(super) fn usable(&self) -> usize {
        self.ready() + self.starting()
    }

    /// Requests in those that may be given more.
    pub(super) fn running(&self) -> usize {
        self.index.counts.running
    }

    /// Panics if the index is not what the containers say.
    pub(super) fn check(&self) {
        assert_eq!(self.index, self.indexed(), "the index is not what the containers say");
    }

    fn indexed(&self) -> Index {
        let mut index = Index::default();
        for (number, container) in &self.by_number {
            index.change(None, Some(&Entry::of(*number, container, self.target)));
        }
        index
    }
}

impl Index {
    fn change(&mut self, before: Option<&Entry>, after: Option<&Entry>) {
        moved(&mut self.free, before.and_then(|entry| entry.free), after.and_then(|entry| entry.free));
        moved(&mut self.idle, before.and_then(|entry| entry.idle), after.and_then(|entry| entry.idle));
        moved(
            &mut self.starting,
            before.and_then(|entry| entry.starting),
            after.and_then(|entry| entry.starting),
        );
        moved(&mut self.ends, before.and_then(|entry| entry.ends), after.and_then(|entry| entry.ends));
        let less = before.map_or(Counts::default(), |entry| entry.counts);
        let more = after.map_or(Counts::default(), |entry| entry.counts);
        self.counts.ready = self.counts.ready + more.ready - less.ready;
        self.counts.holding = self.counts.holding + more.holding - less.holding;
        self.counts.running = self.counts.running + more.running - less.running;
    }
}

impl Entry {
    fn of(number: ContainerNumber, container: &Container, target: usize) -> Self {
        let used = (container.used, number);
        let over = (container.running.len() + 1).saturating_sub(target);
        let ready = container.is_ready();
        let ends = match container.phase {
            Phase::Starting { until } => Some(until),
            Phase::Stopping { kill_at } => kill_at,
            Phase::Leaving { .. } | Phase::Ready => None,
        };
        Self {
            free: container.has_room().then_some((Reverse(over), container.used, number)),
            idle: (ready && container.is_idle()).then_some(used),
            // Not used yet, so used last when it was begun.
            starting: container.is_starting().then_some(used),
            ends: ends.map(|at| (at, number)),
            counts: Counts {
                ready: usize::from(ready),
                holding: usize::from(!container.is_idle()),
                running: if ready { container.running.len() } else { 0 },
            },
        }
    }
}

/// Moves an entry of an order, if it moved at all.
fn moved<K: Ord>(order: &mut BTreeSet<K>, before: Option<K>, after: Option<K>) {
    if before == after {
        return;
    }
    if let Some(before) = before {
        order.remove(&before);
    }
    order.extend(after);
}
