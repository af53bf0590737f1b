//! Writes what hyper hands over in pieces. Head and body of a small message cost less as one piece.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

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

/// A connection to a container that writes small messages as one.
pub(crate) struct Container(pub(crate) UnixStream);

impl AsyncRead for Container {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Container {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        small_as_one(Pin::new(&mut self.0), cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
