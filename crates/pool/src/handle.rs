//! The handle of a pool: what the gateway and the composition root hold.

use std::future::Future;
use std::sync::Arc;

use pilotlight_core::pool::{Event, RequestId, Settings, Stats, Stop};
use pilotlight_core::room::Share;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::actor::Actor;
use crate::desk::{Desk, Reply, Told};
use crate::launcher::{Launcher, Stage, StartFailure};
use crate::lease::{Lease, LeaseError};
use crate::room::Room;

/// The containers of one function. Cheap to clone; when the last handle is dropped the pool retires.
#[derive(Clone, Debug)]
pub struct Pool {
    owner: Arc<Owner>,
    stats: watch::Receiver<Stats>,
}

impl Pool {
    /// Makes a pool and its actor. Nothing happens until the caller spawns the actor, which ends when the pool has been
    /// retired and its last container is gone.
    pub fn new(
        settings: Settings,
        launcher: Arc<dyn Launcher>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        Self::on(None, settings, launcher)
    }

    /// [`new`](Self::new) on a machine that other pools share: a container is started when there is room for `share`, and
    /// gives way to others' as [`pilotlight_core::room`] says.
    pub fn within(
        room: &Room,
        share: Share,
        settings: Settings,
        launcher: Arc<dyn Launcher>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        Self::on(Some((room, share)), settings, launcher)
    }

    fn on(
        place: Option<(&Room, Share)>,
        settings: Settings,
        launcher: Arc<dyn Launcher>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (stats_sender, stats) = watch::channel(Stats::default());
        let desk = Arc::new_cyclic(|desk| {
            let seat = place.map(|(room, share)| room.join(desk.clone(), share));
            Desk::new(settings, stats_sender, seat)
        });
        let actor = Actor::new(Arc::clone(&desk), launcher);
        (Self { owner: Arc::new(Owner(desk)), stats }, actor.run())
    }

    /// Waits for a slot in a container until `deadline`. Dropping the future gives up the wait.
    pub async fn lease(&self, deadline: impl Into<Instant>) -> Result<Lease, LeaseError> {
        let desk = &self.owner.0;
        match desk.arrive() {
            Told::Reply(reply) => reply,
            Told::Later(request, answer) => {
                let mut waiting = Waiting { answer: Some(answer), desk, request };
                let answer = timeout_at(deadline.into(), waiting.answer()).await;
                answer.unwrap_or_else(|_| {
                    Err(if desk.waits_for_room() { LeaseError::NoRoom } else { LeaseError::Deadline })
                })
            }
        }
    }

    /// Other settings from now on, unless `change` gives an error, which leaves those that there are. `max_inputs` and
    /// `single_use` hold for containers that start from now on.
    pub fn change<E>(&self, change: impl FnOnce(&mut Settings) -> Result<(), E>) -> Result<(), E> {
        self.owner.0.change(change)
    }

    /// Waits until a container is ready, and starts one for that if there is none. It stays as a warm container. Ends
    /// with the start, which has its own time limit (`startup_timeout`).
    pub async fn warm(&self) -> Result<(), StartFailure> {
        let (reply, answer) = oneshot::channel();
        let retired = || StartFailure::new(Stage::Retired, LeaseError::Retired.to_string());
        self.owner.0.try_out(reply);
        answer.await.unwrap_or_else(|_| Err(retired()))
    }

    /// No new requests and no new containers; those that are there finish what they hold.
    pub fn retire(&self) {
        self.owner.0.happen(Event::Retire(Stop::Drain));
    }

    /// No new requests, and every container is gone at once, with what it holds.
    pub fn kill(&self) {
        self.owner.0.happen(Event::Retire(Stop::Kill));
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

/// What all handles have. Dropped with the last of them.
#[derive(Debug)]
struct Owner(Arc<Desk>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.happen(Event::Retire(Stop::Drain));
    }
}

/// A request that waits at the desk. Dropped before its answer came, it is abandoned.
struct Waiting<'a> {
    /// Until it is answered.
    answer: Option<oneshot::Receiver<Reply>>,
    desk: &'a Arc<Desk>,
    request: RequestId,
}

impl Waiting<'_> {
    async fn answer(&mut self) -> Reply {
        let answer = self.answer.as_mut().expect("asked once, by its maker").await;
        self.answer = None;
        answer.unwrap_or(Err(LeaseError::Retired))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            // A lease that is already on its way is dropped here and thereby returned.
            drop(answer);
            self.desk.happen(Event::Abandoned(self.request));
        }
    }
}
