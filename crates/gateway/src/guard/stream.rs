//! A client's connection with the guard in front, as hyper reads and writes it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::{Fault, Guard, Wrong};
use crate::tls::Wire;
use crate::write;

/// How long a client may take no byte of an answer that is ready. Then it is gone for all we know.
const WRITE_STALL: Duration = Duration::from_mins(2);

/// How long a connection that is closed amid a request goes on reading. Closing a socket with unread data resets it,
/// and a reset can destroy the answer before the client has read it.
const LINGER: Duration = Duration::from_secs(1);

/// How much of such a request is read at most.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// How much is read at a time where lines may follow.
const READ_BYTES: usize = 8 * 1024;

/// The length of what an HTTP/2 client says first (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;

/// What the guard of a connection and the service on it tell each other.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    through: AtomicBool,
    faulty: AtomicBool,
    fault: Mutex<Option<(u64, Wrong)>>,
}

impl Shared {
    /// The service answers 101 next: what follows is a tunnel's.
    pub(crate) fn pass_through(&self) {
        self.through.store(true, Ordering::Release);
    }

    /// Why the `head`-th request of this connection is refused, if it is.
    pub(crate) fn fault(&self, head: u64) -> Option<Wrong> {
        if !self.faulty.load(Ordering::Acquire) {
            return None;
        }
        let fault = *self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.filter(|(at, _)| *at == head).map(|(_, wrong)| wrong)
    }

    fn set_fault(&self, head: u64, wrong: Wrong) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some((head, wrong));
        self.faulty.store(true, Ordering::Release);
    }
}

/// A client's connection.
pub(crate) struct Guarded {
    stream: Wire,
    guard: Guard,
    shared: Arc<Shared>,
    /// What was read of lines and not yet passed on.
    inbox: BytesMut,
    /// How much of it may be passed on.
    passed: usize,
    /// What hyper reads in place of the line at fault.
    substitute: &'static [u8],
    refused: Option<io::ErrorKind>,
    stalled: Option<Pin<Box<Sleep>>>,
    /// How long a head may take from its first byte to its last, and since when this one does.
    head_max: Duration,
    clock: Option<Pin<Box<Sleep>>>,
    linger: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Guarded {
    pub(crate) fn new(stream: Wire, shared: Arc<Shared>, head_max: Duration) -> Self {
        Self {
            stream,
            guard: Guard::new(),
            shared,
            inbox: BytesMut::new(),
            passed: 0,
            substitute: b"",
            refused: None,
            stalled: None,
            head_max,
            clock: None,
            linger: None,
        }
    }

    /// Waits until it is known which protocol the client speaks; hyper has no clock for that.
    pub(crate) async fn begun(&mut self) -> io::Result<()> {
        loop {
            let enough = if self.guard.is_through() { PREFACE_BYTES } else { 1 };
            if self.passed >= enough || !self.substitute.is_empty() {
                return Ok(());
            }
            if !std::future::poll_fn(|cx| self.poll_more(cx)).await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Whether the client may still be sending a request that nobody will read. Never so for a tunnel: there the other
    /// direction goes on after one side has ended.
    fn amid_request(&self) -> bool {
        !self.shared.through.load(Ordering::Acquire) && self.guard.amid_request()
    }

    /// Reads and inspects, or gives up on a head that takes too long. False at the connection's end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.inbox.reserve(READ_BYTES);
        // It keeps no state between two polls.
        let read = std::pin::pin!(self.stream.read_buf(&mut self.inbox)).poll(cx);
        let come = read.is_ready();
        if let Poll::Ready(read) = read {
            if read? == 0 {
                return Poll::Ready(Ok(false));
            }
            self.inspect();
        }
        if self.guard.amid_head() {
            let head_max = self.head_max;
            let clock = self.clock.get_or_insert_with(|| Box::pin(sleep(head_max)));
            if clock.as_mut().poll(cx).is_ready() && self.refused.is_none() {
                self.stop(self.guard.late());
                return Poll::Ready(Ok(true));
            }
        } else {
            self.clock = None;
        }
        if come { Poll::Ready(Ok(true)) } else { Poll::Pending }
    }

    /// Shows the guard what was read; nothing more is read once it is at fault.
    fn inspect(&mut self) {
        let judgement = self.guard.inspect(&self.inbox[self.passed..]);
        self.passed += judgement.passed;
        if let Some(fault) = judgement.fault {
            self.stop(fault);
        }
    }

    fn stop(&mut self, fault: Fault) {
        match fault.head {
            // The head is ended where it went wrong, and the service answers it with what is wrong.
            Some(head) => {
                self.shared.set_fault(head, fault.wrong);
                self.substitute = fault.ending;
                self.refused = Some(io::ErrorKind::WouldBlock);
            }
            None => self.refused = Some(io::ErrorKind::InvalidData),
        }
    }

    /// Reads what is passed on whatever it is, with no detour through the inbox.
    fn poll_unread(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.guard.skip((buf.filled().len() - before) as u64);
        Poll::Ready(Ok(()))
    }

    fn track_stall<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(WRITE_STALL)));
        timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.passed > 0 {
                let taken = this.passed.min(buf.remaining());
                buf.put_slice(&this.inbox[..taken]);
                this.inbox.advance(taken);
                this.passed -= taken;
                return Poll::Ready(Ok(()));
            }
            if !this.substitute.is_empty() {
                let taken = this.substitute.len().min(buf.remaining());
                buf.put_slice(&this.substitute[..taken]);
                this.substitute = &this.substitute[taken..];
                return Poll::Ready(Ok(()));
            }
            match this.refused {
                // Nothing more is read; the answer closes the connection.
                Some(io::ErrorKind::WouldBlock) => return Poll::Pending,
                Some(kind) => return Poll::Ready(Err(kind.into())),
                None => {}
            }
            if this.shared.through.load(Ordering::Acquire) && !this.guard.is_through() {
                this.guard.pass_through();
                this.passed = this.inbox.len();
                continue;
            }
            if this.inbox.is_empty() && this.guard.unread() >= buf.remaining() as u64 {
                return this.poll_unread(cx, buf);
            }
            if !std::task::ready!(this.poll_more(cx))? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.track_stall(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = write::small_as_one(Pin::new(&mut self.stream), cx, bufs);
        self.track_stall(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            std::task::ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if this.refused.is_none() && !this.amid_request() {
                return Poll::Ready(Ok(()));
            }
            this.linger = Some((Box::pin(sleep(LINGER)), LINGER_BYTES_MAX));
        }
        let Some((timer, left)) = &mut this.linger else {
            return Poll::Ready(Ok(()));
        };
        let mut scratch = [0; 8 * 1024];
        loop {
            if timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut scratch);
            let outcome = std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf));
            let read = buf.filled().len();
            *left = left.saturating_sub(read);
            if outcome.is_err() || read == 0 || *left == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
