//! Furnishing the container's root: mounts, `/dev`, `/proc`, names, the network; then leaving the host's root for good.
//!
//! Until the pivot the host's root is still ours, so no path of the image is ever resolved from it: everything goes
//! through descriptors below the overlay's root, with RESOLVE_IN_ROOT, which keeps an image's symbolic links inside.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, unmount,
};

use crate::Failure;
use crate::error::Doing;
use crate::message::{Make, Role, Target};
use crate::net::{link, netlink};
use crate::sys::mount::{Attributes, set_attributes};

/// Files of `/proc` that tell of, or steer, the whole machine. Most are refused to a user without capabilities already;
/// this is the second lock.
const MASKED: [&str; 11] = [
    "interrupts",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "latency_stats",
    "sched_debug",
    "sysrq-trigger",
    "timer_list",
    "timer_stats",
];

/// Folders of `/proc` that steer the kernel, hardware and file systems. They may be read.
const SEALED: [&str; 7] = ["sys", "bus", "fs", "irq", "acpi", "asound", "scsi"];

/// Of the container's own network, before `/proc/sys` becomes read-only: what would need a capability elsewhere, low
/// ports and ping, is harmless in a network that is the container's alone.
const SETTINGS: &[(&str, &str)] =
    &[("sys/net/ipv4/ip_unprivileged_port_start", "0"), ("sys/net/ipv4/ping_group_range", "0 65535")];

/// Where a zygote's pid namespace counts on from: programs that know a fork by its process id find another in each
/// container than was in the zygote. proc_sys_kernel(5), `ns_last_pid`
const ZYGOTE_PIDS: (&str, &str) = ("sys/kernel/ns_last_pid", "1000");

/// How often to try to open a path while others mount and rename. Each try takes microseconds.
const RESOLVE_TRIES: u32 = 1000;

/// Does all of it. `fds`: overlay, `/dev`, and a tree per bind of the order.
pub(super) fn furnish(order: &Make, fds: &[OwnedFd]) -> Result<(), Failure> {
    let [overlay, dev, binds @ ..] = fds else {
        return Err(io::Error::from(io::ErrorKind::InvalidData)).doing("read the container's mounts");
    };
    // The working directory is the helper's stage, as this mount namespace has it: a place to hang the root on.
    attach(overlay, CWD, ".").doing("attach the root")?;
    let root = Root { fd: overlay.as_fd() };
    for (target, tree) in order.binds.iter().zip(binds) {
        root.bind(target, tree).doing_at("attach the bind", &target.path)?;
    }
    root.dev(dev).doing("furnish /dev")?;
    // Before the pivot: the kernel lets a user namespace mount proc only where a whole one is in sight already.
    root.proc(order.role).doing("furnish /proc")?;
    root.tmp().doing("make /tmp")?;
    if order.directory != Path::new("/") {
        root.directory(&order.directory, 0o755).doing_at("make the working directory", &order.directory)?;
    }
    pivot(overlay).doing("change the root")?;
    rustix::system::sethostname(order.hostname.as_bytes()).doing("set the host name")?;
    let socket = netlink::Socket::route().doing("open a netlink socket")?;
    link::configure(&socket, order.address).doing("configure the network")
}

/// The container's root, before it is ours.
struct Root<'fd> {
    fd: BorrowedFd<'fd>,
}

impl Root<'_> {
    fn bind(&self, target: &Target, tree: &OwnedFd) -> io::Result<()> {
        let at =
            if target.directory { self.directory(&target.path, 0o755)? } else { self.file(&target.path)? };
        Ok(attach(tree, &at, "")?)
    }

    /// The helper's read-only `/dev`, with memory and terminals of the container's own.
    fn dev(&self, dev: &OwnedFd) -> io::Result<()> {
        attach(dev, self.directory(Path::new("/dev"), 0o755)?, "")?;
        let quiet = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let no_devices = quiet | MountAttrFlags::MOUNT_ATTR_NODEV;
        let shm = new_mount("tmpfs", &[("mode", "1777"), ("size", "50%")], no_devices)?;
        attach(&shm, self.open("dev/shm")?, "")?;
        let options = [("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
        let pts = match new_mount("devpts", &options, quiet) {
            // There is no group 5 where an ordinary user has no other ids.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                new_mount("devpts", &options[..2], quiet)?
            }
            result => result?,
        };
        Ok(attach(&pts, self.open("dev/pts")?, "")?)
    }

    fn proc(&self, role: Role) -> io::Result<()> {
        let at = self.directory(Path::new("/proc"), 0o555)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let proc = new_mount("proc", &[], attributes)?;
        attach(&proc, &at, "")?;
        let pids = (role == Role::Zygote).then_some(&ZYGOTE_PIDS);
        for (name, value) in SETTINGS.iter().chain(pids) {
            // What the kernel does not have stays as it is.
            if let Ok(file) =
                rustix::fs::openat(&proc, *name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            {
                match rustix::io::write(&file, value.as_bytes()) {
                    // Of groups that an ordinary user does not have.
                    Ok(_) | Err(Errno::INVAL) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        for name in SEALED {
            if exists(&proc, name)? {
                let folder = clone_tree(&proc, name)?;
                let read_only = Attributes { read_only: true, ..Attributes::default() };
                set_attributes(folder.as_fd(), false, read_only)?;
                attach(&folder, &proc, name)?;
            }
        }
        for name in MASKED {
            if exists(&proc, name)? {
                attach(clone_tree(self.fd, "dev/null")?, &proc, name)?;
            }
        }
        Ok(())
    }

    /// `/tmp` is the image's; only that it exists and is everyone's is seen to.
    fn tmp(&self) -> io::Result<()> {
        match self.open("tmp") {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                self.directory(Path::new("/tmp"), 0o755)?;
                // Apart from mkdir, whose mode the umask cuts. The sticky bit needs no right: the directory is ours.
                Ok(rustix::fs::chmodat(self.fd, "tmp", Mode::from_raw_mode(0o1777), AtFlags::empty())?)
            }
            result => result.map(drop),
        }
    }

    /// Makes a path of directories, as `mkdir -p`, and opens the last.
    fn directory(&self, path: &Path, mode: u32) -> io::Result<OwnedFd> {
        let mut made = PathBuf::new();
        let mut parent = self.open(".")?;
        for name in names(path) {
            made.push(name);
            parent = match self.open(&made) {
                Ok(fd) => fd,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                    rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(mode))?;
                    self.open(&made)?
                }
                Err(error) => return Err(error),
            };
        }
        Ok(parent)
    }

    /// Makes an empty file to bind another on, and opens it.
    fn file(&self, path: &Path) -> io::Result<OwnedFd> {
        let parent = self.directory(path.parent().unwrap_or(Path::new("/")), 0o755)?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        match rustix::fs::mknodat(&parent, name, FileType::RegularFile, Mode::from_raw_mode(0o644), 0) {
            Ok(()) | Err(Errno::EXIST) => self.open(path.strip_prefix("/").unwrap_or(path)),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a path as a place to mount on.
    fn open(&self, path: impl AsRef<Path>) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        // A path with ".." is refused when anything on the machine was mounted or renamed meanwhile, since the kernel
        // cannot tell any more that it stayed inside. openat2(2), EAGAIN
        for _ in 0..RESOLVE_TRIES {
            match rustix::fs::openat2(self.fd, path.as_ref(), flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                result => return Ok(result?),
            }
        }
        Err(Errno::AGAIN.into())
    }
}

/// Whether a file is there: what `/proc` has depends on the kernel's configuration.
fn exists(folder: impl AsFd, name: &str) -> io::Result<bool> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Hangs a loose mount on a path below `at`; on `at` itself if the path is empty.
fn attach(tree: impl AsFd, at: impl AsFd, path: &str) -> rustix::io::Result<()> {
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if path.is_empty() {
        flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    }
    move_mount(tree, "", at, path, flags)
}

fn clone_tree(at: impl AsFd, path: &str) -> rustix::io::Result<OwnedFd> {
    open_tree(at, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
}

/// A new file system, attached nowhere.
fn new_mount(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(&context, *key, *value)?;
    }
    fsconfig_create(&context)?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Makes the overlay the root and lets go of the host's. pivot_root(2), "pivot_root(".", ".")": the old root comes to
/// lie on top of the new one, in the same place, from where it is unmounted.
fn pivot(overlay: &OwnedFd) -> io::Result<()> {
    rustix::process::fchdir(overlay)?;
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir("/")?)
}

fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}
