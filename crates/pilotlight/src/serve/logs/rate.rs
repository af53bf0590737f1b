//! How much a container may print: the rest of a flood is counted and not kept, and the worst of it has to wait.

use std::time::{Duration, Instant};

/// What is kept of a container's output in the long run, bytes per second.
const KEPT_PER_SECOND: f64 = 1024.0 * 1024.0;

/// What is kept at once after a pause, bytes.
const BURST: f64 = 4.0 * 1024.0 * 1024.0;

/// What is read of output that is not kept, bytes per second. A container that prints faster waits: reading costs the
/// server's processor time, which is everybody's.
const READ_PER_SECOND: f64 = 32.0 * 1024.0 * 1024.0;

/// A token bucket over one stream of a container, and what it turned away.
#[derive(Debug)]
pub(super) struct Rate {
    /// Bytes that may be kept now.
    room: f64,
    at: Instant,
    lost: Lost,
}

/// Output that was not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    lines: u64,
    bytes: u64,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is kept. If lines before it were lost, that is to be said first.
    Keep(Option<Lost>),
    /// It is lost, and the next one is to be read only after this pause.
    Lose(Duration),
}

impl Rate {
    pub(super) fn new(now: Instant) -> Self {
        Self { room: BURST, at: now, lost: Lost::default() }
    }

    /// Decides about a line of `bytes`, its end included.
    pub(super) fn admit(&mut self, now: Instant, bytes: usize) -> Verdict {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.room = (self.room + passed * KEPT_PER_SECOND).min(BURST);
        self.at = now;
        // Lines are short against the room of a second: no precision is lost.
        #[expect(clippy::cast_precision_loss, reason = "a line has at most some KiB")]
        let wanted = bytes as f64;
        // In a flood a stretch is kept and a stretch is lost, rather than every other line.
        let needed = if self.lost == Lost::default() { wanted } else { KEPT_PER_SECOND };
        if self.room >= needed {
            self.room -= wanted;
            return Verdict::Keep(self.take_lost());
        }
        self.lost.lines += 1;
        self.lost.bytes += bytes as u64;
        Verdict::Lose(Duration::from_secs_f64(wanted / READ_PER_SECOND))
    }

    /// What was lost since this was asked last, if anything.
    pub(super) fn take_lost(&mut self) -> Option<Lost> {
        let lost = std::mem::take(&mut self.lost);
        (lost != Lost::default()).then_some(lost)
    }
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { lines, bytes } = self;
        let kib = bytes.div_ceil(1024);
        write!(f, "{lines} lines ({kib} KiB) are not kept: a container may print 1 MiB/s, and 4 MiB at once")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: usize = 1024;

    #[test]
    fn a_burst_is_kept_and_what_comes_after_it_is_lost_and_told() {
        let now = Instant::now();
        let mut rate = Rate::new(now);
        let kept = (0..10_000).filter(|_| matches!(rate.admit(now, LINE), Verdict::Keep(_))).count();
        assert_eq!(kept, 4096);
        let lost = Lost { lines: 10_000 - 4096, bytes: (10_000 - 4096) * LINE as u64 };
        assert_eq!(rate.admit(now + Duration::from_secs(2), LINE), Verdict::Keep(Some(lost)));
        assert_eq!(rate.admit(now + Duration::from_secs(2), LINE), Verdict::Keep(None));
    }

    #[test]
    fn whatever_a_container_prints_no_more_than_the_rate_is_kept() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        let seconds = 60;
        let mut kept = 0;
        for millisecond in 0..seconds * 1000 {
            let now = start + Duration::from_millis(millisecond);
            // 8 MiB a second, in lines of all lengths.
            for part in [1, 100, 3000, 5287] {
                if let Verdict::Keep(_) = rate.admit(now, part) {
                    kept += part as u64;
                }
            }
        }
        let most = (seconds + 4) * 1024 * 1024;
        assert!(kept <= most && kept > most * 9 / 10, "{kept} of {most}");
    }

    #[test]
    fn a_container_within_its_rate_loses_nothing() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        for second in 0..100 {
            for _ in 0..1000 {
                assert_eq!(rate.admit(start + Duration::from_secs(second), LINE), Verdict::Keep(None));
            }
        }
    }

    #[test]
    fn output_that_is_lost_is_read_no_faster_than_a_bound() {
        let now = Instant::now();
        let mut rate = Rate::new(now);
        while let Verdict::Keep(_) = rate.admit(now, LINE) {}
        let waited: Duration = (0..32 * 1024)
            .map(|_| match rate.admit(now, LINE) {
                Verdict::Lose(pause) => pause,
                Verdict::Keep(_) => Duration::ZERO,
            })
            .sum();
        assert!(waited.as_secs_f64() > 0.99);
    }
}
