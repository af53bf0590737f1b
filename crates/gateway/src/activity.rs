//! When a byte last passed in an exchange, and the timer that watches it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use pilotlight_pool::TimeLimit;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

use crate::write::Leaving;

/// How far the request's body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Upload {
    /// More of it is to come.
    Open,
    /// All of it has been handed over.
    Complete,
    /// The client broke off, or framed it wrongly.
    Failed,
    /// It is larger than any body may be, and the rest is not read.
    TooLarge,
}

/// Shared by both directions of one exchange.
#[derive(Debug)]
pub(crate) struct Activity {
    begun: Instant,
    last_ms: AtomicU64,
    upload: AtomicU8,
    /// Told when the request's body ended early.
    cut: Notify,
    /// The connection to the container that the body goes to.
    leaving: Mutex<Option<Arc<Leaving>>>,
}

impl Activity {
    pub(crate) fn new(upload: Upload) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            last_ms: AtomicU64::new(0),
            upload: AtomicU8::new(upload as u8),
            cut: Notify::new(),
            leaving: Mutex::default(),
        })
    }

    /// A byte has passed.
    pub(crate) fn touch(&self) {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    pub(crate) fn set_upload(&self, upload: Upload) {
        self.upload.store(upload as u8, Ordering::Release);
    }

    /// The body goes to the container by a connection that hears by this of its early end.
    pub(crate) fn goes_by(&self, leaving: &Arc<Leaving>) {
        if self.upload() == Upload::Open {
            *self.leaving() = Some(Arc::clone(leaving));
        }
    }

    /// The body ended early: the container hears that no more comes, and who waits for its answer that none is wanted.
    pub(crate) fn cut(&self, why: Upload) {
        self.set_upload(why);
        if let Some(leaving) = &*self.leaving() {
            leaving.say();
        }
        self.cut.notify_one();
    }

    /// Nobody carries the exchange on. What was not handed over of its body by now never is: where the client's connection
    /// is given up, the body seems to end, and the container must not take what it has for all of it.
    pub(crate) fn abandon(&self) {
        if self.upload() == Upload::Open {
            self.cut(Upload::Failed);
        }
    }

    /// Resolves when the body ended early.
    pub(crate) async fn was_cut(&self) {
        match self.upload() {
            Upload::Open => self.cut.notified().await,
            Upload::Complete => std::future::pending().await,
            Upload::Failed | Upload::TooLarge => {}
        }
    }

    pub(crate) fn upload(&self) -> Upload {
        match self.upload.load(Ordering::Acquire) {
            0 => Upload::Open,
            1 => Upload::Complete,
            3 => Upload::TooLarge,
            _ => Upload::Failed,
        }
    }

    fn leaving(&self) -> MutexGuard<'_, Option<Arc<Leaving>>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> Instant {
        self.begun + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }
}

/// The timer of a client's connection while no exchange has it. Setting one costs more than an early end of an old one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spare(Arc<Mutex<Option<Pin<Box<Sleep>>>>>);

impl Spare {
    fn lock(&self) -> MutexGuard<'_, Option<Pin<Box<Sleep>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long an exchange may last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long nothing may pass.
    pub(crate) silence: Duration,
    /// How long it may last whatever passes, and when that is over.
    total: Option<(Duration, Instant)>,
}

impl Limits {
    /// From now on; a total that the clock cannot express is none.
    pub(crate) fn new(silence: Duration, total: Option<Duration>) -> Self {
        let end = |total| Instant::now().checked_add(total).map(|end| (total, end));
        Self { silence, total: total.and_then(end) }
    }

    /// Whether its end has come.
    pub(crate) fn is_over(self) -> bool {
        self.total.is_some_and(|(_, end)| end <= Instant::now())
    }

    /// Which of the two an exchange went over that is ended now.
    pub(crate) fn passed(self) -> TimeLimit {
        match self.total {
            Some((after, _)) if self.is_over() => TimeLimit { name: "total_timeout", after },
            _ => TimeLimit { name: "timeout", after: self.silence },
        }
    }
}

/// Ends when nothing has passed for a while. One timer per connection, reset neither by each byte nor by each exchange.
#[derive(Debug)]
pub(crate) struct IdleTimer {
    activity: Arc<Activity>,
    limits: Limits,
    /// Ends when the exchange may be over, or before. Taken when this is dropped.
    sleep: Option<Pin<Box<Sleep>>>,
    spare: Spare,
}

impl Drop for IdleTimer {
    fn drop(&mut self) {
        *self.spare.lock() = self.sleep.take();
    }
}

impl IdleTimer {
    pub(crate) fn new(activity: Arc<Activity>, limits: Limits, spare: &Spare) -> Self {
        let mut sleep = spare.lock().take().unwrap_or_else(|| Box::pin(sleep(limits.silence)));
        if let Some(due) = due(&activity, limits).filter(|due| *due < sleep.deadline()) {
            sleep.as_mut().reset(due);
        }
        Self { activity, limits, sleep: Some(sleep), spare: spare.clone() }
    }

    /// How long the exchange may last.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.as_mut().expect("taken by drop alone");
        loop {
            std::task::ready!(sleep.as_mut().poll(cx));
            // A duration that reaches beyond what the clock can express never passes.
            let Some(due) = due(&self.activity, self.limits) else {
                return Poll::Pending;
            };
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }

    pub(crate) async fn expired(&mut self) {
        std::future::poll_fn(|cx| self.poll_expired(cx)).await;
    }
}

/// When an exchange is over if nothing passes from now on.
fn due(activity: &Activity, limits: Limits) -> Option<Instant> {
    let silent = activity.last().checked_add(limits.silence);
    match (silent, limits.total.map(|(_, end)| end)) {
        (Some(silent), Some(end)) => Some(silent.min(end)),
        (silent, end) => silent.or(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(seconds: u64) -> Limits {
        Limits::new(Duration::from_secs(seconds), None)
    }

    #[tokio::test(start_paused = true)]
    async fn no_byte_puts_off_the_end_of_all() {
        let activity = Activity::new(Upload::Open);
        let limits = Limits::new(Duration::from_secs(10), Some(Duration::from_secs(25)));
        let mut timer = IdleTimer::new(Arc::clone(&activity), limits, &Spare::default());
        let begun = Instant::now();
        for _ in 0..4 {
            assert!(tokio::time::timeout(Duration::from_secs(6), timer.expired()).await.is_err());
            assert!(!limits.is_over());
            activity.touch();
        }
        timer.expired().await;
        assert_eq!(begun.elapsed().as_secs(), 25);
        assert!(limits.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_puts_the_end_off() {
        let activity = Activity::new(Upload::Open);
        let mut timer = IdleTimer::new(Arc::clone(&activity), silence(10), &Spare::default());
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(6)).await;
        activity.touch();
        timer.expired().await;
        assert_eq!(begun.elapsed().as_secs(), 16);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_was_used_before_is_as_good_as_a_new_one() {
        let spare = Spare::default();
        let seconds = Duration::from_secs;
        for (before, limit) in [(5, 60), (60, 5), (5, 5)] {
            let mut timer = IdleTimer::new(Activity::new(Upload::Open), silence(before), &spare);
            let expired = tokio::time::timeout(seconds(1), timer.expired()).await;
            assert!(expired.is_err());
            drop(timer);
            let begun = Instant::now();
            IdleTimer::new(Activity::new(Upload::Open), silence(limit), &spare).expired().await;
            assert_eq!(begun.elapsed().as_secs(), limit);
        }
    }
}
