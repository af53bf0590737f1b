//! HTTP/2 requests that would be two, or another one, in the HTTP/1.1 that containers are spoken to in. Frames are
//! written by hand: a client library refuses to send them.

use std::fmt::Write as _;

use crate::container;
use crate::world::{World, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Its stream is reset, or the whole connection is given up (RFC 9113 §8.1.1).
    Reset,
    /// It is answered 400.
    Refused,
    /// The container gets exactly this (method, target, body).
    Passed(&'static str),
}

use Verdict::{Passed, Refused, Reset};

/// Fields in order, and a body.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str, Verdict);

const METHOD: (&str, &str) = (":method", "POST");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/it");
const AUTHORITY: (&str, &str) = (":authority", "a");

const ROWS: &[Row] = &[
    ("plain", "9113 §8.3.1", &[METHOD, SCHEME, PATH, AUTHORITY], "hello", Passed("POST /it hello")),
    ("host-only", "9113 §8.3.1", &[METHOD, SCHEME, PATH, ("host", "a")], "", Passed("POST /it ")),
    (
        "host-agrees",
        "9113 §8.3.1",
        &[METHOD, SCHEME, PATH, AUTHORITY, ("host", "a")],
        "",
        Passed("POST /it "),
    ),
    (
        "length",
        "9113 §8.1.1",
        &[METHOD, SCHEME, PATH, AUTHORITY, ("content-length", "5")],
        "hello",
        Passed("POST /it hello"),
    ),
    (
        "options-star",
        "9113 §8.3.1",
        &[(":method", "OPTIONS"), SCHEME, (":path", "*"), AUTHORITY],
        "",
        Passed("OPTIONS * "),
    ),
    (
        "te-trailers",
        "9113 §8.2.2",
        &[METHOD, SCHEME, PATH, AUTHORITY, ("te", "trailers")],
        "",
        Passed("POST /it "),
    ),
    ("cr-lf-in-value", "9113 §8.2.1", &[METHOD, SCHEME, PATH, AUTHORITY, ("x", "a\r\nhost: b")], "", Reset),
    ("lf-in-value", "9113 §8.2.1", &[METHOD, SCHEME, PATH, AUTHORITY, ("x", "a\nb")], "", Reset),
    ("nul-in-value", "9113 §8.2.1", &[METHOD, SCHEME, PATH, AUTHORITY, ("x", "a\0b")], "", Reset),
    ("cr-lf-in-name", "9113 §8.2.1", &[METHOD, SCHEME, PATH, AUTHORITY, ("x\r\ny", "a")], "", Reset),
    ("colon-in-name", "9113 §8.2.1", &[METHOD, SCHEME, PATH, AUTHORITY, ("x:y", "a")], "", Reset),
    ("upper-case-name", "9113 §8.2.1", &[METHOD, SCHEME, PATH, AUTHORITY, ("X", "a")], "", Reset),
    ("space-in-path", "9113 §8.3.1", &[METHOD, SCHEME, (":path", "/it HTTP/1.1"), AUTHORITY], "", Reset),
    ("cr-lf-in-path", "9113 §8.3.1", &[METHOD, SCHEME, (":path", "/it\r\nx: y"), AUTHORITY], "", Reset),
    ("no-path", "9113 §8.3.1", &[METHOD, SCHEME, AUTHORITY], "", Reset),
    ("empty-path", "9113 §8.3.1", &[METHOD, SCHEME, (":path", ""), AUTHORITY], "", Reset),
    ("relative-path", "9113 §8.3.1", &[METHOD, SCHEME, (":path", "it"), AUTHORITY], "", Reset),
    ("url-as-path", "9113 §8.3.1", &[METHOD, SCHEME, (":path", "http://b/it"), AUTHORITY], "", Reset),
    ("post-star", "9113 §8.3.1", &[METHOD, SCHEME, (":path", "*"), AUTHORITY], "", Refused),
    ("path-beyond-ascii", "9113 §8.3.1", &[METHOD, SCHEME, (":path", "/\u{e9}"), AUTHORITY], "", Refused),
    (
        "line-as-method",
        "9113 §8.3.1",
        &[(":method", "GET / HTTP/1.1\r\nx:"), SCHEME, PATH, AUTHORITY],
        "",
        Reset,
    ),
    ("no-method", "9113 §8.3.1", &[SCHEME, PATH, AUTHORITY], "", Reset),
    ("two-methods", "9113 §8.3", &[METHOD, METHOD, SCHEME, PATH, AUTHORITY], "", Reset),
    ("two-paths", "9113 §8.3", &[METHOD, SCHEME, PATH, (":path", "/other"), AUTHORITY], "", Reset),
    ("unknown-pseudo-header", "9113 §8.3", &[METHOD, SCHEME, PATH, AUTHORITY, (":what", "a")], "", Reset),
    ("status-in-request", "9113 §8.3", &[METHOD, SCHEME, PATH, AUTHORITY, (":status", "200")], "", Reset),
    ("pseudo-header-late", "9113 §8.3", &[METHOD, SCHEME, AUTHORITY, ("x", "a"), PATH], "", Reset),
    ("connect", "9113 §8.5", &[(":method", "CONNECT"), (":authority", "a:443")], "", Refused),
    ("connection", "9113 §8.2.2", &[METHOD, SCHEME, PATH, AUTHORITY, ("connection", "close")], "", Reset),
    ("keep-alive", "9113 §8.2.2", &[METHOD, SCHEME, PATH, AUTHORITY, ("keep-alive", "5")], "", Reset),
    (
        "proxy-connection",
        "9113 §8.2.2",
        &[METHOD, SCHEME, PATH, AUTHORITY, ("proxy-connection", "close")],
        "",
        Reset,
    ),
    (
        "transfer-encoding",
        "9113 §8.2.2",
        &[METHOD, SCHEME, PATH, AUTHORITY, ("transfer-encoding", "chunked")],
        "0\r\n\r\n",
        Reset,
    ),
    ("upgrade", "9113 §8.2.2", &[METHOD, SCHEME, PATH, AUTHORITY, ("upgrade", "websocket")], "", Reset),
    ("te-gzip", "9113 §8.2.2", &[METHOD, SCHEME, PATH, AUTHORITY, ("te", "gzip")], "", Reset),
    ("no-authority", "9113 §8.3.1", &[METHOD, SCHEME, PATH], "", Refused),
    ("host-differs", "9113 §8.3.1", &[METHOD, SCHEME, PATH, AUTHORITY, ("host", "b")], "", Refused),
    ("two-hosts", "9113 §8.3.1", &[METHOD, SCHEME, PATH, ("host", "a"), ("host", "a")], "", Refused),
    ("host-with-space", "9113 §8.3.1", &[METHOD, SCHEME, PATH, ("host", "a b")], "", Refused),
    ("user-in-authority", "9113 §8.3.1", &[METHOD, SCHEME, PATH, (":authority", "me@a")], "", Refused),
    (
        "length-too-short",
        "9113 §8.1.1",
        &[METHOD, SCHEME, PATH, AUTHORITY, ("content-length", "4")],
        "hello",
        Reset,
    ),
    (
        "length-too-long",
        "9113 §8.1.1",
        &[METHOD, SCHEME, PATH, AUTHORITY, ("content-length", "6")],
        "hello",
        Reset,
    ),
    (
        "length-without-body",
        "9113 §8.1.1",
        &[METHOD, SCHEME, PATH, AUTHORITY, ("content-length", "5")],
        "",
        Reset,
    ),
    (
        "length-with-sign",
        "9110 §8.6",
        &[METHOD, SCHEME, PATH, AUTHORITY, ("content-length", "+5")],
        "hello",
        Reset,
    ),
    (
        "length-octal",
        "9110 §8.6",
        &[METHOD, SCHEME, PATH, AUTHORITY, ("content-length", "05")],
        "hello",
        Refused,
    ),
    (
        "two-lengths",
        "9110 §8.6",
        &[METHOD, SCHEME, PATH, AUTHORITY, ("content-length", "5"), ("content-length", "5")],
        "hello",
        Refused,
    ),
    (
        "two-lengths-that-differ",
        "9110 §8.6",
        &[METHOD, SCHEME, PATH, AUTHORITY, ("content-length", "5"), ("content-length", "6")],
        "hello",
        Reset,
    ),
];

/// The table as the page has it.
pub(crate) fn table() -> String {
    let mut text =
        "\n### HTTP/2\n\n| case | RFC | fields | body | verdict |\n|---|---|---|---|---|\n".to_owned();
    for (name, rule, fields, body, verdict) in ROWS {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("`{name}: {value}`")).collect();
        let fields = fields.join(", ").replace('\r', "\\r").replace('\n', "\\n").replace('\0', "\\0");
        let body = if body.is_empty() { String::new() } else { format!("`{}`", body.escape_default()) };
        let verdict = match verdict {
            Reset => "reset".to_owned(),
            Refused => "refused".to_owned(),
            Passed(request) => format!("passed: `{request}`"),
        };
        writeln!(text, "| {name} | {rule} | {fields} | {body} | {verdict} |").unwrap();
    }
    text
}

#[tokio::test]
async fn every_http2_request_is_judged_as_the_table_says() {
    let mut wrong = Vec::new();
    for (name, rule, fields, body, verdict) in ROWS {
        let world = World::new().await;
        let seen = container::record(&world.socket);
        let answer = within(exchange(&world, fields, body.as_bytes())).await;
        world.quiet().await;
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        let holds = match verdict {
            Reset => answer == Answer::Reset && seen.is_empty(),
            Refused => answer == Answer::Status(400) && seen.is_empty(),
            Passed(request) => answer == Answer::Status(200) && seen == [*request],
        };
        if !holds {
            wrong.push(format!("{name} ({rule}): {verdict:?}, but {answer:?}, {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Status(u16),
    Reset,
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// Sends one request on a connection of its own; gives the first thing that is said about it.
async fn exchange(world: &World, fields: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, SETTINGS, 0, 0, &[]);
    let flags = if body.is_empty() { END_HEADERS | END_STREAM } else { END_HEADERS };
    frame(&mut bytes, HEADERS, flags, 1, &block(fields));
    if !body.is_empty() {
        frame(&mut bytes, DATA, END_STREAM, 1, body);
    }
    stream.write_all(&bytes).await.unwrap();
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return Answer::Reset;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        match head[3] {
            SETTINGS if head[4] & ACK == 0 => {
                let mut bytes = Vec::new();
                frame(&mut bytes, SETTINGS, ACK, 0, &[]);
                stream.write_all(&bytes).await.unwrap();
            }
            HEADERS => return Answer::Status(status(&payload)),
            RST_STREAM | GOAWAY => return Answer::Reset,
            _ => {}
        }
    }
}

/// RFC 9113 §4.1.
fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Literal fields without indexing and without Huffman coding (RFC 7541 §6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            out.push(u8::try_from(text.len()).unwrap());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

/// The status of an answer, which comes first in its block: an index of the static table (RFC 7541 appendix A).
fn status(block: &[u8]) -> u16 {
    match block.iter().find(|byte| **byte & 0xe0 != 0x20).unwrap() {
        0x88 => 200,
        0x8c => 400,
        other => panic!("status {other:#x}"),
    }
}
