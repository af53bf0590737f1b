//! The requests that wait, in the order in which they came.

use std::collections::{BTreeMap, HashMap};

use super::RequestId;

/// Oldest first. One that gives up is found without a search.
#[derive(Debug, Default)]
pub(super) struct Queue {
    order: BTreeMap<u64, RequestId>,
    /// Callers number their requests, but not in the order in which they come.
    places: HashMap<RequestId, u64>,
    next: u64,
}

impl Queue {
    pub(super) fn push(&mut self, request: RequestId) {
        self.order.insert(self.next, request);
        self.places.insert(request, self.next);
        self.next += 1;
    }

    /// Takes the one that waits longest.
    pub(super) fn pop(&mut self) -> Option<RequestId> {
        let (_, request) = self.order.pop_first()?;
        self.places.remove(&request);
        Some(request)
    }

    /// Takes the one that came last.
    pub(super) fn pop_newest(&mut self) -> Option<RequestId> {
        let (_, request) = self.order.pop_last()?;
        self.places.remove(&request);
        Some(request)
    }

    /// Takes this one, if it waits.
    pub(super) fn remove(&mut self, request: RequestId) {
        if let Some(place) = self.places.remove(&request) {
            self.order.remove(&place);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = RequestId> + '_ {
        self.order.values().copied()
    }

    /// Panics if the two halves do not tell the same.
    pub(super) fn check(&self) {
        assert_eq!(self.order.len(), self.places.len(), "a place without a request");
        for (place, request) in &self.order {
            assert_eq!(self.places.get(request), Some(place), "{request:?} is not where it is said to be");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_leave_in_the_order_in_which_they_came_whatever_their_numbers() {
        let mut queue = Queue::default();
        for number in [7, 3, 9, 1, 5] {
            queue.push(RequestId(number));
        }
        queue.remove(RequestId(9));
        queue.remove(RequestId(2));
        queue.check();
        assert_eq!(queue.pop(), Some(RequestId(7)));
        assert_eq!(queue.pop_newest(), Some(RequestId(5)));
        assert_eq!(queue.iter().collect::<Vec<_>>(), [RequestId(3), RequestId(1)]);
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(RequestId(3)), Some(RequestId(1)), None));
        queue.check();
        assert!(queue.is_empty());
        assert_eq!(queue.len(), 0);
    }
}
