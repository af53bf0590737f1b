//! One image builder per local interpreter: the host base shows the interpreter that the user's program runs on.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pilotlight_api::manifest::Manifest;
use pilotlight_image::settings::Settings;
use pilotlight_image::{Builder, HostPython, Options};

use tokio::sync::watch;

use super::containers::Containers;
use crate::config::Config;
use crate::embedded;

/// Interpreters whose builders are kept. Clients name them, so there is no end to their number.
const PYTHONS_MAX: usize = 64;

/// The image builds under way: each ends early when nobody waits for it or the server stops.
#[derive(Default)]
pub(crate) struct Builds(Mutex<Vec<Weak<Cancel>>>);

/// What a build looks at, and by living says that it runs.
pub(crate) struct Cancel {
    flag: AtomicBool,
    ended: watch::Sender<()>,
}

/// Somebody who waits for a build. Dropped, the build is cancelled.
pub(crate) struct Build(Arc<Cancel>);

impl Builds {
    /// Enters a build.
    pub(crate) fn begin(&self) -> Build {
        let cancel = Arc::new(Cancel { flag: AtomicBool::new(false), ended: watch::channel(()).0 });
        let mut builds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        builds.retain(|build| build.strong_count() > 0);
        builds.push(Arc::downgrade(&cancel));
        Build(cancel)
    }

    /// Cancels every build and waits until all have cleaned up and ended.
    pub(crate) async fn stop(&self) {
        let builds = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for build in builds {
            let Some(build) = build.upgrade() else { continue };
            build.flag.store(true, Ordering::Relaxed);
            let mut ended = build.ended.subscribe();
            drop(build);
            // An error: the sender is gone, and the build with it.
            while ended.changed().await.is_ok() {}
        }
    }
}

impl Build {
    /// What the build's thread looks at, for as long as it runs.
    pub(crate) fn cancel(&self) -> Arc<Cancel> {
        Arc::clone(&self.0)
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        self.0.flag.store(true, Ordering::Relaxed);
    }
}

impl std::ops::Deref for Cancel {
    type Target = AtomicBool;

    fn deref(&self) -> &AtomicBool {
        &self.flag
    }
}

/// Builders by the executable of their interpreter; those that were found only.
pub(crate) struct Builders {
    first: Builder,
    by_python: Mutex<HashMap<PathBuf, Builder>>,
}

impl Builders {
    /// Builders whose steps run in `containers`. Half-built layers of dead servers are removed.
    pub(crate) fn new(
        config: &Config,
        python: HostPython,
        settings: Settings,
        containers: &Containers,
    ) -> anyhow::Result<Self> {
        let options = Options::new(config.state_dir.clone(), python, embedded::container_files())?;
        let options = Options { isolation: config.isolation, settings, ..options };
        let first = Builder::with_steps(options, Arc::new(containers.clone()))?;
        Ok(Self { first, by_python: Mutex::default() })
    }

    /// A builder, where the interpreter does not matter.
    pub(crate) fn any(&self) -> &Builder {
        &self.first
    }

    /// The builder for programs of the manifest's interpreter. One that is gone from this machine gives way to the
    /// server's own, until it is there: the image's Python version is what counts. Blocks while an interpreter that
    /// is not known yet is asked; nobody else waits for that.
    pub(crate) fn of(&self, manifest: &Manifest) -> Builder {
        let python = &manifest.python.executable;
        if let Some(builder) = self.by_python().get(python) {
            return builder.clone();
        }
        let found = match HostPython::probe(python) {
            Ok(found) => Some(found),
            // In a directory that this process cannot pass through: the user's own word has to do.
            Err(_) if is_out_of_sight(python) => manifest_python(manifest),
            Err(error) => {
                tracing::debug!(python = %python.display(), %error, "not an interpreter of this machine");
                None
            }
        };
        let Some(found) = found else {
            return self.first.clone();
        };
        let mut builders = self.by_python();
        if builders.len() >= PYTHONS_MAX && !builders.contains_key(python) {
            builders.clear();
        }
        // Of two that asked at once, the first one's builder serves both.
        builders.entry(python.clone()).or_insert_with(|| self.first.with_python(found)).clone()
    }

    fn by_python(&self) -> MutexGuard<'_, HashMap<PathBuf, Builder>> {
        self.by_python.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_out_of_sight(path: &Path) -> bool {
    fs_err::metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// The interpreter as the manifest tells of it.
fn manifest_python(manifest: &Manifest) -> Option<HostPython> {
    let python = &manifest.python;
    let mut numbers = python.version.split('.').map(|number| number.parse().ok());
    let version = (numbers.next()??, numbers.next()??, numbers.next()??);
    // That it has a library of its own does no harm if it is not so.
    let (executable, base_prefix) = (python.executable.clone(), python.base_prefix.clone());
    Some(HostPython { executable, version, base_prefix, shared: true })
}
