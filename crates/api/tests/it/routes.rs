//! Each route through the typed client.

use bytes::Bytes;
use pilotlight_api::client::{Client, ClientError};
use pilotlight_api::error::{ApiError, Code};
use pilotlight_api::images::{Prune, Removed};
use pilotlight_api::progress::{Progress, Stream};
use pilotlight_api::wire::{CreateApp, LogQuery, Mode, Scaling};

use crate::fake::{DIGEST, Server, build_line, images, line, manifest, soon, status, summary};

fn api_error<T: std::fmt::Debug>(result: Result<T, ClientError>) -> ApiError {
    match result.unwrap_err() {
        ClientError::Api(error) => error,
        other => panic!("not an API error: {other:?}"),
    }
}

fn request(mode: Mode, name: Option<&str>) -> CreateApp {
    CreateApp {
        manifest: manifest(),
        mode,
        name: name.map(str::to_owned),
        verify: true,
        take_over: false,
        dev_suffix: None,
    }
}

#[tokio::test]
async fn status_and_list() {
    let server = Server::start();
    assert_eq!(server.client.status().await.unwrap(), status());
    assert_eq!(server.client.metrics().await.unwrap(), "# EOF\n");
    assert_eq!(server.client.list().await.unwrap(), [summary()]);
}

#[tokio::test]
async fn images_are_listed_removed_and_their_steps_told() {
    let server = Server::start();
    let client = &server.client;
    assert_eq!(client.images().await.unwrap(), images());
    let removed = client.remove_image("im-0123456789ab").await.unwrap();
    assert_eq!(removed, Removed { images: vec!["im-0123456789ab".to_owned()], bytes: 1000 });
    let error = api_error(client.remove_image("../x").await);
    assert_eq!((error.code, error.message.as_str()), (Code::NotFound, "there is no image `../x`"));
    let prune = Prune { budget_bytes: 1 << 30, downloads: true };
    assert_eq!(client.prune_images(prune).await.unwrap(), Removed::default());
    assert_eq!(*server.fake.pruned.lock().unwrap(), [prune]);
    let mut log = client.image_log("im-0123456789ab").await.unwrap();
    assert_eq!(log.next().await.unwrap(), Some(build_line()));
    assert_eq!(log.next().await.unwrap(), None);
    assert_eq!(api_error(client.image_log("gone").await).code, Code::NotFound);
}

#[tokio::test]
async fn images_are_built_for_a_manifest() {
    let mut server = Server::start();
    let mut stream = server.client.build_images(manifest()).await.unwrap();
    assert_eq!(server.fake.updated.lock().unwrap().take().unwrap().1, manifest());
    let built = Progress::Built { images: vec!["im-a".to_owned()] };
    soon(server.streams.recv()).await.unwrap().send(built.clone()).await.unwrap();
    assert_eq!(stream.next().await.unwrap(), Some(built));
}

#[tokio::test]
async fn blobs_are_asked_for_and_uploaded() {
    let server = Server::start();
    let missing = server.client.missing_blobs(vec![DIGEST.to_owned()]).await.unwrap();
    assert_eq!(missing, [DIGEST]);
    let content = Bytes::from(vec![7; 3_000_000]);
    server.client.put_blob(DIGEST, content.clone()).await.unwrap();
    assert_eq!(server.fake.blobs.lock().unwrap()[DIGEST], content);
    assert!(server.client.missing_blobs(vec![DIGEST.to_owned()]).await.unwrap().is_empty());
}

#[tokio::test]
async fn bad_digests_are_refused() {
    let server = Server::start();
    let error = api_error(server.client.missing_blobs(vec!["../etc".to_owned()]).await);
    assert_eq!(error.code, Code::BadRequest);
    assert_eq!(error.message, "`../etc` is no SHA-256 digest: 64 lower-case hex digits are expected");
    let error = api_error(server.client.put_blob("../../etc/passwd", Bytes::new()).await);
    assert_eq!(error.code, Code::BadRequest);
    let error = api_error(server.client.put_blob(&"b".repeat(64), Bytes::new()).await);
    assert_eq!((error.code, error.status()), (Code::WrongDigest, 422));
}

#[tokio::test]
async fn a_creation_arrives_whole() {
    let mut server = Server::start();
    let sent = request(Mode::Deploy, Some("hello"));
    drop(server.client.create_app(&sent).await.unwrap());
    drop(server.stream().await);
    assert_eq!(server.fake.created.lock().unwrap().take().unwrap(), sent);
}

#[tokio::test]
async fn a_creation_that_breaks_a_rule_is_refused_with_every_problem() {
    let server = Server::start();
    let mut sent = request(Mode::Ephemeral, None);
    sent.manifest.files[0].remote = "/root/../x".to_owned();
    let error = api_error(server.client.create_app(&sent).await);
    assert_eq!(error.code, Code::Invalid);
    assert!(error.message.starts_with("the app is not valid: files./root/../x: "), "{}", error.message);
    assert_eq!(error.detail, None);
    sent.manifest.functions[0].timeout = -1.0;
    sent.manifest.files[0].digest = None;
    let error = api_error(server.client.create_app(&sent).await);
    assert_eq!(error.detail.unwrap().lines().count(), 3);
    assert!(server.fake.created.lock().unwrap().is_none());
}

#[tokio::test]
async fn a_suffix_is_a_few_letters() {
    let server = Server::start();
    for suffix in ["", "a-b", "Ann", "toolonger"] {
        let mut sent = request(Mode::Ephemeral, None);
        sent.dev_suffix = Some(suffix.to_owned());
        let error = api_error(server.client.create_app(&sent).await);
        let told = format!("dev_suffix: `{suffix}` is not 1 to 8 lower-case letters and digits");
        assert_eq!((error.code, error.message), (Code::Invalid, told));
    }
}

#[tokio::test]
async fn a_deploy_needs_a_good_name() {
    let server = Server::start();
    let error = api_error(server.client.create_app(&request(Mode::Deploy, None)).await);
    assert_eq!((error.code, error.message.as_str()), (Code::Invalid, "a deployed app needs a name"));
    assert!(error.hint.unwrap().contains("--name"));
    let error = api_error(server.client.create_app(&request(Mode::Deploy, Some("my app"))).await);
    assert!(error.message.contains("\"my app\""), "{}", error.message);
    server.client.create_app(&request(Mode::Ephemeral, None)).await.unwrap();
}

#[tokio::test]
async fn an_update_arrives_and_an_unknown_app_does_not() {
    let server = Server::start();
    drop(server.client.update_app("ap-a", manifest()).await.unwrap());
    assert_eq!(server.fake.updated.lock().unwrap().take().unwrap(), ("ap-a".to_owned(), manifest()));
    let error = api_error(server.client.update_app("ap-none", manifest()).await);
    assert_eq!((error.code, error.status()), (Code::NotFound, 404));
    assert_eq!(error.message, "there is no app `ap-none`");
    assert!(error.hint.unwrap().contains("app list"));
}

#[tokio::test]
async fn logs_end_without_follow() {
    let server = Server::start();
    let query = LogQuery {
        tail: 7,
        follow: true,
        since: Some(1.5),
        search: Some("a&b=ü %".to_owned()),
        source: Some(Stream::Stderr),
        ..LogQuery::default()
    };
    let mut lines = server.client.logs("hello", query.clone()).await.unwrap();
    assert_eq!(lines.next().await.unwrap(), Some(line("one")));
    assert_eq!(lines.next().await.unwrap(), Some(line("two")));
    assert_eq!(lines.next().await.unwrap(), None);
    assert_eq!(lines.next().await.unwrap(), None, "the end stays the end");
    assert_eq!(server.fake.asked_logs.lock().unwrap().take().unwrap(), ("hello".to_owned(), query.clone()));
    assert_eq!(api_error(server.client.logs("other", query).await).code, Code::NotFound);
}

#[tokio::test]
async fn stop_takes_any_text_for_a_name() {
    let server = Server::start();
    for name in ["hello", "a/b?c=d#e", "ünïcode %41", ".."] {
        server.client.stop(name).await.unwrap();
        assert_eq!(server.fake.stopped.lock().unwrap().pop().unwrap(), name);
    }
    assert_eq!(api_error(server.client.stop("gone").await).status(), 404);
}

#[tokio::test]
async fn scaling_is_checked_and_passed_on() {
    let server = Server::start();
    let scaling = Scaling { min_containers: Some(2), scaledown_window: Some(1.5), ..Scaling::default() };
    server.client.scale("a/b", "C.method", &scaling).await.unwrap();
    let asked = server.fake.scaled.lock().unwrap().pop().unwrap();
    assert_eq!(asked, ("a/b".to_owned(), "C.method".to_owned(), scaling));
    for wrong in [
        Scaling { max_containers: Some(0), ..Scaling::default() },
        Scaling { buffer_containers: Some(10_001), ..Scaling::default() },
        Scaling { scaledown_window: Some(0.5), ..Scaling::default() },
    ] {
        assert_eq!(api_error(server.client.scale("a", "f", &wrong).await).code, Code::Invalid, "{wrong:?}");
    }
    assert!(server.fake.scaled.lock().unwrap().is_empty());
}

#[tokio::test]
async fn shutdown_is_passed_on() {
    let server = Server::start();
    server.client.shutdown().await.unwrap();
    soon(server.fake.down.notified()).await;
}

#[tokio::test]
async fn no_server_is_told_from_a_broken_one() {
    let directory = tempfile::tempdir().unwrap();
    let missing = Client::new(directory.path().join("none.sock"));
    assert!(matches!(missing.status().await, Err(ClientError::NoServer { .. })));
    let dead = directory.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    assert!(matches!(Client::new(&dead).status().await, Err(ClientError::NoServer { .. })));
    let mute = directory.path().join("mute.sock");
    let listener = tokio::net::UnixListener::bind(&mute).unwrap();
    let client = Client::new(&mute);
    let (status, ()) = tokio::join!(client.status(), async { drop(listener.accept().await.unwrap()) });
    assert!(matches!(status, Err(ClientError::Broken { .. })));
}
