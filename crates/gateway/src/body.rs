//! The two bodies of an exchange, streamed frame by frame.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use pilotlight_pool::Lease;

use crate::activity::{Activity, IdleTimer, Upload};
use crate::linger::linger;
use crate::upstream::{Connection, Upstreams};

/// Why an answer broke off. The client sees its connection end amid the body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The container's connection ended or failed.
    #[error("the container's answer broke off")]
    Container(#[source] hyper::Error),
    /// No byte in either direction for the endpoint's timeout.
    #[error("the function sent nothing for as long as its timeout")]
    Timeout,
}

/// The request's body on its way to a container.
pub(crate) struct RequestBody {
    inner: Incoming,
    activity: Arc<Activity>,
    /// How much more of it may come, bytes.
    left: u64,
}

/// Why a request's body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    /// The client broke off, or framed it wrongly.
    #[error("the client's body broke off")]
    Client(#[source] hyper::Error),
    /// It is larger than any may be.
    #[error("the body is too large")]
    TooLarge,
}

impl RequestBody {
    pub(crate) fn new(inner: Incoming, bytes_max: u64) -> (Self, Arc<Activity>) {
        let upload = if inner.is_end_stream() { Upload::Complete } else { Upload::Open };
        let activity = Activity::new(upload);
        (Self { inner, activity: Arc::clone(&activity), left: bytes_max }, activity)
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
            match &frame {
                None => self.activity.set_upload(Upload::Complete),
                Some(Err(_)) => self.activity.set_upload(Upload::Failed),
                // Trailers could smuggle fields past the checks that the head went through.
                Some(Ok(frame)) if frame.is_trailers() => continue,
                Some(Ok(frame)) => {
                    self.activity.touch();
                    let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                    let Some(left) = self.left.checked_sub(bytes) else {
                        self.activity.set_upload(Upload::TooLarge);
                        return Poll::Ready(Some(Err(Cut::TooLarge)));
                    };
                    self.left = left;
                    if self.inner.is_end_stream() {
                        self.activity.set_upload(Upload::Complete);
                    }
                }
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Cut::Client)));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of an answer.
pub(crate) enum Body {
    /// The gateway's own.
    Own(Full<Bytes>),
    /// A container's.
    Proxied(Box<Proxied>),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self::Own(Full::default())
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Proxied(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Proxied(body) => body.answer().incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Proxied(body) => body.answer().incoming.size_hint(),
        }
    }
}

/// A container's answer. Holds the lease and the connection until it has been sent, or is dropped because the client
/// left.
pub(crate) struct Proxied {
    /// Taken when it is dropped.
    pub(crate) answer: Option<Answer>,
    pub(crate) connection: Option<Connection>,
    /// Whether the connection may carry another exchange after this one.
    pub(crate) reusable: bool,
    pub(crate) activity: Arc<Activity>,
    pub(crate) timer: IdleTimer,
    pub(crate) upstreams: Upstreams,
    /// Whether the end of the answer was seen.
    pub(crate) ended: bool,
    /// An error to report once what came before it has been flushed.
    pub(crate) deferred: Option<Broken>,
}

/// What an answer on its way has of the container.
pub(crate) struct Answer {
    pub(crate) incoming: Incoming,
    pub(crate) lease: Lease,
}

impl Proxied {
    fn answer(&self) -> &Answer {
        self.answer.as_ref().expect("only its end takes it")
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some(error) = self.deferred.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let answer = self.answer.as_mut().expect("only its end takes it");
        match Pin::new(&mut answer.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.activity.touch();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.connection = None;
                // When the client broke off its request, the container is not to blame for what follows.
                if !matches!(self.activity.upload(), Upload::Failed | Upload::TooLarge) {
                    answer.lease.broken();
                }
                // hyper drops what it has not written when a body fails. While a body is pending it writes, so that
                // the client gets all that the container said.
                self.deferred = Some(Broken::Container(error));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.ended = true;
                Poll::Ready(None)
            }
            Poll::Pending => {
                std::task::ready!(self.timer.poll_expired(cx));
                self.connection = None;
                if self.activity.upload() == Upload::Complete {
                    answer.lease.overdue(self.timer.limit());
                }
                Poll::Ready(Some(Err(Broken::Timeout)))
            }
        }
    }
}

impl Drop for Proxied {
    fn drop(&mut self) {
        let (Some(answer), Some(connection)) = (self.answer.take(), self.connection.take()) else { return };
        // A connection whose request was not read to its end would hand the rest to the next one.
        if self.activity.upload() != Upload::Complete {
            return;
        }
        let Answer { incoming, lease } = answer;
        if self.ended || incoming.is_end_stream() {
            if self.reusable {
                self.upstreams.give_back(&lease.address, connection);
            }
        } else {
            let rest = std::future::ready(Ok::<_, Infallible>(Response::new(incoming)));
            linger(rest, connection, lease, self.timer.limit());
        }
    }
}
