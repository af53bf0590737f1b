//! The handle of a pool: what the gateway and the composition root hold.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pilotlight_core::pool::{RequestId, Settings, Stats, Stop};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::actor::Actor;
use crate::launcher::{Launcher, Stage, StartFailure};
use crate::lease::{Lease, LeaseError, Notice, Notices};

/// Requests on their way to the actor. They do not wait here but in the machine, whose queue has its own bound.
const COMMANDS_MAX: usize = 256;

/// The containers of one function. Cheap to clone; when the last handle is dropped the pool retires.
#[derive(Clone, Debug)]
pub struct Pool {
    commands: mpsc::Sender<Command>,
    control: watch::Sender<Control>,
    next: Arc<AtomicU64>,
    notices: Notices,
    stats: watch::Receiver<Stats>,
}

impl Pool {
    /// Makes a pool and its actor. Nothing happens until the caller spawns the actor, which ends when the pool has been
    /// retired and its last container is gone.
    pub fn new(
        settings: Settings,
        launcher: Arc<dyn Launcher>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (commands, command_queue) = mpsc::channel(COMMANDS_MAX);
        let (control, control_changes) = watch::channel(Control { settings, retire: None });
        let (notices, notice_queue) = Notices::channel();
        let (stats_sender, stats) = watch::channel(Stats::default());
        let actor =
            Actor::new(launcher, command_queue, control_changes, notices.clone(), notice_queue, stats_sender);
        (Self { commands, control, next: Arc::default(), notices, stats }, actor.run())
    }

    /// Waits for a slot in a container until `deadline`. Dropping the future gives up the wait.
    pub async fn lease(&self, deadline: impl Into<Instant>) -> Result<Lease, LeaseError> {
        let arrived = Instant::now();
        let wait = async {
            // The permit comes first: from here to the guard nothing can be cancelled.
            let permit = self.commands.reserve().await.map_err(|_| LeaseError::Retired)?;
            let request = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
            let (reply, answer) = oneshot::channel();
            permit.send(Command::Lease { request, arrived, reply });
            let mut waiting = Waiting { answer: Some(answer), notices: &self.notices, request };
            waiting.answer().await
        };
        timeout_at(deadline.into(), wait).await.unwrap_or(Err(LeaseError::Deadline))
    }

    /// Other settings from now on, unless `change` gives an error, which leaves those that there are. `max_inputs` and
    /// `single_use` hold for containers that start from now on.
    pub fn change<E>(&self, change: impl FnOnce(&mut Settings) -> Result<(), E>) -> Result<(), E> {
        let mut outcome = Ok(());
        self.control.send_if_modified(|control| {
            let mut settings = control.settings.clone();
            outcome = change(&mut settings);
            let changed = outcome.is_ok() && settings != control.settings;
            if changed {
                control.settings = settings;
            }
            changed
        });
        outcome
    }

    /// Waits until a container is ready, and starts one for that if there is none. It stays as a warm container. Ends
    /// with the start, which has its own time limit (`startup_timeout`).
    pub async fn warm(&self) -> Result<(), StartFailure> {
        let (reply, answer) = oneshot::channel();
        let retired = || StartFailure::new(Stage::Retired, LeaseError::Retired.to_string());
        self.commands.send(Command::Warm(reply)).await.map_err(|_| retired())?;
        answer.await.unwrap_or_else(|_| Err(retired()))
    }

    /// No new requests and no new containers; those that are there finish what they hold.
    pub fn retire(&self) {
        self.control.send_modify(|control| control.retire = control.retire.max(Some(Stop::Drain)));
    }

    /// No new requests, and every container is gone at once, with what it holds.
    pub fn kill(&self) {
        self.control.send_modify(|control| control.retire = Some(Stop::Kill));
    }

    /// How many containers and waiting requests there were after the last change.
    pub fn stats(&self) -> Stats {
        *self.stats.borrow()
    }

    /// Waits until no request is in a container, or the pool is over.
    pub async fn idle(&self) {
        // A pool that is over has no request.
        _ = self.stats.clone().wait_for(|stats| stats.busy == 0).await;
    }
}

/// What the actor is asked for.
#[derive(Debug)]
pub(crate) enum Command {
    Lease { request: RequestId, arrived: Instant, reply: oneshot::Sender<Result<Lease, LeaseError>> },
    Warm(oneshot::Sender<Result<(), StartFailure>>),
}

/// What the pool shall be. Only the newest counts, so it is watched and not queued.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pub(crate) settings: Settings,
    pub(crate) retire: Option<Stop>,
}

/// A request at the actor. Dropped before its answer came, it is abandoned.
struct Waiting<'a> {
    /// Until it is answered.
    answer: Option<oneshot::Receiver<Result<Lease, LeaseError>>>,
    notices: &'a Notices,
    request: RequestId,
}

impl Waiting<'_> {
    async fn answer(&mut self) -> Result<Lease, LeaseError> {
        let answer = self.answer.as_mut().expect("asked once, by its maker").await;
        self.answer = None;
        answer.unwrap_or(Err(LeaseError::Retired))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            // Closed before the notice: should the actor read the notice first, it finds a request that nobody awaits.
            // A lease that is already on its way is dropped here and thereby returned.
            drop(answer);
            self.notices.send(Notice::Abandoned(self.request));
        }
    }
}
