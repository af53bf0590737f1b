//! The platform's own answers, and what becomes of the lease.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pilotlight_pool::fake::Outcome;
use pilotlight_pool::{Settings, Stage, StartFailure, TimeLimit};

use crate::container;
use crate::world::{World, get};

#[tokio::test]
async fn a_container_that_dies_before_it_answers_is_500_and_not_used_again() {
    let world = World::new().await;
    let log = container::serve(&world.socket);
    let answer = world.get("/die").await;
    assert_eq!((answer.status, answer.code()), (500, "container_died".into()));
    assert_eq!(log.requests.load(Ordering::Relaxed), 1, "a request is given to one container only");
    world.launcher.nth_stop(0).await;
    assert_eq!(world.get("/").await.status, 200);
    assert_eq!(world.launcher.launched().len(), 2);
}

#[tokio::test]
async fn a_container_that_dies_amid_its_answer_breaks_the_clients_connection() {
    let world = World::new().await;
    container::serve_raw(
        &world.socket,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    );
    let mut client = world.connect().await;
    client.write(get("/")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text(), answer.whole), (200, "half", false));
    assert!(client.rest().await.is_empty());
    world.launcher.nth_stop(0).await;
    world.quiet().await;
}

#[tokio::test]
async fn a_container_that_takes_no_connection_is_passed_over() {
    let world = World::new().await;
    let (good, missing) = (world.socket("good"), world.socket("missing"));
    container::serve(&good);
    let mut first = true;
    world.launcher.plan(move |_| {
        let path = if std::mem::take(&mut first) { &missing } else { &good };
        Outcome::Ready(path.clone().into())
    });
    assert_eq!(world.get("/").await.status, 200);
    assert_eq!(world.launcher.launched().len(), 2);

    let world = World::new().await;
    let answer = world.get("/").await;
    assert_eq!((answer.status, answer.code()), (500, "container_died".into()));
    assert_eq!(world.launcher.launched().len(), 3, "tried a bounded number of times");
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_502() {
    let world = World::new().await;
    container::serve_raw(&world.socket, b"what?\r\n\r\n");
    let answer = world.get("/").await;
    assert_eq!((answer.status, answer.code()), (502, "invalid_answer".into()));
}

#[tokio::test]
async fn a_start_that_fails_is_told_by_its_summary() {
    let world = World::new().await;
    let failure = |stage| {
        let mut failure = StartFailure::new(stage, "ModuleNotFoundError: No module named 'x'");
        failure.traceback = Some("Traceback: secret".into());
        failure
    };
    world.launcher.plan(move |_| Outcome::Fail(failure(Stage::Import)));
    let answer = world.get("/").await;
    assert_eq!((answer.status, answer.code()), (503, "function_failed_to_start".into()));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(answer.text().contains("ModuleNotFoundError: No module named 'x'"));
    assert!(!answer.text().contains("Traceback: secret"), "the traceback is not the client's");
}

#[tokio::test]
async fn a_machine_that_cannot_start_containers_is_502() {
    let world = World::new().await;
    world.launcher.plan(|_| Outcome::Fail(StartFailure::new(Stage::Sandbox, "no space left on /var")));
    let answer = world.get("/").await;
    assert_eq!((answer.status, answer.code()), (502, "container_failed_to_start".into()));
    assert!(!answer.text().contains("/var"), "{}", answer.text());
}

#[tokio::test]
async fn a_full_queue_is_503_with_retry_after() {
    let mut world = World::new().await;
    world.launcher.plan(|_| Outcome::Hold);
    world.use_settings(Settings { queue_max: 1, max_containers: Some(1), ..Settings::default() });
    let mut waiting = world.connect().await;
    waiting.write(get("/")).await;
    crate::world::eventually(|| world.pool.stats().waiting == 1).await;
    let answer = world.get("/").await;
    assert_eq!((answer.status, answer.code()), (503, "queue_full".into()));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn no_container_in_time_is_504() {
    let world = World::new().await;
    world.launcher.plan(|_| Outcome::Hold);
    world.publish(|endpoint| endpoint.start_timeout = Duration::from_millis(20));
    let answer = world.get("/").await;
    assert_eq!((answer.status, answer.code()), (504, "no_container_in_time".into()));
}

#[tokio::test]
async fn a_silent_function_is_504_after_its_timeout_and_not_used_again() {
    let world = World::new().await;
    container::serve(&world.socket);
    world.publish(|endpoint| endpoint.timeout = Duration::from_millis(50));
    let answer = world.get("/hang").await;
    assert_eq!((answer.status, answer.code()), (504, "response_timeout".into()));
    world.launcher.nth_stop(0).await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_in_all_is_504_and_its_container_is_not_used_again() {
    let world = World::new().await;
    container::serve(&world.socket);
    world.publish(|endpoint| endpoint.total_timeout = Some(Duration::from_millis(50)));
    let answer = world.get("/hang").await;
    assert_eq!((answer.status, answer.code()), (504, "total_timeout".into()));
    world.launcher.nth_stop(0).await;
    let limit = TimeLimit { name: "total_timeout", after: Duration::from_millis(50) };
    assert_eq!(world.launcher.overdue()[0].1, limit);
}

#[tokio::test]
async fn an_answer_that_falls_silent_is_cut_off() {
    let world = World::new().await;
    container::serve(&world.socket);
    // Long enough for a busy machine to give the answer's beginning.
    world.publish(|endpoint| endpoint.timeout = Duration::from_millis(500));
    let answer = world.get("/silent-body").await;
    assert_eq!((answer.status, answer.text(), answer.whole), (200, "first", false));
    world.quiet().await;
}

#[tokio::test]
async fn a_client_that_stops_sending_is_408_and_the_container_is_kept() {
    let world = World::new().await;
    container::serve(&world.socket);
    world.publish(|endpoint| endpoint.timeout = Duration::from_millis(50));
    let answer = world.send("POST /hang HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf").await;
    assert_eq!((answer.status, answer.code()), (408, "request_timeout".into()));
    world.quiet().await;
    assert!(world.launcher.stopped().is_empty());
}

#[tokio::test]
async fn errors_are_text_for_those_who_ask_for_text_and_empty_for_head() {
    let world = World::new().await;
    world.launcher.plan(|_| Outcome::Fail(StartFailure::new(Stage::Import, "x")));
    let answer = world.send("GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html,*/*;q=0.8\r\n\r\n").await;
    assert!(answer.text().starts_with("pilotlight: the function failed to start"), "{}", answer.text());
    let mut client = world.connect().await;
    client.write("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(client.head_answer().await.status, 503);
    assert!(client.rest().await.is_empty());
}
