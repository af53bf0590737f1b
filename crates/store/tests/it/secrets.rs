//! Manifests with secrets, at rest.

use std::path::Path;

use fs_err as fs;
use pilotlight_store::seal::Error;
use pilotlight_store::{Deployed, Manifest, Store};

use crate::store;

fn secret(text: &str) -> Manifest {
    Manifest { text: text.to_owned(), secret: true }
}

fn holds(text: &str) -> bool {
    text.contains("hush")
}

/// The files of the folder that contain the secret.
fn leaks(folder: &Path) -> Vec<String> {
    let found = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    // A store that is closing on its own thread removes its log meanwhile.
    let leaks = found.filter(|path| fs::read(path).is_ok_and(|read| read.windows(4).any(|it| it == b"hush")));
    leaks.map(|path| path.display().to_string()).collect()
}

/// A database as the pilotlight before sealing left it.
fn old(folder: &Path) {
    let store = Store::open(&folder.join("pilotlight.db")).unwrap();
    for number in 0..25 {
        let text = format!("hush {number} {}", "x".repeat(5000));
        store.deploy("a", text.as_str(), &[]).unwrap();
    }
    store.deploy("b", "nothing", &[]).unwrap();
    drop(store);
    let connection = rusqlite::Connection::open(folder.join("pilotlight.db")).unwrap();
    connection
        .execute_batch(
            "ALTER TABLE endpoints DROP COLUMN scaling;
             ALTER TABLE versions DROP COLUMN sealed; DROP TABLE chores; PRAGMA user_version = 2;
             INSERT INTO apps VALUES ('ap-x', 'gone', 'stopped', 1);
             INSERT INTO versions VALUES ('ap-x', 1, 'hush', 'current', 1);",
        )
        .unwrap();
}

#[test]
fn a_secret_is_in_no_file_and_comes_back() {
    let (directory, store) = store();
    store.deploy("a", secret("hush"), &[]).unwrap();
    store.deploy("a", secret("hush again"), &[]).unwrap();
    assert_eq!(leaks(directory.path()), Vec::<String>::new());
    drop(store);
    let store = Store::open(&directory.path().join("pilotlight.db")).unwrap();
    assert_eq!(store.current("a").unwrap().unwrap().manifest.unwrap(), secret("hush again"));
    drop(store);
    assert_eq!(leaks(directory.path()), Vec::<String>::new());
}

#[test]
fn a_manifest_without_secrets_needs_no_key() {
    let (directory, store) = store();
    store.deploy("a", "nothing", &[]).unwrap();
    assert!(!directory.path().join("secrets.key").exists());
    assert!(!store.current("a").unwrap().unwrap().manifest.unwrap().secret);
}

#[test]
fn without_the_key_the_other_apps_are_there() {
    let (directory, store) = store();
    store.deploy("a", secret("hush"), &[]).unwrap();
    store.deploy("b", "nothing", &[]).unwrap();
    let key = directory.path().join("secrets.key");
    fs::remove_file(&key).unwrap();
    let deployed = store.deployed().unwrap();
    let [Deployed { manifest: Err(missing), .. }, Deployed { manifest: Ok(other), .. }] = &deployed[..]
    else {
        panic!("{deployed:?}");
    };
    assert_eq!(missing, &Error::Missing { path: key.clone() });
    assert_eq!(other.text, "nothing");
    // Deployed again it has a new key, which is not that of what was sealed before.
    store.deploy("c", secret("hush"), &[]).unwrap();
    assert_eq!(store.current("a").unwrap().unwrap().manifest, Err(Error::Other { path: key }));
    store.deploy("a", secret("hush"), &[]).unwrap();
    assert_eq!(store.current("a").unwrap().unwrap().manifest, Ok(secret("hush")));
}

#[test]
fn rows_cannot_be_swapped() {
    let (directory, store) = store();
    store.deploy("a", secret("hush"), &[]).unwrap();
    store.deploy("b", secret("other"), &[]).unwrap();
    drop(store);
    let connection = rusqlite::Connection::open(directory.path().join("pilotlight.db")).unwrap();
    let swap =
        "UPDATE versions SET sealed = (SELECT sealed FROM versions JOIN apps ON id = app_id WHERE name = 'a')
                WHERE app_id = (SELECT id FROM apps WHERE name = 'b')";
    assert_eq!(connection.execute(swap, []).unwrap(), 1);
    let store = Store::open(&directory.path().join("pilotlight.db")).unwrap();
    assert_eq!(store.current("b").unwrap().unwrap().manifest, Err(Error::Damaged));
    assert_eq!(store.current("a").unwrap().unwrap().manifest, Ok(secret("hush")));
}

#[test]
fn what_was_in_the_clear_is_sealed_once() {
    let directory = tempfile::tempdir().unwrap();
    old(directory.path());
    assert!(!leaks(directory.path()).is_empty());
    let store = Store::open(&directory.path().join("pilotlight.db")).unwrap();
    store.seal_old(holds).unwrap();
    assert_eq!(leaks(directory.path()), Vec::<String>::new());
    let app = store.current("a").unwrap().unwrap();
    assert!(app.manifest.unwrap().text.starts_with("hush 24 "));
    assert_eq!(store.current("b").unwrap().unwrap().manifest, Ok("nothing".into()));
    store.seal_old(|_| panic!("it was done")).unwrap();
}

#[test]
fn a_log_that_somebody_reads_is_emptied_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    old(directory.path());
    let path = directory.path().join("pilotlight.db");
    let store = Store::open(&path).unwrap();
    let reader = rusqlite::Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM apps").unwrap();
    store.seal_old(holds).unwrap();
    assert!(!leaks(directory.path()).is_empty(), "the reader sees what was there");
    reader.execute_batch("COMMIT").unwrap();
    store.seal_old(holds).unwrap();
    assert_eq!(leaks(directory.path()), Vec::<String>::new());
    store.seal_old(|_| panic!("it was done")).unwrap();
}

#[test]
fn a_chore_that_failed_is_done_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    old(directory.path());
    let key = directory.path().join("secrets.key");
    fs::write(&key, "no key").unwrap();
    let path = directory.path().join("pilotlight.db");
    Store::open(&path).unwrap().seal_old(holds).unwrap_err();
    assert!(!leaks(directory.path()).is_empty());
    fs::remove_file(&key).unwrap();
    Store::open(&path).unwrap().seal_old(holds).unwrap();
    assert_eq!(leaks(directory.path()), Vec::<String>::new());
}
