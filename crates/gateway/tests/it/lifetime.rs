//! Clients that leave, pools that are replaced, listeners that close.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pilotlight_pool::Settings;
use pilotlight_pool::fake::{FakeLauncher, Outcome};

use crate::container;
use crate::world::{World, eventually, get, pool, within};

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_gives_up_its_place() {
    let world = World::new().await;
    world.launcher.plan(|_| Outcome::Hold);
    let mut client = world.connect().await;
    client.write(get("/")).await;
    eventually(|| world.pool.stats().waiting == 1).await;
    drop(client);
    world.quiet().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request_in_the_container() {
    let world = World::new().await;
    let log = container::serve(&world.socket);
    let mut hanging = log.hanging.subscribe();
    for path in ["/hang", "/silent-body"] {
        let mut client = world.connect().await;
        client.write(get(path)).await;
        within(hanging.wait_for(|count| *count == 1)).await.unwrap();
        drop(client);
        within(hanging.wait_for(|count| *count == 0)).await.unwrap();
        world.quiet().await;
    }
    assert!(world.launcher.stopped().is_empty(), "the container is not to blame");
    assert_eq!(world.gateway.idle_connections(), 0, "the connections were not kept");
}

#[tokio::test]
async fn a_slot_is_taken_until_the_container_has_ended_its_side() {
    let world = World::new().await;
    let mut left = container::serve_stubborn(&world.socket);
    for path in ["/silent", "/begun"] {
        let mut client = world.connect().await;
        client.write(get(path)).await;
        let told = within(left.recv()).await.unwrap();
        if path == "/begun" {
            assert_eq!(client.bytes(12).await, b"HTTP/1.1 200");
        }
        drop(client);
        // The container hears that the client has left, and goes on.
        let end = within(told).await.unwrap();
        assert_eq!(world.pool.stats().busy, 1, "{path}");
        end.send(()).unwrap();
        world.quiet().await;
    }
    assert!(world.launcher.stopped().is_empty(), "the container is not to blame");
    assert_eq!(world.gateway.idle_connections(), 0, "the connections were not kept");
}

#[tokio::test]
async fn a_slot_is_taken_though_its_client_left_amid_the_upload() {
    let world = World::new().await;
    let mut left = container::serve_stubborn(&world.socket);
    for (path, body) in [
        ("/silent", "Content-Length: 9\r\n\r\nhalf"),
        ("/begun", "Content-Length: 9\r\n\r\nhalf"),
        ("/silent", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
    ] {
        let mut client = world.connect().await;
        let method = if path == "/begun" { "GET" } else { "POST" };
        client.write(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{body}")).await;
        let told = within(left.recv()).await.unwrap();
        if path == "/begun" {
            assert_eq!(client.bytes(12).await, b"HTTP/1.1 200");
        }
        drop(client);
        // The container sees the end of what is sent, and is not done for that.
        let end = within(told).await.unwrap();
        assert_eq!(world.pool.stats().busy, 1, "{path} {body:?}");
        end.send(()).unwrap();
        world.quiet().await;
    }
    assert!(world.launcher.stopped().is_empty(), "the container is not to blame");
}

#[tokio::test]
async fn a_slot_is_taken_though_the_upload_was_refused() {
    let world = World::new().await;
    let mut left = container::serve_stubborn(&world.socket);
    let mut client = world.connect().await;
    // What comes after the first piece is no chunk.
    let request =
        "POST /silent HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n";
    client.write(request).await;
    let told = within(left.recv()).await.unwrap();
    let end = within(told).await.unwrap();
    assert_eq!(world.pool.stats().busy, 1);
    end.send(()).unwrap();
    world.quiet().await;
}

#[tokio::test]
async fn idle_connections_go_with_their_container() {
    let world = World::new().await;
    let mut closings = container::serve_closing(&world.socket);
    assert_eq!(world.get("/").await.status, 200);
    closings.recv().await.unwrap();
    eventually(|| world.gateway.idle_connections() == 0).await;
}

#[tokio::test]
async fn a_server_of_the_users_gets_a_connection_for_each_request() {
    let world = World::new().await;
    let log = container::serve(&world.socket);
    world.publish(|endpoint| endpoint.keep_alive = false);
    for _ in 0..3 {
        assert_eq!(world.get("/").await.status, 200);
    }
    assert_eq!(log.connections.load(Ordering::SeqCst), 3);
    eventually(|| world.gateway.idle_connections() == 0).await;
}

#[tokio::test]
async fn a_request_whose_pool_is_retired_meanwhile_goes_to_the_next_version() {
    let world = World::new().await;
    world.launcher.plan(|_| Outcome::Hold);
    let mut client = world.connect().await;
    client.write(get("/")).await;
    world.launcher.nth_launch(0).await;

    let path = world.socket("second");
    let log = container::serve(&path);
    let second = pool(&FakeLauncher::serving(&path), Settings::default());
    world.publish(|endpoint| endpoint.pool = second.clone());
    world.pool.retire();
    assert_eq!(client.answer().await.text(), "hello");
    assert_eq!(log.requests.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_request_waits_for_the_route_table_that_follows_a_retired_pool() {
    let world = World::new().await;
    world.pool.retire();
    let mut client = world.connect().await;
    client.write(get("/")).await;
    // Retired before the new table is published: the wrong way round, and still answered.
    let path = world.socket("second");
    container::serve(&path);
    let second = pool(&FakeLauncher::serving(&path), Settings::default());
    let publish = async {
        tokio::task::yield_now().await;
        world.publish(|endpoint| endpoint.pool = second.clone());
    };
    let (answer, ()) = tokio::join!(client.answer(), publish);
    assert_eq!(answer.text(), "hello");
}

#[tokio::test]
async fn a_request_whose_route_is_gone_meanwhile_is_404() {
    let world = World::new().await;
    world.launcher.plan(|_| Outcome::Hold);
    let mut client = world.connect().await;
    client.write(get("/")).await;
    world.launcher.nth_launch(0).await;
    world.gateway.publish(pilotlight_gateway::Routes::default());
    world.pool.retire();
    assert_eq!(client.answer().await.code(), "endpoint_not_found");
}

#[tokio::test]
async fn a_listener_that_closes_finishes_what_is_in_flight() {
    let world = World::new().await;
    container::serve(&world.socket);
    let (mut busy, mut silent) = (world.connect().await, world.connect().await);
    busy.write("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab").await;
    eventually(|| world.pool.stats().busy == 1).await;
    let World { gateway, listener, port, folder: _folder, .. } = world;
    let closing = tokio::spawn(listener.close(Duration::from_secs(10)));
    assert!(silent.rest().await.is_empty(), "a connection without a request is closed at once");
    eventually(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_err()).await;
    busy.write("cd").await;
    assert_eq!(busy.answer().await.text(), "abcd");
    within(closing).await.unwrap();
    // The port is free again.
    gateway.listen(port, pilotlight_gateway::Reach::Loopback).await.unwrap();
}

#[tokio::test]
async fn a_listener_that_closes_cuts_off_what_outlives_its_grace() {
    let world = World::new().await;
    let log = container::serve(&world.socket);
    let mut client = world.connect().await;
    client.write(get("/hang")).await;
    let mut hanging = log.hanging.subscribe();
    within(hanging.wait_for(|count| *count == 1)).await.unwrap();
    let World { listener, folder: _folder, .. } = world;
    within(listener.close(Duration::from_millis(20))).await;
    assert!(client.rest().await.is_empty());
    within(hanging.wait_for(|count| *count == 0)).await.unwrap();
}
