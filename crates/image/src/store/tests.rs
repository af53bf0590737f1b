//! Layers are whole or absent, and made once.

use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;

use super::*;

fn meta() -> Meta {
    Meta { text: "t".into(), parent: None, command: vec![], seconds: 0.5 }
}

fn key(name: &str) -> Key {
    Key::of("test", [name])
}

fn fill(staging: &Path) -> Result<Meta, Error> {
    fs_err::create_dir(staging.join("fs"))?;
    fs_err::write(staging.join("fs/file"), "x")?;
    fs_err::create_dir_all(staging.join("scratch/work"))?;
    Ok(meta())
}

#[test]
fn a_layer_is_made_once_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let never = AtomicBool::new(false);
    assert_eq!(store.find(&key("a")), None);
    let (path, made) = store.make(&key("a"), &never, || {}, fill).unwrap();
    assert!(made);
    assert_eq!(fs_err::read_to_string(path.join("file")).unwrap(), "x");
    assert_eq!(store.find(&key("a")), Some(path.clone()));
    assert_eq!(store.meta(&key("a")), Some(meta()));
    assert!(!path.parent().unwrap().join("scratch").exists());
    let again = store.make(&key("a"), &never, || {}, |_| -> Result<Meta, Error> { panic!("built twice") });
    assert_eq!(again.unwrap(), (path, false));
}

#[test]
fn other_users_of_the_machine_cannot_reach_layers() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::create_dir(dir.path().join("layers")).unwrap();
    fs_err::set_permissions(dir.path().join("layers"), PermissionsExt::from_mode(0o755)).unwrap();
    Store::open(dir.path(), None).unwrap();
    let mode = dir.path().join("layers").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_failed_build_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let failed = store.make(
        &key("a"),
        &AtomicBool::new(false),
        || {},
        |staging| {
            fill(staging)?;
            Err(Error::Io(io::Error::other("no")))
        },
    );
    assert!(failed.is_err());
    assert_eq!(store.find(&key("a")), None);
    let left: Vec<_> =
        fs_err::read_dir(dir.path().join("layers")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, [".locks"]);
}

#[test]
fn half_built_layers_of_dead_processes_go_and_those_of_living_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let (dead, living) = (store.staging(&key("dead")).unwrap(), store.staging(&key("living")).unwrap());
    fs_err::create_dir_all(dead.path.join("fs/deep")).unwrap();
    let lock = lock::attempt(&store.lock_path(key("living").as_str())).unwrap().unwrap();
    Store::open(dir.path(), None).unwrap();
    assert!(!dead.path.exists());
    assert!(living.path.exists());
    drop(lock);
    Store::open(dir.path(), None).unwrap();
    assert!(!living.path.exists());
}

#[test]
fn a_directory_without_the_mark_is_no_layer_and_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    fs_err::create_dir_all(store.layer(&key("a")).join("fs")).unwrap();
    assert_eq!(store.find(&key("a")), None);
    let (_, made) = store.make(&key("a"), &AtomicBool::new(false), || {}, fill).unwrap();
    assert!(made);
}

#[test]
fn a_layer_of_an_earlier_boot_counts_only_if_it_reached_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let never = AtomicBool::new(false);
    let earlier =
        Store { boot: Arc::from(*b"another boot"), ..Store::open_at(dir.path().into(), false).unwrap() };
    let now = Store::open_at(dir.path().into(), false).unwrap();
    let (path, _) = earlier.make(&key("a"), &never, || {}, fill).unwrap();
    assert_eq!((earlier.find(&key("a")), now.find(&key("a"))), (Some(path.clone()), None));
    bring_to_disk(path.parent().unwrap());
    assert_eq!(now.find(&key("a")), Some(path));
}

#[test]
fn two_builders_of_one_layer_build_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let stores = [Store::open(dir.path(), None).unwrap(), Store::open(dir.path(), None).unwrap()];
    let (built, start) = (AtomicUsize::new(0), Barrier::new(2));
    let build = |staging: &Path| {
        built.fetch_add(1, Ordering::SeqCst);
        fill(staging)
    };
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(|| {
                start.wait();
                store.make(&key("a"), &AtomicBool::new(false), || {}, build).unwrap();
            });
        }
    });
    assert_eq!(built.load(Ordering::SeqCst), 1);
}

#[test]
fn waiting_for_another_process_can_be_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let _held = lock::attempt(&store.lock_path(key("a").as_str())).unwrap().unwrap();
    let cancel = AtomicBool::new(false);
    // The wait itself raises the flag: it is certainly waiting by then.
    let made = store.make(&key("a"), &cancel, || cancel.store(true, Ordering::Relaxed), fill);
    assert!(matches!(made, Err(Error::Cancelled)));
}
