//! Refuses ambiguous framing before hyper sees it. Pure: bytes in, a verdict out.
//!
//! hyper drops a `Content-Length` that stands beside `Transfer-Encoding`, merges repeated lengths and accepts any number
//! of `Host` fields, so a service behind it cannot refuse what RFC 9112 §3.2, §6.1 and §6.3 let a server refuse. The
//! guard follows the framing of a connection byte by byte (heads, sized bodies, chunks, trailers) and stops at the first
//! line that two readers could read differently. It passes everything else on unchanged: a line when it has ended, a body
//! as it comes.

mod line;
mod rules;
pub(crate) mod stream;

use line::{Head, Length, chunk_size, field};
pub(crate) use rules::check_http2;

/// The longest line of a head, of a chunk's size or of a trailer.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// A framing that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What is wrong, for the client.
    pub(crate) reason: &'static str,
    /// The head that it is in, counted from 1 on this connection; `None` when it is in a body.
    pub(crate) head: Option<u64>,
    /// What makes a head of the lines that were passed on: only a head is answered.
    pub(crate) ending: &'static [u8],
}

/// What the guard has to say about some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// How many of them may be passed on. What is left is a line that has not ended, or one that is refused.
    pub(crate) passed: usize,
    /// What is wrong with the line behind them.
    pub(crate) fault: Option<Fault>,
}

/// Where in the framing of a connection the next byte falls.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Head,
    Sized(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    /// Not HTTP/1: HTTP/2, or a tunnel.
    Through,
}

/// The framing of one connection.
#[derive(Debug)]
pub(crate) struct Guard {
    place: Place,
    head: Head,
    heads: u64,
    /// How much of a line has come and was left over.
    begun: usize,
}

impl Guard {
    pub(crate) fn new() -> Self {
        Self { place: Place::Head, head: Head::default(), heads: 0, begun: 0 }
    }

    /// Whether the bytes so far end within a request, so that more of it is to come.
    pub(crate) fn amid_request(&self) -> bool {
        match self.place {
            Place::Through => false,
            Place::Head => self.begun > 0 || self.head.begun(),
            _ => true,
        }
    }

    /// Whether this is HTTP/2, or a tunnel.
    pub(crate) fn is_through(&self) -> bool {
        self.place == Place::Through
    }

    /// How many bytes come next that are passed on whatever they are.
    pub(crate) fn unread(&self) -> u64 {
        match self.place {
            Place::Through => u64::MAX,
            Place::Sized(left) | Place::ChunkData(left) => left,
            _ => 0,
        }
    }

    /// Follows the connection through these bytes: those that were left over the last time, and what has come since.
    pub(crate) fn inspect(&mut self, bytes: &[u8]) -> Judgement {
        let mut passed = 0;
        let mut begun = std::mem::take(&mut self.begun);
        while passed < bytes.len() {
            let rest = &bytes[passed..];
            let unread = self.unread();
            if unread > 0 {
                let taken = rest.len().min(usize::try_from(unread).unwrap_or(usize::MAX));
                self.skip(taken as u64);
                passed += taken;
                continue;
            }
            // The beginning of the line was searched before.
            let end = rest[begun..].iter().position(|byte| *byte == b'\n').map(|end| begun + end);
            if end.unwrap_or(rest.len()) > LINE_BYTES_MAX {
                return Judgement { passed, fault: Some(self.fault("a line is too long")) };
            }
            let Some(end) = end else {
                self.begun = rest.len();
                break;
            };
            if let Err(reason) = self.end_line(&rest[..end]) {
                return Judgement { passed, fault: Some(self.fault(reason)) };
            }
            begun = 0;
            passed += end + 1;
        }
        Judgement { passed, fault: None }
    }

    /// Follows it through so many of the bytes that are passed on whatever they are.
    pub(crate) fn skip(&mut self, count: u64) {
        let (Place::Sized(left) | Place::ChunkData(left)) = &mut self.place else {
            return;
        };
        *left -= count;
        if *left == 0 {
            let chunked = matches!(self.place, Place::ChunkData(_));
            self.place = if chunked { Place::ChunkEnd } else { Place::Head };
        }
    }

    /// Acts upon a line, given without its LF.
    fn end_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let text = match line.split_last() {
            Some((b'\r', text)) if !text.contains(&b'\r') => text,
            _ => return Err("a line does not end in CR LF, or contains a CR"),
        };
        match self.place {
            Place::Head if !text.is_empty() => {
                let begun = self.head.begun();
                self.head.line(text)?;
                self.heads += u64::from(!begun);
                if self.heads == 1 && self.head.is_http2() {
                    self.place = Place::Through;
                }
            }
            // An empty line before a request is skipped (RFC 9112 §2.2).
            Place::Head if !self.head.begun() => {}
            Place::Head => {
                self.place = match self.head.end()? {
                    Length::None => Place::Head,
                    Length::Sized(length) => Place::Sized(length),
                    Length::Chunked => Place::ChunkSize,
                };
                self.head = Head::default();
            }
            Place::ChunkSize => {
                self.place = match chunk_size(text)? {
                    0 => Place::Trailers,
                    size => Place::ChunkData(size),
                };
            }
            Place::ChunkEnd if text.is_empty() => self.place = Place::ChunkSize,
            Place::ChunkEnd => return Err("a chunk is longer than its size"),
            Place::Trailers if text.is_empty() => self.place = Place::Head,
            Place::Trailers => {
                field(text)?;
            }
            Place::Sized(_) | Place::ChunkData(_) | Place::Through => {}
        }
        Ok(())
    }

    fn fault(&self, reason: &'static str) -> Fault {
        let in_head = self.place == Place::Head;
        let number = self.heads + u64::from(!self.head.begun());
        let ending = if self.head.begun() { END } else { STAND_IN };
        Fault { reason, head: in_head.then_some(number), ending }
    }

    /// Stops looking: what follows is a tunnel's.
    pub(crate) fn pass_through(&mut self) {
        self.place = Place::Through;
    }
}

/// What ends a head.
const END: &[u8] = b"\r\n";

/// Stands for a head whose request line is refused.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

#[cfg(test)]
mod tests;
