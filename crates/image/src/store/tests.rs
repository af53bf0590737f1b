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

fn fill(staging: &Path, _: &AtomicBool) -> Result<Meta, Error> {
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
    assert_eq!(store.meta(key("a").as_str()), Some(meta()));
    assert!(!path.parent().unwrap().join("scratch").exists());
    let again = store.make(&key("a"), &never, || {}, |_, _| -> Result<Meta, Error> { panic!("built twice") });
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
        |staging, cancel| {
            fill(staging, cancel)?;
            Err(Error::Io(io::Error::other("no")))
        },
    );
    assert!(failed.is_err());
    assert_eq!(store.find(&key("a")), None);
    let left: std::collections::BTreeSet<_> =
        fs_err::read_dir(dir.path().join("layers")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, [".locks", ".logs"].map(Into::into).into());
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
    let build = |staging: &Path, cancel: &AtomicBool| {
        built.fetch_add(1, Ordering::SeqCst);
        fill(staging, cancel)
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
fn who_waits_for_a_layer_has_it_while_its_maker_uses_it() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (Store::open(dir.path(), None).unwrap(), Store::open(dir.path(), None).unwrap());
    for waiter in [one.pinning(), two.pinning()] {
        let (making, used) = one.pinning();
        let (begun, waits, never) = (Barrier::new(2), Barrier::new(2), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                begun.wait();
                waiter.0.make(&key("a"), &never, || _ = waits.wait(), fill)
            });
            let build = |staging: &Path, cancel: &AtomicBool| {
                begun.wait();
                waits.wait();
                fill(staging, cancel)
            };
            assert!(making.make(&key("a"), &never, || {}, build).unwrap().1);
            assert!(!waiting.join().unwrap().unwrap().1);
        });
        drop((making, used, waiter));
        assert!(one.take_away(key("a").as_str()).unwrap());
    }
}

#[test]
fn a_client_that_leaves_ends_nothing_that_another_waits_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let (begun, waits) = (Barrier::new(2), Barrier::new(2));
    let (first, second) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            begun.wait();
            let never = |_: &Path, _: &AtomicBool| -> Result<Meta, Error> { panic!("built twice") };
            store.make(&key("a"), &second, || _ = waits.wait(), never)
        });
        let made = store.make(
            &key("a"),
            &first,
            || {},
            |staging, unwanted| {
                begun.wait();
                waits.wait();
                first.store(true, Ordering::Relaxed);
                fill(staging, unwanted)?;
                assert!(!unwanted.load(Ordering::Relaxed));
                Ok::<_, Error>(meta())
            },
        );
        assert!(made.unwrap().1);
        assert!(!second.join().unwrap().unwrap().1);
    });
    // When the other has left as well, nobody wants it.
    first.store(false, Ordering::Relaxed);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            begun.wait();
            store.make(&key("b"), &second, || _ = waits.wait(), fill)
        });
        let made = store.make(
            &key("b"),
            &first,
            || {},
            |_, unwanted| {
                begun.wait();
                waits.wait();
                first.store(true, Ordering::Relaxed);
                second.store(true, Ordering::Relaxed);
                while !unwanted.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                Err(Error::Cancelled)
            },
        );
        assert!(matches!(made, Err(Error::Cancelled)));
        assert!(matches!(waiting.join().unwrap(), Err(Error::Cancelled)));
    });
    assert_eq!(store.find(&key("b")), None);
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

#[test]
fn what_is_pinned_is_not_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let never = AtomicBool::new(false);
    let [server, other] = [Store::open(dir.path(), None).unwrap(), Store::open(dir.path(), None).unwrap()];
    let (building, made) = server.pinning();
    let (path, _) = building.make(&key("a"), &never, || {}, fill).unwrap();
    let (finding, found) = server.pinning();
    assert_eq!(finding.find(&key("a")), Some(path.clone()));
    drop(made);
    assert!(other.holding(key("a").as_str()).unwrap().in_use);
    assert!(!other.take_away(key("a").as_str()).unwrap() && path.exists(), "another process is as good");
    assert!(!server.take_away(key("a").as_str()).unwrap() && path.exists());
    drop((found, finding, building));
    assert!(!other.holding(key("a").as_str()).unwrap().in_use);
    assert!(other.take_away(key("a").as_str()).unwrap());
    assert_eq!(server.find(&key("a")), None);
    let left = fs_err::read_dir(dir.path().join("layers")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| name.to_string_lossy().starts_with(".l")), "locks and logs alone");
    assert_eq!(fs_err::read_dir(dir.path().join("layers/.locks")).unwrap().count(), 0);
}

#[test]
fn a_layer_that_is_removed_and_made_at_the_same_time_is_whole_or_absent() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let (barrier, done) = (Barrier::new(3), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let remover = scope.spawn(|| {
            barrier.wait();
            let mut removed = 0;
            while !done.load(Ordering::Relaxed) {
                // Where there is nothing, a lock that is held again and again would only keep the makers waiting.
                if store.layer(&key("a")).exists() {
                    removed += usize::from(store.take_away(key("a").as_str()).unwrap());
                }
            }
            removed
        });
        let makers = [(); 2].map(|()| {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..200 {
                    let (pinning, _pins) = store.pinning();
                    let made = pinning.make(&key("a"), &AtomicBool::new(false), || {}, fill);
                    let (path, _) = made.unwrap();
                    assert_eq!(fs_err::read_to_string(path.join("file")).unwrap(), "x", "it is pinned");
                }
            })
        });
        for maker in makers {
            maker.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        remover.join().unwrap();
    });
}

#[test]
fn what_a_layer_takes_is_counted_once_and_links_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let fill = |staging: &Path, _: &AtomicBool| {
        fs_err::create_dir(staging.join("fs"))?;
        fs_err::write(staging.join("fs/large"), vec![1; 1 << 20])?;
        fs_err::hard_link(staging.join("fs/large"), staging.join("fs/same"))?;
        std::os::unix::fs::symlink("/usr", staging.join("fs/elsewhere"))?;
        Ok::<_, Error>(meta())
    };
    store.make(&key("a"), &AtomicBool::new(false), || {}, fill).unwrap();
    let stock = store.stock().unwrap();
    let bytes = stock[0].bytes;
    assert_eq!(stock[0].key, key("a").as_str());
    assert!(((1 << 20)..(1 << 20) + 65_536).contains(&bytes), "{bytes}");
    fs_err::write(dir.path().join("layers").join(key("a").as_str()).join("fs/more"), vec![1; 1 << 20])
        .unwrap();
    assert_eq!(store.stock().unwrap()[0].bytes, bytes, "a layer never changes");
}

#[test]
fn the_log_of_a_step_is_kept_within_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), None).unwrap();
    let log = store.log(&key("a")).unwrap();
    let line = "x".repeat(1023);
    for _ in 0..=LOG_MAX / 1024 {
        log.line(&line);
    }
    log.line("not any more");
    drop(log);
    assert_eq!(store.logs_of(key("a").short()).unwrap(), [key("a").as_str()]);
    let text = fs_err::read_to_string(store.log_path(key("a").as_str())).unwrap();
    assert_eq!(text.lines().count() as u64, LOG_MAX / 1024);
    assert_eq!(text.lines().last(), Some("… no more is kept"));
}
