//! Saves as editors make them.

use super::*;

#[expect(clippy::unnecessary_wraps, reason = "spells what the machine is given")]
fn content(text: &str) -> Content {
    Some(text.to_owned())
}

fn hello() -> Watched {
    Watched::new([
        (PathBuf::from("/src/hello.py"), content("1")),
        (PathBuf::from("/src/lib/util.py"), content("1")),
    ])
}

fn reload(named: &str, others: usize) -> Decision {
    Decision::Reload { named: PathBuf::from(named), others }
}

#[test]
fn a_changed_file_is_named() {
    let mut watched = hello();
    let batch = [(PathBuf::from("/src/lib/util.py"), content("2"))];
    assert_eq!(watched.decide(batch.clone()), reload("/src/lib/util.py", 0));
    assert_eq!(watched.decide(batch), Decision::Nothing, "the same content again is no change");
}

#[test]
fn several_changed_files_are_counted() {
    let batch = [
        (PathBuf::from("/src/notes.txt"), content("x")),
        (PathBuf::from("/src/lib/util.py"), content("2")),
        (PathBuf::from("/src/hello.py"), content("2")),
        (PathBuf::from("/src/hello.py"), content("2")),
    ];
    assert_eq!(hello().decide(batch), reload("/src/lib/util.py", 1));
}

#[test]
fn other_files_and_saves_without_a_change_trigger_nothing() {
    for (path, now) in [
        ("/src/hello.py", content("1")),
        ("/src/other.py", content("1")),
        ("/src/.hello.py.swp", content("1")),
        ("/src/4913", content("")),
        ("/src/hello.py~", content("1")),
        ("/src/app.db-wal", content("9")),
        ("/src/__pycache__/hello.cpython-311.pyc", content("9")),
    ] {
        assert_eq!(hello().decide([(PathBuf::from(path), now)]), Decision::Nothing, "{path}");
    }
}

#[test]
fn a_removed_file_and_its_return_are_changes() {
    let mut watched = hello();
    let path = PathBuf::from("/src/lib/util.py");
    assert_eq!(watched.decide([(path.clone(), None)]), reload("/src/lib/util.py", 0));
    assert_eq!(watched.decide([(path, content("1"))]), reload("/src/lib/util.py", 0));
}

#[test]
fn after_a_failed_load_a_new_module_counts() {
    let mut watched = hello();
    let new = PathBuf::from("/src/missing.py");
    assert!(!watched.concerns(&new));
    watched.failed([(PathBuf::from("/src/hello.py"), content("2"))]);
    assert!(watched.concerns(&new));
    assert!(!watched.concerns(Path::new("/src/.#missing.py")));
    assert!(!watched.concerns(Path::new("/elsewhere/missing.py")));
    assert!(!watched.concerns(Path::new("/src/missing.txt")));
    assert_eq!(watched.decide([(new, content("1"))]), reload("/src/missing.py", 0));
    assert_eq!(watched.decide([(PathBuf::from("/src/hello.py"), content("1"))]), reload("/src/hello.py", 0));
}

#[test]
fn the_folders_of_all_files_are_watched() {
    let watched = hello();
    let folders: Vec<&Path> = watched.folders().into_iter().collect();
    assert_eq!(folders, [Path::new("/src"), Path::new("/src/lib")]);
}

#[test]
fn scratch_names() {
    for name in [".hello.py.swp", "hello.py~", ".#hello.py", "#hello.py#", "4913", "a.py___jb_tmp___"] {
        assert!(is_scratch(Path::new(name)), "{name}");
    }
    for name in ["hello.py", "swp.py", "#.py", "tmp"] {
        assert!(!is_scratch(Path::new(name)), "{name}");
    }
}

#[test]
fn a_batch_ends_when_the_events_do() {
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut debounce = Debounce::default();
    let (a, b) = (PathBuf::from("/a"), PathBuf::from("/b"));
    assert_eq!(debounce.deadline(), None);
    assert_eq!(debounce.step(at(0), Event::Written(a.clone())), None);
    assert_eq!(debounce.step(at(20), Event::Written(b.clone())), None);
    assert_eq!(debounce.step(at(25), Event::Written(a.clone())), None);
    assert_eq!(debounce.deadline(), Some(at(55)));
    assert_eq!(debounce.step(at(54), Event::Woke), None, "woken too early");
    assert_eq!(debounce.step(at(55), Event::Woke), Some(vec![a, b]));
    assert_eq!(debounce.deadline(), None);
    assert_eq!(debounce.step(at(90), Event::Woke), None);
}

#[test]
fn a_removal_is_given_time_to_turn_into_a_save() {
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut debounce = Debounce::default();
    let path = PathBuf::from("/a");
    debounce.step(at(0), Event::Removed(path.clone()));
    assert_eq!(debounce.deadline(), Some(at(240)));
    debounce.step(at(100), Event::Written(path.clone()));
    assert_eq!(debounce.deadline(), Some(at(130)));
    assert_eq!(debounce.step(at(130), Event::Woke), Some(vec![path]));
}

#[test]
fn a_file_that_is_closed_or_renamed_into_place_is_hardly_waited_for() {
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut debounce = Debounce::default();
    let (a, b) = (PathBuf::from("/a"), PathBuf::from("/b"));
    debounce.step(at(0), Event::Written(a.clone()));
    debounce.step(at(1), Event::Complete(a.clone()));
    assert_eq!(debounce.deadline(), Some(at(6)));
    // One that is complete does not end the wait for another that is not.
    debounce.step(at(2), Event::Removed(b.clone()));
    debounce.step(at(4), Event::Complete(a.clone()));
    assert_eq!(debounce.deadline(), Some(at(242)));
    debounce.step(at(10), Event::Complete(b.clone()));
    assert_eq!(debounce.step(at(15), Event::Woke), Some(vec![a, b]));
}

fn with_package() -> Watched {
    let roots = [PathBuf::from("/src/lib"), PathBuf::from("/data")].into();
    hello().with_folders(roots, [PathBuf::from("/data/app.log")].into())
}

#[test]
fn a_new_file_in_a_watched_folder_counts() {
    for path in ["/src/lib/new.py", "/src/lib/deep/er/page.html", "/data/x"] {
        let path = Path::new(path);
        assert!(!hello().concerns(path) && with_package().concerns(path), "{path:?}");
        let batch = [(path.to_owned(), content("1"))];
        assert_eq!(with_package().decide(batch), Decision::Reload { named: path.to_owned(), others: 0 });
    }
}

#[test]
fn new_files_of_editors_and_tools_and_those_left_out_trigger_nothing() {
    for path in [
        "/src/lib",
        "/src/new.py",
        "/src/lib/.util.py.swp",
        "/src/lib/__pycache__/util.cpython-311.pyc",
        "/src/lib/util.pyc",
        "/src/lib/.git/HEAD",
        "/src/lib/node_modules/a/b.js",
        "/data/.DS_Store",
        "/data/app.log",
    ] {
        let batch = [(PathBuf::from(path), content("1"))];
        assert_eq!(with_package().decide(batch), Decision::Nothing, "{path}");
    }
    let gone = [(PathBuf::from("/data/was_here_for_an_instant"), None)];
    assert_eq!(with_package().decide(gone), Decision::Nothing);
}
