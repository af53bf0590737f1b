//! How much a client may send, and how long it may take.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pilotlight_core::rate::Rate;
use pilotlight_gateway::{Options, RateLimit};

use crate::container;
use crate::world::{Client, World, get};

/// What the gateway tests set small, to reach it.
fn small() -> Options {
    Options { body_bytes_max: 1000, head_timeout: Duration::from_millis(50), ..Options::default() }
}

/// A request line with a target of so many bytes.
fn target(bytes: usize) -> String {
    get(&format!("/{}", "a".repeat(bytes - 1)))
}

fn fields(count: usize, bytes: usize) -> String {
    let mut head = "GET / HTTP/1.1\r\nHost: localhost\r\n".to_owned();
    for number in 1..count {
        write!(head, "X-{number}: {}\r\n", "v".repeat(bytes)).unwrap();
    }
    head + "\r\n"
}

#[tokio::test]
async fn a_long_target_is_414() {
    let world = World::new().await;
    container::serve(&world.socket);
    assert_eq!(world.send(target(16 * 1024)).await.status, 200);
    for bytes in [16 * 1024 + 1, 100 * 1024] {
        let answer = world.send(target(bytes)).await;
        assert_eq!((answer.status, answer.code().as_str()), (414, "target_too_long"), "{bytes}");
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[tokio::test]
async fn many_or_large_fields_are_431() {
    let world = World::new().await;
    container::serve(&world.socket);
    assert_eq!(world.send(fields(95, 100)).await.status, 200);
    assert_eq!(world.send(fields(2, 60 * 1024)).await.status, 200);
    for (count, bytes) in [(96, 1), (20, 4 * 1024), (2, 70 * 1024)] {
        let answer = world.send(fields(count, bytes)).await;
        assert_eq!((answer.status, answer.code().as_str()), (431, "head_too_large"), "{count} of {bytes}");
    }
    // Each request is measured by itself.
    let mut client = world.connect().await;
    for _ in 0..3 {
        client.write(fields(90, 500)).await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn a_large_body_is_413_before_a_container_has_it() {
    let world = World::with(small()).await;
    let log = container::serve(&world.socket);
    let post = |length: usize| format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    assert_eq!(world.send(post(1000) + &"b".repeat(1000)).await.body.len(), 1000);
    let before = log.requests.load(Ordering::Relaxed);
    let answer = world.send(post(1001)).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    assert!(answer.text().contains("1000 bytes"), "{}", answer.text());
    // No 100 (Continue) was said first: the client sends nothing.
    let expecting = post(4 << 30).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    let mut client = world.connect().await;
    client.write(expecting).await;
    assert_eq!(client.bytes(12).await, b"HTTP/1.1 413");
    assert_eq!(log.requests.load(Ordering::Relaxed), before);
    assert_eq!(world.launcher.alive(), 1, "the container is well");
}

#[tokio::test]
async fn a_body_of_unknown_length_is_413_where_it_becomes_too_large() {
    let world = World::with(small()).await;
    container::serve(&world.socket);
    let chunk = format!("200\r\n{}\r\n", "c".repeat(0x200));
    let head = "POST /slurp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = world.send(format!("{head}{chunk}{chunk}0\r\n\r\n")).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    world.quiet().await;
    assert_eq!(world.get("/").await.status, 200, "the container is well");
}

#[tokio::test]
async fn a_head_that_does_not_come_is_408() {
    let world = World::with(small()).await;
    container::serve(&world.socket);
    for begun in ["G", "GET / HT", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "] {
        let answer = world.send(begun).await;
        assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"), "{begun:?}");
        assert_eq!(answer.header("connection"), Some("close"));
    }
    // The clock is for the head alone: the next one has its own, and what is between them counts for none.
    let mut client = world.connect().await;
    for _ in 0..2 {
        client.write(get("/")).await;
        assert_eq!(client.answer().await.status, 200);
        slowly(&mut client).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_is_asked_too_often_answers_429() {
    let world = World::new().await;
    let log = container::serve(&world.socket);
    // An hour is longer than any test.
    let rate = Rate { count: 2, period: Duration::from_hours(1) };
    world.publish(|endpoint| endpoint.rate = Some(Arc::new(RateLimit::new(rate))));
    for _ in 0..2 {
        assert_eq!(world.get("/").await.status, 200);
    }
    let answer = world.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1800).contains(&wait), "{wait}");
    assert_eq!(answer.header("connection"), None, "the connection stays");
    assert_eq!(log.requests.load(Ordering::Relaxed), 2);
}

/// A request whose body takes longer than a head may.
async fn slowly(client: &mut Client) {
    client.write("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n").await;
    for byte in ["b", "o", "d", "y"] {
        tokio::time::sleep(Duration::from_millis(30)).await;
        client.write(byte).await;
    }
    assert_eq!(client.answer().await.text(), "body");
}
