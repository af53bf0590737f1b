//! What is said about images: what they take on disk, what is removed, what their steps printed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::manifest::Manifest;

/// What images take on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Images {
    /// The images, those that are used first, then by their last use.
    pub images: Vec<ImageSummary>,
    /// What layers, files of versions and uploads take together, bytes; what several images share counts once.
    pub bytes: u64,
    /// What they may take before the least recently used leave, bytes.
    pub budget_bytes: u64,
    /// Packages that were downloaded for builds and are kept for the next ones, bytes.
    pub download_bytes: u64,
}

/// An image, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageSummary {
    /// `im-` and 12 hex digits.
    pub id: String,
    /// What it starts from: `Debian bookworm by mmdebstrap`, `python:3.11-slim`.
    pub base: String,
    /// What its layers take on disk, bytes, those that other images have as well included.
    pub bytes: u64,
    /// What would be free without it, bytes.
    pub own_bytes: u64,
    /// How many layers it has.
    pub layers: usize,
    /// When it was built first, seconds since the epoch.
    pub built_at: u64,
    /// When it was last used, seconds since the epoch.
    pub used_at: u64,
    /// Whether an app, a zygote or a build uses it, of this server or another of the same state directory.
    pub in_use: bool,
}

/// Asks for room on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Prune {
    /// What may be left, bytes: the least recently used leave until it is. What is in use stays.
    #[serde(default)]
    pub budget_bytes: u64,
    /// Whether downloaded packages leave as well, all of them.
    #[serde(default)]
    pub downloads: bool,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Removed {
    /// Ids of images.
    pub images: Vec<String>,
    /// How much is free for it, bytes.
    pub bytes: u64,
}

/// Asks for the images of a program. Answered by a stream of [`Progress`](crate::progress::Progress).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BuildImages {
    /// What the user's file declares, with the digest of every file.
    pub manifest: Manifest,
}

/// A line that a build step printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildLine {
    /// The beginning of the layer's key.
    pub layer: String,
    /// The step in a few words; `null` of one that failed.
    pub step: Option<String>,
    /// The line, without its end.
    pub line: String,
}
