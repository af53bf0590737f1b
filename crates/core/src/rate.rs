//! How often something may happen: so many times a period, and all of them at once if nothing did before.

use std::time::{Duration, Instant};

/// So many times a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least one.
    pub count: u32,
    /// In how long.
    pub period: Duration,
}

/// Counts what happens against a rate. It keeps one moment: when all that happened so far would be allowed again from
/// nothing (the generic cell rate algorithm, ITU-T I.371).
#[derive(Debug)]
pub struct Meter {
    rate: Rate,
    clear: Instant,
}

impl Meter {
    /// Nothing has happened yet.
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, clear: now }
    }

    /// Takes one, or says how long it takes until there is one.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let clear = self.clear.max(now) + self.rate.period / self.rate.count.max(1);
        match (clear - now).checked_sub(self.rate.period) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.clear = clear;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_is_let_through_and_then_one_by_one() {
        let begin = Instant::now();
        let mut meter = Meter::new(Rate { count: 4, period: SECOND }, begin);
        for _ in 0..4 {
            assert_eq!(meter.take(begin), Ok(()));
        }
        assert_eq!(meter.take(begin), Err(SECOND / 4));
        assert_eq!(meter.take(begin + SECOND / 4), Ok(()));
        assert_eq!(meter.take(begin + SECOND / 4), Err(SECOND / 4));
        // What was not used for long is there again, once.
        let later = begin + 100 * SECOND;
        assert_eq!((0..10).filter(|_| meter.take(later).is_ok()).count(), 4);
    }

    proptest! {
        /// In no stretch of time are there more than its share and one burst, and who waits as told is let through.
        #[test]
        fn never_more_than_the_rate(count in 1_u32..50, pauses in prop::collection::vec(0_u64..200, 1..200)) {
            let begin = Instant::now();
            let mut meter = Meter::new(Rate { count, period: SECOND }, begin);
            let (mut now, mut taken) = (begin, Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                match meter.take(now) {
                    Ok(()) => taken.push(now),
                    Err(wait) => {
                        prop_assert!(wait <= SECOND / count);
                        now += wait;
                        prop_assert_eq!(meter.take(now), Ok(()));
                        taken.push(now);
                    }
                }
            }
            for (index, first) in taken.iter().enumerate() {
                let within = taken[index..].iter().filter(|at| **at < *first + SECOND).count();
                prop_assert!(within <= 2 * count as usize, "{within} in a second");
            }
        }
    }
}
