use super::*;

const OWNER: Owner<'static> = Owner { app: "ap-a", version: 1 };

fn sealer() -> (tempfile::TempDir, Sealer) {
    let directory = tempfile::tempdir().unwrap();
    let sealer = Sealer::new(directory.path().join("secrets.key"));
    (directory, sealer)
}

#[test]
fn what_was_sealed_is_opened_and_not_seen() {
    let (directory, sealer) = sealer();
    let sealed = sealer.seal(OWNER, "hush").unwrap();
    assert!(!sealed.windows(4).any(|bytes| bytes == b"hush"));
    assert_ne!(sealer.seal(OWNER, "hush").unwrap(), sealed, "every nonce is a new one");
    assert_eq!(Sealer::new(sealer.path.clone()).open(OWNER, &sealed).unwrap(), "hush");
    let files: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() == 1 && files[0] == sealer.path, "nothing is left of its making: {files:?}");
    assert_eq!(fs::metadata(&sealer.path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_row_does_not_pass_for_another() {
    let (_directory, sealer) = sealer();
    let sealed = sealer.seal(OWNER, "hush").unwrap();
    for owner in [Owner { app: "ap-b", ..OWNER }, Owner { version: 2, ..OWNER }] {
        assert_eq!(sealer.open(owner, &sealed), Err(Error::Damaged));
    }
}

#[test]
fn every_changed_byte_is_noticed() {
    let (_directory, sealer) = sealer();
    let sealed = sealer.seal(OWNER, "hush").unwrap();
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        assert!(sealer.open(OWNER, &changed).is_err(), "{index}");
        assert!(sealer.open(OWNER, &sealed[..index]).is_err(), "cut at {index}");
    }
}

#[test]
fn a_missing_key_and_another_one_are_named() {
    let (_directory, sealer) = sealer();
    let sealed = sealer.seal(OWNER, "hush").unwrap();
    fs::remove_file(&sealer.path).unwrap();
    let error = sealer.open(OWNER, &sealed).unwrap_err();
    assert_eq!(error, Error::Missing { path: sealer.path.clone() });
    assert!(error.to_string().ends_with("put it back, or deploy the app again"), "{error}");
    assert!(!sealer.path.exists(), "opening makes no key");
    sealer.seal(OWNER, "other").unwrap();
    assert_eq!(sealer.open(OWNER, &sealed), Err(Error::Other { path: sealer.path.clone() }));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let (_directory, sealer) = sealer();
    let sealed = sealer.seal(OWNER, "hush").unwrap();
    fs::set_permissions(&sealer.path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(sealer.open(OWNER, &sealed), Err(Error::Open { path: sealer.path.clone(), mode: 0o640 }));
}

#[test]
fn a_file_that_is_no_key_is_not_replaced() {
    let (_directory, sealer) = sealer();
    for text in ["", "hello", TITLE, &format!("{TITLE}\n{}\n", "z".repeat(64))] {
        fs::write(&sealer.path, text).unwrap();
        fs::set_permissions(&sealer.path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(sealer.seal(OWNER, "hush"), Err(Error::Malformed { path: sealer.path.clone() }));
        assert_eq!(fs::read_to_string(&sealer.path).unwrap(), text);
    }
}

#[test]
fn of_two_who_make_the_key_one_wins() {
    let (_directory, sealer) = sealer();
    let sealed: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| sealer.seal(OWNER, "hush").unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for sealed in sealed {
        assert_eq!(sealer.open(OWNER, &sealed).unwrap(), "hush");
    }
}

#[test]
fn no_debug_output_shows_the_key() {
    let (_directory, sealer) = sealer();
    sealer.seal(OWNER, "hush").unwrap();
    let digits = fs::read_to_string(&sealer.path).unwrap().lines().last().unwrap().to_owned();
    assert_eq!(digits.len(), 64);
    assert!(!format!("{sealer:?}").contains(&digits));
}
