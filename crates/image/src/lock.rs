//! Locks a file between processes, so that what several servers need is made by one of them.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a held lock is tried again. flock has no timeout, and a blocked call could not be cancelled.
const RETRY: Duration = Duration::from_millis(50);
/// No holder takes longer: a build step is ended after an hour.
const DEADLINE: Duration = Duration::from_hours(2);

/// Holds the lock until dropped. The kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

/// Waits for the lock on `path`, creating the file; `waiting` is called once if it is held by someone else.
pub(crate) fn acquire(path: &Path, cancel: &AtomicBool, waiting: impl FnOnce()) -> io::Result<Lock> {
    let file = open(path)?;
    let start = Instant::now();
    let mut waiting = Some(waiting);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if cancel.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "cancelled while waiting for a lock"));
        }
        if start.elapsed() > DEADLINE {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "another process holds the lock for hours"));
        }
        if let Some(waiting) = waiting.take() {
            waiting();
        }
        std::thread::park_timeout(RETRY);
    }
}

/// The lock on `path` if nobody holds it.
pub(crate) fn attempt(path: &Path) -> io::Result<Option<Lock>> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn open(path: &Path) -> io::Result<File> {
    let file = fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    Ok(file.into_file())
}
