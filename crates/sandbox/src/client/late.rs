//! Signals for which the channel to the helper had no room: sent by a thread that may wait, one at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Shared, to_signal};
use crate::Signal;

/// What waits for room, the last signal of each container: no more than there are containers.
#[derive(Debug, Default)]
pub(super) struct Late(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    signals: BTreeMap<String, Signal>,
    /// Whether a thread is at it.
    served: bool,
}

impl Late {
    /// Whether somebody has to begin to serve the queue.
    fn push(&self, id: &str, signal: Signal) -> bool {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = queue.signals.entry(id.to_owned()).or_insert(signal);
        // Nothing takes a kill back.
        if signal == Signal::Kill {
            *waiting = signal;
        }
        !std::mem::replace(&mut queue.served, true)
    }

    /// The next one; `None` ends the service.
    fn pop(&self) -> Option<(String, Signal)> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = queue.signals.pop_first();
        queue.served = next.is_some();
        next
    }
}

/// Sends a signal as soon as there is room. What a helper that dies has not read needs no signal any more: its
/// containers die with it.
pub(super) fn send_later(shared: &Arc<Shared>, id: &str, signal: Signal) {
    if !shared.late.push(id, signal) {
        return;
    }
    let theirs = shared.clone();
    let serve = move || while send_next(&theirs) {};
    if std::thread::Builder::new().name("sandbox-signals".into()).spawn(serve).is_err() {
        tracing::warn!("cannot start a thread for signals; sending them from here");
        while send_next(shared) {}
    }
}

fn send_next(shared: &Shared) -> bool {
    // An error means that the helper is gone, and so will be the next ones.
    shared.late.pop().is_some_and(|(id, signal)| {
        let _ = shared.channel.send(&to_signal(&id, signal), &[]);
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_waits_once_and_a_kill_stays() {
        let late = Late::default();
        assert!(late.push("a", Signal::Terminate));
        assert!(!late.push("a", Signal::Kill));
        assert!(!late.push("a", Signal::Terminate));
        assert!(!late.push("b", Signal::Terminate));
        assert_eq!(late.pop(), Some(("a".to_owned(), Signal::Kill)));
        assert_eq!(late.pop(), Some(("b".to_owned(), Signal::Terminate)));
        assert_eq!(late.pop(), None);
        assert!(late.push("c", Signal::Kill));
    }
}
