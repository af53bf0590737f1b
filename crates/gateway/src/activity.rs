//! When a byte last passed in an exchange, and the timer that watches it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

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
}

/// Shared by both directions of one exchange.
#[derive(Debug)]
pub(crate) struct Activity {
    begun: Instant,
    last_ms: AtomicU64,
    upload: AtomicU8,
}

impl Activity {
    pub(crate) fn new(upload: Upload) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            last_ms: AtomicU64::new(0),
            upload: AtomicU8::new(upload as u8),
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

    pub(crate) fn upload(&self) -> Upload {
        match self.upload.load(Ordering::Acquire) {
            0 => Upload::Open,
            1 => Upload::Complete,
            _ => Upload::Failed,
        }
    }

    fn last(&self) -> Instant {
        self.begun + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }
}

/// Ends when nothing has passed for a while. One timer per exchange, not reset by each byte.
#[derive(Debug)]
pub(crate) struct IdleTimer {
    activity: Arc<Activity>,
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl IdleTimer {
    pub(crate) fn new(activity: Arc<Activity>, limit: Duration) -> Self {
        Self { activity, limit, sleep: Box::pin(sleep(limit)) }
    }

    /// How long nothing may pass.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            std::task::ready!(self.sleep.as_mut().poll(cx));
            // A duration that reaches beyond what the clock can express never passes.
            let Some(due) = self.activity.last().checked_add(self.limit) else {
                return Poll::Pending;
            };
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(due);
        }
    }

    pub(crate) async fn expired(&mut self) {
        std::future::poll_fn(|cx| self.poll_expired(cx)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_byte_puts_the_end_off() {
        let activity = Activity::new(Upload::Open);
        let mut timer = IdleTimer::new(Arc::clone(&activity), Duration::from_secs(10));
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(6)).await;
        activity.touch();
        timer.expired().await;
        assert_eq!(begun.elapsed().as_secs(), 16);
    }
}
