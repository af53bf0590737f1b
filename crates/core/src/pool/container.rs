//! What a pool knows of one container.

use std::time::Instant;

use super::{RequestId, Settings, Stop};

/// One container, from the decision to start it until it is gone.
#[derive(Debug)]
pub(super) struct Container {
    /// What it was told at its start: how many requests it takes at a time.
    pub(super) max_inputs: usize,
    /// What it was started for: one request, and no other after it.
    pub(super) single_use: bool,
    pub(super) phase: Phase,
    pub(super) running: Vec<RequestId>,
    /// Whether any request has ended here.
    pub(super) served: bool,
    /// When it became ready, or last ended a request.
    pub(super) used: Instant,
}

/// Where a container is in its life. It never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not ready yet; given up at `until`.
    Starting { until: Instant },
    /// May be given requests.
    Ready,
    /// Gets no more requests, and is stopped when it has ended those it holds.
    Leaving { how: Stop },
    /// Was told to stop. `kill_at`: told gently, killed if not gone by then.
    Stopping { kill_at: Option<Instant> },
}

impl Container {
    pub(super) fn starting(now: Instant, settings: &Settings) -> Self {
        Self {
            max_inputs: settings.max_inputs,
            single_use: settings.single_use,
            phase: Phase::Starting { until: now + settings.startup_timeout },
            running: Vec::new(),
            served: false,
            used: now,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.is_ready() && self.running.len() < self.max_inputs
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.phase, Phase::Starting { .. })
    }

    pub(super) fn is_usable(&self) -> bool {
        self.is_ready() || self.is_starting()
    }
}
