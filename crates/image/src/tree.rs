//! A user's files as the topmost layer of a container: `trees/<key>/fs/root/hello.py`.
//!
//! Everything in it belongs to this process, whose uid is an image's root on disk. Blobs are copied rather than linked, because their
//! modes differ between trees.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::AtomicBool;

use pilotlight_core::image::Key;
use thiserror::Error;

use crate::store::{self, Meta, Store};

/// One file of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// Where it appears in the container, absolute.
    pub remote: String,
    /// Permission bits; set-id bits are dropped.
    pub mode: u32,
    /// The digest of its content, as the manifest has it.
    pub digest: String,
    /// The content on this machine.
    pub blob: PathBuf,
}

/// Why the files cannot become a layer.
#[derive(Debug, Error)]
pub enum Error {
    /// The path is not absolute or leaves the image.
    #[error("cannot place a file at {remote:?} in a container; give an absolute path without ..")]
    Path {
        /// The path as given.
        remote: String,
    },
    /// Two files claim one path, or one is a directory for the other.
    #[error("two files claim {remote:?} in a container")]
    Conflict {
        /// The path.
        remote: String,
    },
    /// A file operation failed; the source names the path.
    #[error("cannot lay out the user's files")]
    Io(#[from] io::Error),
    /// The layer could not be kept.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Where trees are kept in a state directory.
pub(crate) const TREES: &str = "trees";

/// The `fs` directory that holds `files` in `store`, made if it is not there.
pub(crate) fn tree(store: &Store, files: &[TreeFile]) -> Result<PathBuf, Error> {
    let placed = place(files)?;
    let fields = placed.iter().flat_map(|(path, file)| {
        [path.display().to_string(), format!("{:o}", mode(file)), file.digest.clone()]
    });
    let key = Key::of("pilotlight tree 1", fields);
    let (path, _) = store.make(
        &key,
        &AtomicBool::new(false),
        || {},
        |staging, _| {
            lay_out(&staging.join("fs"), &placed)?;
            let text = format!("{} files of the user", placed.len());
            Ok::<_, Error>(Meta { text, parent: None, command: Vec::new(), seconds: 0.0 })
        },
    )?;
    Ok(path)
}

/// The files by their place below a root; none twice, and none where another needs a directory.
pub(crate) fn place(files: &[TreeFile]) -> Result<BTreeMap<PathBuf, &TreeFile>, Error> {
    let mut placed = BTreeMap::new();
    for file in files {
        let path = clean(&file.remote)?;
        if placed.insert(path, file).is_some() {
            return Err(Error::Conflict { remote: file.remote.clone() });
        }
    }
    for (path, file) in &placed {
        if path.ancestors().skip(1).any(|parent| placed.contains_key(parent)) {
            return Err(Error::Conflict { remote: file.remote.clone() });
        }
    }
    Ok(placed)
}

/// Copies the files to their places below `fs`, which is made.
pub(crate) fn lay_out(fs: &Path, placed: &BTreeMap<PathBuf, &TreeFile>) -> Result<(), Error> {
    directory(fs, Path::new("/"))?;
    for (path, file) in placed {
        lay(fs, path, file)?;
    }
    Ok(())
}

/// The path without its root, if it stays inside.
fn clean(remote: &str) -> Result<PathBuf, Error> {
    let refuse = || Error::Path { remote: remote.to_owned() };
    let mut parts = Path::new(remote).components();
    if parts.next() != Some(Component::RootDir) || remote.ends_with('/') || remote.contains('\0') {
        return Err(refuse());
    }
    let path: PathBuf = parts
        .map(|part| match part {
            Component::Normal(name) => Ok(name),
            _ => Err(refuse()),
        })
        .collect::<Result<_, _>>()?;
    if path.as_os_str().is_empty() { Err(refuse()) } else { Ok(path) }
}

fn lay(fs: &Path, path: &Path, file: &TreeFile) -> Result<(), Error> {
    let parents: Vec<&Path> = path.ancestors().skip(1).collect();
    for parent in parents.into_iter().rev() {
        directory(&fs.join(parent), &Path::new("/").join(parent))?;
    }
    let to = fs.join(path);
    fs_err::copy(&file.blob, &to)?;
    Ok(fs_err::set_permissions(&to, PermissionsExt::from_mode(mode(file)))?)
}

/// Makes a directory of the layer. Its mode replaces that of the same directory below, so the usual ones are kept.
fn directory(at: &Path, inside: &Path) -> Result<(), Error> {
    if at.is_dir() {
        return Ok(());
    }
    fs_err::create_dir(at)?;
    let mode = match inside.to_str() {
        Some("/root") => 0o700,
        Some("/tmp" | "/var/tmp") => 0o1777,
        _ => 0o755,
    };
    Ok(fs_err::set_permissions(at, PermissionsExt::from_mode(mode))?)
}

fn mode(file: &TreeFile) -> u32 {
    file.mode & 0o777
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &Path, remote: &str, mode: u32, content: &str) -> TreeFile {
        let digest = format!("{content:0>64}");
        let blob = dir.join(&digest);
        fs_err::write(&blob, content).unwrap();
        TreeFile { remote: remote.to_owned(), mode, digest, blob }
    }

    fn tree(dir: &Path, files: &[TreeFile]) -> Result<PathBuf, Error> {
        super::tree(&Store::open_at(dir.join(TREES), false)?, files)
    }

    fn mode_of(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn files_lie_where_they_belong_with_their_modes() {
        let dir = tempfile::tempdir().unwrap();
        let files =
            [file(dir.path(), "/root/hello.py", 0o4644, "a"), file(dir.path(), "/tmp/x/run.sh", 0o755, "b")];
        let fs = tree(dir.path(), &files).unwrap();
        assert_eq!(fs_err::read_to_string(fs.join("root/hello.py")).unwrap(), "a");
        assert_eq!(mode_of(&fs.join("root/hello.py")), 0o644);
        assert_eq!(mode_of(&fs.join("tmp/x/run.sh")), 0o755);
        assert_eq!((mode_of(&fs.join("root")), mode_of(&fs.join("tmp"))), (0o700, 0o1777));
        assert_eq!(tree(dir.path(), &[files[1].clone(), files[0].clone()]).unwrap(), fs);
    }

    #[test]
    fn another_content_mode_or_place_is_another_tree() {
        let dir = tempfile::tempdir().unwrap();
        let of = |file: TreeFile| tree(dir.path(), &[file]).unwrap();
        let first = of(file(dir.path(), "/root/a", 0o644, "a"));
        assert_ne!(of(file(dir.path(), "/root/a", 0o644, "b")), first);
        assert_ne!(of(file(dir.path(), "/root/a", 0o600, "a")), first);
        assert_ne!(of(file(dir.path(), "/root/b", 0o644, "a")), first);
        assert!(tree(dir.path(), &[]).unwrap().is_dir());
    }

    #[test]
    fn paths_that_leave_the_image_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for remote in ["root/a", "", "/", "/root/../etc/passwd", "/root/..", "/root/", "/a\0b"] {
            let made = tree(dir.path(), &[file(dir.path(), remote, 0o644, "a")]);
            assert!(matches!(made, Err(Error::Path { .. })), "{remote:?}");
        }
        let kept = fs_err::read_dir(dir.path().join(TREES)).unwrap();
        assert!(kept.into_iter().all(|entry| entry.unwrap().file_name().to_string_lossy().starts_with('.')));
    }

    #[test]
    fn a_path_belongs_to_one_file() {
        let dir = tempfile::tempdir().unwrap();
        for pair in [["/root/a", "/root/a"], ["/root/a", "/root//a"], ["/root/a", "/root/a/b"]] {
            let files = pair.map(|remote| file(dir.path(), remote, 0o644, "a"));
            assert!(matches!(tree(dir.path(), &files), Err(Error::Conflict { .. })), "{pair:?}");
        }
    }
}
