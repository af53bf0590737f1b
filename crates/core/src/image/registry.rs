//! Decides what names an image of a registry, how its credentials are asked for, and what its layers may do.

mod archive;
mod challenge;
mod reference;

use std::fmt;

use super::PythonVersion;

pub use archive::{Budget, Limits, Refusal, Whiteout, place, whiteout};
pub use challenge::Challenge;
pub use reference::{Reference, ReferenceError, is_sha256};

/// `Image.from_registry`: an image of somebody else's making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// Which image.
    pub reference: Reference,
    /// The version of Python to be put into it; its own otherwise.
    pub add_python: Option<PythonVersion>,
    /// Who asks for it; nobody in particular otherwise.
    pub login: Option<Login>,
}

/// A name and a password for a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password, or a token in its place.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}
