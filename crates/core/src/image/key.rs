//! Decides the identity of a layer: a BLAKE3 hash over fields that are each prefixed with their length.

use std::fmt;

/// The name of a layer: 64 lower-case hex digits.
///
/// Two layers with the same key are interchangeable. The length prefixes keep `["ab", "c"]` and `["a", "bc"]` apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// The key of `fields` within `domain`; a domain names a kind of content and the version of its format.
    pub fn of<I>(domain: &str, fields: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut hasher = blake3::Hasher::new();
        add(&mut hasher, domain.as_bytes());
        for field in fields {
            add(&mut hasher, field.as_ref());
        }
        Self(hasher.finalize().to_hex().to_string())
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for names that people read.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn add(hasher: &mut blake3::Hasher, field: &[u8]) {
    hasher.update(&(field.len() as u64).to_le_bytes());
    hasher.update(field);
}
