//! The socket: who may use it, and whose it is.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use fs_err as fs;
use pilotlight_api::server::{BindError, bind};

use crate::fake::exists;

#[tokio::test]
async fn only_the_owner_may_connect() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let listener = bind(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(listener.path(), path);
    drop(listener);
    assert!(!exists(&path), "it goes with its listener");
    bind(&path).unwrap();
}

#[tokio::test]
async fn a_dead_servers_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    drop(UnixListener::bind(&path).unwrap());
    // What a server that died between its two steps left.
    drop(UnixListener::bind(directory.path().join("control.sock.new")).unwrap());
    let _listener = bind(&path).unwrap();
    tokio::net::UnixStream::connect(&path).await.unwrap();
}

#[tokio::test]
async fn a_live_servers_socket_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let live = bind(&path).unwrap();
    let error = bind(&path).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error:?}");
    assert!(exists(&path));
    // Without its lock file it still answers, and that counts.
    fs::remove_file(directory.path().join("control.sock.lock")).unwrap();
    assert!(matches!(bind(&path).unwrap_err(), BindError::InUse { .. }));
    drop(live);
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    fs::write(&path, "mine").unwrap();
    assert!(matches!(bind(&path).unwrap_err(), BindError::NotSocket { .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[tokio::test]
async fn paths_that_do_not_fit_and_missing_directories_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let long = directory.path().join("x".repeat(120));
    assert!(matches!(bind(&long).unwrap_err(), BindError::PathTooLong { .. }));
    let missing = directory.path().join("none/control.sock");
    assert!(matches!(bind(&missing).unwrap_err(), BindError::Io { .. }));
}
