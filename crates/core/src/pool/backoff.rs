//! The pause after a container failed, so that one that cannot run is not started in a loop.

use std::time::{Duration, Instant};

const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// A failure this long ago says nothing about the next start.
const MEMORY: Duration = Duration::from_mins(2);

/// Doubles from failure to failure, from 1 s to 60 s.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    last: Option<Instant>,
    until: Option<Instant>,
}

impl Backoff {
    /// A container failed at `now`. Many that fail at once, or during the pause, make one pause.
    pub(super) fn failed(&mut self, now: Instant) {
        if self.until.is_some_and(|until| now < until) {
            return;
        }
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > MEMORY) {
            self.failures = 0;
        }
        let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(6)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        self.last = Some(now);
        self.until = Some(now + pause);
    }

    /// A container became ready. The pause is over, but not forgotten: the next failure may be a second away.
    pub(super) fn succeeded(&mut self) {
        self.until = None;
    }

    /// Until when not to start, if the last thing known is a failure.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_to_a_minute() {
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            backoff.failed(now);
            let until = backoff.until().unwrap();
            pauses.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn an_old_failure_is_forgotten() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        backoff.failed(now);
        backoff.succeeded();
        backoff.failed(now);
        assert_eq!(backoff.until(), Some(now + 2 * PAUSE_MIN));
        backoff.succeeded();
        assert_eq!(backoff.until(), None);
        let later = now + MEMORY + Duration::from_secs(1);
        backoff.failed(later);
        assert_eq!(backoff.until(), Some(later + PAUSE_MIN));
    }
}
