//! Decides live reload: when a batch of file events is complete, whether it matters, and which file to name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a file that was closed or renamed into place is left alone: who saves several does it in one go.
const COMPLETE: Duration = Duration::from_millis(5);

/// How long to wait for more when a file was written to and may still be open.
const WRITTEN: Duration = Duration::from_millis(30);

/// How long to wait for a file that is gone to come back: many editors save by removing and renaming.
const REMOVED: Duration = Duration::from_millis(240);

/// The content of a file, by digest. `None`: there is no such file.
pub type Content = Option<String>;

/// The files that an app was made from, with the content that was last loaded.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    files: BTreeMap<PathBuf, Content>,
    /// The folders in which a new file counts.
    roots: BTreeSet<PathBuf>,
    /// The files in those folders that were there, and were left out.
    beside: BTreeSet<PathBuf>,
    broken: bool,
}

/// What a batch of events asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing that was loaded has changed.
    Nothing,
    /// Load the app again.
    Reload {
        /// The file to name on the terminal: the first of the batch that changed.
        named: PathBuf,
        /// How many more changed with it.
        others: usize,
    },
}

impl Watched {
    /// The files of an app that loaded, by their resolved paths.
    pub fn new(files: impl IntoIterator<Item = (PathBuf, Content)>) -> Self {
        Self { files: files.into_iter().collect(), ..Self::default() }
    }

    /// Also the folders whose new files count. Those in `beside` are not new: the app that loaded left them out.
    #[must_use]
    pub fn with_folders(self, roots: BTreeSet<PathBuf>, beside: BTreeSet<PathBuf>) -> Self {
        Self { roots, beside, ..self }
    }

    /// The files that an attempt to load saw before it failed. They are added to those of the last good version, and
    /// until the next good one a new Python file beside them counts too: it may be the module that was not found.
    pub fn failed(&mut self, files: impl IntoIterator<Item = (PathBuf, Content)>) {
        self.files.extend(files);
        self.broken = true;
    }

    /// The folders in which to listen for events. A file is watched through its folder, since saving by rename
    /// replaces the file itself.
    pub fn folders(&self) -> BTreeSet<&Path> {
        self.files.keys().filter_map(|file| file.parent()).collect()
    }

    /// Whether an event on `path` may matter, so that its content is worth reading.
    pub fn concerns(&self, path: &Path) -> bool {
        self.files.contains_key(path) || self.may_be_new(path)
    }

    /// Decides about a complete batch: each path with its content now. The new content becomes the loaded one.
    pub fn decide(&mut self, batch: impl IntoIterator<Item = (PathBuf, Content)>) -> Decision {
        let mut changed: Vec<PathBuf> = Vec::new();
        for (path, now) in batch {
            let before = match self.files.get(&path) {
                Some(before) => before,
                None if self.may_be_new(&path) => &None,
                None => continue,
            };
            if *before == now {
                continue;
            }
            self.files.insert(path.clone(), now);
            if !changed.contains(&path) {
                changed.push(path);
            }
        }
        let others = changed.len().saturating_sub(1);
        match changed.into_iter().next() {
            Some(named) => Decision::Reload { named, others },
            None => Decision::Nothing,
        }
    }

    fn may_be_new(&self, path: &Path) -> bool {
        self.broken && self.may_be_missing_module(path) || self.is_below(path) && !self.beside.contains(path)
    }

    fn is_below(&self, path: &Path) -> bool {
        let below = self.roots.iter().any(|root| {
            path.strip_prefix(root).is_ok_and(|inside| {
                let folders = inside.parent().into_iter().flat_map(Path::components);
                !inside.as_os_str().is_empty() && !folders.into_iter().any(|part| is_tools(part.as_ref()))
            })
        });
        below && !is_tools(path) && !is_scratch(path)
    }

    fn may_be_missing_module(&self, path: &Path) -> bool {
        let python = path.extension().is_some_and(|extension| extension == "py");
        python && !is_scratch(path) && path.parent().is_some_and(|folder| self.folders().contains(folder))
    }
}

/// Whether the name is that of a folder or file that tools keep for themselves: nobody edits it to change the app.
pub fn is_tools(path: &Path) -> bool {
    // Those that Modal's watcher leaves out.
    const NAMES: [&str; 13] = [
        "__pycache__",
        ".DS_Store",
        ".git",
        ".hg",
        ".hypothesis",
        ".idea",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".svn",
        ".tox",
        ".venv",
        "node_modules",
    ];
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    let compiled = [".pyc", ".pyo", ".pyd"].iter().any(|ending| name.ends_with(ending));
    NAMES.contains(&name) || compiled || name.starts_with("flycheck_")
}

/// Whether the name is one that editors give to files of their own: swap files, locks and backups.
pub fn is_scratch(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    // `.#x` and `#x#`: Emacs. `x~`, `.x.swp`, `4913`: Vim. `x___jb_tmp___`: the JetBrains editors. `.goutputstream-x`: GLib.
    let swap = [".swp", ".swo", ".swx", ".tmp", ".bak", "___jb_tmp___", "___jb_old___", "~"];
    swap.iter().any(|ending| name.ends_with(ending))
        || name.starts_with(".#")
        || (name.starts_with('#') && name.ends_with('#'))
        || name.starts_with(".goutputstream-")
        || name == "4913"
}

/// What the debounce hears of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A file was written to, or created; whoever does it may not be done.
    Written(PathBuf),
    /// A file is as it shall be: closed after it was written, or renamed into place.
    Complete(PathBuf),
    /// A file was removed or renamed away.
    Removed(PathBuf),
    /// The deadline has come.
    Woke,
}

/// Gathers file events until each of their files has come to rest.
#[derive(Debug, Default)]
pub struct Debounce {
    /// The files in the order they were first seen, and when each is at rest.
    pending: Vec<(PathBuf, Instant)>,
}

impl Debounce {
    /// Takes one event at `now`; gives the batch when it is complete, its paths in the order they were first seen.
    pub fn step(&mut self, now: Instant, event: Event) -> Option<Vec<PathBuf>> {
        let (path, wait) = match event {
            Event::Written(path) => (path, WRITTEN),
            Event::Complete(path) => (path, COMPLETE),
            Event::Removed(path) => (path, REMOVED),
            Event::Woke => {
                self.deadline().filter(|deadline| now >= *deadline)?;
                return Some(self.pending.drain(..).map(|(path, _)| path).collect());
            }
        };
        match self.pending.iter_mut().find(|(pending, _)| *pending == path) {
            Some((_, rest)) => *rest = now + wait,
            None => self.pending.push((path, now + wait)),
        }
        None
    }

    /// When to call `step(now, Event::Woke)`, if nothing else happens.
    pub fn deadline(&self) -> Option<Instant> {
        self.pending.iter().map(|(_, rest)| *rest).max()
    }
}

#[cfg(test)]
mod tests;
