//! Streams of progress: order, ends, and readers who leave.

use pilotlight_api::client::{ClientError, Lines};
use pilotlight_api::progress::Progress;
use pilotlight_api::wire::{CreateApp, Mode};
use tokio::sync::mpsc::Sender;

use crate::fake::{Server, exists, line, manifest, soon};

async fn begin(server: &mut Server) -> (Lines<Progress>, Sender<Progress>) {
    let request = CreateApp {
        manifest: manifest(),
        mode: Mode::Ephemeral,
        name: None,
        verify: true,
        take_over: false,
        dev_suffix: None,
    };
    let lines = soon(server.client.create_app(&request)).await.unwrap();
    (lines, server.stream().await)
}

fn stopped(reason: &str) -> Progress {
    Progress::Stopped { reason: reason.to_owned() }
}

/// One of each, with the JSON that the contract has for it.
fn every_message() -> Vec<(Progress, serde_json::Value)> {
    let text = |text: &str| text.to_owned();
    vec![
        (
            Progress::Step { id: text("a"), text: text("Building") },
            serde_json::json!({"type": "step", "id": "a", "text": "Building"}),
        ),
        (
            Progress::StepOutput { id: text("a"), line: text("x\ny") },
            serde_json::json!({"type": "step_output", "id": "a", "line": "x\ny"}),
        ),
        (
            Progress::StepDone { id: text("a"), text: text("Built"), seconds: 1.5, cached: true },
            serde_json::json!({"type": "step_done", "id": "a", "text": "Built", "seconds": 1.5, "cached": true}),
        ),
        (
            Progress::StepFailed { id: text("a"), text: text("Building"), tail: vec![text("no")] },
            serde_json::json!({"type": "step_failed", "id": "a", "text": "Building", "tail": ["no"]}),
        ),
        (Progress::Warning { text: text("mind") }, serde_json::json!({"type": "warning", "text": "mind"})),
        (
            Progress::Created {
                host_url: Some(text("http://local--hello-f-dev.localhost:8000")),
                function: text("f"),
                url: text("http://localhost:8001"),
                note: None,
                label: Some(text("local--hello-f-dev")),
                custom_domains: vec![text("api.example.com")],
            },
            serde_json::json!({"type": "created", "function": "f", "url": "http://localhost:8001", "note": null,
                "label": "local--hello-f-dev", "host_url": "http://local--hello-f-dev.localhost:8000",
                "custom_domains": ["api.example.com"]}),
        ),
        (
            line("out").into(),
            serde_json::json!({
                "type": "log", "function": "f", "container": "co-a", "stream": "stdout", "line": "out", "at": 3.5
            }),
        ),
        (
            Progress::Ready { app_id: text("ap-a"), name: text("hello"), version: 1 },
            serde_json::json!({"type": "ready", "app_id": "ap-a", "name": "hello", "version": 1}),
        ),
        (
            Progress::Failed {
                code: text("import"),
                message: text("m"),
                hint: Some(text("h")),
                detail: None,
            },
            serde_json::json!({"type": "failed", "code": "import", "message": "m", "hint": "h", "detail": null}),
        ),
        (stopped("done"), serde_json::json!({"type": "stopped", "reason": "done"})),
    ]
}

#[tokio::test]
async fn every_message_arrives_at_once_and_in_order() {
    let mut server = Server::start();
    let (mut lines, sender) = begin(&mut server).await;
    for (message, json) in every_message() {
        assert_eq!(serde_json::to_value(&message).unwrap(), json);
        sender.send(message.clone()).await.unwrap();
        // Asked for one by one: nothing waits in a buffer for a next message.
        assert_eq!(soon(lines.next()).await.unwrap(), Some(message));
    }
    drop(sender);
    assert_eq!(soon(lines.next()).await.unwrap(), None);
}

#[tokio::test]
async fn many_and_long_messages_arrive_whole() {
    let mut server = Server::start();
    let (mut lines, sender) = begin(&mut server).await;
    let message = |number: usize| Progress::StepOutput {
        id: number.to_string(),
        line: "ä".repeat(if number.is_multiple_of(100) { 500_000 } else { number % 50 }),
    };
    let sending = async move {
        for number in 0..1_000 {
            sender.send(message(number)).await.unwrap();
        }
    };
    let receiving = async {
        for number in 0..1_000 {
            assert_eq!(lines.next().await.unwrap(), Some(message(number)));
        }
        assert_eq!(lines.next().await.unwrap(), None);
    };
    soon(async { tokio::join!(sending, receiving) }).await;
}

#[tokio::test]
async fn a_reader_who_leaves_is_seen() {
    let mut server = Server::start();
    let (mut lines, sender) = begin(&mut server).await;
    sender.send(stopped("one")).await.unwrap();
    soon(lines.next()).await.unwrap();
    assert!(!sender.is_closed());
    drop(lines);
    soon(sender.closed()).await;
    assert!(sender.send(stopped("two")).await.is_err());
}

#[tokio::test]
async fn a_reader_who_leaves_before_the_first_message_is_seen() {
    let mut server = Server::start();
    let (lines, sender) = begin(&mut server).await;
    drop(lines);
    soon(sender.closed()).await;
}

// Under a paused clock a deadline passes when nothing moves any more: nothing here waits for real time.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_the_sender_back() {
    let mut server = Server::start();
    let (lines, sender) = begin(&mut server).await;
    let text = "x".repeat(100_000);
    let mut sent = 0;
    let moment = std::time::Duration::from_millis(100);
    // Far more than the channel and the socket hold.
    while sent < 1_000 && tokio::time::timeout(moment, sender.send(stopped(&text))).await.is_ok() {
        sent += 1;
    }
    assert!((8..1_000).contains(&sent), "{sent} were taken");
    drop(lines);
    sender.closed().await;
}

#[tokio::test]
async fn next_can_be_given_up_and_asked_again() {
    let mut server = Server::start();
    let (mut lines, sender) = begin(&mut server).await;
    for number in 0..100 {
        tokio::select! {
            biased;
            _ = lines.next() => panic!("nothing was sent"),
            () = tokio::task::yield_now() => {}
        }
        sender.send(stopped(&number.to_string())).await.unwrap();
        assert_eq!(soon(lines.next()).await.unwrap(), Some(stopped(&number.to_string())));
    }
}

#[tokio::test]
async fn streams_end_with_the_server_and_its_socket_goes() {
    let mut server = Server::start();
    let (mut lines, sender) = begin(&mut server).await;
    let socket = server.socket.clone();
    let client = server.client.clone();
    let reading = tokio::spawn(async move {
        let last = lines.next().await;
        (last, lines.next().await)
    });
    let ending = async {
        sender.send(stopped("the server goes down")).await.unwrap();
        drop(sender);
    };
    tokio::join!(server.end(), ending);
    let (last, end) = soon(reading).await.unwrap();
    assert_eq!((last.unwrap(), end.unwrap()), (Some(stopped("the server goes down")), None));
    assert!(!exists(&socket));
    assert!(matches!(client.status().await, Err(ClientError::NoServer { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_end_is_cut_off() {
    let mut server = Server::start();
    let (mut lines, sender) = begin(&mut server).await;
    server.end().await;
    assert!(matches!(lines.next().await, Err(ClientError::Broken { .. })));
    sender.closed().await;
}
