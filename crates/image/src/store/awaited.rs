//! Who else waits for what a thread makes: it goes on as long as anybody does, whoever asked for it first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use pilotlight_core::image::Key;

/// How often it is looked whether anybody still wants what is being made.
const LOOK: Duration = Duration::from_millis(50);

/// How many threads of this process wait for each layer that another thread makes.
#[derive(Clone, Debug, Default)]
pub(super) struct Awaited(Arc<Mutex<HashMap<Key, usize>>>);

/// Somebody waits, until it is dropped.
pub(super) struct Wait {
    awaited: Awaited,
    key: Key,
}

impl Awaited {
    /// Enters somebody who waits for `key`.
    pub(super) fn enter(&self, key: &Key) -> Wait {
        *self.counts().entry(key.clone()).or_default() += 1;
        Wait { awaited: self.clone(), key: key.clone() }
    }

    /// Does `work` with a flag that is up once `cancel` is and nobody waits for `key`.
    pub(super) fn work<T>(&self, key: &Key, cancel: &AtomicBool, work: impl FnOnce(&AtomicBool) -> T) -> T {
        let (unwanted, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            let watch = scope.spawn(|| {
                while !ended.load(Ordering::Acquire) {
                    if self.is_unwanted(key, cancel) {
                        return unwanted.store(true, Ordering::Relaxed);
                    }
                    thread::park_timeout(LOOK);
                }
            });
            // Also when `work` panics: the scope waits for its thread.
            let _end = End { ended: &ended, watch: watch.thread() };
            work(&unwanted)
        })
    }

    fn is_unwanted(&self, key: &Key, cancel: &AtomicBool) -> bool {
        cancel.load(Ordering::Relaxed) && !self.counts().contains_key(key)
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Key, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut counts = self.awaited.counts();
        let left = counts.get(&self.key).map_or(0, |count| count - 1);
        if left == 0 {
            counts.remove(&self.key);
        } else {
            counts.insert(self.key.clone(), left);
        }
    }
}

struct End<'a> {
    ended: &'a AtomicBool,
    watch: &'a Thread,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        self.watch.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_wanted_by_its_own_client_or_by_any_that_waits() {
        let (awaited, key, cancel) = (Awaited::default(), Key::of("test", ["a"]), AtomicBool::new(false));
        assert!(!awaited.is_unwanted(&key, &cancel));
        cancel.store(true, Ordering::Relaxed);
        assert!(awaited.is_unwanted(&key, &cancel));
        let (one, two) = (awaited.enter(&key), awaited.enter(&key));
        drop(one);
        assert!(!awaited.is_unwanted(&key, &cancel));
        assert!(awaited.is_unwanted(&Key::of("test", ["b"]), &cancel));
        drop(two);
        assert!(awaited.is_unwanted(&key, &cancel));
    }
}
