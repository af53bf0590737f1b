//! What a crash leaves: the files as they are at some point, and nothing of the memory. `kill -9` of the server is
//! the copy of the files that the kernel has.

use std::path::Path;

use fs_err as fs;
use pilotlight_store::{Error, Store};

use crate::{endpoint, store};

/// Copies the database's files as they are now.
fn image(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        // The index of the log (-shm) is shared memory: a new process makes it anew.
        if !file.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

#[test]
fn every_finished_deploy_survives_at_every_point() {
    let (directory, store) = store();
    for version in 1..=40 {
        let manifest = format!("{version} {}", "x".repeat(20_000));
        store.deploy("hello", manifest.as_str(), &[endpoint("f", "hello-f", 8002)]).unwrap();
        let crashed = tempfile::tempdir().unwrap();
        image(directory.path(), crashed.path());
        let reopened = Store::open(&crashed.path().join("pilotlight.db")).unwrap();
        let app = reopened.current("hello").unwrap().unwrap();
        assert_eq!((app.version, &app.manifest.unwrap().text), (version, &manifest));
        assert_eq!(app.endpoints, [endpoint("f", "hello-f", 8002)]);
    }
}

#[test]
fn a_deploy_cut_off_in_the_middle_leaves_the_one_before() {
    let (directory, store) = store();
    store.deploy("hello", "one", &[endpoint("f", "hello-f", 8002)]).unwrap();
    let log = directory.path().join("pilotlight.db-wal");
    let first = fs::metadata(&log).unwrap().len();
    store.deploy("hello", "two ".repeat(10_000).as_str(), &[endpoint("f", "hello-f", 8002)]).unwrap();
    let second = fs::metadata(&log).unwrap().len();
    assert!(second > first);
    // The log grows by frames; cut within each of them and on their edges.
    for length in (first..second).step_by(1031).chain([second - 1]) {
        let crashed = tempfile::tempdir().unwrap();
        image(directory.path(), crashed.path());
        let cut = crashed.path().join("pilotlight.db-wal");
        fs::OpenOptions::new().write(true).open(cut).unwrap().set_len(length).unwrap();
        let reopened = Store::open(&crashed.path().join("pilotlight.db")).unwrap();
        let app = reopened.current("hello").unwrap().unwrap();
        assert_eq!((app.version, app.manifest.unwrap().text.as_str()), (1, "one"), "cut at {length}");
        assert_eq!(reopened.deploy("hello", "three", &app.endpoints).unwrap().1, 2);
    }
}

#[test]
fn a_damaged_file_is_named() {
    let (directory, store) = store();
    let path = directory.path().join("pilotlight.db");
    for number in 0..50 {
        store.deploy(&format!("app{number}"), "x".repeat(5_000).as_str(), &[]).unwrap();
    }
    drop(store);
    // Closing happens on the store's thread; opening and reading waits for it.
    drop(Store::open(&path).unwrap().deployed().unwrap());
    let copy = tempfile::tempdir().unwrap();
    image(directory.path(), copy.path());
    let damaged = copy.path().join("pilotlight.db");
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[100..4096].fill(0xa5);
    fs::write(&damaged, bytes).unwrap();
    _ = fs::remove_file(copy.path().join("pilotlight.db-wal"));
    let error = Store::open(&damaged).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("move it away"), "{error}");
}

#[test]
fn a_file_of_another_kind_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pilotlight.db");
    fs::write(&path, "this is not a database, it only stands where one should be".repeat(100)).unwrap();
    assert!(matches!(Store::open(&path).unwrap_err(), Error::Corrupt { .. }));
}

#[test]
fn a_missing_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let error = Store::open(&directory.path().join("none/pilotlight.db")).unwrap_err();
    assert!(matches!(error, Error::Open { .. }), "{error:?}");
}
