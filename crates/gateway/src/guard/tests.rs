//! Framings that must pass and framings that must not. Names in brackets are those of the Http11Probe catalogue.

use proptest::prelude::*;

use super::*;

fn verdict(bytes: &[u8]) -> Result<Guard, Fault> {
    let mut guard = Guard::new();
    guard.inspect(bytes).map(|()| guard)
}

#[test]
fn well_framed_requests_pass() {
    let table: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a:80\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\ncontent-length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [::1]:8001\r\nX:\xff\r\n\r\n",
    ];
    for bytes in table {
        let guard = verdict(bytes).unwrap_or_else(|fault| panic!("{}: {fault:?}", bytes.escape_ascii()));
        assert!(!guard.amid_request(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn ambiguous_heads_are_refused() {
    let table: &[(&str, &str)] = &[
        ("SMUG-CL-TE-BOTH", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        ("SMUG-TE-CL-BOTH", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        ("SMUG-DUPLICATE-CL", "Content-Length: 5\r\nContent-Length: 6\r\n"),
        ("SMUG-CL-COMMA", "Content-Length: 5, 5\r\n"),
        ("SMUG-CL-PLUS", "Content-Length: +5\r\n"),
        ("SMUG-CL-HEX", "Content-Length: 0x5\r\n"),
        ("SMUG-CL-EMPTY", "Content-Length:\r\n"),
        ("MAL-CL-OVERFLOW", "Content-Length: 99999999999999999999\r\n"),
        ("SMUG-TE-XCHUNKED", "Transfer-Encoding: xchunked\r\n"),
        ("SMUG-TE-LIST", "Transfer-Encoding: gzip, chunked\r\n"),
        ("SMUG-TE-TWICE", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("SMUG-TE-VTAB", "Transfer-Encoding: \x0bchunked\r\n"),
        ("SMUG-SPACE-BEFORE-COLON", "Transfer-Encoding : chunked\r\n"),
        ("SMUG-OBS-FOLD", "X: a\r\n b: c\r\n"),
        ("SMUG-BARE-LF", "X: a\nContent-Length: 5\r\n"),
        ("SMUG-BARE-CR", "X: a\rContent-Length: 5\r\n"),
        ("MAL-EMPTY-NAME", ": a\r\n"),
        ("MAL-NO-COLON", "Xa\r\n"),
        ("COMP-DUPLICATE-HOST", "Host: a\r\n"),
    ];
    for (name, lines) in table {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let fault = verdict(text.as_bytes()).err().unwrap_or_else(|| panic!("{name} passed"));
        assert_eq!((fault.head, fault.first_line), (Some(1), false), "{name}");
    }
}

#[test]
fn heads_without_a_usable_host_are_refused() {
    for text in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: me@a\r\n\r\n",
    ] {
        assert!(verdict(text.as_bytes()).is_err(), "{text:?}");
    }
}

#[test]
fn broken_chunks_are_refused() {
    for (name, body) in [
        ("SMUG-CHUNK-LF-TERM", "5\nhello\r\n0\r\n\r\n"),
        ("SMUG-CHUNK-SPILL", "5\r\nhello7\r\n0\r\n\r\n"),
        ("SMUG-CHUNK-NEGATIVE", "-1\r\n"),
        ("SMUG-CHUNK-HEX-PREFIX", "0x5\r\nhello\r\n"),
        ("SMUG-CHUNK-UNDERSCORE", "1_0\r\n"),
        ("SMUG-CHUNK-LEADING-SPACE", " 5\r\nhello\r\n"),
        ("SMUG-CHUNK-EXT-LF", "5;a\nb\r\nhello\r\n"),
        ("MAL-CHUNK-OVERFLOW", "FFFFFFFFFFFFFFFFF\r\n"),
        ("SMUG-TRAILER-LF", "0\r\nx: y\n\r\n"),
    ] {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let fault = verdict(text.as_bytes()).err().unwrap_or_else(|| panic!("{name} passed"));
        assert_eq!(fault.head, None, "{name}");
    }
}

#[test]
fn a_fault_names_its_head_and_its_line() {
    let good = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let text = format!("{good}POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    let fault = verdict(text.as_bytes()).unwrap_err();
    assert_eq!(fault.head, Some(2));
    assert_eq!(&text.as_bytes()[fault.at..fault.at + 7], b"Host: b");

    let fault = verdict(b"GET /\r\n\r\n").unwrap_err();
    assert_eq!((fault.at, fault.first_line), (0, true));
}

#[test]
fn http2_and_tunnels_are_not_looked_at() {
    assert!(verdict(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\n").is_ok());
    let mut guard = Guard::new();
    guard.inspect(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    guard.pass_through();
    assert!(guard.inspect(b"\x81\x05hello\n").is_ok());
    assert!(!guard.amid_request());
}

#[test]
fn endless_lines_are_refused() {
    let mut guard = Guard::new();
    guard.inspect(b"GET /").unwrap();
    assert!(guard.inspect(&vec![b'a'; LINE_BYTES_MAX]).is_err());
}

/// Pieces that framing attacks are made of.
fn piece() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /x HTTP/1.0\r\n",
        "Host: a\r\n",
        "Content-Length: 3\r\n",
        "Content-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "\n",
        "\r",
        "abc",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "x: y\r\n",
        " ",
        ":",
        ";e",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn the_verdict_does_not_depend_on_how_the_bytes_arrive(
        pieces in prop::collection::vec(piece(), 0..24), cut in 0usize..200,
    ) {
        let bytes = pieces.concat().into_bytes();
        let whole = verdict(&bytes).map(|guard| guard.place).map_err(|fault| (fault.reason, fault.head));
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let mut guard = Guard::new();
        let split = guard.inspect(first).and_then(|()| guard.inspect(second));
        let split = split.map(|()| guard.place).map_err(|fault| (fault.reason, fault.head));
        prop_assert_eq!(whole, split);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = verdict(&bytes);
    }
}
