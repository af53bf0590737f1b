//! What the parts of a head may be made of: the RFCs' grammars, and of them only what everybody reads alike. Pure.

use http::{header, request};

use super::{FIELDS_MAX, TARGET_BYTES_MAX, Wrong};

/// RFC 9110 §5.6.2.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_token_byte(*byte))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9110 §5.5: no control character but the tab. NUL, CR and LF end a value for some readers.
pub(super) fn is_value(text: &[u8]) -> bool {
    text.iter().all(|byte| (*byte >= b' ' && *byte != 0x7f) || *byte == b'\t')
}

/// Without the white space that RFC 9110 §5.6.3 allows around a value: fewer bytes than `trim_ascii` takes.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// A length that everybody reads alike: digits only, no sign, no list, nothing that could overflow, and no leading zero,
/// which some take for octal.
pub(super) fn length(value: &[u8]) -> Option<u64> {
    let plain = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
    let canonical = value.len() == 1 || !value.starts_with(b"0");
    (plain && canonical).then(|| value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2). The empty host is one; HTTP/1.0 may send it.
pub(super) fn is_host(value: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(byte);
    let is_address = |byte: &u8| byte.is_ascii_alphanumeric() || b":.%-_~".contains(byte);
    let port = if let Some(rest) = value.strip_prefix(b"[") {
        let Some(end) = rest.iter().position(|byte| *byte == b']') else {
            return false;
        };
        if end == 0 || !rest[..end].iter().all(is_address) {
            return false;
        }
        &rest[end + 1..]
    } else {
        let end = value.iter().position(|byte| *byte == b':').unwrap_or(value.len());
        if !value[..end].iter().all(is_name) {
            return false;
        }
        &value[end..]
    };
    port.is_empty() || (port.starts_with(b":") && port.len() <= 6 && port[1..].iter().all(u8::is_ascii_digit))
}

/// A target of one of the forms that a server is sent (RFC 9112 §3.2), of characters that are neither space, control nor
/// beyond ASCII. Which of the others a URI may have is left to the `http` crate, which is as generous as clients are.
pub(super) fn target(method: &[u8], target: &[u8]) -> Result<(), &'static str> {
    if !target.iter().all(u8::is_ascii_graphic) {
        return Err(
            "its target has a space, a control character or a byte beyond ASCII in it: percent-encode it",
        );
    }
    // A fragment is for the client alone; some servers would cut it off and some would not.
    if target.contains(&b'#') {
        return Err("its target has a fragment");
    }
    let is_absolute = |scheme: &[u8]| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            && target.len() > scheme.len()
    };
    let fits = match target {
        [b'/', ..] => true,
        b"*" => method == b"OPTIONS",
        // It is refused for its method, in words of its own.
        _ if method == b"CONNECT" => true,
        _ => is_absolute(b"http://") || is_absolute(b"https://"),
    };
    if fits { Ok(()) } else { Err("its target is neither a path nor a URL") }
}

/// `*( BWS ";" BWS name [ BWS "=" BWS value ] )` (RFC 9112 §7.1.1).
pub(super) fn are_chunk_extensions(text: &[u8]) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let Some(after) = trim_start(rest).strip_prefix(b";") else {
            return false;
        };
        rest = trim_start(after);
        let name = rest.iter().take_while(|byte| is_token_byte(**byte)).count();
        if name == 0 {
            return false;
        }
        rest = &rest[name..];
        let Some(value) = trim_start(rest).strip_prefix(b"=") else {
            continue;
        };
        let value = trim_start(value);
        let length = match value.strip_prefix(b"\"") {
            Some(quoted) => match quoted_length(quoted) {
                Some(length) => length + 1,
                None => return false,
            },
            None => value.iter().take_while(|byte| is_token_byte(**byte)).count(),
        };
        if length == 0 {
            return false;
        }
        rest = &value[length..];
    }
    true
}

/// How long a quoted string is, its end included (RFC 9110 §5.6.4).
fn quoted_length(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if !is_value(&[*byte]) => return None,
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn trim_start(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &text[spaces..]
}

/// What the guard demands of a head of HTTP/1 and HTTP/2's own rules do not (RFC 9113 §8.3.1): the container is spoken to
/// in HTTP/1.1, where it would matter.
pub(crate) fn check_http2(parts: &request::Parts) -> Result<(), Wrong> {
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    if path.len() > TARGET_BYTES_MAX {
        return Err(Wrong::TargetTooLong);
    }
    if parts.headers.len() > FIELDS_MAX {
        return Err(Wrong::HeadTooLarge);
    }
    could_be_http1(parts, path).map_err(Wrong::Malformed)
}

fn could_be_http1(parts: &request::Parts, path: &str) -> Result<(), &'static str> {
    if parts.method != http::Method::CONNECT {
        target(parts.method.as_str().as_bytes(), path.as_bytes())?;
    }
    let mut lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    if lengths.next().is_some_and(|first| length(first.as_bytes()).is_none()) {
        return Err("its Content-Length is not a number");
    }
    if lengths.next().is_some() {
        return Err("it has more than one Content-Length");
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let (host, other) = (hosts.next(), hosts.next());
    if other.is_some() {
        return Err("it has more than one Host");
    }
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = host.map(http::HeaderValue::as_bytes);
    if let (Some(authority), Some(host)) = (authority, host)
        && !authority.eq_ignore_ascii_case(host)
    {
        return Err("its Host differs from its :authority");
    }
    match authority.or(host) {
        None | Some(b"") => Err("it has neither :authority nor Host"),
        Some(host) if !is_host(host) => Err("its :authority is not a host"),
        Some(_) => Ok(()),
    }
}
