//! The guard by itself. What passes and what does not is a table of the integration tests, `framing_cases`.

mod fuzz;

use proptest::prelude::*;

use super::*;

/// What becomes of bytes that come all at once: the guard after them, or what is wrong behind so many of them.
fn verdict(bytes: &[u8]) -> Result<Guard, (usize, Fault)> {
    let mut guard = Guard::new();
    let judgement = guard.inspect(bytes);
    judgement.fault.map_or(Ok(guard), |fault| Err((judgement.passed, fault)))
}

/// The same for bytes that come in two parts.
fn verdict_in_parts(first: &[u8], second: &[u8]) -> Result<Guard, (usize, Fault)> {
    let mut guard = Guard::new();
    let judgement = guard.inspect(first);
    if let Some(fault) = judgement.fault {
        return Err((judgement.passed, fault));
    }
    let rest = [&first[judgement.passed..], second].concat();
    let passed = judgement.passed;
    let judgement = guard.inspect(&rest);
    judgement.fault.map_or(Ok(guard), |fault| Err((passed + judgement.passed, fault)))
}

#[test]
fn well_framed_requests_pass() {
    let table: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a:80\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [::1]:8001\r\nX:\xff\r\n\r\n",
    ];
    for bytes in table {
        let guard = verdict(bytes).unwrap_or_else(|fault| panic!("{}: {fault:?}", bytes.escape_ascii()));
        assert!(!guard.amid_request(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_fault_names_its_head_and_its_line() {
    let good = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let text = format!("{good}POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    let (passed, fault) = verdict(text.as_bytes()).unwrap_err();
    assert_eq!((fault.head, fault.ending), (Some(2), END));
    assert_eq!(&text.as_bytes()[passed..], b"Host: b\r\n\r\n");

    let (passed, fault) = verdict(b"GET /\r\n\r\n").unwrap_err();
    assert_eq!((passed, fault.head, fault.ending), (0, Some(1), STAND_IN));
}

#[test]
fn a_line_is_passed_on_when_it_has_ended() {
    let mut guard = Guard::new();
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
    assert_eq!(guard.inspect(&head[..20]), Judgement { passed: 17, fault: None });
    assert!(guard.amid_request());
    assert_eq!(guard.inspect(&head[17..]), Judgement { passed: head.len() - 17, fault: None });
    assert_eq!(guard.unread(), 4);
    guard.skip(4);
    assert_eq!((guard.unread(), guard.amid_request()), (0, false));
}

#[test]
fn http2_and_tunnels_are_not_looked_at() {
    assert!(verdict(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\n").unwrap().is_through());
    let mut guard = verdict(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    guard.pass_through();
    assert_eq!(guard.inspect(b"\x81\x05hello\n"), Judgement { passed: 8, fault: None });
    assert!(!guard.amid_request());
}

#[test]
fn endless_lines_are_refused() {
    assert!(verdict(&vec![b'a'; LINE_BYTES_MAX]).is_ok());
    assert!(verdict(&vec![b'a'; LINE_BYTES_MAX + 1]).is_err());
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
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let whole = verdict(&bytes).map(|guard| guard.place);
        prop_assert_eq!(whole, verdict_in_parts(first, second).map(|guard| guard.place));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = verdict(&bytes);
    }
}
