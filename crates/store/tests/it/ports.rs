//! A function's port: one, for good.

use pilotlight_store::{Error, Store};

use crate::{endpoint, store};

#[test]
fn a_port_is_allocated_once_and_kept() {
    let (directory, store) = store();
    assert_eq!(store.endpoint_port("hello", "f").unwrap(), None);
    assert_eq!(store.claim_port("hello", "f", 8100..8200).unwrap(), 8100);
    assert_eq!(store.claim_port("hello", "f", 9000..9001).unwrap(), 8100, "candidates are for new ones only");
    store.deploy("hello", "text", &[endpoint("f", "hello-f", 8100)]).unwrap();
    store.deploy("hello", "text without f", &[]).unwrap();
    store.stop("hello").unwrap();
    drop(store);
    let store = Store::open(&directory.path().join("pilotlight.db")).unwrap();
    assert_eq!(store.endpoint_port("hello", "f").unwrap(), Some(8100));
    assert_eq!(store.claim_port("hello", "f", 8100..8200).unwrap(), 8100);
}

#[test]
fn no_two_functions_have_the_same_port() {
    let (_directory, store) = store();
    assert_eq!(store.claim_port("a", "f", 8100..8103).unwrap(), 8100);
    assert_eq!(store.claim_port("a", "g", 8100..8103).unwrap(), 8101);
    assert_eq!(store.claim_port("b", "f", (8100..8103).filter(|port| port % 2 == 0)).unwrap(), 8102);
    let error = store.claim_port("b", "g", 8100..8103).unwrap_err();
    assert_eq!(error.to_string(), "no port is free for `g` of the app `b`");
    assert_eq!(store.endpoint_port("b", "g").unwrap(), None);
}

#[test]
fn a_deploy_cannot_take_anothers_port_nor_move_its_own() {
    let (_directory, store) = store();
    store.claim_port("a", "f", [8100]).unwrap();
    for (app, port) in [("b", 8100), ("a", 8101)] {
        let error = store.deploy(app, "text", &[endpoint("f", "x", port)]).unwrap_err();
        assert!(matches!(error, Error::PortMismatch { .. }), "{error}");
    }
    assert!(store.list().unwrap().is_empty(), "nothing of a refused deploy is left");
}
