//! The knobs of one pool.

use std::time::Duration;

/// No wait is longer: a moment further away may not exist on the clock.
const FOREVER: Duration = Duration::from_hours(10 * 365 * 24);

/// The knobs of one pool. The defaults are Modal's where it has the knob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether a container is started only when there is room for it on the machine, which is told by
    /// [`Event::Granted`](super::Event::Granted).
    pub admitted: bool,
    /// Spare containers kept ready while there is work, so that the next request does not wait for a start.
    pub buffer_containers: usize,
    /// How long a container may take to exit after it was asked to; then it is killed.
    pub drain_timeout: Duration,
    /// How long a container may be without a request before it stops (`container_idle_timeout`, `scaledown_window`).
    pub idle: Duration,
    /// At most this many containers, those that are still stopping included (`concurrency_limit`). At least one.
    pub max_containers: Option<usize>,
    /// At most this many requests in one container at a time. At least one.
    pub max_inputs: usize,
    /// At least this many containers at any time (`keep_warm`). Never more than `max_containers`.
    pub min_containers: usize,
    /// How many starts run side by side. `None`: as many as are wanted.
    pub pace: Option<Pace>,
    /// At most this many requests wait for a container; the next are refused. At least one.
    pub queue_max: usize,
    /// Whether a container is given one request in its life (`single_use_containers`). It then takes one at a time, and
    /// is replaced from the moment it is given that request.
    pub single_use: bool,
    /// How long a container may take to become ready.
    pub startup_timeout: Duration,
    /// From this many requests per container on, another one is started; up to `max_inputs` go to those that are there
    /// meanwhile. `None`: only what waits starts containers.
    pub target_inputs: Option<usize>,
}

/// How many starts run side by side. Many at once take the machine from each other and from those that serve, so that
/// all are late and still more are wanted; one by one the first is ready soon, and those who wait may need no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// At most this many. At least one.
    pub starts: usize,
    /// A start that takes longer than this does not count: it may be waiting for something else than the machine.
    pub slow: Duration,
}

impl Settings {
    /// The same with every knob inside its range, so that the machine needs no special cases.
    pub(super) fn normalised(mut self) -> Self {
        self.drain_timeout = self.drain_timeout.min(FOREVER);
        self.idle = self.idle.min(FOREVER);
        self.startup_timeout = self.startup_timeout.min(FOREVER);
        self.max_inputs = if self.single_use { 1 } else { self.max_inputs.max(1) };
        self.queue_max = self.queue_max.max(1);
        self.pace = self.pace.map(|pace| Pace {
            starts: pace.starts.max(1),
            slow: pace.slow.clamp(Duration::from_millis(1), FOREVER),
        });
        self.target_inputs = self.target_inputs.map(|target| target.clamp(1, self.max_inputs));
        self.max_containers = self.max_containers.map(|max| max.max(1));
        self.min_containers = self.min_containers.min(self.max_containers.unwrap_or(usize::MAX));
        self
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            admitted: false,
            buffer_containers: 0,
            drain_timeout: Duration::from_secs(30),
            idle: Duration::from_mins(1),
            max_containers: None,
            max_inputs: 1,
            min_containers: 0,
            pace: None,
            queue_max: 1000,
            single_use: false,
            startup_timeout: Duration::from_mins(5),
            target_inputs: None,
        }
    }
}
