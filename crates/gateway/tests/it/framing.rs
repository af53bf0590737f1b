//! Requests that can be read in two ways are given to nobody.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use crate::container;
use crate::framing_cases::{self, Case, Place, Verdict};
use crate::framing_http2;
use crate::world::{World, get};

/// The request that follows each case on its connection.
const AFTER: &str = "GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// What became of a case.
#[derive(Debug)]
struct Outcome {
    /// The answers' statuses, interim ones left out.
    statuses: Vec<u16>,
    /// All that was said.
    text: String,
    /// What the container got whole.
    seen: Vec<String>,
}

/// Sends a case and what follows it, and waits until the gateway has closed the connection and forgotten about it.
async fn outcome(case: &Case) -> Outcome {
    let world = World::new().await;
    let seen = container::record(&world.socket);
    let mut client = world.connect().await;
    client.write([case.request(), AFTER.into()].concat()).await;
    let text = String::from_utf8_lossy(&client.rest().await).into_owned();
    world.quiet().await;
    let statuses = text.split("HTTP/1.1 ").chain(text.split("HTTP/1.0 ")).skip(1);
    let statuses =
        statuses.filter_map(|answer| answer.get(..3)?.parse().ok()).filter(|status| *status != 100);
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    Outcome { statuses: statuses.collect(), text, seen }
}

impl Outcome {
    fn is(&self, verdict: Verdict) -> bool {
        let Self { statuses, text, seen } = self;
        match verdict {
            Verdict::Refused => *statuses == [400] && text.contains("\"bad_request\"") && seen.is_empty(),
            Verdict::Cut => (statuses.is_empty() || *statuses == [400]) && seen.is_empty(),
            Verdict::Once(request) => *statuses == [200] && *seen == [request],
            Verdict::Passed(request) => *statuses == [200, 200] && *seen == [request, "GET /after "],
        }
    }
}

#[tokio::test]
async fn every_framing_is_judged_as_the_table_says() {
    let mut wrong = Vec::new();
    for case in framing_cases::all() {
        let outcome = outcome(&case).await;
        if !outcome.is(case.verdict) {
            wrong.push(format!("{}: {:?}, but {outcome:?}", case.id, case.verdict));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_page_lists_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/design/0015-framing.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (start, end) = ("<!-- the table -->\n", "<!-- its end -->");
    let (before, rest) = page.split_once(start).unwrap();
    let (listed, after) = rest.split_once(end).unwrap();
    let table = table();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, [before, start, &table, end, after].concat()).unwrap();
    } else {
        assert!(listed == table, "run again with UPDATE=1 to write docs/design/0015-framing.md");
    }
}

/// The table as the page has it.
fn table() -> String {
    let mut text = String::new();
    for (place, title) in [
        (Place::Whole, "Whole requests"),
        (Place::Line, "The request line, before `Host: a`"),
        (Place::Fields, "After `POST /it HTTP/1.1` and `Host: a`"),
        (Place::Chunks, "The body of such a request with `Transfer-Encoding: chunked`"),
    ] {
        write!(text, "\n### {title}\n\n| case | RFC | bytes | verdict |\n|---|---|---|---|\n").unwrap();
        for case in framing_cases::all().iter().filter(|case| case.place == place) {
            let verdict = match case.verdict {
                Verdict::Refused => "refused".to_owned(),
                Verdict::Cut => "cut".to_owned(),
                Verdict::Once(request) => format!("once: `{request}`"),
                Verdict::Passed(request) => format!("passed: `{request}`"),
            };
            let bytes = case.bytes.escape_ascii().to_string().replace("\\\"", "\"").replace('|', "\\|");
            writeln!(text, "| {} | {} | `{bytes}` | {verdict} |", case.id, case.rule).unwrap();
        }
    }
    text + &framing_http2::table() + "\n"
}

#[tokio::test]
async fn a_refusal_says_what_is_wrong() {
    let world = World::new().await;
    container::serve(&world.socket);
    for (request, words) in [
        ("GET /it HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "more than one Host"),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", "percent-encode"),
        ("GET /it\r\nHost: a\r\n\r\n", "no HTTP version"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", "not a number"),
    ] {
        let answer = world.send(request).await;
        assert_eq!((answer.status, answer.code()), (400, "bad_request".into()));
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(answer.text().contains(words), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_request_line_that_comes_in_pieces_is_refused_like_a_whole_one() {
    let world = World::new().await;
    let log = container::serve(&world.socket);
    for (first, second) in
        [("GE", "T  / HTTP/1.1\r\n"), ("GET /a", "b#c HTTP/1.1\r\n"), ("GET / HTTP/1.1\r", "X\n")]
    {
        let mut client = world.connect().await;
        client.write(first).await;
        // The gateway reads what there is before more comes: another request is answered meanwhile.
        assert_eq!(world.get("/").await.status, 200);
        client.write([second, "Host: a\r\n\r\n", &get("/smuggled")].concat()).await;
        assert_eq!(client.answer().await.status, 400);
        assert!(client.rest().await.is_empty());
    }
    assert_eq!(log.requests.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn more_than_one_answer_from_a_container_reaches_nobody() {
    let world = World::new().await;
    let poison =
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    container::serve_raw(&world.socket, poison);
    for _ in 0..3 {
        assert_eq!(world.get("/").await.text(), "ok");
    }
}

#[tokio::test]
async fn what_came_before_a_bad_request_is_answered() {
    let world = World::new().await;
    let log = container::serve(&world.socket);
    let mut client = world.connect().await;
    client.write([&get("/"), "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"].concat()).await;
    assert_eq!(client.answer().await.text(), "hello");
    assert_eq!(client.answer().await.code(), "bad_request");
    assert!(client.rest().await.is_empty());
    assert_eq!(log.requests.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn broken_chunks_end_the_connection_and_never_reach_another_request() {
    let world = World::new().await;
    let log = container::serve(&world.socket);
    for body in ["5\nhello\r\n0\r\n\r\n", "2\r\nhello\r\n0\r\n\r\n", "zz\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n"]
    {
        let mut client = world.connect().await;
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.write([head, body, &get("/smuggled")].concat()).await;
        let all = client.rest().await;
        assert!(!all.windows(7).any(|window| window == b"0\r\n\r\nHT"), "{}", all.escape_ascii());
        assert!(!all.windows(5).any(|window| window == b"hello"), "{}", all.escape_ascii());
    }
    world.quiet().await;
    assert!(world.launcher.stopped().is_empty(), "the container is not to blame");
    assert!(log.requests.load(Ordering::Relaxed) <= 4);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_is_read_does_not_poison_the_connection() {
    let world = World::new().await;
    container::serve(&world.socket);
    let mut client = world.connect().await;
    // The body that nobody read looks like a request.
    let body = get("/smuggled");
    let head = format!("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len() + 10);
    client.write([head, body].concat()).await;
    assert_eq!(client.answer().await.text(), "no need to read that");
    client.write([b'x'; 10]).await;
    let rest = client.rest().await;
    assert!(rest.is_empty(), "{}", rest.escape_ascii());
    // The container's side is not poisoned either.
    assert_eq!(world.get("/").await.text(), "hello");
}
