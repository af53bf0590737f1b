//! What is in use: shared locks, which whoever removes something finds held.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::lock::{self, Lock};

/// Keeps layers and images from being removed, by this process or another, for as long as a clone of it lives.
#[derive(Clone, Debug, Default)]
pub struct Pins(Arc<Mutex<Vec<Arc<Lock>>>>);

/// The locks that a process shares with others, each held once however many pins there are: a descriptor each.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<HashMap<PathBuf, Weak<Lock>>>>);

impl Pins {
    /// Pins what the lock at `path` is for if it is `there` once nobody can remove it any more. `false` if it is not, or if
    /// somebody holds the lock alone. A pin on what is not there would be in the way of whoever makes it.
    pub(super) fn pin(&self, shared: &Shared, path: &Path, there: impl FnOnce() -> bool) -> io::Result<bool> {
        let mut table = shared.table();
        let known = table.get(path).and_then(Weak::upgrade);
        let lock = match known {
            Some(lock) => lock,
            None => match lock::attempt_shared(path)? {
                Some(lock) => enter(&mut table, path, lock),
                None => return Ok(false),
            },
        };
        drop(table);
        if !there() {
            return Ok(false);
        }
        self.add(lock)?;
        Ok(true)
    }

    /// The same with a lock that the caller has held alone.
    pub(super) fn keep(&self, shared: &Shared, path: &Path, lock: Lock) -> io::Result<()> {
        let lock = enter(&mut shared.table(), path, lock.share()?);
        self.add(lock)
    }

    fn add(&self, lock: Arc<Lock>) -> io::Result<()> {
        lock.used()?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
        Ok(())
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, HashMap<PathBuf, Weak<Lock>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn enter(table: &mut HashMap<PathBuf, Weak<Lock>>, path: &Path, lock: Lock) -> Arc<Lock> {
    let lock = Arc::new(lock);
    table.retain(|_, lock| lock.strong_count() > 0);
    table.insert(path.to_owned(), Arc::downgrade(&lock));
    lock
}
