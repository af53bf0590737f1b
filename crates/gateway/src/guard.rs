//! Refuses ambiguous framing before hyper sees it. Pure: bytes in, a verdict out.
//!
//! hyper drops a `Content-Length` that stands beside `Transfer-Encoding`, merges repeated lengths and accepts any number
//! of `Host` fields, so a service behind it cannot refuse what RFC 9112 §3.2, §6.1 and §6.3 let a server refuse. The
//! guard follows the framing of a connection byte by byte (heads, sized bodies, chunks, trailers) and stops at the first
//! line that two readers could read differently. It passes everything else on unchanged, so it never buffers a body.

mod line;
pub(crate) mod stream;

use line::{Head, Length, chunk_size};

/// The longest line of a head, of a chunk's size or of a trailer.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// A framing that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// How many of the inspected bytes come before the line at fault.
    pub(crate) at: usize,
    /// What is wrong, for the client.
    pub(crate) reason: &'static str,
    /// The head that it is in, counted from 1 on this connection; `None` when it is in a body.
    pub(crate) head: Option<u64>,
    /// What ends the head, given that the bytes before `at` were passed on.
    pub(crate) ending: &'static [u8],
    /// Whether the request line itself is at fault, so that there is no head to answer.
    pub(crate) first_line: bool,
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
    line: Vec<u8>,
    head: Head,
    heads: u64,
}

impl Guard {
    pub(crate) fn new() -> Self {
        Self { place: Place::Head, line: Vec::new(), head: Head::default(), heads: 0 }
    }

    /// Whether the bytes so far end within a request, so that more of it is to come.
    pub(crate) fn amid_request(&self) -> bool {
        match self.place {
            Place::Through => false,
            Place::Head => !self.line.is_empty() || self.head.begun(),
            _ => true,
        }
    }

    /// Follows the connection through these bytes, which come after all that were given before.
    pub(crate) fn inspect(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut at = 0;
        while at < bytes.len() {
            at += match &mut self.place {
                Place::Through => return Ok(()),
                Place::Sized(left) | Place::ChunkData(left) => {
                    let taken = (bytes.len() - at).min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    if *left == 0 {
                        let chunked = matches!(self.place, Place::ChunkData(_));
                        self.place = if chunked { Place::ChunkEnd } else { Place::Head };
                    }
                    taken
                }
                _ => {
                    let ending = ending(&self.line);
                    self.take_line(&bytes[at..]).map_err(|reason| self.fault(at, reason, ending))?
                }
            };
        }
        Ok(())
    }

    /// Takes the bytes up to the next line feed, or all; a complete line is acted upon.
    fn take_line(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            if self.line.len() + bytes.len() > LINE_BYTES_MAX {
                return Err("a line is too long");
            }
            self.line.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        if self.line.len() + end > LINE_BYTES_MAX {
            return Err("a line is too long");
        }
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(&bytes[..end]);
        let outcome = match line.split_last() {
            Some((b'\r', text)) if !text.contains(&b'\r') => self.end_line(text),
            _ => Err("a line does not end in CR LF, or contains a CR"),
        };
        line.clear();
        self.line = line;
        outcome.map(|()| end + 1)
    }

    fn end_line(&mut self, text: &[u8]) -> Result<(), &'static str> {
        match self.place {
            Place::Head if !text.is_empty() => {
                if !self.head.begun() {
                    self.heads += 1;
                }
                self.head.line(text)?;
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
            Place::Trailers | Place::Sized(_) | Place::ChunkData(_) | Place::Through => {}
        }
        Ok(())
    }

    fn fault(&self, at: usize, reason: &'static str, ending: &'static [u8]) -> Fault {
        let in_head = self.place == Place::Head;
        Fault {
            at,
            reason,
            head: in_head.then_some(self.heads),
            ending,
            first_line: in_head && !self.head.has_version(),
        }
    }

    /// Stops looking: what follows is a tunnel's.
    pub(crate) fn pass_through(&mut self) {
        self.place = Place::Through;
    }
}

/// What ends a head of whose last line this much was passed on.
fn ending(passed: &[u8]) -> &'static [u8] {
    match passed {
        b"" => b"\r\n",
        b"\r" => b"\n",
        [.., b'\r'] => b"\n\r\n",
        _ => b"\r\n\r\n",
    }
}

#[cfg(test)]
mod tests;
