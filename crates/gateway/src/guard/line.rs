//! Reads the lines that decide framing. Pure.

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
    /// Nothing of the head has come yet.
    #[default]
    Unknown,
    /// A request line that is not HTTP.
    Bad,
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

    pub(super) fn has_version(&self) -> bool {
        matches!(self.version, Version::Http10 | Version::Http11)
    }

    pub(super) fn is_http2(&self) -> bool {
        self.version == Version::Http2
    }

    /// Reads one line of the head, without its CR LF.
    pub(super) fn line(&mut self, text: &[u8]) -> Result<(), &'static str> {
        if !self.begun() {
            return self.request_line(text);
        }
        if text.starts_with(b" ") || text.starts_with(b"\t") {
            return Err("a header is folded over two lines");
        }
        let colon = text.iter().position(|byte| *byte == b':').ok_or("a header has no colon")?;
        let (name, value) = (&text[..colon], text[colon + 1..].trim_ascii());
        if !name.iter().all(|byte| is_token(*byte)) || name.is_empty() {
            return Err("a header's name is not a token");
        }
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

    fn request_line(&mut self, text: &[u8]) -> Result<(), &'static str> {
        let version = text.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
        self.version = match version {
            b"HTTP/1.1" => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            b"HTTP/2.0" if text == b"PRI * HTTP/2.0" => Version::Http2,
            _ => Version::Bad,
        };
        if self.version == Version::Bad {
            return Err("the request line has no HTTP version");
        }
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), &'static str> {
        if self.chunked {
            return Err("it has both Content-Length and Transfer-Encoding");
        }
        let length = decimal(value).ok_or("its Content-Length is not a number")?;
        if self.length.is_some_and(|before| before != length) {
            return Err("it has two different Content-Length");
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
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+;=".contains(byte);
        if value.iter().all(allowed) { Ok(()) } else { Err("its Host is not a host") }
    }
}

/// The size that a chunk's first line announces (RFC 9112 §7.1). Extensions are skipped.
pub(super) fn chunk_size(text: &[u8]) -> Result<u64, &'static str> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let rest = text[digits..].trim_ascii_start();
    // 15 digits cannot overflow; no body is that long.
    if digits == 0 || digits > 15 || !(rest.is_empty() || rest.starts_with(b";")) {
        return Err("a chunk's size is not a number");
    }
    let digits = std::str::from_utf8(&text[..digits]).map_err(|_| "a chunk's size is not a number")?;
    u64::from_str_radix(digits, 16).map_err(|_| "a chunk's size is not a number")
}

/// Digits only: no sign, no list, and nothing that could overflow.
fn decimal(value: &[u8]) -> Option<u64> {
    let plain = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
    plain.then(|| value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
