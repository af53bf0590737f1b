//! What a zygote has written: a fork has files of its own, in which it would be missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pilotlight_sandbox::Seen;

/// The interpreter makes these again where they are missing.
const BYTECODE: &str = "__pycache__";

/// What a container had written at a moment: each path, and for files when it was last changed.
pub(super) struct Written(BTreeMap<PathBuf, (i64, i64)>);

impl Written {
    /// What is there now, before the container's command has done anything.
    pub(super) fn new(seen: Vec<Seen>) -> Self {
        Self(counted(seen).map(|seen| (seen.path, seen.changed)).collect())
    }

    /// One path that was made, changed or removed until `seen`, as the container calls it. A directory of `lowers` alone
    /// does not count: the overlay copies it up when anything below it changes.
    pub(super) fn since(&self, seen: Vec<Seen>, lowers: &[PathBuf]) -> Option<PathBuf> {
        let is_new = |seen: &Seen| match self.0.get(&seen.path) {
            Some(before) => !seen.directory && *before != seen.changed,
            None => !seen.directory || !lowers.iter().any(|lower| lower.join(&seen.path).is_dir()),
        };
        counted(seen).find(is_new).map(|seen| Path::new("/").join(seen.path))
    }
}

fn counted(seen: Vec<Seen>) -> impl Iterator<Item = Seen> {
    seen.into_iter().filter(|seen| !seen.path.components().any(|part| part.as_os_str() == BYTECODE))
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    /// As the helper lists it.
    fn look(top: &Path) -> Vec<Seen> {
        use std::os::unix::fs::MetadataExt as _;
        let (mut open, mut seen) = (vec![PathBuf::new()], Vec::new());
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(top.join(&folder)).unwrap() {
                let (path, about) =
                    entry.map(|entry| (folder.join(entry.file_name()), entry.metadata())).unwrap();
                let about = about.unwrap();
                if about.is_dir() {
                    open.push(path.clone());
                }
                let changed = (about.ctime(), about.ctime_nsec());
                seen.push(Seen { path, changed, directory: about.is_dir() });
            }
        }
        seen
    }

    #[test]
    fn what_was_made_changed_or_removed_counts() {
        let root = tempfile::tempdir().unwrap();
        let (upper, lower) = (root.path().join("upper"), root.path().join("lower"));
        for folder in [upper.join("opt"), lower.join("root/package"), lower.join("tmp")] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(upper.join("etc"), "before").unwrap();
        let before = Written::new(look(&upper));
        let found = || before.since(look(&upper), std::slice::from_ref(&lower));
        assert_eq!(found(), None);

        // Bytecode, and the folders of the image above it.
        fs::create_dir_all(upper.join("root/package/__pycache__")).unwrap();
        fs::write(upper.join("root/package/__pycache__/x.pyc"), "").unwrap();
        assert_eq!(found(), None);

        fs::create_dir_all(upper.join("tmp/uploads")).unwrap();
        assert_eq!(found(), Some("/tmp/uploads".into()));
        fs::remove_dir(upper.join("tmp/uploads")).unwrap();

        fs::write(upper.join("tmp/app.sqlite"), "").unwrap();
        assert_eq!(found(), Some("/tmp/app.sqlite".into()));
        fs::remove_file(upper.join("tmp/app.sqlite")).unwrap();
        assert_eq!(found(), None);

        let file = fs::File::options().write(true).open(upper.join("etc")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(found(), Some("/etc".into()));
    }
}
