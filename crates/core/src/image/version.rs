//! Decides what counts as a Python version: major and minor, a patch number is dropped as Modal does.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A minor release of Python, such as 3.11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PythonVersion {
    /// 3 for every supported one.
    pub major: u8,
    /// 11 in 3.11.
    pub minor: u8,
}

/// Why a text is not a version we can serve.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VersionError {
    /// The text does not look like `3.11` or `3.11.7`.
    #[error("{text:?} is not a Python version; write it like \"3.11\"")]
    Malformed {
        /// What was given.
        text: String,
    },
    /// A real version for which there is no runner.
    #[error("python {version} is not supported; choose 3.9 to 3.14")]
    Unsupported {
        /// What was asked for.
        version: PythonVersion,
    },
}

impl PythonVersion {
    /// The oldest version the runner works with.
    pub const OLDEST: Self = Self::new(3, 9);
    /// The newest version there are locked runner packages for.
    pub const NEWEST: Self = Self::new(3, 14);

    /// A version from its numbers, unchecked.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }

    /// This version, when a runner exists for it.
    pub fn supported(self) -> Result<Self, VersionError> {
        if (Self::OLDEST..=Self::NEWEST).contains(&self) {
            Ok(self)
        } else {
            Err(VersionError::Unsupported { version: self })
        }
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for PythonVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let malformed = || VersionError::Malformed { text: text.to_owned() };
        let mut parts = text.trim().split('.');
        let mut number = || parts.next().and_then(|part| part.parse().ok()).ok_or_else(malformed);
        let version = Self::new(number()?, number()?);
        match (parts.next(), parts.next()) {
            (None, _) => Ok(version),
            (Some(patch), None) if patch.starts_with(|c: char| c.is_ascii_digit()) => Ok(version),
            _ => Err(malformed()),
        }
    }
}
