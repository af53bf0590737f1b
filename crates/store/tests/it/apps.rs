//! Apps and versions.

use std::os::unix::fs::PermissionsExt as _;

use fs_err as fs;
use pilotlight_store::{Error, State, Store};

use crate::{endpoint, store};

#[test]
fn what_is_deployed_is_there_after_reopening() {
    let (directory, store) = store();
    let endpoints = [endpoint("f", "hello-f", 8002), endpoint("g", "hello-g", 8003)];
    let (id, version) = store.deploy("hello", r#"{"manifest":1}"#, &endpoints).unwrap();
    assert_eq!(version, 1);
    let before = store.deployed().unwrap();
    drop(store);
    let store = Store::open(&directory.path().join("pilotlight.db")).unwrap();
    assert_eq!(store.deployed().unwrap(), before);
    let app = store.current("hello").unwrap().unwrap();
    assert_eq!((app.id, app.version, app.manifest.unwrap().text.as_str()), (id, 1, r#"{"manifest":1}"#));
    assert_eq!(app.endpoints, endpoints);
}

#[test]
fn deploying_again_counts_versions_and_keeps_the_id() {
    let (_directory, store) = store();
    let (first, _) = store.deploy("hello", "one", &[endpoint("f", "hello-f", 8002)]).unwrap();
    let (second, version) = store.deploy("hello", "two", &[endpoint("f", "other", 8002)]).unwrap();
    assert_eq!((first, version), (second, 2));
    let app = store.current("hello").unwrap().unwrap();
    assert_eq!((app.version, app.manifest.unwrap().text.as_str()), (2, "two"));
    assert_eq!(app.endpoints, [endpoint("f", "other", 8002)]);
}

#[test]
fn a_stopped_app_is_listed_and_comes_back_under_its_id() {
    let (_directory, store) = store();
    let (id, _) = store.deploy("hello", "one", &[endpoint("f", "hello-f", 8002)]).unwrap();
    assert_eq!(store.stop("hello").unwrap(), id);
    assert!(store.current("hello").unwrap().is_none());
    assert!(store.deployed().unwrap().is_empty());
    let apps = store.list().unwrap();
    assert_eq!((apps.len(), apps[0].state, apps[0].version), (1, State::Stopped, 1));
    assert!(matches!(store.stop("hello"), Err(Error::NotDeployed { .. })));
    assert!(matches!(store.stop("other"), Err(Error::NotDeployed { .. })));
    assert_eq!(store.deploy("hello", "two", &[]).unwrap(), (id, 2));
    assert_eq!(store.list().unwrap()[0].state, State::Deployed);
}

#[test]
fn an_identity_comes_before_the_first_deploy() {
    let (directory, store) = store();
    let (id, version) = store.identity("hello").unwrap();
    assert_eq!(version, 0);
    assert!(store.list().unwrap().is_empty() && store.deployed().unwrap().is_empty());
    assert!(matches!(store.stop("hello"), Err(Error::NotDeployed { .. })));
    drop(store);
    let store = Store::open(&directory.path().join("pilotlight.db")).unwrap();
    assert_eq!(store.deploy("hello", "one", &[]).unwrap(), (id.clone(), 1));
    assert_eq!(store.identity("hello").unwrap(), (id, 1));
    assert_ne!(store.identity("other").unwrap().0, store.identity("hello").unwrap().0);
}

#[test]
fn a_label_belongs_to_one_app_until_it_stops() {
    let (_directory, store) = store();
    store.deploy("a", "one", &[endpoint("f", "shared", 8002)]).unwrap();
    store.deploy("b", "good", &[endpoint("f", "b-f", 8003)]).unwrap();
    let error = store.deploy("b", "bad", &[endpoint("f", "shared", 8003)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the label `shared` is used by the app `a`: choose another label, or stop that app"
    );
    let app = store.current("b").unwrap().unwrap();
    assert_eq!((app.version, app.manifest.unwrap().text.as_str()), (1, "good"), "the version before stays");
    assert_eq!(app.endpoints, [endpoint("f", "b-f", 8003)]);
    store.stop("a").unwrap();
    assert_eq!(store.deploy("b", "better", &[endpoint("f", "shared", 8003)]).unwrap().1, 2);
}

#[test]
fn old_versions_go_and_numbers_go_on() {
    let (_directory, store) = store();
    for number in 1..=30 {
        assert_eq!(store.deploy("hello", "text", &[]).unwrap().1, number);
    }
    assert_eq!(store.current("hello").unwrap().unwrap().version, 30);
}

#[test]
fn only_the_owner_can_read_it() {
    let (directory, store) = store();
    store.deploy("hello", "text", &[]).unwrap();
    for file in fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.path().display());
    }
}

#[test]
fn handles_of_many_threads_and_of_two_openings_work_at_once() {
    let (directory, store) = store();
    let other = Store::open(&directory.path().join("pilotlight.db")).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let store = if thread % 2 == 0 { store.clone() } else { other.clone() };
            scope.spawn(move || {
                for round in 0..20_u16 {
                    let name = format!("app{thread}");
                    let range = 20_000..21_000;
                    let port = store.claim_port(&name, &format!("f{round}"), range).unwrap();
                    let function = format!("f{round}");
                    let label = format!("{name}-{function}");
                    store.deploy(&name, "text", &[endpoint(&function, &label, port)]).unwrap();
                }
            });
        }
    });
    let apps = other.deployed().unwrap();
    assert_eq!(apps.len(), 8);
    assert!(apps.iter().all(|app| app.version == 20));
}

#[test]
fn how_a_function_was_scaled_outlives_a_reopening_and_ends_with_a_deployment() {
    let (directory, store) = store();
    let endpoints = [endpoint("f", "hello-f", 8002), endpoint("g", "hello-g", 8003)];
    let (id, _) = store.deploy("hello", "one", &endpoints).unwrap();
    store.scale(&id, "f", "two of them".to_owned()).unwrap();
    store.scale(&id, "gone", "nobody".to_owned()).unwrap();
    drop(store);
    let store = Store::open(&directory.path().join("pilotlight.db")).unwrap();
    let scaled = |store: &Store| -> Vec<Option<String>> {
        let app = store.current("hello").unwrap().unwrap();
        app.endpoints.into_iter().map(|endpoint| endpoint.scaling).collect()
    };
    assert_eq!(scaled(&store), [Some("two of them".to_owned()), None]);
    store.deploy("hello", "two", &endpoints).unwrap();
    assert_eq!(scaled(&store), [None, None]);
}
