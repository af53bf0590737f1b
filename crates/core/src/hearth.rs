//! DECIDES what of that which is kept ready goes: which zygotes are put out, and which shell makes room for another.
//!
//! Pure, as all of this crate: what is measured comes in, and what is to go comes out.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

/// How much may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Of memory for all zygotes together, in KiB.
    pub kib: u64,
    /// How long one is kept that nothing is forked from.
    pub unused: Duration,
}

/// What is known of one zygote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zygote {
    /// When something was last forked from it, or it was lit.
    pub used: Instant,
    /// What it takes of memory.
    pub kib: u64,
    /// Whether something is being forked from it, or it is being lit. Such a one is never put out.
    pub busy: bool,
}

/// The zygotes to put out, by their place in the list, those that were used longest ago first: all that were unused for
/// too long, then as many as are needed for the rest to keep the budget.
pub fn to_put_out(now: Instant, budget: Budget, zygotes: &[Zygote]) -> Vec<usize> {
    let mut idle: Vec<usize> = (0..zygotes.len()).filter(|place| !zygotes[*place].busy).collect();
    idle.sort_by_key(|place| zygotes[*place].used);
    let mut left: u64 = zygotes.iter().map(|zygote| zygote.kib).sum();
    let mut out = Vec::new();
    for place in idle {
        let Zygote { used, kib, .. } = zygotes[place];
        if left > budget.kib || now.saturating_duration_since(used) > budget.unused {
            left = left.saturating_sub(kib);
            out.push(place);
        }
    }
    out
}

/// Whether there is room for a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Free,
    /// There is, once the shell at this place is gone.
    InPlaceOf(usize),
    /// All others are of functions that were used later.
    None,
}

/// Makes room for a shell of `function`, which was used at `used`, among those that are kept: of which function each is,
/// and when that was used.
pub fn room_for_shell(kept: &[(u64, Instant)], function: u64, used: Instant, max: usize) -> Room {
    if kept.len() < max {
        return Room::Free;
    }
    let others = kept.iter().enumerate().filter(|(_, (other, _))| *other != function);
    match others.min_by_key(|(_, (_, used))| *used) {
        Some((place, (_, oldest))) if *oldest <= used => Room::InPlaceOf(place),
        _ => Room::None,
    }
}
