//! One image builder per local interpreter: the host base shows the interpreter that the user's program runs on.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use pilotlight_api::manifest::Manifest;
use pilotlight_image::{Builder, HostPython, Options};

use super::containers::Containers;
use crate::embedded;

/// Builders by the executable of their interpreter.
pub(crate) struct Builders {
    first: Builder,
    by_python: Mutex<HashMap<PathBuf, Builder>>,
}

impl Builders {
    /// Builders whose steps run in `containers`. Half-built layers of dead servers are removed.
    pub(crate) fn new(state_dir: &Path, containers: &Containers) -> anyhow::Result<Self> {
        let python = HostPython::probe(Path::new("python3"))?;
        let options = Options::new(state_dir.to_owned(), python, embedded::container_files())?;
        let first = Builder::with_steps(options, Arc::new(containers.clone()))?;
        Ok(Self { first, by_python: Mutex::default() })
    }

    /// The builder for programs of the manifest's interpreter. One that is gone from this machine gives way to the
    /// server's own: the image's Python version is what counts.
    pub(crate) fn of(&self, manifest: &Manifest) -> Builder {
        let mut builders = self.by_python.lock().unwrap_or_else(PoisonError::into_inner);
        let python = &manifest.python.executable;
        if let Some(builder) = builders.get(python) {
            return builder.clone();
        }
        let builder = match HostPython::probe(python) {
            Ok(found) => self.first.with_python(found),
            Err(error) => {
                tracing::debug!(python = %python.display(), %error, "not an interpreter of this machine");
                self.first.clone()
            }
        };
        builders.insert(python.clone(), builder.clone());
        builder
    }
}
