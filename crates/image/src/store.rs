//! Layers on disk: `layers/<key>/` holds `fs/`, `meta.json` and `.complete`, or is no layer.
//!
//! A layer is made in a staging directory beside its final place and renamed when it is whole. The lock of its key is
//! held meanwhile, so two servers make it once; a staging directory whose lock nobody holds is the remains of a dead
//! process and is removed when a store is opened.
//!
//! A rename may reach the disk before what was renamed, so after a crash of the machine a layer could be there with
//! empty files. Writing everything out before the rename would make builds wait for the disk; instead `.complete`
//! names the boot it was written in and counts during that boot only, until a thread has brought the layer to the disk
//! and says so with `.durable`.
//!
//! Who uses a layer shares the lock of its key ([`Pins`]), and whoever removes it must hold that lock alone
//! (`docs/design/0021`).

use std::io;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pilotlight_core::image::Key;
use rustix::mount::UnmountFlags;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::lock;
use crate::step::Steps;

const COMPLETE: &str = ".complete";
const DURABLE: &str = ".durable";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const STAGING: &str = ".staging-";
/// Beside a layer: how many bytes it takes.
const SIZE: &str = ".size";
const LOCKS: &str = ".locks";
const LOGS: &str = ".logs";
/// The most of a step's output that is kept.
const LOG_MAX: u64 = 4 << 20;

/// Who waits for what another makes.
mod awaited;
/// What is in use.
mod pins;
/// What of a store is on disk, and who holds it.
mod stock;

use awaited::Awaited;
pub use pins::Pins;
use stock::usage;
pub(crate) use stock::{du, modified, there};

/// Why the store could not be read or written.
#[derive(Debug, Error)]
pub enum Error {
    /// A file operation failed; the source names the path.
    #[error("cannot keep layers")]
    Io(#[from] io::Error),
    /// The build was cancelled while another process was making the layer.
    #[error("cancelled")]
    Cancelled,
}

/// What is written beside a layer, for people and for garbage collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// The step in a few words.
    pub text: String,
    /// The key it was built on, when it was built on something.
    pub parent: Option<String>,
    /// The command that made it, empty for layers made without one.
    pub command: Vec<String>,
    /// How long that took.
    pub seconds: f64,
}

/// The layers of one state directory.
#[derive(Clone)]
pub struct Store {
    root: PathBuf,
    /// Removes what has other owners than this process, which layers have.
    steps: Option<Arc<dyn Steps>>,
    /// Whether layers outlive a crash of the machine; cheap ones are made again.
    durable: bool,
    boot: Arc<[u8]>,
    /// What is found or made through this store stays in use as long as they live.
    pins: Option<Pins>,
    shared: pins::Shared,
    awaited: Awaited,
}

static STAGED: AtomicU64 = AtomicU64::new(0);

impl Store {
    /// Opens `<state_dir>/layers`, making it if needed, and removes what dead processes left half-built.
    pub fn open(state_dir: &Path, steps: Option<Arc<dyn Steps>>) -> Result<Self, Error> {
        Self::open_with(state_dir.join("layers"), true, steps)
    }

    /// The same for another directory of keyed trees.
    pub(crate) fn open_at(root: PathBuf, durable: bool) -> Result<Self, Error> {
        Self::open_with(root, durable, None)
    }

    fn open_with(root: PathBuf, durable: bool, steps: Option<Arc<dyn Steps>>) -> Result<Self, Error> {
        let boot = fs_err::read(BOOT_ID)?.into();
        let store = Self {
            root,
            steps,
            durable,
            boot,
            pins: None,
            shared: pins::Shared::default(),
            awaited: Awaited::default(),
        };
        fs_err::create_dir_all(store.root.join(LOCKS))?;
        fs_err::create_dir_all(store.root.join(LOGS))?;
        // Layers hold set-user-id programs that belong to root and may be anybody's making: on this machine nobody
        // else must reach them.
        fs_err::set_permissions(&store.root, PermissionsExt::from_mode(0o700))?;
        store.sweep()?;
        Ok(store)
    }

    /// The same store, and what keeps all that is found or made through it from being removed.
    pub fn pinning(&self) -> (Self, Pins) {
        let pins = Pins::default();
        (Self { pins: Some(pins.clone()), ..self.clone() }, pins)
    }

    /// The `fs` directory of a layer that is whole.
    pub fn find(&self, key: &Key) -> Option<PathBuf> {
        if !self.is_whole(key) {
            return None;
        }
        // It may be removed before it is pinned.
        let pinned = self.pin_if(key.as_str(), || self.is_whole(key));
        let pinned = pinned.inspect_err(|error| tracing::warn!(%error, "cannot use a layer"));
        pinned.unwrap_or(false).then(|| self.layer(key).join("fs"))
    }

    fn is_whole(&self, key: &Key) -> bool {
        let layer = self.layer(key);
        layer.join(DURABLE).exists()
            || fs_err::read(layer.join(COMPLETE)).is_ok_and(|boot| boot == *self.boot)
    }

    /// Keeps what has this name as long as the pins live. `false` if somebody makes or removes it now.
    pub(crate) fn pin(&self, name: &str) -> io::Result<bool> {
        self.pin_if(name, || true)
    }

    fn pin_if(&self, name: &str, there: impl FnOnce() -> bool) -> io::Result<bool> {
        match &self.pins {
            Some(pins) => pins.pin(&self.shared, &self.lock_path(name), there),
            None => Ok(there()),
        }
    }

    /// As [`Self::pin`], once nobody holds it alone.
    pub(crate) fn pin_soon(&self, name: &str, cancel: &AtomicBool) -> Result<(), Error> {
        while !self.pin(name)? {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            std::thread::park_timeout(lock::RETRY);
        }
        Ok(())
    }

    /// What was written beside a layer.
    pub fn meta(&self, key: &str) -> Option<Meta> {
        let text = fs_err::read(self.root.join(key).join("meta.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The layer `key`, made by `build` unless it is there already; also says whether it was made.
    ///
    /// `build` gets an empty staging directory, must make `fs` in it, and may leave other things there. If it fails
    /// nothing remains. `waiting` is called when another is making the layer. The flag that `build` gets is up when nobody
    /// wants the layer any more: a client that has left does not end what others of this server wait for.
    pub fn make<E: From<Error>>(
        &self,
        key: &Key,
        cancel: &AtomicBool,
        waiting: impl FnOnce(),
        build: impl FnOnce(&Path, &AtomicBool) -> Result<Meta, E>,
    ) -> Result<(PathBuf, bool), E> {
        if let Some(found) = self.find(key) {
            return Ok((found, false));
        }
        let path = self.lock_path(key.as_str());
        let mut wait = None;
        let waits = || {
            wait = Some(self.awaited.enter(key));
            waiting();
        };
        let lock = lock::acquire_or(&path, cancel, waits, || self.find(key)).map_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted { Error::Cancelled } else { Error::Io(error) }
        })?;
        drop(wait);
        let lock = match lock {
            Ok(lock) => lock,
            Err(found) => return Ok((found, false)),
        };
        let made = !self.is_whole(key);
        if made {
            let staging = self.staging(key)?;
            let meta = self.awaited.work(key, cancel, |unwanted| build(&staging.path, unwanted))?;
            self.finish(key, &staging.path, &meta).map_err(Error::Io)?;
        }
        if let Some(pins) = &self.pins {
            pins.keep(&self.shared, &path, lock).map_err(Error::Io)?;
        }
        Ok((self.layer(key).join("fs"), made))
    }

    fn finish(&self, key: &Key, staging: &Path, meta: &Meta) -> io::Result<()> {
        for entry in fs_err::read_dir(staging)? {
            let path = entry?.path();
            if path != staging.join("fs") {
                self.remove(&path)?;
            }
        }
        fs_err::write(staging.join("meta.json"), serde_json::to_vec_pretty(meta)?)?;
        fs_err::write(staging.join(COMPLETE), &self.boot)?;
        let layer = self.layer(key);
        // It was not found, so it is no layer whatever it is; we hold its lock.
        self.remove(&layer)?;
        fs_err::rename(staging, &layer)?;
        if self.durable {
            // Nobody waits for it: a process that ends before it does only costs a rebuild after the next boot.
            std::thread::spawn(move || {
                bring_to_disk(&layer);
                _ = usage(&layer);
            });
        }
        Ok(())
    }

    fn staging(&self, key: &Key) -> Result<Staging, Error> {
        let number = STAGED.fetch_add(1, Ordering::Relaxed);
        let name = format!("{STAGING}{key}-{}-{number}", std::process::id());
        let path = self.root.join(name);
        fs_err::create_dir(&path)?;
        Ok(Staging { path, store: self.clone() })
    }

    fn sweep(&self) -> Result<(), Error> {
        for entry in fs_err::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(key) = name.strip_prefix(STAGING).and_then(|rest| rest.split('-').next()) else {
                continue;
            };
            if let Some(lock) = lock::attempt(&self.lock_path(key))? {
                self.remove(&entry.path())?;
                drop(lock);
            }
        }
        Ok(())
    }

    /// As the function of this name; what this process may not remove is removed by another.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        match (remove(path), &self.steps) {
            (Err(error), Some(steps)) if error.kind() == io::ErrorKind::PermissionDenied => {
                steps.erase(path).map_err(io::Error::other)
            }
            (result, _) => result,
        }
    }

    fn layer(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// The directory of the layers.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The lock of what has this name: a layer's key, an image's id, a cache.
    pub(crate) fn lock_path(&self, name: &str) -> PathBuf {
        self.root.join(LOCKS).join(name)
    }

    /// Where what a step prints is kept, of a layer or of an attempt that failed.
    pub fn log_path(&self, key: &str) -> PathBuf {
        self.root.join(LOGS).join(key)
    }

    /// Begins the log of a step anew.
    pub(crate) fn log(&self, key: &Key) -> Result<Log, Error> {
        let file = fs_err::File::create(self.log_path(key.as_str()))?;
        Ok(Log(Mutex::new((io::BufWriter::new(file), LOG_MAX))))
    }
}

/// What a step prints, kept up to [`LOG_MAX`] bytes. On disk when dropped.
pub(crate) struct Log(Mutex<(io::BufWriter<fs_err::File>, u64)>);

impl Log {
    /// Keeps a line. One that cannot be written is missing in the log and nowhere else.
    pub(crate) fn line(&self, line: &str) {
        let (file, left) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *left == 0 {
            return;
        }
        let length = line.len() as u64 + 1;
        let written =
            if length >= *left { writeln!(file, "… no more is kept") } else { writeln!(file, "{line}") };
        *left = left.saturating_sub(length);
        if let Err(error) = written {
            tracing::debug!(%error, "cannot write the log of a build step");
            *left = 0;
        }
    }
}

fn bring_to_disk(layer: &Path) {
    let synced = fs_err::File::open(layer).and_then(|directory| {
        rustix::fs::syncfs(&directory)?;
        fs_err::write(layer.join(DURABLE), b"")
    });
    if let Err(error) = synced
        && layer.exists()
    {
        tracing::warn!(%error, "cannot bring a layer to the disk; it is built again after the next boot");
    }
}

/// Removed when dropped, which after the rename finds nothing.
struct Staging {
    path: PathBuf,
    store: Store,
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = self.store.remove(&self.path) {
            tracing::warn!(%error, "cannot remove a half-built layer; the next start will");
        }
    }
}

/// Writes a file so that nobody ever sees a part of it.
pub(crate) fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let staging = tempfile::Builder::new().prefix(STAGING).tempfile_in(directory)?;
    fs_err::write(staging.path(), text)?;
    staging.persist(path).map(drop).map_err(|error| error.error)
}

/// Removes a file or tree; nothing there is fine. What is mounted below is let go first and never walked into.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    for mount in mounts_below(path)?.iter().rev() {
        rustix::mount::unmount(mount, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
    }
    let result = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs_err::remove_dir_all(path),
        Ok(_) => fs_err::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Mount points strictly below `path`, in the order in which they were mounted (proc_pid_mountinfo(5)).
fn mounts_below(path: &Path) -> io::Result<Vec<PathBuf>> {
    let table = fs_err::read("/proc/self/mountinfo")?;
    let points =
        table.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    let below = |point: &PathBuf| point.starts_with(path) && point != path;
    Ok(points.map(unescape).filter(below).collect())
}

/// Undoes the octal escapes of white space and backslashes in mountinfo.
fn unescape(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let octal =
            after.get(..3).filter(|digits| first == b'\\' && digits.iter().all(|d| (b'0'..b'8').contains(d)));
        if let Some(digits) = octal {
            bytes.push(
                digits.iter().fold(0_u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')),
            );
            rest = &after[3..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests;
