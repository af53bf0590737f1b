//! Log files.

use std::io::Write as _;

use fs_err as fs;
use pilotlight_store::logs::{Error, Logs};

#[test]
fn the_tail_is_the_newest_records_oldest_first() {
    let directory = tempfile::tempdir().unwrap();
    let logs = Logs::new(directory.path().join("logs")).unwrap();
    assert!(logs.tail("ap-a", 10).unwrap().is_empty());
    for number in 0..10 {
        logs.append("ap-a", &format!("{{\"n\":{number}}}")).unwrap();
        logs.append("ap-b", "other").unwrap();
    }
    assert_eq!(logs.tail("ap-a", 3).unwrap(), ["{\"n\":7}", "{\"n\":8}", "{\"n\":9}"]);
    assert_eq!(logs.tail("ap-a", 100).unwrap().len(), 10);
    assert!(logs.tail("ap-a", 0).unwrap().is_empty());
}

#[test]
fn rotation_bounds_the_size_and_the_tail_crosses_files() {
    let directory = tempfile::tempdir().unwrap();
    let logs = Logs::with_file_size(directory.path(), 1000).unwrap();
    for number in 0..1000 {
        logs.append("ap-a", &format!("record {number:04}")).unwrap();
    }
    let files: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap()).collect();
    assert_eq!(files.len(), 4);
    assert!(files.iter().all(|file| file.metadata().unwrap().len() <= 1012));
    let tail = logs.tail("ap-a", 200).unwrap();
    let expected: Vec<_> = (800..1000).map(|number| format!("record {number:04}")).collect();
    assert_eq!(tail, expected);
    assert!(logs.tail("ap-a", 10_000).unwrap().len() < 1000);
}

#[test]
fn long_records_are_found_over_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let logs = Logs::new(directory.path()).unwrap();
    let records: Vec<_> =
        (0..20).map(|number: usize| number.to_string().repeat(10_000 * (number % 7 + 1))).collect();
    for record in &records {
        logs.append("ap-a", record).unwrap();
    }
    for count in 1..20 {
        assert_eq!(logs.tail("ap-a", count).unwrap(), records[20 - count..]);
    }
}

#[test]
fn a_torn_record_does_not_spoil_the_next() {
    let directory = tempfile::tempdir().unwrap();
    Logs::new(directory.path()).unwrap().append("ap-a", "one").unwrap();
    let path = directory.path().join("ap-a.jsonl");
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"{\"to").unwrap();
    let logs = Logs::new(directory.path()).unwrap();
    assert_eq!(logs.tail("ap-a", 10).unwrap(), ["one"]);
    logs.append("ap-a", "two").unwrap();
    assert_eq!(logs.tail("ap-a", 10).unwrap(), ["one", "{\"to", "two"]);
}

#[test]
fn names_do_not_leave_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let logs = Logs::new(directory.path()).unwrap();
    for app in ["", "../x", "a/b", "A", "a.b", "a\0"] {
        assert!(matches!(logs.append(app, "x"), Err(Error::BadId { .. })), "{app}");
        assert!(matches!(logs.tail(app, 1), Err(Error::BadId { .. })), "{app}");
    }
    assert!(matches!(logs.append("ap-a", "two\nlines"), Err(Error::NotOneLine { .. })));
}

#[test]
fn many_writers_and_a_reader_see_whole_records() {
    let directory = tempfile::tempdir().unwrap();
    let logs = Logs::with_file_size(directory.path(), 20_000).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let logs = &logs;
            scope.spawn(move || {
                for number in 0..500 {
                    logs.append("ap-a", &format!("<{writer} {number} {}>", "x".repeat(number % 50))).unwrap();
                }
            });
        }
        for _ in 0..50 {
            let tail = logs.tail("ap-a", 100).unwrap();
            assert!(tail.iter().all(|line| line.starts_with('<') && line.ends_with('>')));
        }
    });
    assert_eq!(logs.tail("ap-a", 300).unwrap().len(), 300);
}
