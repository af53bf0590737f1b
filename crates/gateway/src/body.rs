//! The two bodies of an exchange, streamed frame by frame.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use pilotlight_pool::Lease;
use tokio::sync::oneshot;

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
    /// It took longer than the endpoint's total timeout, whatever passed.
    #[error("the function took longer than its total_timeout")]
    TotalTimeout,
}

/// The request's body on its way to a container.
pub(crate) struct RequestBody {
    inner: Incoming,
    activity: Arc<Activity>,
    /// How much more of it may come, bytes.
    left: u64,
    /// What was read of it before a container took it.
    ahead: VecDeque<Bytes>,
    /// Dropped with this: nothing more is read of it.
    done: Option<oneshot::Sender<Infallible>>,
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
    pub(crate) fn new(inner: Incoming, bytes_max: u64) -> Self {
        let upload = if inner.is_end_stream() { Upload::Complete } else { Upload::Open };
        Self { inner, activity: Activity::new(upload), left: bytes_max, ahead: VecDeque::new(), done: None }
    }

    /// What passes in the exchange that this is of.
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Reads it before a container is there to take it, up to some bytes and perhaps a frame more.
    pub(crate) async fn read_ahead(&mut self, bytes_max: usize) -> Result<(), Cut> {
        let (mut ahead, mut bytes) = (VecDeque::new(), 0);
        while bytes < bytes_max {
            let Some(frame) = poll_fn(|cx| self.poll_next(cx)).await else { break };
            if let Ok(data) = frame?.into_data() {
                bytes += data.len();
                ahead.push_back(data);
            }
        }
        self.ahead = ahead;
        Ok(())
    }

    /// Resolves when nothing more is read of the client's: it is all there, or nobody wants the rest.
    pub(crate) fn taken(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let (done, taken) = oneshot::channel();
        self.done = (self.activity.upload() == Upload::Open).then_some(done);
        async move { _ = taken.await }
    }

    /// The next piece, or why there is none.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if matches!(self.activity.upload(), Upload::Failed | Upload::TooLarge) {
            return Poll::Pending;
        }
        if let Some(data) = self.ahead.pop_front() {
            self.activity.touch();
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        loop {
            let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
            match &frame {
                None => self.activity.set_upload(Upload::Complete),
                Some(Err(_)) => self.activity.cut(Upload::Failed),
                // Trailers could smuggle fields past the checks that the head went through.
                Some(Ok(frame)) if frame.is_trailers() => continue,
                Some(Ok(frame)) => {
                    self.activity.touch();
                    let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                    let Some(left) = self.left.checked_sub(bytes) else {
                        self.activity.cut(Upload::TooLarge);
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
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    /// One that ends early is never at its end here: an error would close the connection to the container, and with it
    /// the only sign of when the handler has ended.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match std::task::ready!(self.poll_next(cx)) {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Err(cut)) => {
                tracing::debug!(%cut, "an upload ended early");
                self.done = None;
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        if !self.ahead.is_empty() {
            let ahead = self.ahead.iter().map(|data| data.len() as u64).sum::<u64>();
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper + ahead);
            }
            hint.set_lower(hint.lower() + ahead);
        }
        hint
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
        let limits = self.timer.limits();
        let answer = self.answer.as_mut().expect("only its end takes it");
        // Where there is always a next frame nobody asks the timer.
        if limits.is_over() {
            self.connection = None;
            answer.lease.overdue(limits.passed());
            return Poll::Ready(Some(Err(Broken::TotalTimeout)));
        }
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
                if limits.is_over() || self.activity.upload() == Upload::Complete {
                    answer.lease.overdue(limits.passed());
                }
                let broken = if limits.is_over() { Broken::TotalTimeout } else { Broken::Timeout };
                Poll::Ready(Some(Err(broken)))
            }
        }
    }
}

impl Drop for Proxied {
    fn drop(&mut self) {
        let (Some(answer), Some(connection)) = (self.answer.take(), self.connection.take()) else { return };
        self.activity.abandon();
        let Answer { incoming, lease } = answer;
        if self.ended || incoming.is_end_stream() {
            // A connection whose request was not read to its end would hand the rest to the next one.
            if self.reusable && self.activity.upload() == Upload::Complete {
                self.upstreams.give_back(&lease.address, connection);
            }
        } else {
            let rest = std::future::ready(Ok::<_, Infallible>(Response::new(incoming)));
            linger(rest, connection, lease, self.timer.limits().silence);
        }
    }
}
