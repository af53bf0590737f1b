//! Calls: requests that go on without their client, and their results.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pilotlight_core::rate::Rate;
use pilotlight_gateway::{Options, RateLimit};
use pilotlight_pool::Settings;

use crate::container;
use crate::world::{Answer, World, get, within};

/// The path and query of where a result will be.
fn place(answer: &Answer) -> String {
    let document: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    let url = document["result_url"].as_str().unwrap();
    let target = url.strip_prefix("http://localhost").unwrap_or_else(|| panic!("{url}"));
    target.to_owned()
}

async fn later(options: Options) -> World {
    let world = World::with(options).await;
    world.publish(|endpoint| endpoint.wait_for_response = false);
    world
}

fn redirecting() -> Options {
    Options { redirect_after: Some(Duration::from_millis(50)), ..Options::default() }
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_had_at_another_url_as_often_as_one_likes() {
    let world = later(Options::default()).await;
    let log = container::serve(&world.socket);
    let promise = world.get("/hop?x=1&y=%20").await;
    assert_eq!(promise.status, 202);
    assert_eq!(promise.header("content-type"), Some("application/json"));
    assert_eq!(promise.header("access-control-allow-origin"), Some("*"));
    let place = place(&promise);
    assert!(place.starts_with("/hop?x=1&y=%20&__modal_function_call_id=fc-"), "{place}");
    for place in [place.clone(), place.replace("__modal_function_call_id", "__modal_function_id")] {
        let answer = world.get(&place).await;
        assert_eq!((answer.status, answer.text()), (200, "hop"));
        assert_eq!(answer.header("x-public"), Some("1"));
        assert_eq!(answer.header("content-length"), Some("3"));
    }
    let mut client = world.connect().await;
    client.write(get(&place).replace("GET", "HEAD")).await;
    assert_eq!(client.head_answer().await.header("content-length"), Some("3"));
    client.write(get(&place)).await;
    assert_eq!(client.answer().await.text(), "hop", "nothing came behind the head");
    assert_eq!(log.requests.load(Ordering::Relaxed), 1, "it ran once");
    // A browser's question, and a request for the head alone, are the app's.
    for method in ["OPTIONS", "HEAD"] {
        client.write(get("/hop").replace("GET", method)).await;
        let answer = if method == "HEAD" { client.head_answer().await } else { client.answer().await };
        assert_eq!((answer.status, answer.header("x-public")), (200, Some("1")));
    }
}

#[tokio::test]
async fn a_body_goes_with_the_call_whatever_its_size() {
    let world = later(Options::default()).await;
    container::serve(&world.socket);
    for bytes in [0, 5, 64 << 10, 3 << 20] {
        let body = "b".repeat(bytes);
        let promise = world
            .send(format!("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n{body}"))
            .await;
        assert_eq!(promise.status, 202);
        assert_eq!(world.get(&place(&promise)).await.body, body.as_bytes());
        let chunk = if bytes > 0 { format!("{bytes:x}\r\n{body}\r\n") } else { String::new() };
        let head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        let promise = world.send(format!("{head}{chunk}0\r\n\r\n")).await;
        assert_eq!(promise.status, 202);
        assert_eq!(world.get(&place(&promise)).await.body, body.as_bytes());
    }
}

#[tokio::test]
async fn a_call_goes_on_without_client_and_its_failure_is_its_result() {
    let world = later(Options::default()).await;
    container::serve(&world.socket);
    let promise = world.get("/die").await;
    assert_eq!(promise.status, 202);
    for _ in 0..2 {
        let answer = world.get(&place(&promise)).await;
        assert_eq!((answer.status, answer.code().as_str()), (500, "container_died"));
    }
}

#[tokio::test]
async fn a_result_waits_and_outlives_the_version_that_made_it() {
    let mut world = later(Options::default()).await;
    let log = container::serve(&world.socket);
    let place = place(&world.get("/gate").await);
    let mut hanging = log.hanging.subscribe();
    hanging.wait_for(|hanging| *hanging == 1).await.unwrap();
    // Who waits and leaves ends nothing.
    let mut client = world.connect().await;
    client.write(get(&place)).await;
    drop(client);
    let old = world.pool.clone();
    world.use_settings(Settings::default());
    old.retire();
    assert_eq!(world.get("/").await.status, 200, "the new version's clients wait");
    let mut waiting = world.connect().await;
    waiting.write(get(&place)).await;
    log.open.send_replace(true);
    let answer = waiting.answer().await;
    assert_eq!((answer.status, answer.text()), (200, "open"));
    assert_eq!(log.requests.load(Ordering::Relaxed), 2, "it ran once");
}

#[tokio::test]
async fn what_is_no_call_or_anothers_is_404_and_a_result_is_only_read() {
    let world = later(Options::default()).await;
    let log = container::serve(&world.socket);
    let place = place(&world.get("/").await);
    assert_eq!(world.get(&place).await.status, 200);
    let asked = log.requests.load(Ordering::Relaxed);
    let answer = world.send(get(&place).replace("GET", "POST")).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));
    for wrong in [
        "/?__modal_function_call_id=fc-aaaaaaaaaaaaaaaa",
        "/?__modal_function_id=",
        "/?__modal_function_call_id=%00",
    ] {
        let answer = world.get(wrong).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "result_not_found"), "{wrong}");
    }
    world.publish(|endpoint| {
        endpoint.wait_for_response = false;
        endpoint.function = "g".into();
    });
    assert_eq!(world.get(&place).await.status, 404, "another function's");
    assert_eq!(log.requests.load(Ordering::Relaxed), asked);
}

#[tokio::test]
async fn a_result_expires() {
    let world = later(Options { result_kept: Duration::from_millis(20), ..Options::default() }).await;
    container::serve(&world.socket);
    let place = place(&world.get("/").await);
    let mut status = world.get(&place).await.status;
    while status == 200 {
        status = world.get(&place).await.status;
    }
    assert_eq!(status, 404);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_said_to_be() {
    let world = later(Options::default()).await;
    container::serve(&world.socket);
    let bytes = (16 << 20) + 1;
    let mut client = world.connect().await;
    client.write(format!("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n")).await;
    client.write(vec![b'b'; bytes]).await;
    let promise = client.answer().await;
    assert_eq!(promise.status, 202);
    let answer = world.get(&place(&promise)).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "result_too_large"));
    world.quiet().await;
}

#[tokio::test]
async fn what_is_refused_at_once_is_not_promised() {
    let world = later(Options { body_bytes_max: 1000, ..Options::default() }).await;
    container::serve(&world.socket);
    let chunk = format!("500\r\n{}\r\n0\r\n\r\n", "c".repeat(0x500));
    let head = "POST /slurp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(world.send(format!("{head}{chunk}")).await.status, 413);
    let rate = Rate { count: 1, period: Duration::from_hours(1) };
    world.publish(|endpoint| {
        endpoint.wait_for_response = false;
        endpoint.rate = Some(Arc::new(RateLimit::new(rate)));
    });
    let place = place(&world.get("/").await);
    assert_eq!(world.get("/").await.status, 429);
    assert_eq!(world.get(&place).await.status, 200, "results are not counted");
}

#[tokio::test]
async fn a_client_that_would_wait_long_is_redirected_until_there_is_an_answer() {
    let world = World::with(redirecting()).await;
    let log = container::serve(&world.socket);
    let redirect = world.send("POST /gate?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb").await;
    assert_eq!((redirect.status, redirect.text()), (303, ""));
    let place = redirect.header("location").unwrap();
    assert!(place.starts_with("/gate?x=1&__modal_function_call_id=fc-"), "{place}");
    let again = world.get(place).await;
    assert_eq!((again.status, again.header("location")), (303, Some(place)));
    log.open.send_replace(true);
    let mut answer = world.get(place).await;
    while answer.status == 303 {
        answer = world.get(place).await;
    }
    assert_eq!((answer.status, answer.text()), (200, "open"));
    assert_eq!(log.requests.load(Ordering::Relaxed), 1, "it ran once");
}

#[tokio::test]
async fn a_redirect_stays_at_the_host_that_was_asked() {
    let world = World::with(redirecting()).await;
    let socket = world.socket.clone();
    let left = container::serve_stubborn(&socket);
    for (path, begins) in [("//example.com/", "/.//example.com/?"), ("/\\example.com", "/./\\example.com?")] {
        let redirect = world.get(path).await;
        assert_eq!(redirect.status, 303, "{path}");
        let place = redirect.header("location").unwrap();
        assert!(place.starts_with(begins), "{place}");
        // As a client takes it: without the dot.
        let again = world.get(&place[2..]).await;
        assert_eq!((again.status, again.header("location")), (303, Some(place)));
    }
    drop(left);
}

#[tokio::test]
async fn a_client_that_leaves_before_it_is_redirected_ends_its_request() {
    let world =
        World::with(Options { redirect_after: Some(Duration::from_hours(1)), ..Options::default() }).await;
    let log = container::serve(&world.socket);
    assert_eq!(world.get("/").await.status, 200, "what is quick is answered as ever");
    let mut hanging = log.hanging.subscribe();
    let mut client = world.connect().await;
    client.write(get("/hang")).await;
    hanging.wait_for(|hanging| *hanging == 1).await.unwrap();
    drop(client);
    within(hanging.wait_for(|hanging| *hanging == 0)).await.unwrap();
    world.quiet().await;
}

#[tokio::test]
async fn without_calls_the_parameter_is_the_apps_own() {
    let world = World::new().await;
    container::serve(&world.socket);
    let answer = world.get("/head?__modal_function_call_id=fc-a").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with("GET /head?__modal_function_call_id=fc-a\n"));
}
