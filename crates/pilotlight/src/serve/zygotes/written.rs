//! What a zygote has written: a fork has files of its own, in which it would be missing.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// The interpreter makes these again where they are missing.
const BYTECODE: &str = "__pycache__";

/// What was in a container's upper directory at a moment: each path, and for files when it was last changed.
pub(super) struct Written {
    upper: PathBuf,
    entries: BTreeMap<PathBuf, (i64, i64)>,
}

impl Written {
    /// What is there now, before the container's command has done anything.
    pub(super) fn now(upper: PathBuf) -> io::Result<Self> {
        let mut entries = BTreeMap::new();
        walk(&upper, |path, changed, _| {
            entries.insert(path.to_path_buf(), changed);
            false
        })?;
        Ok(Self { upper, entries })
    }

    /// One path that was made, changed or removed since, as the container calls it. A directory of `lowers` alone
    /// does not count: the overlay copies it up when anything below it changes.
    pub(super) fn since(&self, lowers: &[PathBuf]) -> io::Result<Option<PathBuf>> {
        let mut first = None;
        walk(&self.upper, |path, changed, directory| {
            let new = match self.entries.get(path) {
                Some(before) => !directory && *before != changed,
                None => !directory || !lowers.iter().any(|lower| lower.join(path).is_dir()),
            };
            if new {
                first = Some(Path::new("/").join(path));
            }
            new
        })?;
        Ok(first)
    }
}

/// Shows each path below `top`, with when it was last changed and whether it is a directory, until told to stop.
fn walk(top: &Path, mut look: impl FnMut(&Path, (i64, i64), bool) -> bool) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(top.join(&folder))? {
            let entry = entry?;
            if entry.file_name() == BYTECODE {
                continue;
            }
            let path = folder.join(entry.file_name());
            let about = entry.metadata()?;
            if look(&path, (about.ctime(), about.ctime_nsec()), about.is_dir()) {
                return Ok(());
            }
            if about.is_dir() {
                open.push(path);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_changed_or_removed_counts() {
        let root = tempfile::tempdir().unwrap();
        let (upper, lower) = (root.path().join("upper"), root.path().join("lower"));
        for folder in [upper.join("opt"), lower.join("root/package"), lower.join("tmp")] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(upper.join("etc"), "before").unwrap();
        let before = Written::now(upper.clone()).unwrap();
        let found = || before.since(std::slice::from_ref(&lower)).unwrap();
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
