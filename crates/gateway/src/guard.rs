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

/// The longest target of a request. RFC 9110 §4.1 asks for 8,000 bytes at least.
pub(crate) const TARGET_BYTES_MAX: usize = 16 * 1024;

/// The largest head of a request.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The most fields of a head. With those that the gateway adds a container gets up to a hundred, the most that many
/// servers read, hyper and gunicorn among them.
pub(crate) const FIELDS_MAX: usize = 95;

/// What is wrong with a request, before it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Its framing is ambiguous or broken; the words are for the client.
    Malformed(&'static str),
    /// Its target is longer than [`TARGET_BYTES_MAX`].
    TargetTooLong,
    /// Its head has more than [`HEAD_BYTES_MAX`] bytes or [`FIELDS_MAX`] fields.
    HeadTooLarge,
    /// Its head did not come in time.
    Late,
}

/// A request that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What is wrong.
    pub(crate) wrong: Wrong,
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
    /// The lines of the head so far, and their bytes.
    lines: usize,
    bytes: usize,
    /// How much of a line has come and was left over.
    begun: usize,
}

impl Guard {
    pub(crate) fn new() -> Self {
        Self { place: Place::Head, head: Head::default(), heads: 0, lines: 0, bytes: 0, begun: 0 }
    }

    /// Whether the bytes so far end within a request, so that more of it is to come.
    pub(crate) fn amid_request(&self) -> bool {
        match self.place {
            Place::Through => false,
            Place::Head => self.begun > 0 || self.head.begun(),
            _ => true,
        }
    }

    /// Whether they end within a head.
    pub(crate) fn amid_head(&self) -> bool {
        self.place == Place::Head && self.amid_request()
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
                let wrong = match self.place {
                    Place::Head if self.head.begun() => Wrong::HeadTooLarge,
                    Place::Head => Wrong::TargetTooLong,
                    _ => Wrong::Malformed("a line is too long"),
                };
                return Judgement { passed, fault: Some(self.fault(wrong)) };
            }
            let Some(end) = end else {
                self.begun = rest.len();
                break;
            };
            if let Err(wrong) = self.end_line(&rest[..end]) {
                return Judgement { passed, fault: Some(self.fault(wrong)) };
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

    /// Counts a line of a head.
    fn measure(&mut self, text: &[u8]) -> Result<(), Wrong> {
        self.lines += 1;
        self.bytes += text.len() + 2;
        if self.lines == 1 {
            let target = text.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            return if target.len() > TARGET_BYTES_MAX { Err(Wrong::TargetTooLong) } else { Ok(()) };
        }
        let large = self.lines > FIELDS_MAX + 1 || self.bytes > HEAD_BYTES_MAX;
        if large { Err(Wrong::HeadTooLarge) } else { Ok(()) }
    }

    /// Acts upon a line, given without its LF.
    fn end_line(&mut self, line: &[u8]) -> Result<(), Wrong> {
        if self.place == Place::Head && line != b"\r" {
            self.measure(line)?;
        }
        self.follow(line).map_err(Wrong::Malformed)
    }

    fn follow(&mut self, line: &[u8]) -> Result<(), &'static str> {
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
                (self.lines, self.bytes) = (0, 0);
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

    /// The fault of a head that has begun and takes too long.
    pub(crate) fn late(&self) -> Fault {
        self.fault(Wrong::Late)
    }

    fn fault(&self, wrong: Wrong) -> Fault {
        let in_head = self.place == Place::Head;
        let number = self.heads + u64::from(!self.head.begun());
        let ending = if self.head.begun() { END } else { STAND_IN };
        Fault { wrong, head: in_head.then_some(number), ending }
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
