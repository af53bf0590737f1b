//! Typed identifiers. An id is a prefix that names its kind, a dash, and lower-case base32 text.

use std::fmt;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The prefix that every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Makes an id from entropy given by the caller (80 bits are used).
            pub fn from_entropy(entropy: u128) -> Self {
                Self(format!("{}{}", $prefix, base32(entropy)))
            }

            /// Reads an id back from text; `None` if it is not of this kind.
            pub fn parse(text: &str) -> Option<Self> {
                let rest = text.strip_prefix($prefix)?;
                let ok = !rest.is_empty() && rest.bytes().all(|b| ALPHABET.contains(&b));
                ok.then(|| Self(text.to_owned()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// One app: what a file's `App` or `Stub` becomes. Stays the same over versions and reloads.
    AppId, "ap-"
);
text_id!(
    /// One function of one version of an app.
    FunctionId, "fu-"
);
text_id!(
    /// One container. Never reused.
    ContainerId, "co-"
);
text_id!(
    /// One call: a request whose answer is kept for who asks for it later. Who knows it may have the answer.
    CallId, "fc-"
);

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The low 80 bits of `entropy` as 16 characters of lower-case base32 (RFC 4648 alphabet, no padding).
fn base32(entropy: u128) -> String {
    (0..16).rev().map(|i| char::from(ALPHABET[((entropy >> (i * 5)) & 31) as usize])).collect()
}

/// A word that nobody guesses, and that may stand in a host name: 16 characters, made of 80 bits of the caller's entropy.
pub fn secret(entropy: u128) -> String {
    base32(entropy)
}

/// Eight lower-case hex digits that stand for `bytes` (BLAKE3): names that must be short and differ per directory.
pub fn short_hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..8].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back() {
        let id = ContainerId::from_entropy(u128::MAX / 3);
        assert_eq!(ContainerId::parse(id.as_str()), Some(id.clone()));
        assert_eq!(id.as_str().len(), 3 + 16);
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        assert_eq!(AppId::parse("co-abcdef"), None);
        assert_eq!(AppId::parse("ap-"), None);
        assert_eq!(AppId::parse("ap-UPPER"), None);
    }
}
