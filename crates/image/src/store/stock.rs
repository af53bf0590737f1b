//! What of a store is on disk, and its removal.

use std::collections::HashSet;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{LOCKS, LOGS, SIZE, STAGED, STAGING, Store, write_whole};
use crate::lock;

/// Blocks of stat(2), bytes.
const BLOCK: u64 = 512;

/// How long the log of a step that failed is kept.
const STRAY: Duration = Duration::from_hours(7 * 24);

/// A layer on disk.
#[derive(Clone, Debug)]
pub(crate) struct Stocked {
    pub(crate) key: String,
    /// What it takes on disk, bytes.
    pub(crate) bytes: u64,
    pub(crate) holding: Holding,
}

/// Who holds something, and since when nobody does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    /// Seconds since the epoch.
    pub(crate) used_at: u64,
    /// Whether somebody uses, makes or removes it.
    pub(crate) in_use: bool,
}

impl Store {
    /// Every layer that is on disk.
    pub(crate) fn stock(&self) -> io::Result<Vec<Stocked>> {
        let mut stock = Vec::new();
        for entry in fs_err::read_dir(&self.root)? {
            let entry = entry?;
            let Ok(key) = entry.file_name().into_string() else { continue };
            if key.starts_with('.') {
                continue;
            }
            let holding = self.holding(&key)?;
            // One that leaves meanwhile is not there.
            if let Some(bytes) = there(usage(&entry.path()))? {
                stock.push(Stocked { key, bytes, holding });
            }
        }
        Ok(stock)
    }

    /// Who holds what has this name.
    pub(crate) fn holding(&self, name: &str) -> io::Result<Holding> {
        let path = self.lock_path(name);
        let used = there(fs_err::metadata(&path))?.or(there(fs_err::metadata(self.root.join(name)))?);
        let used_at = used.as_ref().map_or(0, modified);
        Ok(Holding { used_at, in_use: lock::attempt(&path)?.is_none() })
    }

    /// Removes a layer and its log unless somebody uses it; whether it did.
    pub(crate) fn take_away(&self, key: &str) -> io::Result<bool> {
        let path = self.lock_path(key);
        let Some(lock) = lock::attempt(&path)? else { return Ok(false) };
        let number = STAGED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let leaving = self.root.join(format!("{STAGING}{key}-{}-{number}", std::process::id()));
        // From here on it is no layer, and what is left of it goes at the next start at the latest.
        if there(fs_err::rename(self.root.join(key), &leaving))?.is_some() {
            self.remove(&leaving)?;
        }
        there(fs_err::remove_file(self.log_path(key)))?;
        lock.retire(&path)?;
        Ok(true)
    }

    /// The keys of the layers, or of attempts to make one, that begin so and have a log.
    pub(crate) fn logs_of(&self, beginning: &str) -> io::Result<Vec<String>> {
        let names = fs_err::read_dir(self.root.join(LOGS))?;
        let names = names.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
        let names = names.filter(|name| name.as_ref().map_or(true, |name| name.starts_with(beginning)));
        names.collect()
    }

    /// Removes old logs and locks of steps that failed.
    pub(crate) fn sweep_strays(&self) -> io::Result<()> {
        let [logs, locks] = [LOGS, LOCKS].map(|name| fs_err::read_dir(self.root.join(name)));
        for entry in logs?.chain(locks?) {
            let entry = entry?;
            let Some(found) = there(entry.metadata())? else { continue };
            let age = found.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
            let name = entry.file_name().to_string_lossy().into_owned();
            // The lock of an image tells when it was used, and goes with it.
            let stray = !name.starts_with("im-") && !self.root.join(&name).exists();
            if stray && age.is_some_and(|age| age > STRAY) {
                self.take_away(&name)?;
            }
        }
        Ok(())
    }
}

/// What a layer takes on disk, bytes: counted once, and written beside it. What this process may not look into, which
/// other owners inside an image can bring about, is left out.
pub(crate) fn usage(layer: &Path) -> io::Result<u64> {
    let known = layer.join(SIZE);
    if let Some(bytes) = std::fs::read_to_string(&known).ok().and_then(|text| text.trim().parse().ok()) {
        return Ok(bytes);
    }
    // Without what is written beside it, by this very function too: who counts at the same time counts the same.
    let bytes = du(&layer.join("fs"))?;
    write_whole(&known, bytes.to_string().as_bytes())?;
    Ok(bytes)
}

/// What lies at a path takes on disk, bytes; 0 if there is nothing.
pub(crate) fn du(path: &Path) -> io::Result<u64> {
    let found = there(fs_err::symlink_metadata(path))?;
    found.map_or(Ok(0), |found| blocks(path, &found, &mut HashSet::new()))
}

fn blocks(path: &Path, found: &Metadata, linked: &mut HashSet<(u64, u64)>) -> io::Result<u64> {
    if found.nlink() > 1 && !found.is_dir() && !linked.insert((found.dev(), found.ino())) {
        return Ok(0);
    }
    let mut bytes = found.blocks() * BLOCK;
    if !found.is_dir() {
        return Ok(bytes);
    }
    for entry in visible(std::fs::read_dir(path))?.into_iter().flatten() {
        let entry = entry?;
        if let Some(found) = visible(entry.metadata())? {
            bytes += blocks(&entry.path(), &found, linked)?;
        }
    }
    Ok(bytes)
}

/// `None` for what this process may not see, and for what vanishes meanwhile.
fn visible<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        found => there(found),
    }
}

/// When a file was last changed, seconds since the epoch.
pub(crate) fn modified(found: &Metadata) -> u64 {
    u64::try_from(found.mtime()).unwrap_or(0)
}

/// `None` for what is not there.
pub(crate) fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
