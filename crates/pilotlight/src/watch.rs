//! Watches the files that an app is made of, and says which one was saved.
//!
//! What counts as a change is decided by `core::reload`; this module only feeds it events and digests.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use pilotlight_api::manifest::Manifest;
use pilotlight_core::reload::{Content, Debounce, Decision, Event, Watched};
use tokio::sync::mpsc;

/// Events that may wait. When more come at once, those that are dropped are of a file that others name already, or of
/// one that the next save names.
const EVENTS_MAX: usize = 4096;

/// A watch on the files of an app.
pub(crate) struct Watch {
    watcher: RecommendedWatcher,
    events: mpsc::Receiver<Event>,
    folders: BTreeSet<PathBuf>,
    watched: Watched,
    debounce: Debounce,
}

impl Watch {
    /// A watch on nothing.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            for path in event.paths {
                let event = match event.kind {
                    EventKind::Access(_) => continue,
                    EventKind::Remove(_) => Event::Removed(path),
                    _ => Event::Written(path),
                };
                _ = sender.try_send(event);
            }
        })?;
        Ok(Self {
            watcher,
            events,
            folders: BTreeSet::new(),
            watched: Watched::default(),
            debounce: Debounce::default(),
        })
    }

    /// Watches the files of an app that loaded, against the content that was loaded: a save in between is seen.
    pub(crate) fn loaded(&mut self, manifest: &Manifest) {
        let shipped = manifest.files.iter().map(|file| (PathBuf::from(&file.local), file.digest.clone()));
        let known: BTreeSet<PathBuf> = manifest.files.iter().map(|file| PathBuf::from(&file.local)).collect();
        let others = manifest.watch.iter().map(PathBuf::from).filter(|path| !known.contains(path));
        self.watched = Watched::new(shipped.chain(others.map(|path| (path.clone(), content(&path)))));
        self.listen();
        let now = Instant::now();
        for path in known {
            _ = self.debounce.step(now, Event::Written(path));
        }
    }

    /// Watches, beside the files of the last good version, those that a failed attempt saw.
    pub(crate) fn failed(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.watched.failed(files.into_iter().map(|path| (path.clone(), content(&path))));
        self.listen();
    }

    /// Waits until a watched file has new content; gives what to say about it. Cancel safe.
    pub(crate) async fn changed(&mut self) -> (PathBuf, usize) {
        loop {
            let deadline = self.debounce.deadline();
            let event = tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => event,
                    None => std::future::pending().await,
                },
                () = sleep_until(deadline) => Event::Woke,
            };
            let concerns = match &event {
                Event::Written(path) | Event::Removed(path) => self.watched.concerns(path),
                Event::Woke => true,
            };
            if !concerns {
                continue;
            }
            let Some(batch) = self.debounce.step(Instant::now(), event) else { continue };
            let batch = batch.into_iter().map(|path| (path.clone(), content(&path)));
            if let Decision::Reload { named, others } = self.watched.decide(batch) {
                return (named, others);
            }
        }
    }

    /// Listens in exactly the folders that hold watched files.
    fn listen(&mut self) {
        let folders: BTreeSet<PathBuf> = self.watched.folders().into_iter().map(PathBuf::from).collect();
        for gone in self.folders.difference(&folders) {
            _ = self.watcher.unwatch(gone);
        }
        for new in folders.difference(&self.folders) {
            if let Err(error) = self.watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %new.display(), %error, "cannot watch");
            }
        }
        self.folders = folders;
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn content(path: &std::path::Path) -> Content {
    fs_err::read(path).ok().map(|content| crate::discover::sha256(&content))
}
