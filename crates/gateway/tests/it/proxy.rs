//! What crosses the gateway: requests, answers, bodies, headers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pilotlight_gateway::{Error, Reach};
use pilotlight_pool::StartReceipt;

use crate::container;
use crate::world::{World, get, pool};

#[tokio::test]
async fn a_get_is_answered() {
    let world = World::new().await;
    container::serve(&world.socket);
    let answer = world.get("/").await;
    assert_eq!((answer.status, answer.text(), answer.whole), (200, "hello", true));
    assert_eq!(answer.header("content-length"), Some("5"));
}

#[tokio::test]
async fn timeouts_may_be_longer_than_the_clock() {
    let world = World::new().await;
    container::serve(&world.socket);
    world.publish(|endpoint| (endpoint.start_timeout, endpoint.timeout) = (Duration::MAX, Duration::MAX));
    assert_eq!(world.get("/").await.status, 200);
}

#[tokio::test]
async fn both_families_answer_on_the_same_port() {
    let world = World::new().await;
    container::serve(&world.socket);
    match tokio::net::TcpStream::connect(("::1", world.port)).await {
        Ok(stream) => drop(stream),
        Err(error) => eprintln!("skipped: this machine has no ::1 ({error})"),
    }
    assert_eq!(world.get("/").await.status, 200);
}

#[tokio::test]
async fn the_host_decides_on_a_shared_port_and_not_on_an_own_one() {
    let world = World::new().await;
    container::serve(&world.socket);
    let shared = world.gateway.listen(0, Reach::Loopback).await.unwrap();
    let ask = async |port: u16, host: &str| {
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let mut client = world.connect().await;
        client.stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        client.write(text).await;
        client.answer().await
    };
    assert_eq!(ask(shared.port(), "LOCAL--hello-f.localhost.:8000").await.status, 200);
    assert_eq!(ask(world.port, "anything").await.status, 200);
    let unknown = ask(shared.port(), "other.localhost").await;
    assert_eq!((unknown.status, unknown.code()), (404, "endpoint_not_found".into()));
    assert!(!unknown.text().contains("hello"), "{}", unknown.text());
    assert_eq!(unknown.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn a_post_is_streamed_both_ways() {
    let world = World::new().await;
    container::serve(&world.socket);
    let mut client = world.connect().await;
    client.write("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
    // The answer begins while the request is still open.
    let head = loop {
        let byte = client.bytes(1).await;
        assert_eq!(byte.len(), 1);
        if byte == b"H" {
            break byte;
        }
    };
    assert_eq!(head, b"H");
    let seen = read_until(&mut client, b"first").await;
    assert!(seen.to_lowercase().contains("transfer-encoding: chunked"), "{seen}");
    client.write("6\r\nsecond\r\n").await;
    read_until(&mut client, b"second").await;
    client.write("0\r\n\r\n").await;
    read_until(&mut client, b"0\r\n\r\n").await;
}

async fn read_until(client: &mut crate::world::Client, end: &[u8]) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(end) {
        let byte = client.bytes(1).await;
        assert_eq!(byte.len(), 1, "ended after {}", seen.escape_ascii());
        seen.extend(byte);
    }
    String::from_utf8(seen).unwrap()
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let world = World::new().await;
    container::serve(&world.socket);
    let body: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let head = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let send = async {
        use tokio::io::AsyncWriteExt;
        write.write_all(head.as_bytes()).await.unwrap();
        write.write_all(&body).await.unwrap();
    };
    let receive = async {
        use tokio::io::AsyncReadExt;
        let mut all = Vec::new();
        read.read_to_end(&mut all).await.unwrap();
        all
    };
    let ((), all) = tokio::join!(send, receive);
    assert!(all.starts_with(b"HTTP/1.1 200 OK"));
    assert!(all.len() > body.len());
}

#[tokio::test]
async fn a_head_has_no_body_and_the_length_of_one() {
    let world = World::new().await;
    container::serve(&world.socket);
    let mut client = world.connect().await;
    client.write("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.head_answer().await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("5")));
    client.write(get("/")).await;
    assert_eq!(client.answer().await.text(), "hello");
}

#[tokio::test]
async fn headers_of_one_connection_do_not_cross() {
    let world = World::new().await;
    container::serve(&world.socket);
    let answer = world
        .send(
            "POST /head?a=1 HTTP/1.1\r\nHost: example.test:1\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n\
             Keep-Alive: 5\r\nTE: trailers\r\nTrailer: x\r\nProxy-Connection: close\r\nX-Forwarded-For: 6.6.6.6\r\n\
             X-Other: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: y\r\n\r\n",
        )
        .await;
    let seen = answer.text();
    for kept in [
        "POST /head?a=1\n",
        "host: example.test:1\n",
        "x-other: 2\n",
        "x-forwarded-for: 127.0.0.1\n",
        "x-forwarded-proto: http\n",
        "x-forwarded-host: example.test:1\n",
        // The gateway's own framing of a body of unknown length.
        "transfer-encoding: chunked\n",
    ] {
        assert!(seen.contains(kept), "no {kept:?} in {seen}");
    }
    for gone in ["x-mine", "keep-alive", "te:", "trailer", "proxy-connection", "6.6.6.6"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
    let answer = world.get("/hop").await;
    for gone in ["x-private", "keep-alive"] {
        assert_eq!(answer.header(gone), None);
    }
    assert_eq!(answer.header("x-public"), Some("1"));
}

#[tokio::test]
async fn a_transfer_encoding_is_never_forwarded_as_received() {
    let world = World::new().await;
    container::serve(&world.socket);
    let answer =
        world.send("GET /head HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n").await;
    assert!(!answer.text().contains("CHUNKED"), "{}", answer.text());
    let sized = "POST /head HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let answer = world.send(sized).await;
    assert!(answer.text().contains("content-length: 2") && !answer.text().contains("transfer-encoding"));
}

#[tokio::test]
async fn an_expectation_is_met_by_the_gateway() {
    let world = World::new().await;
    container::serve(&world.socket);
    let mut client = world.connect().await;
    client.write("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(client.bytes(25).await, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write("hi").await;
    assert_eq!(client.answer().await.text(), "hi");
}

#[tokio::test]
async fn connections_are_reused_on_both_sides() {
    let world = World::new().await;
    let log = container::serve(&world.socket);
    let mut client = world.connect().await;
    for _ in 0..20 {
        client.write(get("/")).await;
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(log.requests.load(Ordering::Relaxed), 20);
    assert!(log.connections.load(Ordering::Relaxed) <= 2, "{}", log.connections.load(Ordering::Relaxed));
    // Two at once, pipelined, are answered in order.
    client.write([get("/"), get("/head")].concat()).await;
    assert_eq!(client.answer().await.text(), "hello");
    assert!(client.answer().await.text().starts_with("GET /head"));
}

#[tokio::test]
async fn a_closed_idle_connection_is_replaced() {
    let world = World::new().await;
    let mut closings = container::serve_closing(&world.socket);
    for _ in 0..5 {
        let answer = world.get("/").await;
        assert_eq!((answer.status, answer.text()), (200, "ok"));
        // The container has closed its end; the gateway may not have noticed yet.
        closings.recv().await.unwrap();
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_answered() {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let world = World::new().await;
    container::serve(&world.socket);
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("http://inner.test/head").body(Empty::<bytes::Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.starts_with("GET /head\n") && text.contains("host: inner.test"), "{text}");
}

#[tokio::test]
async fn only_an_answer_that_waited_for_a_start_carries_its_receipt() {
    let mut world = World::new().await;
    container::serve(&world.socket);
    let ms = Duration::from_millis;
    let told = StartReceipt { sandbox: ms(12), fork: ms(3), import: ms(34), app: ms(5), path: "plain" };
    world.launcher.set_receipt(told);
    world.pool = pool(&world.launcher, pilotlight_pool::Settings::default());
    world.publish(|_| {});
    let cold = world.get("/hop").await;
    let timings: Vec<&str> = cold.headers("server-timing").collect();
    assert_eq!(timings.len(), 2, "{timings:?}");
    assert_eq!(timings[0], "db;dur=1", "the app's own is kept");
    let expected = "sandbox;dur=12.0, fork;dur=3.0, import;dur=34.0, app;dur=5.0, path;desc=\"plain\"";
    assert!(timings[1].ends_with(expected), "{timings:?}");
    world.quiet().await;
    let warm = world.get("/hop").await;
    assert_eq!(warm.headers("server-timing").collect::<Vec<_>>(), ["db;dur=1"]);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let world = World::new().await;
    match world.gateway.listen(world.port, Reach::Loopback).await {
        Err(Error::PortInUse { port, .. }) => assert_eq!(port, world.port),
        other => panic!("{other:?}"),
    }
}
