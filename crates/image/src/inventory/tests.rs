//! Images leave with what only they have, and never while somebody uses them.

use pilotlight_core::image::Key;

use super::*;
use crate::store::Pins;

/// A state directory and its two stores.
struct Disk {
    directory: tempfile::TempDir,
    layers: Store,
    trees: Store,
}

impl Disk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layers = Store::open(directory.path(), None).unwrap();
        let trees = Store::open_at(directory.path().join("trees"), false).unwrap();
        fs_err::create_dir(directory.path().join(BLOBS)).unwrap();
        Self { directory, layers, trees }
    }

    fn stock(&self) -> Stock<'_> {
        Stock { state_dir: self.directory.path(), layers: &self.layers, trees: &self.trees }
    }

    /// An image of these layers, each of a mebibyte and more; used as long as the pins live.
    fn image(&self, id: &str, layers: &[&str]) -> Pins {
        let (store, pins) = self.layers.pinning();
        let lowers: Vec<PathBuf> = layers.iter().map(|name| layer(&store, name)).collect();
        let stock = Stock { layers: &store, ..self.stock() };
        stock.enter(id, "a base", &lowers, &AtomicBool::new(false)).unwrap();
        pins
    }

    fn ids(&self) -> Vec<String> {
        self.stock().list().unwrap().images.into_iter().map(|image| image.id).collect()
    }

    fn has(&self, layer: &str) -> bool {
        self.layers.find(&Key::of("test", [layer])).is_some()
    }

    fn upload(&self, digest: &str, age: Duration) -> PathBuf {
        let path = self.directory.path().join(BLOBS).join(digest);
        let file = std::fs::File::create(&path).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
        path
    }
}

fn layer(store: &Store, name: &str) -> PathBuf {
    let key = Key::of("test", [name]);
    let log = store.log(&key).unwrap();
    let made = store.make(
        &key,
        &AtomicBool::new(false),
        || {},
        |staging, _| {
            log.line(&format!("{name} says hello"));
            fs_err::create_dir(staging.join("fs"))?;
            fs_err::write(staging.join("fs/file"), vec![1; 1 << 20])?;
            let text = format!("step {name}");
            Ok::<_, store::Error>(Meta { text, parent: None, command: Vec::new(), seconds: 0.5 })
        },
    );
    made.unwrap().0
}

#[test]
fn images_that_share_a_base_take_its_disk_once() {
    let disk = Disk::new();
    let _pins: Vec<Pins> =
        (0..20).map(|at| disk.image(&format!("im-{at}"), &[&at.to_string(), "base"])).collect();
    let found = disk.stock().list().unwrap();
    assert_eq!(found.images.len(), 20);
    let mib = 1 << 20;
    assert!((21 * mib..22 * mib).contains(&found.bytes), "{}", found.bytes);
    for image in found.images {
        assert_eq!((image.layers, image.base.as_str(), image.in_use), (2, "a base", true));
        assert!(image.bytes >= 2 * mib && (mib..2 * mib).contains(&image.own_bytes), "{image:?}");
    }
}

#[test]
fn an_image_goes_alone_and_only_when_nobody_uses_it() {
    let disk = Disk::new();
    let used = disk.image("im-a", &["a", "base"]);
    drop(disk.image("im-b", &["b", "base"]));
    assert!(matches!(disk.stock().remove("im-a"), Err(Error::InUse(_))));
    assert!(matches!(disk.stock().remove("../im-a"), Err(Error::Unknown(_))));
    let removed = disk.stock().remove("im-b").unwrap();
    assert_eq!(removed.images, ["im-b"]);
    assert!(removed.bytes >= 1 << 20 && !disk.has("b") && disk.has("base"));
    drop(used);
    assert!(disk.stock().remove("im-a").unwrap().bytes >= 2 << 20);
    assert_eq!((disk.ids(), disk.has("base")), (Vec::<String>::new(), false));
}

#[test]
fn what_was_used_longest_ago_leaves_first_and_what_is_in_use_stays() {
    let disk = Disk::new();
    let old = disk.image("im-old", &["old", "base"]);
    for id in ["im-1", "im-2"] {
        drop(disk.image(id, &[id, "base"]));
    }
    // The clock's seconds are too coarse to tell the two apart.
    let lock = std::fs::File::options().write(true).open(disk.layers.lock_path("im-1")).unwrap();
    lock.set_modified(SystemTime::now() - Duration::from_mins(1)).unwrap();
    let taken = disk.stock().list().unwrap().bytes;
    assert_eq!(disk.stock().prune(taken, None).unwrap(), Removed::default());
    assert_eq!(disk.stock().prune(taken - 1, None).unwrap().images, ["im-1"]);
    assert_eq!(disk.stock().prune(0, None).unwrap().images, ["im-2"]);
    assert_eq!(disk.ids(), ["im-old"]);
    assert!(disk.has("old") && disk.has("base"));
    drop(old);
}

#[test]
fn an_image_that_is_built_again_keeps_its_name_and_what_it_left_behind_goes() {
    let disk = Disk::new();
    drop(disk.image("im-a", &["before", "base"]));
    let built_at = disk.stock().list().unwrap().images[0].built_at;
    let _pins = disk.image("im-a", &["after", "base"]);
    let found = disk.stock().list().unwrap().images;
    assert_eq!((found.len(), found[0].built_at), (1, built_at));
    disk.stock().prune(0, None).unwrap();
    assert!(!disk.has("before") && disk.has("after") && disk.has("base"));
}

#[test]
fn uploads_leave_when_no_deployed_app_has_them_and_new_ones_stay() {
    let disk = Disk::new();
    let day = Duration::from_hours(24);
    let [wanted, stale] = ["a", "b"].map(|digest| disk.upload(digest, day));
    let new = disk.upload("c", Duration::ZERO);
    disk.stock().prune(0, None).unwrap();
    assert!(stale.exists(), "who does not know what is deployed removes none");
    disk.stock().prune(0, Some(&HashSet::from(["a".to_owned()]))).unwrap();
    assert_eq!((wanted.exists(), stale.exists(), new.exists()), (true, false, true));
}

#[test]
fn one_removes_at_a_time_and_the_others_wait() {
    let disk = Disk::new();
    let broom = disk.stock().broom().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| disk.stock().prune(0, None));
        drop(disk.image("im-a", &["a"]));
        assert_eq!(disk.ids(), ["im-a"]);
        drop(broom);
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(disk.ids(), Vec::<String>::new());
}

#[test]
fn downloads_leave_unless_a_build_uses_them() {
    let disk = Disk::new();
    let cache = disk.directory.path().join(Cache::Users.place());
    fs_err::create_dir_all(cache.join("wheels")).unwrap();
    fs_err::write(cache.join("wheels/a"), vec![1; 1 << 20]).unwrap();
    let (building, pins) = disk.layers.pinning();
    assert!(building.pin(&Cache::Users.pin()).unwrap());
    assert_eq!(disk.stock().drop_downloads().unwrap(), 0);
    assert!(disk.stock().list().unwrap().downloads >= 1 << 20);
    drop((building, pins));
    assert!(disk.stock().drop_downloads().unwrap() >= 1 << 20);
    assert!(!cache.exists());
}

#[test]
fn what_steps_printed_is_told_by_image_and_by_layer() {
    let disk = Disk::new();
    let _pins = disk.image("im-a", &["top", "base"]);
    let log = disk.stock().log("im-a").unwrap();
    let said: Vec<_> =
        log.iter().map(|step| (step.text.as_deref().unwrap(), step.lines.join("\n"))).collect();
    assert_eq!(said, [("step base", "base says hello".into()), ("step top", "top says hello".into())]);
    assert_eq!(disk.stock().log(&log[1].layer).unwrap(), log[1..]);
    let failed = Key::of("test", ["failed"]);
    disk.layers.log(&failed).unwrap().line("no such package");
    let told = disk.stock().log(failed.short()).unwrap();
    assert_eq!((told[0].text.as_deref(), &*told[0].lines), (None, &["no such package".to_owned()][..]));
    for id in ["im-b", "ab", "../../etc/passwd", ""] {
        assert!(matches!(disk.stock().log(id), Err(Error::Unknown(_))), "{id}");
    }
}
