//! What becomes of a connection after 101: bytes both ways, unread, until one side ends or nothing passes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use pilotlight_pool::Lease;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::time::timeout;

use crate::activity::{Activity, IdleTimer, Limits, Spare};
use crate::upstream::Connection;

/// How long both sides may take to switch after 101.
const SWITCH_MAX: Duration = Duration::from_secs(10);

/// A tunnel between a client and a container. Made only once the container has answered 101. Holds the lease.
pub(crate) struct Tunnel {
    pub(crate) client: OnUpgrade,
    pub(crate) container: OnUpgrade,
    pub(crate) activity: Arc<Activity>,
    pub(crate) timeout: Duration,
    pub(crate) lease: Lease,
    pub(crate) connection: Connection,
}

impl Tunnel {
    /// Carries bytes until both sides have ended, one fails, or none has passed for the endpoint's timeout.
    pub(crate) async fn run(self) {
        let Self { client, container, activity, timeout: limit, lease, connection } = self;
        let switched =
            timeout(SWITCH_MAX, async { Ok::<_, hyper::Error>((client.await?, container.await?)) });
        let (client, container) = match switched.await {
            Ok(Ok(sides)) => sides,
            Ok(Err(error)) => return tracing::debug!(%error, "a side did not switch"),
            Err(_) => return tracing::debug!("a side did not switch in time"),
        };
        let mut client = Watched::new(client, Arc::clone(&activity));
        let mut container = Watched::new(container, Arc::clone(&activity));
        let mut timer = IdleTimer::new(activity, Limits::new(limit, None), &Spare::default());
        tokio::select! {
            outcome = copy_bidirectional(&mut client, &mut container) => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "a tunnel broke");
                }
            }
            () = timer.expired() => tracing::debug!("a tunnel was silent for its timeout"),
        }
        // Both were held until here: the slot is in use as long as the tunnel is.
        drop((connection, lease));
    }
}

/// One side of a tunnel; what is read from it counts as activity.
struct Watched {
    inner: TokioIo<Upgraded>,
    activity: Arc<Activity>,
}

impl Watched {
    fn new(upgraded: Upgraded, activity: Arc<Activity>) -> Self {
        Self { inner: TokioIo::new(upgraded), activity }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_read(cx, buf);
        if poll.is_ready() {
            self.activity.touch();
        }
        poll
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
