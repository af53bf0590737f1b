//! What a server does before it gives up its rights, and the giving up itself. The process must have a single thread.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_change, move_mount,
    open_tree,
};
use rustix::process::{DumpableBehavior, Pid, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use crate::error::Doing;
use crate::keep::{self, Shift};
use crate::slots::IDS;
use crate::sys::mount::{Attributes, set_attributes};
use crate::{Failure, Owner, sys};

/// Gives a state directory that was root's to the server: every id of an image in it becomes what it is on disk. What is
/// its own already is not looked into. `links` are the names at its top that may be links of root's to other disks.
pub fn adopt(state_dir: &Path, links: &[&str], owner: Owner) -> Result<(), Failure> {
    if owner.is_helpers() {
        return Ok(());
    }
    let open = |path: &Path| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, path, flags, Mode::empty()).doing_at("open", path)
    };
    let top = open(state_dir)?;
    let shift = Shift { first: 0, count: IDS, by: 0, owner };
    for entry in fs::read_dir(state_dir).doing("read the state directory")? {
        let entry = entry.doing("read the state directory")?;
        let (name, path) = (entry.file_name(), entry.path());
        let stat = rustix::fs::statat(&top, &name, AtFlags::SYMLINK_NOFOLLOW).doing_at("look at", &path)?;
        match FileType::from_raw_mode(stat.st_mode) {
            _ if stat.st_uid != 0 => {}
            FileType::Directory => {
                keep::shift_all(top.as_fd(), &name, shift).doing_at("give the server", &path)?;
            }
            FileType::Symlink if links.iter().any(|link| name == *link) && path.is_dir() => {
                let there = open(&path)?;
                if rustix::fs::fstat(&there).doing_at("look at", &path)?.st_uid == 0 {
                    keep::shift_inside(there.as_fd(), shift).doing_at("give the server", &path)?;
                }
            }
            // One with another name may be a file of root's that was put here to be given away.
            FileType::RegularFile if stat.st_nlink == 1 => {
                keep::shift_one(top.as_fd(), &name, shift).doing_at("give the server", &path)?;
            }
            _ => {}
        }
    }
    // At last: it says that all of it is done.
    if rustix::fs::fstat(&top).doing_at("look at", state_dir)?.st_uid != owner.uid {
        let (user, group) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        rustix::fs::fchown(&top, Some(user), Some(group)).doing_at("give the server", state_dir)?;
    }
    Ok(())
}

/// Makes directories reachable for a user who is kept out by a directory above them (/root, say): at the same paths, in
/// a mount namespace of this process's own, where the directory that keeps out holds nothing else. The others are left
/// alone; a path that is not there is passed over. The first path of a pair may be written to.
pub fn reveal(writable: &[PathBuf], readable: &[PathBuf], owner: Owner) -> Result<(), Failure> {
    let mut hidden: Vec<(PathBuf, PathBuf, bool)> = Vec::new();
    let all = writable.iter().map(|path| (path, true)).chain(readable.iter().map(|path| (path, false)));
    for (path, writable) in all {
        let Ok(path) = fs::canonicalize(path) else { continue };
        if let Some(wall) = wall(&path, owner) {
            hidden.push((path, wall, writable));
        }
    }
    if hidden.is_empty() {
        return Ok(());
    }
    // One inside another comes with it; of two ways the writable one counts, which is the first.
    hidden.sort_by_key(|(path, _, writable)| (path.components().count(), !writable));
    let mut kept: Vec<(PathBuf, PathBuf, bool)> = Vec::new();
    for (path, wall, writable) in hidden {
        if !kept
            .iter()
            .any(|(outer, _, outer_writable)| path.starts_with(outer) && (*outer_writable || !writable))
        {
            kept.push((path, wall, writable));
        }
    }
    sys::process::unshare_mounts().doing("make a mount namespace for the server")?;
    let downstream = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", downstream).doing("keep the server's mounts its own")?;
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let mut trees: Vec<OwnedFd> = Vec::new();
    for (path, _, writable) in &kept {
        let tree = open_tree(CWD, path, flags).doing_at("open", path)?;
        let attributes = Attributes { read_only: !writable, ..Attributes::default() };
        set_attributes(tree.as_fd(), true, attributes).doing_at("protect", path)?;
        trees.push(tree);
    }
    let walls: BTreeSet<&PathBuf> = kept.iter().map(|(_, wall, _)| wall).collect();
    for wall in walls {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("tmpfs", wall, "tmpfs", flags, c"mode=0755,size=1m").doing_at("cover", wall)?;
    }
    for ((path, ..), tree) in kept.iter().zip(&trees) {
        fs::create_dir_all(path).doing_at("make a way to", path)?;
        move_mount(tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).doing_at("show", path)?;
    }
    Ok(())
}

/// The topmost directory above `path` that `owner` cannot pass through.
fn wall(path: &Path, owner: Owner) -> Option<PathBuf> {
    let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
    above.reverse();
    let passable = |directory: &Path| {
        sys::process::as_identity(owner.uid, owner.gid, || {
            rustix::fs::statat(CWD, directory.join("."), AtFlags::empty()).is_ok()
        })
    };
    above.into_iter().find(|directory| !passable(directory)).map(Path::to_owned)
}

/// Becomes the server's user for good: no group but its own, no capability and no way to one, no core dump, no eye of
/// another process of the same user on its memory. With the process that started it, `parent`, it ends; signals reach it,
/// which that one has blocked.
pub fn become_server(owner: Owner, parent: Option<i32>) -> Result<(), Failure> {
    sys::signal::unblock();
    if !owner.is_helpers() {
        rustix::thread::set_thread_groups(&[]).doing("drop the groups")?;
        for capability in CapabilitySet::all().iter() {
            match rustix::thread::remove_capability_from_bounding_set(capability) {
                // Not one that this kernel knows.
                Err(rustix::io::Errno::INVAL) => {}
                dropped => dropped.doing("drop capabilities from the bounding set")?,
            }
        }
        let (user, group) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        rustix::thread::set_thread_res_gid(group, group, group).doing("become the server's group")?;
        rustix::thread::set_thread_res_uid(user, user, user).doing("become the server's user")?;
        rustix::thread::clear_ambient_capability_set().doing("clear the ambient capabilities")?;
        let none = CapabilitySet::empty();
        let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
        rustix::thread::set_capabilities(None, sets).doing("drop capabilities")?;
        rustix::thread::set_no_new_privs(true).doing("forbid new privileges")?;
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).doing("hide its memory")?;
        rustix::process::umask(Mode::from_raw_mode(0o022));
    }
    // After the change of user, which clears it. prctl(2)
    if let Some(parent) = parent {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).doing("tie it to its parent")?;
        if rustix::process::getppid() != Pid::from_raw(parent) {
            return Err(io::Error::other("it has ended already")).doing("tie it to its parent");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Owner = Owner { uid: crate::IMAGE_IDS, gid: crate::IMAGE_IDS };

    fn uid(path: &Path) -> u32 {
        rustix::fs::lstat(path).unwrap().st_uid
    }

    #[test]
    fn a_state_directory_of_root_is_given_to_the_server_once() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for directory in ["state/layers/one/fs", "disk/trees/two", "disk/other"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        for file in ["state/pilotlight.db", "state/layers/one/fs/www", "kept"] {
            fs::write(at(file), "").unwrap();
        }
        fs::os::unix::fs::chown(at("state/layers/one/fs/www"), Some(33), Some(33)).unwrap();
        fs::hard_link(at("kept"), at("state/kept")).unwrap();
        fs::os::unix::fs::symlink(at("disk/trees"), at("state/trees")).unwrap();
        fs::os::unix::fs::symlink(at("disk/other"), at("state/other")).unwrap();
        adopt(&at("state"), &["trees"], SERVER).unwrap();
        for path in ["state", "state/pilotlight.db", "state/layers/one/fs", "disk/trees", "disk/trees/two"] {
            assert_eq!(uid(&at(path)), SERVER.uid, "{path}");
        }
        assert_eq!(uid(&at("state/layers/one/fs/www")), SERVER.uid + 33);
        for path in ["disk/other", "kept", "state/trees", "state/other"] {
            assert_eq!(uid(&at(path)), 0, "{path}");
        }
        fs::os::unix::fs::chown(at("state/layers/one"), Some(0), Some(0)).unwrap();
        adopt(&at("state"), &["trees"], SERVER).unwrap();
        assert_eq!(uid(&at("state/layers/one")), 0, "what is the server's is not looked into");
    }

    #[test]
    fn the_topmost_directory_that_keeps_out_is_found() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b/c")).unwrap();
        let mode = |path: &str, mode| {
            rustix::fs::chmod(root.path().join(path), Mode::from_raw_mode(mode)).unwrap();
        };
        mode("", 0o755);
        assert_eq!(wall(&root.path().join("a/b/c"), SERVER), None);
        mode("a/b", 0o700);
        assert_eq!(wall(&root.path().join("a/b/c"), SERVER), Some(root.path().join("a/b")));
        mode("", 0o700);
        assert_eq!(wall(&root.path().join("a/b/c"), SERVER), Some(root.path().into()));
        assert_eq!(wall(&root.path().join("a/b/c"), Owner::this_process()), None);
    }
}
