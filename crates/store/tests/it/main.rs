//! The store as its users see it: on real files, over restarts, crashes and concurrent handles.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod apps;
mod crash;
mod logs;
mod ports;
mod secrets;

use pilotlight_store::{Endpoint, Store};

/// A store in a fresh directory.
fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("pilotlight.db")).unwrap();
    (directory, store)
}

fn endpoint(function: &str, label: &str, port: u16) -> Endpoint {
    Endpoint { function: function.to_owned(), label: label.to_owned(), port, scaling: None }
}
