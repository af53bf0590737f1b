//! Requests that can be read in two ways are given to nobody.

use std::sync::atomic::Ordering;

use crate::container;
use crate::world::{World, get};

/// Sends a request with a second one behind it; only the refusal may come back, and the connection closes.
async fn refused(world: &World, bytes: &str) -> crate::world::Answer {
    let mut client = world.connect().await;
    client.write([bytes, &get("/smuggled")].concat()).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 400, "{bytes:?}");
    assert!(client.rest().await.is_empty(), "the connection stayed open after {bytes:?}");
    answer
}

#[tokio::test]
async fn ambiguous_framing_is_refused_and_the_connection_closed() {
    let world = World::new().await;
    let log = container::serve(&world.socket);
    for (fields, word) in [
        ("Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", "both"),
        ("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "both"),
        ("Host: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n", "two different"),
        ("Host: a\r\nContent-Length: 5, 5\r\n", "not a number"),
        ("Host: a\r\nHost: a\r\n", "more than one Host"),
        ("Host: a\r\nHost: b\r\n", "more than one Host"),
        ("X: y\r\n", "no Host"),
        ("Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", "chunked"),
        ("Host: a\r\nX: y\n", "CR LF"),
        ("Host: a\r\nX: y\r\n folded\r\n", "folded"),
    ] {
        let answer = refused(&world, &format!("POST / HTTP/1.1\r\n{fields}\r\n")).await;
        assert_eq!(answer.code(), "bad_request", "{fields:?}");
        assert!(answer.text().contains(word), "{fields:?}: {}", answer.text());
        assert_eq!(answer.header("connection"), Some("close"));
    }
    for bytes in ["GET /\r\n\r\n", "what\r\n\r\n", "GET / HTTP/9.9\r\nHost: a\r\n\r\n"] {
        refused(&world, bytes).await;
    }
    refused(&world, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n").await;
    assert_eq!(log.requests.load(Ordering::Relaxed), 0, "none of it reached the container");
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
