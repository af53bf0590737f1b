//! Reads the lines that decide framing. Pure.

use super::rules;

/// The framing that a head announces, gathered line by line.
#[derive(Debug, Default)]
pub(super) struct Head {
    version: Version,
    hosts: u32,
    length: Option<u64>,
    chunked: bool,
}

#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
enum Version {
    /// No request line has come yet that can be read.
    #[default]
    Unknown,
    Http10,
    Http11,
    Http2,
}

/// How long a body is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Length {
    None,
    Sized(u64),
    Chunked,
}

impl Head {
    pub(super) fn begun(&self) -> bool {
        self.version != Version::Unknown
    }

    pub(super) fn is_http2(&self) -> bool {
        self.version == Version::Http2
    }

    /// Reads one line of the head, without its CR LF.
    pub(super) fn line(&mut self, text: &[u8]) -> Result<(), &'static str> {
        if !self.begun() {
            return self.request_line(text);
        }
        let (name, value) = field(text)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            self.content_length(value)?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.transfer_encoding(value)?;
        } else if name.eq_ignore_ascii_case(b"host") {
            self.host(value)?;
        }
        Ok(())
    }

    /// What follows the head.
    pub(super) fn end(&self) -> Result<Length, &'static str> {
        if self.version == Version::Http11 && self.hosts == 0 {
            return Err("it has no Host");
        }
        Ok(match (self.chunked, self.length) {
            (true, _) => Length::Chunked,
            (false, None | Some(0)) => Length::None,
            (false, Some(length)) => Length::Sized(length),
        })
    }

    /// `method SP target SP version` and no other white space (RFC 9112 §3).
    fn request_line(&mut self, text: &[u8]) -> Result<(), &'static str> {
        if text == b"PRI * HTTP/2.0" {
            self.version = Version::Http2;
            return Ok(());
        }
        let mut parts = text.splitn(3, |byte| *byte == b' ');
        let (method, target, version) = (parts.next(), parts.next(), parts.next());
        let (Some(method), Some(target), Some(version)) = (method, target, version) else {
            return Err("the request line has no HTTP version");
        };
        let version = match version {
            b"HTTP/1.1" => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            _ => return Err("the request line does not end in HTTP/1.0 or HTTP/1.1"),
        };
        if !rules::is_token(method) {
            return Err("its method is not a token");
        }
        rules::target(method, target)?;
        self.version = version;
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), &'static str> {
        if self.chunked {
            return Err("it has both Content-Length and Transfer-Encoding");
        }
        let length = rules::length(value).ok_or("its Content-Length is not a number")?;
        if self.length.is_some() {
            return Err("it has more than one Content-Length");
        }
        self.length = Some(length);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), &'static str> {
        if self.version == Version::Http10 {
            return Err("HTTP/1.0 has no Transfer-Encoding");
        }
        if self.length.is_some() {
            return Err("it has both Content-Length and Transfer-Encoding");
        }
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err("its Transfer-Encoding is not just 'chunked'");
        }
        self.chunked = true;
        Ok(())
    }

    fn host(&mut self, value: &[u8]) -> Result<(), &'static str> {
        self.hosts += 1;
        if self.hosts > 1 {
            return Err("it has more than one Host");
        }
        if value.is_empty() && self.version == Version::Http11 {
            return Err("its Host is empty");
        }
        if rules::is_host(value) { Ok(()) } else { Err("its Host is not a host") }
    }
}

/// Name and value of a field line, of a head or of trailers (RFC 9112 §5).
pub(super) fn field(text: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    if text.starts_with(b" ") || text.starts_with(b"\t") {
        return Err("a header is folded over two lines");
    }
    let colon = text.iter().position(|byte| *byte == b':').ok_or("a header has no colon")?;
    let (name, value) = (&text[..colon], &text[colon + 1..]);
    if !rules::is_token(name) {
        return Err("a header's name is not a token");
    }
    if !rules::is_value(value) {
        return Err("a header's value has a control character in it");
    }
    Ok((name, rules::trim(value)))
}

/// The size that a chunk's first line announces, and nothing behind it but extensions (RFC 9112 §7.1).
pub(super) fn chunk_size(text: &[u8]) -> Result<u64, &'static str> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extensions) = text.split_at(digits);
    // 15 digits cannot overflow; no body is that long.
    if digits.is_empty() || digits.len() > 15 {
        return Err("a chunk's size is not a number");
    }
    if !rules::are_chunk_extensions(extensions) {
        return Err("a chunk's size is followed by what is no extension");
    }
    let digits = std::str::from_utf8(digits).map_err(|_| "a chunk's size is not a number")?;
    u64::from_str_radix(digits, 16).map_err(|_| "a chunk's size is not a number")
}
