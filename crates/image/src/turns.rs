//! Bounds how many build steps run side by side, of whatever images.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::step::{Error, Request, Steps};

/// How often one who waits for a turn looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// Steps side by side: twice as many as there are processors, since a part of each waits for the network.
pub(crate) fn usual() -> usize {
    2 * thread::available_parallelism().map_or(1, usize::from)
}

/// Steps, so many at once. A step waits for its turn where it holds no turn and what it holds nobody with a turn waits for.
pub(crate) struct Turns {
    steps: Arc<dyn Steps>,
    free: Mutex<usize>,
    freed: Condvar,
}

impl Turns {
    /// `steps`, `most` of them at once.
    pub(crate) fn new(steps: Arc<dyn Steps>, most: usize) -> Self {
        Self { steps, free: Mutex::new(most), freed: Condvar::new() }
    }

    fn turn(&self, cancel: &AtomicBool) -> Result<Turn<'_>, Error> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            free = self.freed.wait_timeout(free, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        *free -= 1;
        Ok(Turn(self))
    }
}

struct Turn<'a>(&'a Turns);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

impl Steps for Turns {
    fn run(&self, request: Request, line: &(dyn Fn(&str) + Sync), cancel: &AtomicBool) -> Result<(), Error> {
        let _turn = self.turn(cancel)?;
        self.steps.run(request, line, cancel)
    }

    fn errand(
        &self,
        errand: (&str, &str),
        target: &Path,
        line: &(dyn Fn(&str) + Sync),
        cancel: &AtomicBool,
    ) -> Result<(), Error> {
        let _turn = self.turn(cancel)?;
        self.steps.errand(errand, target, line, cancel)
    }

    fn erase(&self, path: &Path) -> Result<(), Error> {
        self.steps.erase(path)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Steps that wait until as many run as there may be.
    struct Full {
        running: AtomicUsize,
        most: AtomicUsize,
        meeting: Barrier,
    }

    impl Full {
        fn new(count: usize) -> Arc<Self> {
            Arc::new(Self { running: 0.into(), most: 0.into(), meeting: Barrier::new(count) })
        }
    }

    impl Steps for Full {
        fn run(&self, _: Request, _: &(dyn Fn(&str) + Sync), _: &AtomicBool) -> Result<(), Error> {
            unreachable!("errands need no request")
        }

        fn errand(
            &self,
            _: (&str, &str),
            _: &Path,
            _: &(dyn Fn(&str) + Sync),
            _: &AtomicBool,
        ) -> Result<(), Error> {
            self.most.fetch_max(self.running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            self.meeting.wait();
            self.running.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }

        fn erase(&self, _: &Path) -> Result<(), Error> {
            Ok(())
        }
    }

    #[test]
    fn so_many_steps_run_at_once_and_never_more() {
        let full = Full::new(3);
        let turns = Turns::new(Arc::clone(&full) as Arc<dyn Steps>, 3);
        let never = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..9 {
                scope.spawn(|| turns.errand(("", ""), Path::new("/"), &|_| {}, &never).unwrap());
            }
        });
        assert_eq!(full.most.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn one_that_waits_for_its_turn_can_be_cancelled() {
        let full = Full::new(2);
        let turns = Turns::new(Arc::clone(&full) as Arc<dyn Steps>, 1);
        let errand = |cancel: bool| turns.errand(("", ""), Path::new("/"), &|_| {}, &AtomicBool::new(cancel));
        thread::scope(|scope| {
            let first = scope.spawn(|| errand(false));
            while full.running.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            assert!(matches!(errand(true), Err(Error::Cancelled)));
            full.meeting.wait();
            first.join().unwrap().unwrap();
        });
    }
}
