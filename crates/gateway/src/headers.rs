//! Which headers cross the gateway. Pure: requests on their way in, answers on their way out.
//!
//! Hop-by-hop fields belong to one connection (RFC 9110 §7.6.1) and never cross; `Transfer-Encoding` least of all:
//! hyper frames every body anew.

use std::fmt::Write as _;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Version, request};
use pilotlight_pool::Receipt;

use crate::forwarded::{self, CLAIMS, Client, Network};
use crate::respond::Refusal;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Fields of one connection only. `Expect` is answered by the gateway itself.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    header::EXPECT,
];

/// The host that a request is for: the target's own where it has one (RFC 9112 §3.2.2), else the `Host` field.
pub(crate) fn host(parts: &request::Parts) -> Result<&str, Refusal> {
    if let Some(authority) = parts.uri.authority() {
        if authority.as_str().contains('@') {
            return Err(Refusal::BadRequest("the target contains user information"));
        }
        return Ok(authority.as_str());
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let Some(host) = hosts.next() else {
        return Ok("");
    };
    if hosts.next().is_some() {
        return Err(Refusal::BadRequest("it has more than one Host"));
    }
    host.to_str().map_err(|_| Refusal::BadRequest("its Host is not ASCII"))
}

/// Turns a request of a client into one for a container. Gives the protocol that it asks to upgrade to, if any.
pub(crate) fn to_container(
    parts: &mut request::Parts,
    client: &Client,
    trusted: &[Network],
    keep_alive: bool,
) -> Result<Option<HeaderValue>, Refusal> {
    let host =
        HeaderValue::from_str(host(parts)?).map_err(|_| Refusal::BadRequest("its host is not ASCII"))?;
    let upgrade = asked_upgrade(parts);
    strip_hop_by_hop(&mut parts.headers);
    if parts.uri.authority().is_some() {
        let target = parts.uri.path_and_query().cloned();
        parts.uri = target.map_or_else(http::Uri::default, http::Uri::from);
    }
    parts.version = Version::HTTP_11;
    let headers = &mut parts.headers;
    strip_disguised(headers);
    forwarded::tell(headers, &host, client, trusted);
    if host.is_empty() {
        // HTTP/1.0 may come without; HTTP/1.1 may not.
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
    } else {
        headers.insert(header::HOST, host);
    }
    if let Some(protocol) = &upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol.clone());
    } else if !keep_alive {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(upgrade)
}

/// Turns an answer of a container into one for the client. `switched` is a 101: its `Upgrade` field stays.
pub(crate) fn to_client(headers: &mut HeaderMap, switched: bool) {
    let protocol = if switched { headers.get(header::UPGRADE).cloned() } else { None };
    strip_hop_by_hop(headers);
    if let Some(protocol) = protocol {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
}

/// Adds the receipt of a start to the answer that waited for it; what the app says about itself stays.
pub(crate) fn add_receipt(headers: &mut HeaderMap, receipt: &Receipt) {
    let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
    let start = &receipt.start;
    let mut text = format!(
        "queue;dur={:.1}, sandbox;dur={:.1}, fork;dur={:.1}, import;dur={:.1}, app;dur={:.1}",
        ms(receipt.queue),
        ms(start.sandbox),
        ms(start.fork),
        ms(start.import),
        ms(start.app),
    );
    if !start.path.is_empty() {
        // Writing to a string cannot fail.
        _ = write!(text, ", path;desc=\"{}\"", start.path);
    }
    headers.append(SERVER_TIMING, HeaderValue::try_from(text).expect("numbers and names are ASCII"));
}

/// The protocol of an upgrade request. `h2c` is never passed on: the tunnel would carry requests past the gateway.
fn asked_upgrade(parts: &request::Parts) -> Option<HeaderValue> {
    let protocol = parts.headers.get(header::UPGRADE)?;
    let listed = tokens(&parts.headers).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let h2c = protocol.as_bytes().windows(3).any(|window| window.eq_ignore_ascii_case(b"h2c"));
    (parts.version == Version::HTTP_11 && listed && !h2c).then(|| protocol.clone())
}

/// What the `Connection` fields list.
fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::CONNECTION).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = tokens(headers)
        .filter(|token| !matches!(*token, "close" | "keep-alive" | "upgrade"))
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        // Framing and routing are the gateway's to decide, not a list's.
        .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
        .collect();
    for name in &listed {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Removes names that CGI-like servers (WSGI among them) cannot tell from ours: `X_Forwarded_For` becomes the same
/// variable as `X-Forwarded-For`.
fn strip_disguised(headers: &mut HeaderMap) {
    let meant = |name: &HeaderName| {
        let plain = name.as_str().replace('_', "-");
        let known = CLAIMS.iter().chain(&HOP_BY_HOP).any(|known| known.as_str() == plain);
        known || plain == "host" || plain == "content-length" || plain == "content-type"
    };
    if headers.keys().any(|name| name.as_str().contains('_')) {
        let disguised: Vec<HeaderName> =
            headers.keys().filter(|name| name.as_str().contains('_') && meant(name)).cloned().collect();
        for name in disguised {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forwarded::Scheme;

    fn parts(uri: &str, headers: &[(&'static str, &'static str)]) -> request::Parts {
        let (mut parts, ()) = http::Request::builder().uri(uri).body(()).unwrap().into_parts();
        for (name, value) in headers {
            parts.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        parts
    }

    fn stranger() -> Client {
        Client::new("::ffff:10.0.0.9".parse().unwrap(), Scheme::Http, &[])
    }

    #[test]
    fn hop_by_hop_fields_do_not_cross() {
        let mut request = parts(
            "/",
            &[
                ("host", "a:80"),
                ("connection", "close, X-Secret, Host"),
                ("x-secret", "1"),
                ("te", "trailers"),
                ("keep-alive", "5"),
                ("transfer-encoding", "chunked"),
                ("expect", "100-continue"),
                ("accept", "*/*"),
            ],
        );
        assert_eq!(to_container(&mut request, &stranger(), &[], true).unwrap(), None);
        let mut names: Vec<&str> = request.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["accept", "forwarded", "host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]
        );
        assert_eq!(request.headers["host"], "a:80");
    }

    #[test]
    fn a_client_cannot_speak_for_others() {
        let claims: &[(&str, &str)] = &[
            ("host", "a"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=1.1.1.1"),
            ("x_forwarded_for", "1.1.1.1"),
            ("content_length", "7"),
            ("my_own", "kept"),
        ];
        let mut request = parts("/", claims);
        to_container(&mut request, &stranger(), &[], true).unwrap();
        let all: Vec<_> = request.headers.get_all("x-forwarded-for").iter().collect();
        assert_eq!(all, ["10.0.0.9"]);
        assert_eq!(request.headers["x-forwarded-proto"], "http");
        assert_eq!(request.headers["my_own"], "kept");
        assert_eq!(request.headers["forwarded"], "for=10.0.0.9;proto=http;host=\"a\"");
        for gone in ["x_forwarded_for", "content_length"] {
            assert!(!request.headers.contains_key(gone), "{gone}");
        }
    }

    #[test]
    fn the_target_names_the_host_and_becomes_a_path() {
        let mut request = parts("http://inner.example:81/a?b=1", &[("host", "outer")]);
        assert_eq!(host(&request).unwrap(), "inner.example:81");
        to_container(&mut request, &stranger(), &[], true).unwrap();
        assert_eq!(request.uri, "/a?b=1");
        assert_eq!(request.headers["host"], "inner.example:81");
        assert!(host(&parts("http://me@inner/", &[])).is_err());
        assert!(host(&parts("/", &[("host", "a"), ("host", "a")])).is_err());
    }

    #[test]
    fn an_upgrade_is_passed_on_when_it_is_one() {
        let websocket = [("host", "a"), ("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
        let mut request = parts("/", &websocket);
        assert_eq!(to_container(&mut request, &stranger(), &[], true).unwrap().unwrap(), "websocket");
        assert_eq!(request.headers["connection"], "upgrade");
        for other in [
            [("host", "a"), ("connection", "keep-alive"), ("upgrade", "websocket")],
            [("host", "a"), ("connection", "upgrade, http2-settings"), ("upgrade", "h2c")],
        ] {
            let mut request = parts("/", &other);
            assert_eq!(to_container(&mut request, &stranger(), &[], true).unwrap(), None);
            assert!(!request.headers.contains_key("upgrade"));
        }
    }
}
