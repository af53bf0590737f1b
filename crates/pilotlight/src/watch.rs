//! Watches the files that an app is made of, and says which one was saved.
//!
//! What counts as a change is decided by `core::reload`; this module only feeds it events and digests.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use pilotlight_core::reload::{Content, Debounce, Decision, Event, Watched};
use tokio::sync::mpsc;

use crate::discover::Loaded;

mod scan;

/// Events that may wait. When more come at once, those that are dropped are of a file that others name already, or of
/// one that the next save names.
const EVENTS_MAX: usize = 4096;

/// How often folders are tried again that cannot be watched: no event tells that they are back.
const RETRY: Duration = Duration::from_secs(1);

/// Device and inode of a folder: another one may come to stand at its path.
type Identity = (u64, u64);

/// A watch on the files of an app.
pub(crate) struct Watch {
    watcher: RecommendedWatcher,
    events: mpsc::Receiver<Event>,
    /// The folders that are listened in.
    folders: BTreeMap<PathBuf, Identity>,
    /// The folders that should be, and cannot.
    missing: BTreeSet<PathBuf>,
    retry: Option<Instant>,
    files: BTreeSet<PathBuf>,
    /// The folders whose new files count, those below them included, and what is in them.
    roots: BTreeSet<PathBuf>,
    below: scan::Scan,
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
                    EventKind::Access(AccessKind::Close(AccessMode::Write))
                    | EventKind::Modify(ModifyKind::Name(RenameMode::To) | ModifyKind::Metadata(_)) => {
                        Event::Complete(path)
                    }
                    // Both names of a renaming have an event of their own.
                    EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => continue,
                    EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                        Event::Removed(path)
                    }
                    _ => Event::Written(path),
                };
                _ = sender.try_send(event);
            }
        })?;
        Ok(Self {
            watcher,
            events,
            folders: BTreeMap::new(),
            missing: BTreeSet::new(),
            retry: None,
            files: BTreeSet::new(),
            roots: BTreeSet::new(),
            below: scan::Scan::default(),
            watched: Watched::default(),
            debounce: Debounce::default(),
        })
    }

    /// Watches the files of an app that loaded, against the content that was loaded: a save in between is seen.
    pub(crate) fn loaded(&mut self, loaded: &Loaded) {
        let shipped = loaded.local_files().map(|file| (file.local.clone(), file.digest.clone()));
        let known: BTreeSet<PathBuf> = loaded.local_files().map(|file| file.local.clone()).collect();
        let others = loaded.manifest.watch.iter().filter(|path| !known.contains(*path));
        let others: BTreeSet<PathBuf> = others.cloned().collect();
        self.files = known.union(&others).cloned().collect();
        let roots: BTreeSet<PathBuf> = others.iter().filter(|path| path.is_dir()).cloned().collect();
        // What was in the folders before the app was read, and what is in those that it was not known to have. A file
        // that has come since then has an event.
        let mut beside = std::mem::take(&mut self.below.files);
        beside.extend(scan::scan(roots.difference(&self.roots)).files);
        let beside = beside.difference(&self.files).cloned().collect();
        self.watched =
            Watched::new(shipped.chain(others.into_iter().map(|path| (path.clone(), content(&path)))))
                .with_folders(roots.clone(), beside);
        self.roots = roots;
        self.below = scan::scan(&self.roots);
        _ = self.listen();
        let now = Instant::now();
        for path in known {
            _ = self.debounce.step(now, Event::Complete(path));
        }
    }

    /// Watches, beside the files of the last good version, those that a failed attempt saw.
    pub(crate) fn failed(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let files: Vec<PathBuf> = files.into_iter().collect();
        self.files.extend(files.iter().cloned());
        self.watched.failed(files.into_iter().map(|path| (path.clone(), content(&path))));
        _ = self.listen();
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
                () = sleep_until(self.retry) => {
                    for file in self.listen() {
                        _ = self.debounce.step(Instant::now(), Event::Written(file));
                    }
                    continue;
                }
            };
            let concerns = match &event {
                Event::Written(path) | Event::Complete(path) | Event::Removed(path) => {
                    self.forget(path);
                    self.watched.concerns(path)
                }
                Event::Woke => true,
            };
            if !concerns {
                continue;
            }
            let Some(batch) = self.debounce.step(Instant::now(), event) else { continue };
            if batch.iter().any(|path| path.is_dir()) {
                self.below = scan::scan(&self.roots);
            }
            let again = self.listen();
            let batch = batch.into_iter().chain(again).map(|path| (path.clone(), content(&path)));
            if let Decision::Reload { named, others } = self.watched.decide(batch) {
                self.below = scan::scan(&self.roots);
                return (named, others);
            }
        }
    }

    /// Listens in exactly the folders that hold watched files or may get some, in what stands at their paths now. Gives
    /// the files of the folders that were not listened in before: what happened to them until now is unknown.
    #[must_use]
    fn listen(&mut self) -> Vec<PathBuf> {
        let mut wanted: BTreeSet<PathBuf> = self.watched.folders().into_iter().map(PathBuf::from).collect();
        wanted.extend(self.below.folders.iter().cloned());
        let watcher = &mut self.watcher;
        self.folders.retain(|folder, before| {
            let keep = wanted.contains(folder) && identity(folder).is_some_and(|now| now == *before);
            if !keep {
                _ = watcher.unwatch(folder);
            }
            keep
        });
        let mut missing = BTreeSet::new();
        let mut added = BTreeSet::new();
        for folder in wanted {
            if self.folders.contains_key(&folder) {
                continue;
            }
            // Before the watch: a folder replaced in between is found to be another one the next time.
            let identity = identity(&folder);
            let result = self.watcher.watch(&folder, RecursiveMode::NonRecursive);
            if let (Some(identity), Ok(())) = (identity, &result) {
                added.insert(folder.clone());
                self.folders.insert(folder, identity);
                continue;
            }
            if let Err(error) = result
                && identity.is_some()
                && !self.missing.contains(&folder)
            {
                tracing::warn!(folder = %folder.display(), %error, "cannot watch; trying again");
            }
            missing.insert(folder);
        }
        self.retry = (!missing.is_empty()).then(|| Instant::now() + RETRY);
        self.missing = missing;
        let of_added = |file: &&PathBuf| file.parent().is_some_and(|folder| added.contains(folder));
        let mut files: Vec<PathBuf> = self.files.iter().filter(of_added).cloned().collect();
        for folder in added.intersection(&self.below.folders) {
            files.extend(scan::children(folder).filter(|path| path.is_file()));
        }
        files
    }

    /// Stops to listen in the folder at `path` and in those below, if there are any: one of them was removed, renamed
    /// or put in place, and the watch may be gone or on a folder that is elsewhere now. The batch that this begins
    /// listens again.
    fn forget(&mut self, path: &Path) {
        let from = (Bound::Included(path), Bound::Unbounded);
        let below = self.folders.range::<Path, _>(from).map(|(folder, _)| folder);
        let stale: Vec<PathBuf> = below.take_while(|folder| folder.starts_with(path)).cloned().collect();
        let now = Instant::now();
        for folder in stale {
            _ = self.watcher.unwatch(&folder);
            self.folders.remove(&folder);
            for file in self.files.iter().filter(|file| file.parent() == Some(&folder)) {
                _ = self.debounce.step(now, Event::Removed(file.clone()));
            }
        }
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

fn identity(folder: &Path) -> Option<Identity> {
    fs_err::metadata(folder).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn changed(watch: &mut Watch) -> PathBuf {
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, watch.changed()).await.expect("no change was seen").0
    }

    #[tokio::test]
    async fn folder_that_is_created_again_is_watched_again() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let folder = root.join("a/b");
        let file = folder.join("x.py");
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(&file, "1").unwrap();
        let mut watch = Watch::new().unwrap();
        watch.failed([file.clone()]);

        fs_err::remove_dir_all(root.join("a")).unwrap();
        assert_eq!(changed(&mut watch).await, file);
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(&file, "2").unwrap();
        assert_eq!(changed(&mut watch).await, file);
        // Now by an event of the new folder.
        assert!(watch.folders.contains_key(&folder) && watch.missing.is_empty());
        fs_err::write(&file, "3").unwrap();
        assert_eq!(changed(&mut watch).await, file);
    }

    #[tokio::test]
    async fn folder_that_comes_into_being_later_is_watched_then() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().canonicalize().unwrap().join("later");
        let file = folder.join("x.py");
        let mut watch = Watch::new().unwrap();
        watch.failed([file.clone()]);
        assert!(watch.missing.contains(&folder));
        fs_err::create_dir(&folder).unwrap();
        fs_err::write(&file, "1").unwrap();
        assert_eq!(changed(&mut watch).await, file);
    }

    #[tokio::test]
    async fn new_files_and_folders_in_a_watched_folder_are_seen() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let folder = root.join("data");
        fs_err::create_dir_all(folder.join("sub")).unwrap();
        for name in ["known.txt", "left_out.log"] {
            fs_err::write(folder.join(name), "1").unwrap();
        }
        std::os::unix::fs::symlink(&folder, folder.join("sub/circle")).unwrap();
        let loaded = |files: &[PathBuf]| {
            let files = files.iter().map(|path| json!({"remote": path, "local": path, "mode": 420}));
            let manifest = json!({
                "manifest": 1, "sdk": "0", "era": "app", "app": {}, "watch": [&folder],
                "python": {"version": "3.11.7", "executable": "/p", "base_prefix": "/p"},
                "files": files.collect::<Vec<_>>(),
            });
            Loaded::new(serde_json::from_value(manifest).unwrap()).unwrap()
        };
        let mut watch = Watch::new().unwrap();
        let mut files = vec![folder.join("known.txt")];
        watch.loaded(&loaded(&files));

        // Before what counts, so that it would be seen first.
        for name in ["left_out.log", "__pycache__/x.pyc", "sub/.x.swp"] {
            fs_err::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            fs_err::write(folder.join(name), "2").unwrap();
        }
        for name in ["new.txt", "sub/new.txt", "other/deep/new.txt"] {
            let file = folder.join(name);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(&file, "1").unwrap();
            assert_eq!(changed(&mut watch).await, file);
            files.push(file);
            watch.loaded(&loaded(&files));
        }

        // Written while the app was being read.
        fs_err::write(folder.join("known.txt"), "2").unwrap();
        assert_eq!(changed(&mut watch).await, folder.join("known.txt"));
        fs_err::write(folder.join("late.txt"), "1").unwrap();
        watch.loaded(&loaded(&files));
        assert_eq!(changed(&mut watch).await, folder.join("late.txt"));

        // Moved in as a whole, and gone.
        fs_err::create_dir_all(root.join("ready")).unwrap();
        fs_err::write(root.join("ready/x.txt"), "1").unwrap();
        fs_err::rename(root.join("ready"), folder.join("ready")).unwrap();
        assert_eq!(changed(&mut watch).await, folder.join("ready/x.txt"));
        fs_err::remove_file(folder.join("new.txt")).unwrap();
        assert_eq!(changed(&mut watch).await, folder.join("new.txt"));
    }

    #[tokio::test]
    async fn folder_that_was_swapped_is_read_again() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (folder, other) = (root.join("p"), root.join("q"));
        for (folder, text) in [(&folder, "1"), (&other, "2")] {
            fs_err::create_dir(folder).unwrap();
            fs_err::write(folder.join("x.py"), text).unwrap();
        }
        let file = folder.join("x.py");
        let mut watch = Watch::new().unwrap();
        watch.failed([file.clone(), root.join("main.py")]);
        fs_err::rename(&folder, root.join("old")).unwrap();
        fs_err::rename(&other, &folder).unwrap();
        assert_eq!(changed(&mut watch).await, file);
        fs_err::write(&file, "3").unwrap();
        assert_eq!(changed(&mut watch).await, file);
    }
}
