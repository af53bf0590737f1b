//! Every promise of the pool, recomputed from scratch.

use std::collections::HashSet;

use super::container::{Container, Phase};
use super::{ContainerNumber, Pool};

impl Pool {
    /// Panics if a promise of this type is broken. Tests call it after each step.
    pub fn check(&self) {
        self.containers.check();
        self.waiting.check();
        self.check_containers();
        self.check_requests();
        self.check_counts();
    }

    fn check_containers(&self) {
        for (number, container) in self.containers.iter() {
            assert!(number < ContainerNumber(self.next), "a number nobody gave");
            assert!(container.running.len() <= container.max_inputs, "more requests than slots");
            let used = container.served || !container.is_idle();
            assert!(!(container.single_use && used && container.has_room()), "a second use");
            match container.phase {
                Phase::Starting { .. } | Phase::Stopping { kill_at: Some(_) } => {
                    assert!(container.is_idle(), "a request in a container that starts or drains");
                }
                Phase::Leaving { .. } => assert!(!container.is_idle(), "nothing left to end, not stopped"),
                Phase::Ready | Phase::Stopping { kill_at: None } => {}
            }
        }
    }

    fn check_requests(&self) {
        let mut seen = HashSet::new();
        let running = self.containers.iter().flat_map(|(_, container)| container.running.iter().copied());
        for request in running.chain(self.waiting.iter()) {
            assert!(seen.insert(request), "{request:?} is in two places");
        }
        if self.waiting.is_empty() {
            return;
        }
        assert!(self.waiting.len() <= self.settings.queue_max, "the queue is over its bound");
        assert!(
            !self.containers.iter().any(|(_, container)| container.has_room()),
            "waiting beside a free slot"
        );
        let full = self.settings.max_containers.is_some_and(|max| self.containers.len() >= max);
        let room = self.waits_for_room();
        assert!(self.count(Container::is_usable) > 0 || full || room, "waiting for nothing");
    }

    fn check_counts(&self) {
        let max = self.settings.max_containers.unwrap_or(usize::MAX);
        assert!(self.count(Container::is_usable) <= max, "more containers than allowed");
        assert!(!self.trial || self.count(Container::is_ready) == 0, "a trial that nobody answered");
        if self.retired {
            assert!(
                self.waiting.is_empty() && self.count(Container::is_usable) == 0 && !self.trial,
                "work in a retired pool"
            );
            return;
        }
        let wants = self.told.now + self.told.ahead > 0;
        assert!(self.settings.admitted || !wants, "room is wanted that nobody has to give");
        let reason = self.backoff.until().or(self.paced);
        assert!(self.missing() == 0 || reason.is_some() || wants, "containers missing without a reason");
        let next = self.deadline();
        assert!(
            self.missing() == 0 || self.count(Container::is_starting) > 0 || next.is_some() || wants,
            "nobody will wake the pool"
        );
    }

    fn count(&self, of: impl Fn(&Container) -> bool) -> usize {
        self.containers.iter().filter(|(_, container)| of(container)).count()
    }
}
