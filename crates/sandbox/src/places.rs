//! Which paths of the machine the server may name, and opening them without being led anywhere else.
//!
//! The server is trusted less than the helper: it takes in what the world sends. So every path of a request is below one
//! of a few *roots* and is opened from there by openat2(2) without following a symbolic link, and what is done to it is
//! done to what was opened. Roots are decided before the server runs: the state directory, the run directory, and what
//! root has put into the state directory as a symbolic link (layers on another disk).

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::Doing;
use crate::owner::Owner;
use crate::{Bind, Failure, sys};

/// What a container of the host's own userland is shown: everybody may read nearly all of it.
const USERLAND: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// The kernel gives up when anything on the machine is renamed at the wrong moment. openat2(2), EAGAIN
const RESOLVE_TRIES: u32 = 128;

/// The places of one server.
#[derive(Debug)]
pub(crate) struct Places {
    roots: Vec<Root>,
    /// Of the host, shown to whoever asks: the invoking user named them before the server ran.
    shown: Vec<PathBuf>,
    owner: Owner,
}

/// Where paths may begin.
#[derive(Debug)]
struct Root {
    /// As the server says it.
    name: PathBuf,
    /// Where that is, without symbolic links.
    path: PathBuf,
    directory: OwnedFd,
    /// Whether things may only be shown from there.
    is_run_dir: bool,
}

/// A path opened for a bind.
#[derive(Debug)]
pub(crate) enum Source {
    /// The server's own: owners on disk are those of [`Owner`].
    Own(OwnedFd),
    /// The machine's: owners on disk are the machine's, 0 is root.
    Host(OwnedFd),
    /// The machine's, as far as the server itself can see it: nobody inside owns any of it.
    Foreign(OwnedFd),
}

/// A name in an opened directory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) directory: OwnedFd,
    pub(crate) name: OsString,
    /// The whole path, without symbolic links.
    pub(crate) path: PathBuf,
}

impl Places {
    /// Opens the roots. `run_dir` and `state_dir` exist.
    pub(crate) fn open(
        run_dir: &Path,
        state_dir: &Path,
        shown: Vec<PathBuf>,
        owner: Owner,
    ) -> Result<Places, Failure> {
        let run = Root { is_run_dir: true, ..Root::open(run_dir)? };
        let mut roots = vec![run, Root::open(state_dir)?];
        for entry in fs::read_dir(state_dir).doing("read the state directory")? {
            let name = entry.doing("read the state directory")?.path();
            // Whose target the server cannot choose: it is neither its own, nor another name of somebody's link.
            let roots_own = |stat: rustix::fs::Stat| {
                FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
                    && stat.st_uid == rustix::process::geteuid().as_raw()
                    && stat.st_nlink == 1
            };
            if rustix::fs::lstat(&name).is_ok_and(roots_own) && name.is_dir() {
                roots.push(Root::open(&name)?);
            }
        }
        // Some name the same place by its true path.
        for index in 0..roots.len() {
            if let Some(root) = roots.get(index).filter(|root| root.name != root.path) {
                let is_run_dir = root.is_run_dir;
                roots.push(Root { is_run_dir, ..Root::open(&root.path.clone())? });
            }
        }
        // The longest first: a root may lie inside another.
        roots.sort_by_key(|root| std::cmp::Reverse(root.name.components().count()));
        Ok(Places { roots, shown, owner })
    }

    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    /// Opens a path below a root, as a place only (`O_PATH`).
    pub(crate) fn at(&self, path: &Path) -> io::Result<OwnedFd> {
        let (root, rest) = self.root_of(path)?;
        open_below(root.directory.as_fd(), &rest, OFlags::PATH)
    }

    /// Opens the directory of a path below a root, and names what is or will be in it.
    pub(crate) fn entry(&self, path: &Path) -> io::Result<Entry> {
        let (root, rest) = self.root_of(path)?;
        // In the run directory the helper keeps its own records.
        let (Some(parent), Some(name), false) = (rest.parent(), rest.file_name(), root.is_run_dir) else {
            return Err(Errno::PERM.into());
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let directory = open_below(root.directory.as_fd(), parent, flags)?;
        Ok(Entry { directory, name: name.to_owned(), path: root.path.join(&rest) })
    }

    /// Opens what a bind shows.
    pub(crate) fn bind(&self, bind: &Bind) -> io::Result<Source> {
        if self.root_of(&bind.source).is_ok() {
            return Ok(Source::Own(self.at(&bind.source)?));
        }
        let source = &bind.source;
        // A server that has the helper's own rights could show it everything anyway.
        let trusted = self.owner.is_helpers();
        if bind.writable && !trusted {
            return Err(Errno::PERM.into());
        }
        let known = USERLAND.iter().any(|path| Path::new(path) == source);
        if trusted || known || self.shown.iter().any(|path| source == path) {
            return Ok(Source::Host(rustix::fs::openat(
                CWD,
                source,
                OFlags::PATH | OFlags::CLOEXEC,
                Mode::empty(),
            )?));
        }
        let top = rustix::fs::openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let rest = source.strip_prefix("/").map_err(|_| Errno::PERM)?;
        if let Ok(opened) = open_below(top.as_fd(), rest, OFlags::PATH)
            && is_interpreter(opened.as_fd())
        {
            return Ok(Source::Host(opened));
        }
        let seen = || open_below(top.as_fd(), rest, OFlags::PATH);
        Ok(Source::Foreign(sys::process::as_identity(self.owner.uid, self.owner.gid, seen)?))
    }

    fn root_of(&self, path: &Path) -> io::Result<(&Root, PathBuf)> {
        let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let inside = |root: &&Root| path.starts_with(&root.name);
        match self.roots.iter().find(inside).filter(|_| plain) {
            Some(root) => {
                let rest = path.strip_prefix(&root.name).map_err(|_| Errno::PERM)?;
                Ok((root, rest.to_owned()))
            }
            None => Err(Errno::PERM.into()),
        }
    }
}

impl Root {
    fn open(name: &Path) -> Result<Root, Failure> {
        let path = fs::canonicalize(name).doing_at("find", name)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, &path, flags, Mode::empty()).doing_at("open", &path)?;
        Ok(Root { name: name.to_owned(), path, directory, is_run_dir: false })
    }
}

impl Source {
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Source::Own(fd) | Source::Host(fd) | Source::Foreign(fd) => fd.as_fd(),
        }
    }
}

/// Opens a directory by a whole path in which no part is a symbolic link.
pub(crate) fn open_true(path: &Path) -> io::Result<OwnedFd> {
    let top = rustix::fs::openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let rest = path.strip_prefix("/").map_err(|_| Errno::INVAL)?;
    open_below(top.as_fd(), rest, OFlags::RDONLY | OFlags::DIRECTORY)
}

fn open_below(directory: BorrowedFd<'_>, rest: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let rest = if rest.as_os_str().is_empty() { Path::new(".") } else { rest };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..RESOLVE_TRIES {
        match rustix::fs::openat2(directory, rest, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            result => return Ok(result?),
        }
    }
    Err(Errno::AGAIN.into())
}

/// Whether this is the directory of a Python installation: `bin/python3.X`, and its standard library. What is shown as
/// one shows nothing else of worth.
fn is_interpreter(directory: BorrowedFd<'_>) -> bool {
    (8..=30).any(|minor| {
        let regular = |path: String| {
            open_below(directory, Path::new(&path), OFlags::PATH)
                .and_then(|file| Ok(rustix::fs::statat(file, "", AtFlags::EMPTY_PATH)?))
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
        };
        regular(format!("bin/python3.{minor}")) && regular(format!("lib/python3.{minor}/os.py"))
    })
}

/// Whether what is opened is a directory.
pub(crate) fn is_directory(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let stat = rustix::fs::statat(fd, "", AtFlags::EMPTY_PATH)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: u32 = 0x6fff_0000;

    fn places(root: &Path, uid: u32) -> Places {
        for directory in ["run", "state/layers", "state/scratch", "elsewhere/secret"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let owner = Owner { uid, gid: uid };
        Places::open(&root.join("run"), &root.join("state"), Vec::new(), owner).unwrap()
    }

    fn bind(source: impl Into<PathBuf>, writable: bool) -> Bind {
        Bind { source: source.into(), target: "/x".into(), writable }
    }

    #[test]
    fn what_is_not_below_a_root_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let places = places(root.path(), SERVER);
        places.at(&root.path().join("state/layers")).unwrap();
        places.entry(&root.path().join("state/scratch/co-1")).unwrap();
        for path in [
            "elsewhere/secret",
            "state/../elsewhere/secret",
            "state/layers/../../elsewhere/secret",
            "statesecret",
        ] {
            assert!(places.at(&root.path().join(path)).is_err(), "{path}");
            assert!(places.entry(&root.path().join(path)).is_err(), "{path}");
        }
        assert!(places.at(Path::new("/etc")).is_err() && places.at(Path::new("state")).is_err());
        assert!(places.entry(&root.path().join("state")).is_err(), "a root is nobody's entry");
        assert!(places.entry(&root.path().join("run/lock")).is_err(), "the run directory is the helper's");
    }

    #[test]
    fn a_link_that_the_server_made_leads_nowhere() {
        let root = tempfile::tempdir().unwrap();
        let places = places(root.path(), SERVER);
        let link = |target: &Path, at: &str| fs::os::unix::fs::symlink(target, root.path().join(at)).unwrap();
        link(&root.path().join("elsewhere"), "state/layers/l");
        link(Path::new("/"), "state/scratch/r");
        for path in ["state/layers/l", "state/layers/l/secret", "state/scratch/r/etc"] {
            assert!(places.at(&root.path().join(path)).is_err(), "{path}");
            assert!(places.bind(&bind(root.path().join(path), false)).is_err(), "{path}");
        }
        assert!(places.entry(&root.path().join("state/layers/l/secret")).is_err());
    }

    #[test]
    fn a_link_that_root_put_into_the_state_directory_is_a_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("disk/layers/one")).unwrap();
        fs::create_dir_all(root.path().join("state")).unwrap();
        for (name, owner) in [("layers", 0), ("trees", SERVER)] {
            let at = root.path().join("state").join(name);
            fs::os::unix::fs::symlink(root.path().join("disk/layers"), &at).unwrap();
            fs::os::unix::fs::lchown(&at, Some(owner), Some(owner)).unwrap();
        }
        let mut places = places_of(root.path());
        let entry = places.entry(&root.path().join("state/layers/one/fs")).unwrap();
        assert!(entry.path.ends_with("disk/layers/one/fs"), "{entry:?}");
        assert!(places.at(&root.path().join("disk/layers/one")).is_ok());
        assert!(places.at(&root.path().join("state/trees/one")).is_err());
        // Another name of root's link, as a server may make where the kernel lets it.
        fs::hard_link(root.path().join("state/layers"), root.path().join("state/cache")).unwrap();
        places = places_of(root.path());
        assert!(places.at(&root.path().join("state/cache/one")).is_err());
    }

    fn places_of(root: &Path) -> Places {
        fs::create_dir_all(root.join("run")).unwrap();
        let owner = Owner { uid: SERVER, gid: SERVER };
        Places::open(&root.join("run"), &root.join("state"), Vec::new(), owner).unwrap()
    }

    #[test]
    fn of_the_host_a_bind_shows_the_userland_and_interpreters() {
        let root = tempfile::tempdir().unwrap();
        let places = places(root.path(), SERVER);
        let python = root.path().join("home/versions/3.11");
        for (directory, file) in [("bin", "python3.11"), ("lib/python3.11", "os.py")] {
            fs::create_dir_all(python.join(directory)).unwrap();
            fs::write(python.join(directory).join(file), "").unwrap();
        }
        assert!(matches!(places.bind(&bind("/usr", false)), Ok(Source::Host(_))));
        assert!(matches!(places.bind(&bind(&python, false)), Ok(Source::Host(_))));
        assert!(matches!(places.bind(&bind("/etc", false)), Ok(Source::Foreign(_))), "as everybody sees it");
        let own = root.path().join("state/layers");
        assert!(matches!(places.bind(&bind(own, true)), Ok(Source::Own(_))));
        assert!(places.bind(&bind("/usr", true)).is_err(), "nothing of the host is written to");
        assert!(places.bind(&bind(&python, true)).is_err());
        // The server could not look in.
        rustix::fs::chmod(root.path(), Mode::RWXU).unwrap();
        assert!(places.bind(&bind(root.path().join("elsewhere/secret"), false)).is_err());
    }
}
