//! The helper's own mount namespace, where overlays are assembled out of sight and handed on as descriptors.
//!
//! Nothing mounted here is visible to the host, and all of it vanishes with the helper. The stage is a small tmpfs, also
//! the working directory of the helper, so that paths in the overlay's option string are short: it must fit one page.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_bind,
    mount_change, move_mount, open_tree, unmount,
};

use super::Scratch;
use crate::authority::Authority;
use crate::error::Doing;
use crate::keep::{self, Shift};
use crate::places::{self, Places, Source};
use crate::sys;
use crate::sys::mount::{Attributes, set_attributes};
use crate::{Bind, Failure, Spec};

/// The device files that every container has.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Where errands work, each in a mount namespace of its own.
pub(crate) const YARD: &str = "yard";

/// What the other names of `/dev` point at.
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Where overlays are put together.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) places: Places,
    authority: Authority,
    /// The most lowers that it has mount points for so far.
    mount_points: usize,
    said_plain: bool,
}

/// The user namespaces by which owners on disk become a container's.
struct Namespaces<'ns> {
    /// Of what is the machine's: the container's own.
    host: BorrowedFd<'ns>,
    /// Of what is the server's.
    own: BorrowedFd<'ns>,
}

/// A container's mounts, attached nowhere.
pub(crate) struct Mounts {
    pub(crate) overlay: OwnedFd,
    pub(crate) dev: OwnedFd,
    pub(crate) binds: Vec<Bound>,
}

/// One bind.
pub(crate) struct Bound {
    pub(crate) tree: OwnedFd,
    pub(crate) directory: bool,
}

impl Stage {
    /// Moves this process into a mount namespace of its own and builds the stage on the given empty directory.
    pub(crate) fn enter(
        authority: Authority,
        at: &Path,
        places: impl FnOnce() -> Result<Places, Failure>,
    ) -> Result<Stage, Failure> {
        sys::process::unshare_mounts().doing("make a mount namespace for the helper")?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).doing("make the helper's mounts private")?;
        // Now, since only mounts of a process's own namespace can be copied by it.
        let places = places()?;
        fs::create_dir_all(at).doing_at("make the stage", at)?;
        let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
        mount("tmpfs", at, "tmpfs", flags, c"mode=0755,size=4m").doing_at("mount the stage", at)?;
        std::env::set_current_dir(at).doing_at("enter the stage", at)?;
        for directory in ["t", "t/m", "t/s", "dev", YARD, "yard/fs", "yard/work"] {
            fs::create_dir(directory).doing_at("make the stage", Path::new(directory))?;
        }
        furnish_dev().doing("make the device files")?;
        Ok(Stage { places, authority, mount_points: 0, said_plain: false })
    }

    /// Assembles a container's overlay and binds. `namespace` is its user namespace, with maps written; its ids begin
    /// with `first`.
    pub(crate) fn mount(
        &mut self,
        spec: &Spec,
        scratch: &Scratch,
        (namespace, first): (BorrowedFd<'_>, u32),
        notes: &mut Vec<String>,
    ) -> Result<Mounts, Failure> {
        let maps = self.places.owner().maps(first);
        let own = maps.map(|maps| sys::process::user_namespace(&maps)).transpose();
        let own = own.doing("make a namespace for the owners of layers")?;
        let own = own.as_ref().map_or(namespace, AsFd::as_fd);
        let namespaces = Namespaces { host: namespace, own };
        let overlay = self.overlay(spec, scratch, &namespaces)?;
        let mut binds = Vec::with_capacity(spec.binds.len());
        for bind in &spec.binds {
            let source = self.places.bind(bind).doing_at("find the bind", &bind.source)?;
            let directory = places::is_directory(source.fd()).doing_at("find the bind", &bind.source)?;
            if let (Source::Own(opened), true) = (&source, bind.writable) {
                self.adopt(opened.as_fd()).doing_at("give the container", &bind.source)?;
            }
            let (tree, shifted) = bound(bind, &source, &namespaces, self.authority)?;
            if !shifted && self.authority.is_root() && !self.said_plain {
                self.said_plain = true;
                notes.push(format!(
                    "the file system of {} cannot be mounted with shifted owners: its files belong to nobody inside",
                    bind.source.display()
                ));
            }
            binds.push(Bound { tree, directory });
        }
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        let dev = open_tree(CWD, "dev", flags).doing("copy the device files")?;
        let attributes = Attributes { read_only: true, no_suid: true, ..Attributes::default() };
        set_attributes(dev.as_fd(), true, attributes).doing("protect the device files")?;
        Ok(Mounts { overlay, dev, binds })
    }

    fn overlay(
        &mut self,
        spec: &Spec,
        scratch: &Scratch,
        namespaces: &Namespaces<'_>,
    ) -> Result<OwnedFd, Failure> {
        while self.mount_points < spec.lowers.len() {
            let point = format!("t/l{}", self.mount_points);
            fs::create_dir(&point).doing_at("make the stage", Path::new(&point))?;
            self.mount_points += 1;
        }
        // One mount to hold this container's attachments, so that a single lazy unmount takes them all away. They must
        // be attached at all because the overlay clones its lowers, which kernels before 6.15 refuse for loose ones.
        mount_bind("t", "t").doing("open the stage")?;
        let made = self.attach_and_mount(spec, scratch, namespaces);
        let closed = unmount("t", UnmountFlags::DETACH).doing("clear the stage");
        let overlay = made?;
        closed?;
        Ok(overlay)
    }

    fn attach_and_mount(
        &self,
        spec: &Spec,
        scratch: &Scratch,
        namespaces: &Namespaces<'_>,
    ) -> Result<OwnedFd, Failure> {
        for (index, lower) in spec.lowers.iter().enumerate() {
            let opened = self.places.at(lower).doing_at("open the layer", lower)?;
            self.adopt(opened.as_fd()).doing_at("give the layer to containers", lower)?;
            let tree = clone_of(opened.as_fd()).doing_at("open the layer", lower)?;
            let id_map = self.authority.is_root().then_some(namespaces.own);
            let attributes = Attributes { read_only: true, id_map, ..Attributes::default() };
            set_attributes(tree.as_fd(), false, attributes).map_err(|error| not_shiftable(&error, lower))?;
            let point = format!("t/l{index}");
            move_mount(&tree, "", CWD, &point, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
                .doing_at("attach the layer", lower)?;
        }
        let path = match scratch {
            // By its descriptor: whoever renames what leads there does not lead the mount elsewhere.
            Scratch::Directory(opened) => PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd())),
            // Goes with the rest of the stage, and lives on below the overlay alone.
            Scratch::Disk { disk, owner } => {
                let at = Path::new("t/s");
                disk.mount(at)?;
                let opened = fs::File::open(at).doing("open the container's own file system")?;
                super::make_parts(opened.as_fd(), *owner).doing("prepare the container's own file system")?;
                at.to_owned()
            }
        };
        let options = options(spec.lowers.len(), &path, self.authority);
        let options =
            std::ffi::CString::new(options).map_err(io::Error::from).doing("write the overlay's options")?;
        mount("overlay", "t/m", "overlay", MountFlags::NODEV, options.as_c_str())
            .doing_at("mount the overlay", &spec.scratch)?;
        clone_tree(Path::new("t/m")).doing("take the overlay off the stage")
    }
}

impl Stage {
    /// Shifts what the server wrote, and is an image's root's, to where containers have their root. Once: from then on
    /// its topmost directory shows that it is done. Nothing to do as root, where mounts shift.
    fn adopt(&self, opened: BorrowedFd<'_>) -> io::Result<()> {
        let by = self.authority.shift();
        if by == 0 || rustix::fs::statat(opened, "", AtFlags::EMPTY_PATH)?.st_uid != 0 {
            return Ok(());
        }
        let path = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
        let (owner, count) = (self.places.owner(), 1);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, &path, flags, Mode::empty())?;
        keep::shift_inside(directory.as_fd(), Shift { first: 0, count, by, owner })
    }
}

/// The overlay's options. `volatile`: the upper is thrown away, or moved while no crash happened; without it the last
/// unmount writes everything to disk first. The features that are off store state in the upper which would make it
/// unusable as a layer.
fn options(lowers: usize, scratch: &Path, authority: Authority) -> Vec<u8> {
    let lowers = (0..lowers).map(|index| format!("t/l{index}")).collect::<Vec<_>>().join(":");
    let mut options = format!("lowerdir={lowers},upperdir=").into_bytes();
    options.extend(escape(&scratch.join("upper")));
    options.extend(b",workdir=");
    options.extend(escape(&scratch.join("work")));
    options.extend(b",index=off,xino=off,volatile");
    // A user's marks have names that users may write, and go with neither of the other two, which are off by that.
    // <https://docs.kernel.org/filesystems/overlayfs.html>
    let marks: &[u8] = if authority.is_root() { b",metacopy=off,redirect_dir=off" } else { b",userxattr" };
    options.extend(marks);
    options
}

/// Commas end an option and colons a layer, unless a backslash stands before them.
fn escape(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes().iter();
    bytes.flat_map(|byte| if b"\\,:".contains(byte) { vec![b'\\', *byte] } else { vec![*byte] }).collect()
}

fn clone_tree(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    Ok(open_tree(CWD, path, flags)?)
}

/// Clones the mount of what is opened.
pub(crate) fn clone_of(opened: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    Ok(open_tree(opened, "", flags | OpenTreeFlags::AT_EMPTY_PATH)?)
}

fn clone_whole(opened: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let flags = flags | OpenTreeFlags::AT_EMPTY_PATH | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(opened, "", flags)?)
}

/// Clones the mount of a bind, with owners shifted; where the file system refuses that (an overlay as the host's root
/// does), plainly, but then never writable: new files would belong to ids that exist nowhere.
/// What is another's to the server stays so inside.
fn bound(
    bind: &Bind,
    from: &Source,
    namespaces: &Namespaces<'_>,
    authority: Authority,
) -> Result<(OwnedFd, bool), Failure> {
    let (source, writable) = (&bind.source, bind.writable);
    let (tree, whole) = match clone_of(from.fd()) {
        // What the machine has mounted below must not come to light by leaving it out: a user namespace can only show
        // all of it. mount_namespaces(7)
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) && !authority.is_root() => {
            (clone_whole(from.fd()).doing_at("open the bind", source)?, true)
        }
        cloned => (cloned.doing_at("open the bind", source)?, false),
    };
    let plain = Attributes { read_only: !writable, no_suid: true, no_dev: true, id_map: None };
    let id_map = match from {
        Source::Own(_) => Some(namespaces.own),
        Source::Host(_) => Some(namespaces.host),
        Source::Foreign(_) => None,
    };
    let id_map = id_map.filter(|_| authority.is_root());
    match set_attributes(tree.as_fd(), whole, Attributes { id_map, ..plain }) {
        Ok(()) => Ok((tree, true)),
        Err(error) if refuses_shift(&error) && !writable => {
            set_attributes(tree.as_fd(), false, plain).doing_at("protect the bind", source)?;
            Ok((tree, false))
        }
        Err(error) => Err(not_shiftable(&error, source)),
    }
}

fn refuses_shift(error: &io::Error) -> bool {
    // EINVAL: the file system does not support it. EPERM: the mount is shifted already, or not ours to shift.
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EPERM))
}

fn not_shiftable(error: &io::Error, path: &Path) -> Failure {
    if refuses_shift(error) {
        return Failure::NotShiftable { path: path.into(), file_system: file_system(path) };
    }
    let step = "mount with shifted owners".into();
    Failure::Step { step, path: Some(path.into()), cause: error.to_string() }
}

/// The type of the file system that holds `path`: of the mount with the longest matching mount point.
fn file_system(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((PathBuf::from(fields.next()?), fields.next()?))
    });
    let holding = fields.filter(|(at, _)| path.starts_with(at));
    holding.max_by_key(|(at, _)| at.components().count()).map_or("unknown", |(_, kind)| kind).to_owned()
}

/// Builds the `/dev` that all containers share, read-only: writing to a device is no write to its file system. The
/// nodes are binds of the host's, which also works where mknod is not allowed.
fn furnish_dev() -> io::Result<()> {
    mount("tmpfs", "dev", "tmpfs", MountFlags::NOSUID | MountFlags::NOEXEC, c"mode=0755,size=64k")?;
    for name in DEVICES {
        let node = Path::new("dev").join(name);
        fs::File::create(&node)?;
        mount_bind(Path::new("/dev").join(name), &node)?;
    }
    for (name, target) in DEVICE_LINKS {
        rustix::fs::symlink(target, Path::new("dev").join(name))?;
    }
    for directory in ["dev/shm", "dev/pts"] {
        rustix::fs::mkdir(directory, Mode::from_raw_mode(0o755))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowers_are_listed_topmost_first_by_short_names() {
        let options = String::from_utf8(options(3, Path::new("/s"), Authority::Root)).unwrap();
        assert!(
            options.starts_with("lowerdir=t/l0:t/l1:t/l2,upperdir=/s/upper,workdir=/s/work,"),
            "{options}"
        );
    }

    #[test]
    fn paths_cannot_break_out_of_their_option() {
        assert_eq!(escape(Path::new("/a,b:c\\d")), b"/a\\,b\\:c\\\\d");
    }

    #[test]
    fn the_file_system_of_a_path_is_named() {
        assert_eq!(file_system(Path::new("/proc/self/status")), "proc");
    }
}
