//! The link to the helper: starts containers through it, and tells each one's follower when it ends.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use pilotlight_image::step::{self, Exits, Request, Sandboxed, Steps};
use pilotlight_sandbox::{Door, Event, ExitStatus, Fds, Helper, Options, Relay, Seen, Signal, Spec, Started};
use tokio::sync::oneshot;

/// The pause before a helper is started again when the one before did not last; it doubles each time.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause. A helper that lives longer than this counts as sound: the next one starts without a pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long to wait for the answer to a start; the helper itself gives up before.
const START_WITHIN: Duration = Duration::from_mins(1);

/// As many requests fit into the channel to the helper, whatever they say, so that sending one does not block.
const AT_ONCE_MAX: usize = 16;

/// How a container ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// Exit code or signal of the command.
    pub(crate) status: ExitStatus,
    /// The kernel killed it for its memory limit.
    pub(crate) oom: bool,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.oom {
            return f.write_str("ran out of memory and was killed");
        }
        match self.status {
            ExitStatus::Code(code) => write!(f, "exited with code {code}"),
            ExitStatus::Signal(signal) => write!(f, "was killed by signal {signal}"),
        }
    }
}

impl Steps for Containers {
    fn run(
        &self,
        request: Request,
        line: &(dyn Fn(&str) + Sync),
        cancel: &AtomicBool,
    ) -> Result<(), step::Error> {
        self.steps().run(request, line, cancel)
    }

    fn errand(
        &self,
        errand: (&str, &str),
        target: &Path,
        line: &(dyn Fn(&str) + Sync),
        cancel: &AtomicBool,
    ) -> Result<(), step::Error> {
        self.steps().errand(errand, target, line, cancel)
    }

    fn erase(&self, path: &Path) -> Result<(), step::Error> {
        self.steps().erase(path)
    }
}

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Ended>>>>;

/// Starts and signals containers. Cheap to clone; survives the helper, which is started again when it dies.
#[derive(Clone)]
pub(crate) struct Containers {
    current: Arc<RwLock<Current>>,
    waiting: Waiting,
    /// The server ends: no helper is started any more.
    closing: Arc<AtomicBool>,
    /// How many starts the helper was asked for and has not answered.
    under_way: Arc<AtomicUsize>,
}

/// A container that was asked for.
pub(crate) struct Begun {
    id: String,
    containers: Containers,
    started: oneshot::Receiver<Result<Started, pilotlight_sandbox::Error>>,
    ended: oneshot::Receiver<Ended>,
}

impl Begun {
    /// Waits until its command runs. The receiver yields its end; closed without one, the helper died.
    pub(crate) async fn started(self) -> anyhow::Result<(Started, oneshot::Receiver<Ended>)> {
        let error = match tokio::time::timeout(START_WITHIN, self.started).await {
            Ok(Ok(Ok(started))) => return Ok((started, self.ended)),
            Ok(Ok(Err(error))) => error,
            Ok(Err(_)) => pilotlight_sandbox::Error::HelperDied,
            Err(_) => {
                // It may still come up, and nobody would know of it.
                self.containers.signal(&self.id, Signal::Kill);
                pilotlight_sandbox::Error::Deadline { waited: START_WITHIN }
            }
        };
        self.containers.waiting().remove(&self.id);
        Err(error.into())
    }
}

/// One of those under way, until it is dropped.
struct Count(Arc<AtomicUsize>);

impl Count {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }

    fn number(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The helper of now, and the build steps that run through it.
struct Current {
    helper: Helper,
    exits: Exits,
    steps: Arc<Sandboxed>,
}

impl Current {
    fn new(helper: Helper) -> Self {
        let exits = Exits::default();
        let steps = Arc::new(Sandboxed::new(helper.clone(), exits.clone()));
        Self { helper, exits, steps }
    }
}

impl Containers {
    /// Starts the helper and the thread that listens to it.
    pub(crate) fn start(options: Options) -> anyhow::Result<Self> {
        let (helper, events) = Helper::spawn(&options)?;
        let containers = Self {
            current: Arc::new(RwLock::new(Current::new(helper))),
            waiting: Waiting::default(),
            closing: Arc::default(),
            under_way: Arc::default(),
        };
        let follower = containers.clone();
        // A thread, not a task: the sandbox speaks blocking channels and knows no runtime.
        let thread = std::thread::Builder::new().name("helper events".into());
        thread.spawn(move || follower.keep(&options, events))?;
        Ok(containers)
    }

    /// Follows the helper, and starts another whenever it dies, for as long as the server lives.
    fn keep(&self, options: &Options, mut events: std::sync::mpsc::Receiver<Event>) {
        let mut pause = Duration::ZERO;
        loop {
            let since = Instant::now();
            if !self.follow(&events) {
                return;
            }
            tracing::error!("the sandbox helper died, and its containers with it; starting another");
            if since.elapsed() > PAUSE_MAX {
                pause = Duration::ZERO;
            }
            let Some(new) = self.replace(options, &mut pause) else { return };
            events = new;
        }
    }

    /// Tries to start another helper until one runs, with longer and longer pauses; `None` when the server ends.
    fn replace(&self, options: &Options, pause: &mut Duration) -> Option<std::sync::mpsc::Receiver<Event>> {
        loop {
            if !pause.is_zero() {
                // Woken early, it merely tries earlier.
                std::thread::park_timeout(*pause);
            }
            *pause = (*pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
            if self.closing.load(Ordering::SeqCst) {
                return None;
            }
            match Helper::spawn(options) {
                Ok((helper, events)) => {
                    let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                    // Looked at under the lock: `shutdown` sees the new helper, or this sees that it was called.
                    if self.closing.load(Ordering::SeqCst) {
                        return None;
                    }
                    *current = Current::new(helper);
                    return Some(events);
                }
                Err(error) => {
                    let again = pause.as_secs();
                    tracing::error!(%error, "cannot start another helper; trying again in {again} s");
                }
            }
        }
    }

    /// Hands out ends until the helper dies (`true`) or the server lets go of it (`false`).
    fn follow(&self, events: &std::sync::mpsc::Receiver<Event>) -> bool {
        for event in events {
            match event {
                Event::Exited { id, status, oom } => {
                    if self.exits().container_exited(&id, status, oom) {
                        continue;
                    }
                    if let Some(waiting) = self.waiting().remove(&id) {
                        _ = waiting.send(Ended { status, oom });
                    }
                }
                Event::HelperDied => {
                    // Dropping the senders tells every follower.
                    self.waiting().clear();
                    self.exits().helper_died();
                    return true;
                }
            }
        }
        false
    }

    /// Begins to start a container; [`Begun::started`] waits for it. Many at once, which the helper reads slowly, are
    /// begun on blocking threads.
    pub(crate) async fn begin(&self, spec: Spec, fds: Fds) -> anyhow::Result<Begun> {
        let (sender, ended) = oneshot::channel();
        let (told, started) = oneshot::channel();
        let id = spec.id.clone();
        self.waiting().insert(id.clone(), sender);
        let begun = Begun { id, containers: self.clone(), started, ended };
        let helper = self.helper();
        let under_way = Arc::clone(&self.under_way);
        let count = Count::new(under_way);
        let many = count.number() > AT_ONCE_MAX;
        let begin = move || {
            helper.begin(&spec, fds, move |started| {
                drop(count);
                // Nobody waits any more: it was given up.
                _ = told.send(started);
            })
        };
        let sent = if many { tokio::task::spawn_blocking(begin).await? } else { begin() };
        match sent {
            Ok(()) => Ok(begun),
            Err(error) => {
                self.waiting().remove(&begun.id);
                Err(error.into())
            }
        }
    }

    /// Makes everything of a container but its process.
    pub(crate) async fn prepare(&self, spec: Spec) -> anyhow::Result<()> {
        let helper = self.helper();
        Ok(tokio::task::spawn_blocking(move || helper.prepare(&spec)).await??)
    }

    /// Signals a container; one that is gone already is no error.
    pub(crate) fn signal(&self, id: &str, signal: Signal) {
        if let Err(error) = self.helper().signal(id, signal) {
            tracing::debug!(id, %error, "cannot signal the container");
        }
    }

    /// Opens what of this machine's loopback a container reaches, until what this gives is dropped.
    pub(crate) async fn open(&self, id: &str, doors: Vec<Door>) -> anyhow::Result<Relay> {
        let (helper, id) = (self.helper(), id.to_owned());
        Ok(tokio::task::spawn_blocking(move || helper.open(&id, &doors)).await??)
    }

    /// What a container has written so far.
    pub(crate) async fn look(&self, id: &str) -> anyhow::Result<Vec<Seen>> {
        let (helper, id) = (self.helper(), id.to_owned());
        Ok(tokio::task::spawn_blocking(move || helper.look(&id)).await??)
    }

    /// What the processes of a container take of memory, in KiB. Reads files.
    pub(crate) fn memory_kib(&self, id: &str) -> Option<u64> {
        self.helper().memory_kib(id)
    }

    fn helper(&self) -> Helper {
        self.current.read().unwrap_or_else(PoisonError::into_inner).helper.clone()
    }

    fn steps(&self) -> Arc<Sandboxed> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).steps)
    }

    fn exits(&self) -> Exits {
        self.current.read().unwrap_or_else(PoisonError::into_inner).exits.clone()
    }

    /// Ends every container and the helper.
    pub(crate) fn shutdown(&self, grace: Duration) {
        self.closing.store(true, Ordering::SeqCst);
        self.helper().shutdown(grace);
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<Ended>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
