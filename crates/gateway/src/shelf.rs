//! Where results wait for who comes for them: so many calls, so many bytes, the oldest results go first. Pure.

use std::collections::{HashMap, VecDeque};

use pilotlight_core::id::CallId;

/// Calls at a time, those at work and those whose result is kept.
const CALLS_MAX: usize = 4096;

/// The largest result, bytes of its body.
const RESULT_BYTES_MAX: usize = 16 << 20;

/// All results together, bytes of their bodies.
const BYTES_MAX: usize = 128 << 20;

/// Whose a call is: the app's and the function's name, which stay from version to version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) app: String,
    pub(crate) function: String,
}

/// Calls and their results. What a result is, `T`, is of no concern here.
#[derive(Debug)]
pub(crate) struct Shelf<T> {
    calls: HashMap<CallId, Call<T>>,
    /// The calls with a result, the oldest result first.
    finished: VecDeque<CallId>,
    bytes: usize,
}

#[derive(Debug)]
struct Call<T> {
    owner: Owner,
    result: T,
    bytes: usize,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { calls: HashMap::new(), finished: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Shelf<T> {
    /// A call begins. Whether there is room for it.
    #[must_use]
    pub(crate) fn begin(&mut self, id: CallId, owner: Owner, result: T) -> bool {
        if self.calls.len() >= CALLS_MAX && !self.drop_oldest() {
            return false;
        }
        self.calls.insert(id, Call { owner, result, bytes: 0 });
        true
    }

    /// So many bytes more of a call's result have come. Whether there is room for them.
    #[must_use]
    pub(crate) fn grow(&mut self, id: &CallId, bytes: usize) -> bool {
        let Some(call) = self.calls.get_mut(id) else { return false };
        call.bytes += bytes;
        self.bytes += bytes;
        if call.bytes > RESULT_BYTES_MAX {
            return false;
        }
        while self.bytes > BYTES_MAX {
            if !self.drop_oldest() {
                return false;
            }
        }
        true
    }

    /// A call's result is there; without one no byte of it is kept.
    pub(crate) fn finish(&mut self, id: &CallId, has_bytes: bool) {
        let Some(call) = self.calls.get_mut(id) else { return };
        if !has_bytes {
            self.bytes -= std::mem::take(&mut call.bytes);
        }
        self.finished.push_back(id.clone());
    }

    /// What there is of a call, if it is this owner's.
    pub(crate) fn find(&self, id: &CallId, owner: &Owner) -> Option<&T> {
        self.calls.get(id).filter(|call| call.owner == *owner).map(|call| &call.result)
    }

    /// A result is kept no longer.
    pub(crate) fn remove(&mut self, id: &CallId) {
        if let Some(call) = self.calls.remove(id) {
            self.bytes -= call.bytes;
            // They expire in the order in which they came, so that it is among the first.
            if let Some(at) = self.finished.iter().position(|other| other == id) {
                self.finished.remove(at);
            }
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.finished.front().cloned() else { return false };
        self.remove(&oldest);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(function: &str) -> Owner {
        Owner { app: "hello".to_owned(), function: function.to_owned() }
    }

    fn id(number: usize) -> CallId {
        CallId::from_entropy(number as u128)
    }

    #[test]
    fn a_result_is_its_functions_alone() {
        let mut shelf = Shelf::default();
        assert!(shelf.begin(id(1), owner("f"), 'r'));
        assert_eq!(shelf.find(&id(1), &owner("f")), Some(&'r'));
        assert_eq!(shelf.find(&id(1), &owner("g")), None);
        assert_eq!(shelf.find(&id(2), &owner("f")), None);
    }

    #[test]
    fn the_oldest_results_make_room_and_calls_at_work_never() {
        let mut shelf = Shelf::default();
        for number in 0..CALLS_MAX {
            assert!(shelf.begin(id(number), owner("f"), ()));
        }
        assert!(!shelf.begin(id(CALLS_MAX), owner("f"), ()));
        shelf.finish(&id(7), true);
        shelf.finish(&id(3), true);
        assert!(shelf.begin(id(CALLS_MAX), owner("f"), ()));
        assert_eq!(shelf.find(&id(7), &owner("f")), None);
        assert!(shelf.find(&id(3), &owner("f")).is_some());
    }

    #[test]
    fn bytes_are_bounded_each_and_together_and_counted_to_none() {
        let mut shelf = Shelf::default();
        let whole = BYTES_MAX / RESULT_BYTES_MAX;
        for number in 0..=whole {
            assert!(shelf.begin(id(number), owner("f"), ()));
            let room = shelf.grow(&id(number), RESULT_BYTES_MAX);
            assert_eq!(room, number < whole, "nothing finished that could go");
        }
        shelf.finish(&id(whole), false);
        assert_eq!(shelf.bytes, BYTES_MAX);
        shelf.finish(&id(0), true);
        assert!(shelf.begin(id(100), owner("f"), ()));
        assert!(shelf.grow(&id(100), 1));
        assert!(!shelf.grow(&id(100), RESULT_BYTES_MAX), "more than one result may have");
        shelf.finish(&id(100), false);
        for number in 0..=100 {
            shelf.remove(&id(number));
        }
        assert_eq!((shelf.bytes, shelf.calls.len(), shelf.finished.len()), (0, 0, 0));
    }
}
