//! Writes what hyper hands over in pieces. Head and body of a small message cost less as one piece.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// Up to here copying costs less than what `writev` does more than `send`.
const SMALL_BYTES: usize = 2048;

/// Writes pieces as one if they are small together.
pub(crate) fn small_as_one<W: AsyncWrite>(
    stream: Pin<&mut W>,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [only] = bufs {
        return stream.poll_write(cx, only);
    }
    let mut whole = [0; SMALL_BYTES];
    let mut end = 0;
    for buf in bufs {
        let Some(room) = whole.get_mut(end..end + buf.len()) else {
            return stream.poll_write_vectored(cx, bufs);
        };
        room.copy_from_slice(buf);
        end += buf.len();
    }
    stream.poll_write(cx, &whole[..end])
}

/// A connection to a container that writes small messages as one, and can be told that the client has left.
pub(crate) struct Container {
    stream: UnixStream,
    leaving: Arc<Leaving>,
    /// Whether our side is closed.
    closed: bool,
}

/// Closes our side of a connection that is elsewhere. The container's side stays open until the container closes it.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    said: AtomicBool,
    /// Who reads the connection.
    reader: Mutex<Option<Waker>>,
}

impl Leaving {
    /// The client has left: the container's server sees the end of what is sent to it.
    pub(crate) fn say(&self) {
        self.said.store(true, Ordering::Release);
        if let Some(reader) = self.reader().take() {
            reader.wake();
        }
    }

    fn is_said(&self, cx: &Context<'_>) -> bool {
        let mut reader = self.reader();
        if !reader.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *reader = Some(cx.waker().clone());
        }
        // After it is known whom to wake: either this sees the word, or the word wakes.
        self.said.load(Ordering::Acquire)
    }

    fn reader(&self) -> MutexGuard<'_, Option<Waker>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Container {
    pub(crate) fn new(stream: UnixStream, leaving: Arc<Leaving>) -> Self {
        Self { stream, leaving, closed: false }
    }
}

impl AsyncRead for Container {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_pending() && !this.closed && this.leaving.is_said(cx) {
            this.closed = true;
            // A socket's own shutdown is done at once; one that fails is closed already.
            _ = Pin::new(&mut this.stream).poll_shutdown(cx);
        }
        read
    }
}

impl AsyncWrite for Container {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        small_as_one(Pin::new(&mut self.stream), cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
