//! `pilotlight image list | build | logs | rm | prune`: what apps run in, on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::time::{SystemTime, UNIX_EPOCH};

use pilotlight_api::client::Client;
use pilotlight_api::images::{BuildLine, ImageSummary, Prune, Removed};
use serde::Serialize;

use super::link::{self, Link};
use super::{follow, other};
use crate::cli::ImageCommand;
use crate::config::Config;
use crate::discover::Loaded;
use crate::exit::{Status, UserError};
use crate::printer::Printer;

/// What `list --json` prints of an image.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    image: &'a ImageSummary,
    /// The names of the apps that use it.
    apps: BTreeSet<String>,
}

/// Runs an `image` command against the daemon, or a server of its own where none runs.
pub(crate) async fn run(config: &Config, command: ImageCommand, printer: &Printer) -> anyhow::Result<Status> {
    if let ImageCommand::Other(words) = command {
        return Ok(other::refuse("image ", &words, printer));
    }
    link::check(config).await?;
    // Before there is a server: what cannot be imported needs none.
    let loaded = match &command {
        ImageCommand::Build { source, .. } => Some(super::load(config, source, printer).await?),
        _ => None,
    };
    let link = Link::open(config, printer).await?;
    let client = &link.client;
    let outcome = match command {
        ImageCommand::List { json } => list(config, client, json, printer).await,
        ImageCommand::Build { json, .. } => {
            build(client, loaded.expect("it was imported above"), json, printer).await
        }
        ImageCommand::Logs { id } => logs(client, &id, printer).await,
        ImageCommand::Rm { ids } => remove(client, &ids, printer).await,
        ImageCommand::Prune { keep, downloads, yes } => {
            let prune = Prune { budget_bytes: keep.unwrap_or(0), downloads };
            self::prune(client, prune, yes, printer).await
        }
        ImageCommand::Other(_) => unreachable!("refused above"),
    };
    link.close().await;
    outcome
}

async fn list(config: &Config, client: &Client, json: bool, printer: &Printer) -> anyhow::Result<Status> {
    let known = client.images().await?;
    let mut apps: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for server in link::servers(config).await {
        for app in server.list().await.unwrap_or_default() {
            for image in app.functions.iter().filter_map(|function| function.image.clone()) {
                apps.entry(image).or_default().insert(app.name.clone());
            }
        }
    }
    let of = |image: &ImageSummary| apps.get(&image.id).cloned().unwrap_or_default();
    if json {
        let reports: Vec<_> = known.images.iter().map(|image| Report { image, apps: of(image) }).collect();
        printer.out(&serde_json::to_string_pretty(&reports)?);
        return Ok(Status::Success);
    }
    if known.images.is_empty() {
        printer.note("No images. `pilotlight serve` and `pilotlight deploy` build them");
    } else {
        let mut rows = vec![["IMAGE", "BASE", "LAYERS", "SIZE", "LAST USED", "APPS"].map(str::to_owned)];
        rows.extend(known.images.iter().map(|image| {
            let apps = Vec::from_iter(of(image)).join(", ");
            let layers = image.layers.to_string();
            [image.id.clone(), image.base.clone(), layers, size(image.bytes), last_used(image), apps]
        }));
        printer.table(&rows);
    }
    let (taken, budget) = (size(known.bytes), size(known.budget_bytes));
    printer.note(&format!("{taken} are taken of the {budget} that images may take"));
    if known.download_bytes > 0 {
        let downloads = size(known.download_bytes);
        printer.note(&format!("{downloads} of downloaded packages are kept for later builds"));
    }
    Ok(Status::Success)
}

async fn build(client: &Client, loaded: Loaded, json: bool, printer: &Printer) -> anyhow::Result<Status> {
    link::upload(client, &loaded, printer).await?;
    let mut stream = client.build_images(loaded.manifest).await?;
    let images = follow::until_built(&mut stream, printer).await?;
    if json {
        printer.out(&serde_json::to_string_pretty(&images)?);
        return Ok(Status::Success);
    }
    for image in images {
        printer.out(&image.id);
    }
    Ok(Status::Success)
}

async fn logs(client: &Client, id: &str, printer: &Printer) -> anyhow::Result<Status> {
    let mut lines = client.image_log(id).await?;
    let mut before = None;
    while let Some(BuildLine { layer, step, line }) = lines.next().await? {
        if before.as_ref() != Some(&layer) {
            printer.note(&format!("── {layer} {}", step.as_deref().unwrap_or("(failed)")));
            before = Some(layer);
        }
        printer.out(&line);
    }
    if before.is_none() {
        printer.note("Its steps printed nothing");
    }
    Ok(Status::Success)
}

async fn remove(client: &Client, ids: &[String], printer: &Printer) -> anyhow::Result<Status> {
    for id in ids {
        tell(&client.remove_image(id).await?, printer);
    }
    Ok(Status::Success)
}

async fn prune(client: &Client, prune: Prune, yes: bool, printer: &Printer) -> anyhow::Result<Status> {
    if !yes {
        if !std::io::stdin().is_terminal() {
            let hint = "add `--yes`: there is nobody here to ask";
            return Err(UserError::new("images that no app uses would be removed", hint).into());
        }
        let question = match prune.budget_bytes {
            0 => "Remove every image that no app uses? [y/N]".to_owned(),
            keep => format!("Remove images that no app uses until {} are taken? [y/N]", size(keep)),
        };
        if !super::asked(printer, &question, false).await? {
            printer.note("Nothing was removed");
            return Ok(Status::Success);
        }
    }
    tell(&client.prune_images(prune).await?, printer);
    Ok(Status::Success)
}

/// Says what was removed: ids as data, the rest for people.
fn tell(removed: &Removed, printer: &Printer) {
    for image in &removed.images {
        printer.out(image);
    }
    printer.note(&format!("{} are free again", size(removed.bytes)));
}

/// When an image was last used, as people say it.
fn last_used(image: &ImageSummary) -> String {
    if image.in_use {
        return "in use".to_owned();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let ago = |count: u64, unit: &str| format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" });
    match now.saturating_sub(image.used_at) {
        0..60 => "just now".to_owned(),
        seconds @ 60..3_600 => ago(seconds / 60, "minute"),
        seconds @ 3_600..86_400 => ago(seconds / 3_600, "hour"),
        seconds => ago(seconds / 86_400, "day"),
    }
}

/// Bytes in the largest unit of which there is one: `312 MiB`, `1.4 GiB`.
#[expect(clippy::cast_precision_loss, reason = "a tenth is shown")]
fn size(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB")];
    match units.iter().find(|(bits, _)| bytes >> bits > 0) {
        Some((20, unit)) => format!("{} {unit}", bytes >> 20),
        Some((bits, unit)) => format!("{:.1} {unit}", bytes as f64 / (1_u64 << bits) as f64),
        None => format!("{} KiB", bytes.div_ceil(1024)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_units_that_people_read() {
        assert_eq!(size(0), "0 KiB");
        assert_eq!(size(1025), "2 KiB");
        assert_eq!(size(312 << 20), "312 MiB");
        assert_eq!(size(1_503_238_554), "1.4 GiB");
    }
}
