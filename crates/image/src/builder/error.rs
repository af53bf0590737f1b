//! Why there is no image, in words that say what to do.

use pilotlight_core::image::PythonVersion;
use pilotlight_core::image::registry::ReferenceError;
use thiserror::Error;

use crate::{base, discovery, process, step, store, tools, tree};

/// Why there is no image.
#[derive(Debug, Error)]
pub enum Error {
    /// `PILOTLIGHT_PYTHON_IMAGE` names no image.
    #[error("PILOTLIGHT_PYTHON_IMAGE names no image of a registry")]
    PythonImage {
        /// What is wrong with it.
        source: ReferenceError,
    },
    /// No base for it.
    #[error(transparent)]
    Base(#[from] base::Error),
    /// The plan installs Debian packages, which the host's userland cannot take.
    #[error(
        "apt_install needs a Debian base, and this image starts from the {used}; \
         apt-get install mmdebstrap on a Debian host with python {python}, or leave apt_install out{}",
        instead(image, why)
    )]
    NeedsDebian {
        /// What it starts from.
        used: String,
        /// The version asked for.
        python: PythonVersion,
        /// The image of a registry that would do; empty for none.
        image: String,
        /// Why that one cannot be had.
        why: Box<str>,
    },
    /// Neither this machine nor a registry has the Python.
    #[error("{own}{}", instead(image, why))]
    NoBase {
        /// The image of a registry that would do.
        image: String,
        /// Why that one cannot be had.
        why: Box<str>,
        /// Why this machine cannot make one.
        own: Box<base::Error>,
    },
    /// The plan does to its root file system what would here be done to the machine.
    #[error("`{step}` needs the sandbox, since without it there is only this machine; leave it out")]
    NeedsSandbox {
        /// The step in a few words.
        step: String,
    },
    /// Installing on the host failed.
    #[error("the build step `{text}` failed")]
    OnHost {
        /// The step in a few words.
        text: String,
        /// What happened.
        #[source]
        source: process::Error,
    },
    /// uv could not be brought.
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// A step failed.
    #[error("the build step `{text}` failed")]
    Step {
        /// The step in a few words.
        text: Box<str>,
        /// The first digits of its layer's key, by which its log is found.
        layer: Box<str>,
        /// What happened.
        #[source]
        source: step::Error,
    },
    /// Layers could not be kept.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The discovery environment failed.
    #[error(transparent)]
    Discovery(#[from] discovery::Error),
    /// The user's files could not be laid out.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// A file operation failed; the source names the path.
    #[error("cannot prepare a build step")]
    Io(#[from] std::io::Error),
}

impl Error {
    /// The last lines of output of what failed, for the user; empty when no program failed.
    pub fn tail(&self) -> &[String] {
        use crate::process::Error::Failed;
        match self {
            Self::Step { source: step::Error::Failed { tail, .. }, .. }
            | Self::OnHost { source: Failed { tail, .. }, .. }
            | Self::Base(base::Error::Mmdebstrap(step::Error::Failed { tail, .. }))
            | Self::Tools(tools::Error::Fetch(Failed { tail, .. }))
            | Self::Discovery(
                discovery::Error::Install(Failed { tail, .. })
                | discovery::Error::Tools(tools::Error::Fetch(Failed { tail, .. })),
            ) => tail,
            _ => &[],
        }
    }
}

/// What is said of an image of a registry that would have been taken.
fn instead(image: &str, why: &str) -> String {
    if image.is_empty() {
        return String::new();
    }
    format!("; {image} would do as well, but {why} (PILOTLIGHT_PYTHON_IMAGE names another)")
}
