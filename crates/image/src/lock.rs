//! Locks files between processes: what several servers need is made by one of them, and what any of them uses is removed
//! by none.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// How often a held lock is tried again. flock has no timeout, and a blocked call could not be cancelled.
pub(crate) const RETRY: Duration = Duration::from_millis(50);
/// No holder takes longer: a build step is ended after an hour.
const DEADLINE: Duration = Duration::from_hours(2);

/// Holds the lock until dropped. The kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Shares from now on what was held alone. Nobody can come in between: the kernel changes the lock in one step, since
    /// no other could conflict with it.
    pub(crate) fn share(self) -> io::Result<Self> {
        match self.0.try_lock_shared() {
            Ok(()) => Ok(self),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Writes down that what it is for was used now: the modification time of its file.
    pub(crate) fn used(&self) -> io::Result<()> {
        self.0.set_modified(SystemTime::now())
    }

    /// Removes the lock's file with what it was for. Who has opened the file meanwhile finds that it is another's.
    pub(crate) fn retire(self, path: &Path) -> io::Result<()> {
        let removed = fs_err::remove_file(path);
        drop(self.0);
        removed
    }
}

/// Waits for the lock on `path`, creating the file; `waiting` is called once if it is held by someone else.
pub(crate) fn acquire(path: &Path, cancel: &AtomicBool, waiting: impl FnOnce()) -> io::Result<Lock> {
    match acquire_or(path, cancel, waiting, || None::<std::convert::Infallible>)? {
        Ok(lock) => Ok(lock),
        Err(nothing) => match nothing {},
    }
}

/// The same, unless meanwhile there is what it is waited for: whoever made that may go on and share the lock.
pub(crate) fn acquire_or<T>(
    path: &Path,
    cancel: &AtomicBool,
    waiting: impl FnOnce(),
    mut found: impl FnMut() -> Option<T>,
) -> io::Result<Result<Lock, T>> {
    let start = Instant::now();
    let mut waiting = Some(waiting);
    // Who only looks at something holds its lock for no time.
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(lock) = attempt(path)? {
            return Ok(Ok(lock));
        }
        if let Some(found) = found() {
            return Ok(Err(found));
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
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(RETRY);
    }
}

/// The lock on `path` if nobody holds it.
pub(crate) fn attempt(path: &Path) -> io::Result<Option<Lock>> {
    take(path, File::try_lock)
}

/// A lock on `path` that others may hold as well; `None` if somebody holds it alone.
pub(crate) fn attempt_shared(path: &Path) -> io::Result<Option<Lock>> {
    take(path, File::try_lock_shared)
}

fn take(path: &Path, lock: fn(&File) -> Result<(), TryLockError>) -> io::Result<Option<Lock>> {
    loop {
        let file = fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        let file = file.into_file();
        match lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Between the two its holder may have removed the file: then this lock is one that nobody looks at.
        let own = file.metadata()?.ino();
        match std::fs::metadata(path) {
            Ok(there) if there.ino() == own => return Ok(Some(Lock(file))),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}
