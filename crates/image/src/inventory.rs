//! What images take on disk, and what of it goes.
//!
//! An image is written down under its name when it is built: its layers, and since when it is there. Whoever uses it
//! holds its [`Pins`](crate::store::Pins); what leaves the disk is decided by core's
//! [`leaving`](pilotlight_core::image::leaving). `docs/design/0021`.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pilotlight_core::image::leaving::{self, Leaving, Made, Piece};
use serde::{Deserialize, Serialize};

use crate::builder::BLOBS;
use crate::lock;
use crate::store::{self, Meta, Store, there};
use crate::tools::Cache;

/// Where images are written down, beside their layers.
const IMAGES: &str = ".images";

/// Held by whoever removes things: one at a time.
const BROOM: &str = "broom";

/// Uploads that are younger may be of a version that is about to be made, and parts of downloads of one under way.
const YOUNG: Duration = Duration::from_hours(1);

/// What is written down of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    /// What it starts from, for people.
    base: String,
    /// The keys of its layers, topmost first.
    layers: Vec<String>,
    /// When it was built first, seconds since the epoch.
    built_at: u64,
}

/// An image on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// `im-` and 12 hex digits.
    pub id: String,
    /// What it starts from, for people.
    pub base: String,
    /// What its layers take on disk, bytes, those that other images have as well included.
    pub bytes: u64,
    /// What would be free without it, bytes: the layers that no other image has.
    pub own_bytes: u64,
    /// How many layers it has.
    pub layers: usize,
    /// When it was built first, seconds since the epoch.
    pub built_at: u64,
    /// When it was last used, seconds since the epoch.
    pub used_at: u64,
    /// Whether an app, a zygote or a build uses it.
    pub in_use: bool,
}

/// All that images take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The images, newest use first.
    pub images: Vec<Listed>,
    /// Layers, files of versions and uploads together, bytes; each counts once.
    pub bytes: u64,
    /// Packages that were downloaded for builds and are kept for the next ones, bytes.
    pub downloads: u64,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Ids of images.
    pub images: Vec<String>,
    /// How much is free for it, bytes.
    pub bytes: u64,
}

/// What a step printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepLog {
    /// The first digits of the layer's key.
    pub layer: String,
    /// The step in a few words; of one that failed its layer alone is known.
    pub text: Option<String>,
    /// The lines, without their ends.
    pub lines: Vec<String>,
}

/// Why an image was not removed or not found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none of this name.
    #[error("there is no image `{0}`")]
    Unknown(String),
    /// Somebody uses it.
    #[error("the image `{0}` is in use")]
    InUse(String),
    /// The disk could not be read or written.
    #[error("cannot look after the images on disk")]
    Io(#[from] io::Error),
}

/// The images, layers and files of a state directory.
pub(crate) struct Stock<'a> {
    pub(crate) state_dir: &'a Path,
    pub(crate) layers: &'a Store,
    pub(crate) trees: &'a Store,
}

/// What lies there, in core's words.
struct Found {
    records: BTreeMap<String, Record>,
    images: Vec<Made>,
    pieces: Vec<Piece>,
}

impl Stock<'_> {
    /// Writes down an image that is there, and that it is used now.
    pub(crate) fn enter(
        &self,
        id: &str,
        base: &str,
        layers: &[PathBuf],
        cancel: &AtomicBool,
    ) -> Result<(), store::Error> {
        self.layers.pin_soon(id, cancel)?;
        let path = self.record_path(id);
        let known = read(&path);
        let key = |fs: &PathBuf| Some(fs.parent()?.file_name()?.to_str()?.to_owned());
        let own = layers.iter().filter(|fs| fs.parent().and_then(Path::parent) == Some(self.layers.root()));
        let record = Record {
            base: base.to_owned(),
            layers: own.filter_map(key).collect(),
            built_at: known.as_ref().map_or_else(now, |known| known.built_at),
        };
        if known.as_ref() == Some(&record) {
            return Ok(());
        }
        fs_err::create_dir_all(self.layers.root().join(IMAGES))?;
        Ok(store::write_whole(&path, &serde_json::to_vec_pretty(&record).map_err(io::Error::from)?)?)
    }

    /// All that is there. Takes a walk through layers that were never measured.
    pub(crate) fn list(&self) -> Result<Inventory, Error> {
        let found = self.look(None)?;
        let size: BTreeMap<&str, u64> =
            found.pieces.iter().map(|piece| (piece.name.as_str(), piece.bytes)).collect();
        let bytes = |names: &[String]| names.iter().filter_map(|name| size.get(name.as_str())).sum();
        let free: Vec<Piece> =
            found.pieces.iter().map(|piece| Piece { in_use: false, ..piece.clone() }).collect();
        let mut images: Vec<Listed> = found
            .images
            .iter()
            .map(|image| {
                let record = &found.records[&image.name];
                Listed {
                    id: image.name.clone(),
                    base: record.base.clone(),
                    bytes: bytes(&image.pieces),
                    own_bytes: bytes(&leaving::alone(image, &found.images, &free)),
                    layers: record.layers.len(),
                    built_at: record.built_at,
                    used_at: image.used_at,
                    in_use: image.in_use,
                }
            })
            .collect();
        images.sort_by_key(|image| (!image.in_use, std::cmp::Reverse(image.used_at)));
        let downloads = Cache::OF_STEPS.iter().map(|cache| store::du(&self.state_dir.join(cache.place())));
        let downloads = downloads.sum::<io::Result<u64>>()?;
        Ok(Inventory { images, bytes: found.pieces.iter().map(|piece| piece.bytes).sum(), downloads })
    }

    /// Removes one image, and of its layers those that no other has.
    pub(crate) fn remove(&self, id: &str) -> Result<Removed, Error> {
        let _broom = self.broom()?;
        let found = self.look(None)?;
        let image = found.images.iter().find(|image| image.name == id);
        let image = image.ok_or_else(|| Error::Unknown(id.to_owned()))?;
        let pieces = leaving::alone(image, &found.images, &found.pieces);
        let removed = self.let_go(&Leaving { images: vec![id.to_owned()], pieces }, &found.pieces)?;
        if removed.images.is_empty() { Err(Error::InUse(id.to_owned())) } else { Ok(removed) }
    }

    /// Removes what nobody uses, least recently used first, until at most `budget` bytes are taken. `uploads` are the
    /// digests of the files that deployed apps are made of; without them no upload is removed.
    pub(crate) fn prune(&self, budget: u64, uploads: Option<&HashSet<String>>) -> Result<Removed, Error> {
        let _broom = self.broom()?;
        let found = self.look(uploads)?;
        let removed = self.let_go(&leaving::leaving(&found.images, &found.pieces, budget), &found.pieces)?;
        self.layers.sweep_strays()?;
        self.trees.sweep_strays()?;
        self.sweep_parts()?;
        Ok(removed)
    }

    /// Removes the packages that were downloaded for builds, those of builds under way excepted.
    pub(crate) fn drop_downloads(&self) -> Result<u64, Error> {
        let mut bytes = 0;
        for cache in Cache::OF_STEPS {
            let path = self.state_dir.join(cache.place());
            let Some(_lock) = lock::attempt(&self.layers.lock_path(&cache.pin()))? else { continue };
            let size = store::du(&path)?;
            self.layers.remove(&path)?;
            bytes += size;
        }
        Ok(bytes)
    }

    /// What the steps of an image printed, from the bottom up; or of one layer, which may have failed.
    pub(crate) fn log(&self, id: &str) -> Result<Vec<StepLog>, Error> {
        let unknown = || Error::Unknown(id.to_owned());
        let keys = if let Some(record) = read(&self.record_path(id)) {
            record.layers.into_iter().rev().collect()
        } else {
            let known = id.len() >= 6 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            let keys = if known { self.layers.logs_of(id)? } else { Vec::new() };
            if keys.is_empty() {
                return Err(unknown());
            }
            keys
        };
        let log = |key: &String| -> io::Result<Option<StepLog>> {
            let Some(text) = there(fs_err::read(self.layers.log_path(key)))? else { return Ok(None) };
            let lines = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
            let text = self.layers.meta(key).map(|Meta { text, .. }| text);
            Ok(Some(StepLog { layer: key.chars().take(12).collect(), text, lines }))
        };
        Ok(keys.iter().filter_map(|key| log(key).transpose()).collect::<io::Result<_>>()?)
    }

    fn look(&self, uploads: Option<&HashSet<String>>) -> Result<Found, Error> {
        let mut records = BTreeMap::new();
        for entry in there(fs_err::read_dir(self.layers.root().join(IMAGES)))?.into_iter().flatten() {
            let entry = entry?;
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
            if let Some((id, record)) = id.zip(read(&entry.path())) {
                records.insert(id.to_owned(), record);
            }
        }
        let made = |(id, record): (&String, &Record)| {
            let holding = self.layers.holding(id)?;
            let pieces = record.layers.iter().map(|key| format!("{LAYERS}{key}")).collect();
            Ok(Made { name: id.clone(), pieces, used_at: holding.used_at, in_use: holding.in_use })
        };
        let images = records.iter().map(made).collect::<io::Result<Vec<_>>>()?;
        let mut pieces = Vec::new();
        for (kind, store) in [(LAYERS, self.layers), (TREES, self.trees)] {
            pieces.extend(store.stock()?.into_iter().map(|layer| Piece {
                name: format!("{kind}{}", layer.key),
                bytes: layer.bytes,
                used_at: layer.holding.used_at,
                in_use: layer.holding.in_use,
            }));
        }
        for entry in there(fs_err::read_dir(self.state_dir.join(BLOBS)))?.into_iter().flatten() {
            let entry = entry?;
            let (Ok(digest), Some(found)) = (entry.file_name().into_string(), there(entry.metadata())?)
            else {
                continue;
            };
            let wanted = uploads.is_none_or(|uploads| uploads.contains(&digest));
            let name = format!("{BLOBS}/{digest}");
            let used_at = store::modified(&found);
            pieces.push(Piece { name, bytes: found.len(), used_at, in_use: wanted || is_young(used_at) });
        }
        Ok(Found { records, images, pieces })
    }

    /// Removes what is to leave, unless somebody has begun to use it.
    fn let_go(&self, leaving: &Leaving, pieces: &[Piece]) -> Result<Removed, Error> {
        let mut removed = Removed::default();
        for id in &leaving.images {
            let path = self.layers.lock_path(id);
            let Some(lock) = lock::attempt(&path)? else { continue };
            there(fs_err::remove_file(self.record_path(id)))?;
            lock.retire(&path)?;
            removed.images.push(id.clone());
        }
        let leaving: HashSet<&String> = leaving.pieces.iter().collect();
        for piece in pieces.iter().filter(|piece| leaving.contains(&piece.name)) {
            let gone = if let Some(key) = piece.name.strip_prefix(LAYERS) {
                self.layers.take_away(key)?
            } else if let Some(key) = piece.name.strip_prefix(TREES) {
                self.trees.take_away(key)?
            } else {
                there(fs_err::remove_file(self.state_dir.join(&piece.name)))?.is_some()
            };
            removed.bytes += if gone { piece.bytes } else { 0 };
        }
        Ok(removed)
    }

    /// Removes what is left of downloads that broke off.
    fn sweep_parts(&self) -> io::Result<()> {
        let parts = self.state_dir.join("registry").join("blobs");
        for entry in there(fs_err::read_dir(parts))?.into_iter().flatten() {
            let entry = entry?;
            if there(entry.metadata())?.is_some_and(|found| !is_young(store::modified(&found))) {
                there(fs_err::remove_file(entry.path()))?;
            }
        }
        Ok(())
    }

    fn broom(&self) -> Result<lock::Lock, Error> {
        Ok(lock::acquire(&self.layers.lock_path(BROOM), &AtomicBool::new(false), || {})?)
    }

    fn record_path(&self, id: &str) -> PathBuf {
        self.layers.root().join(IMAGES).join(format!("{}.json", id.replace('/', "")))
    }
}

/// How the names of pieces begin.
const LAYERS: &str = "layers/";
const TREES: &str = "trees/";

fn read(path: &Path) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn is_young(used_at: u64) -> bool {
    now() < used_at.saturating_add(YOUNG.as_secs())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests;
