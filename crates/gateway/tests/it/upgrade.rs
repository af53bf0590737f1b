//! A connection becomes a tunnel after 101 and not before.

use std::sync::atomic::Ordering;

use tokio::io::AsyncWriteExt;

use crate::container;
use crate::world::{World, get, within};

const UPGRADE: &str = "HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test]
async fn a_websocket_is_tunnelled_end_to_end() {
    let world = World::new().await;
    let log = container::serve(&world.socket);
    let mut client = world.connect().await;
    client.write(format!("GET /ws {UPGRADE}")).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("connection"), Some("upgrade"));
    for message in [&b"\x81\x05hello"[..], b"\n\n\0\xff", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"] {
        client.write(message).await;
        assert_eq!(client.bytes(message.len()).await, message);
    }
    // The slot is in use as long as the tunnel is.
    assert_eq!(world.pool.stats().busy, 1);
    drop(client);
    world.quiet().await;
    let mut hanging = log.hanging.subscribe();
    within(hanging.wait_for(|count| *count == 0)).await.unwrap();
    assert!(world.launcher.stopped().is_empty());
}

#[tokio::test]
async fn a_tunnel_whose_client_has_said_all_still_hears_the_container() {
    let world = World::new().await;
    container::serve(&world.socket);
    let mut client = world.connect().await;
    client.write(format!("GET /ws {UPGRADE}")).await;
    assert_eq!(client.answer().await.status, 101);
    client.write("last words").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, b"last words");
    world.quiet().await;
}

#[tokio::test]
async fn a_silent_tunnel_ends_after_the_timeout() {
    let world = World::new().await;
    container::serve(&world.socket);
    world.publish(|endpoint| endpoint.timeout = std::time::Duration::from_millis(50));
    let mut client = world.connect().await;
    client.write(format!("GET /ws {UPGRADE}")).await;
    assert_eq!(client.answer().await.status, 101);
    assert!(client.rest().await.is_empty());
    world.quiet().await;
}

#[tokio::test]
async fn without_101_the_next_request_is_a_request() {
    let world = World::new().await;
    let log = container::serve(&world.socket);
    let mut client = world.connect().await;
    // Pingora CVE-2026-2833: the second request must be parsed, checked and routed like any other.
    let second = "GET /head HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n";
    client.write([&format!("GET / {UPGRADE}"), second].concat()).await;
    assert_eq!(client.answer().await.text(), "hello");
    let answer = client.answer().await;
    assert!(answer.text().starts_with("GET /head") && !answer.text().contains("te:"), "{}", answer.text());
    assert_eq!(log.requests.load(Ordering::Relaxed), 2);
    let mut client = world.connect().await;
    client
        .write([&format!("GET / {UPGRADE}"), "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"].concat())
        .await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(client.answer().await.status, 400);
}

#[tokio::test]
async fn a_101_that_nobody_asked_for_is_502() {
    let world = World::new().await;
    container::serve_raw(
        &world.socket,
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    );
    let answer = world.get("/").await;
    assert_eq!((answer.status, answer.code()), (502, "invalid_answer".into()));
    assert_eq!(world.send(get("/")).await.status, 502);
}

#[tokio::test]
async fn h2c_is_not_passed_on() {
    let world = World::new().await;
    container::serve(&world.socket);
    let answer = world
        .send("GET /head HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n")
        .await;
    assert!(answer.status == 200 && !answer.text().to_lowercase().contains("h2"), "{}", answer.text());
}

#[tokio::test]
async fn a_connection_on_which_an_upgrade_was_refused_is_not_used_again() {
    let world = World::new().await;
    let log = container::serve(&world.socket);
    let mut client = world.connect().await;
    let plain = "HTTP/1.1\r\nHost: a\r\n\r\n";
    for (rest, connections) in [(plain, 1), (plain, 1), (UPGRADE, 1), (plain, 2)] {
        client.write(format!("GET / {rest}")).await;
        assert_eq!(client.answer().await.text(), "hello");
        assert_eq!(log.connections.load(Ordering::Relaxed), connections);
    }
}
