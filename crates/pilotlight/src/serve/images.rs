//! Images on disk: what is told of them, what is removed, and the task that keeps them within their budget.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use pilotlight_api::error::{ApiError, Code};
use pilotlight_api::images::{BuildLine, ImageSummary, Images, Prune, Removed};
use pilotlight_api::manifest::Manifest;
use pilotlight_image::Builder;
use pilotlight_image::inventory::{Error, Inventory, Listed, StepLog};

use super::apps::Apps;
use super::stored::stored;

/// How often images are looked at though none was built: uploads and files of versions become old as well.
const LOOK_EVERY: Duration = Duration::from_hours(1);

/// What images may take where nothing else is said: a quarter of the file system that holds them.
pub(crate) fn quarter_of_disk(state_dir: &Path) -> u64 {
    let found = rustix::fs::statvfs(state_dir);
    found.map_or(u64::MAX, |disk| disk.f_frsize.saturating_mul(disk.f_blocks) / 4)
}

/// Removes what was used longest ago whenever more was built than there may be, for as long as the server lives.
pub(crate) async fn tend(apps: Apps) {
    loop {
        let budget_bytes = apps.shared().image_bytes;
        match prune(&apps, Prune { budget_bytes, downloads: false }).await {
            Ok(removed) if removed.images.is_empty() && removed.bytes == 0 => {}
            Ok(removed) => {
                tracing::info!(images = ?removed.images, bytes = removed.bytes, "images left the disk");
            }
            Err(error) => tracing::warn!(%error, "cannot keep images within their budget"),
        }
        _ = tokio::time::timeout(LOOK_EVERY, apps.shared().built.notified()).await;
    }
}

/// What images take on disk.
pub(crate) async fn list(apps: &Apps) -> Result<Images, ApiError> {
    let Inventory { images, bytes, downloads } = work(apps, Builder::images).await?;
    let images = images.into_iter().map(|image| {
        let Listed { id, base, bytes, own_bytes, layers, built_at, used_at, in_use } = image;
        ImageSummary { id, base, bytes, own_bytes, layers, built_at, used_at, in_use }
    });
    let budget_bytes = apps.shared().image_bytes;
    Ok(Images { images: images.collect(), bytes, budget_bytes, download_bytes: downloads })
}

/// Removes one image.
pub(crate) async fn remove(apps: &Apps, id: String) -> Result<Removed, ApiError> {
    let removed = work(apps, move |builder| builder.remove_image(&id)).await?;
    Ok(Removed { images: removed.images, bytes: removed.bytes })
}

/// Removes what nobody uses.
pub(crate) async fn prune(apps: &Apps, prune: Prune) -> Result<Removed, ApiError> {
    let uploads = uploads(apps).await?;
    let prune = move |builder: &Builder| {
        let mut removed = builder.prune(prune.budget_bytes, uploads.as_ref())?;
        if prune.downloads {
            removed.bytes += builder.drop_downloads()?;
        }
        Ok(Removed { images: removed.images, bytes: removed.bytes })
    };
    work(apps, prune).await
}

/// What the steps of an image printed.
pub(crate) async fn log(apps: &Apps, id: String) -> Result<Vec<BuildLine>, ApiError> {
    let steps = work(apps, move |builder| builder.image_log(&id)).await?;
    let lines = steps.into_iter().flat_map(|StepLog { layer, text, lines }| {
        lines.into_iter().map(move |line| BuildLine { layer: layer.clone(), step: text.clone(), line })
    });
    Ok(lines.collect())
}

/// The files that deployed apps are made of, which are needed when the server starts again. `None` where not all are
/// known: a server of a command's own remembers no apps, and what is not understood may name any file.
async fn uploads(apps: &Apps) -> Result<Option<HashSet<String>>, ApiError> {
    let Some(store) = apps.shared().store.clone() else { return Ok(None) };
    let deployed = stored(move || store.deployed()).await?;
    let digests = |text: &str| -> Option<Vec<String>> {
        let manifest: Manifest = serde_json::from_str(text).ok()?;
        Some(manifest.all_files().filter_map(|file| file.digest.clone()).collect())
    };
    let all = deployed.iter().map(|app| digests(&app.manifest.as_ref().ok()?.text));
    Ok(all.collect::<Option<Vec<_>>>().map(|digests| digests.into_iter().flatten().collect()))
}

async fn work<T: Send + 'static>(
    apps: &Apps,
    work: impl FnOnce(&Builder) -> Result<T, Error> + Send + 'static,
) -> Result<T, ApiError> {
    let builder = apps.shared().builder.any().clone();
    let done = tokio::task::spawn_blocking(move || work(&builder)).await;
    done.map_err(|panic| ApiError::internal(&panic))?.map_err(|error| match error {
        Error::Unknown(id) => ApiError::no_image(&id),
        Error::InUse(_) => ApiError::new(Code::Conflict, error.to_string()).hint(
            "`pilotlight image list` shows which app uses it; an image is free when the app was stopped or deployed \
             with another",
        ),
        Error::Io(_) => ApiError::internal(&error),
    })
}
