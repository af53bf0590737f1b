//! Seals manifests that hold secrets: who copies the database, or a backup of it, cannot read them without the key file.
//!
//! XChaCha20-Poly1305 with a random nonce, which is long enough never to repeat by chance. App and version are
//! authenticated with the text, so that a row cannot pass for another one. Sealed, format 1:
//!
//! ```text
//! 1 byte: the format, 1 | 8 bytes: which key | 24 bytes: nonce | text and tag
//! ```
//!
//! The key file is text, so that it can be put into a password safe. It is made when the first secret is sealed and
//! never written again. Losing it costs a deploy of each app that has secrets, and nothing else.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead as _, Generate as _, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};
use fs_err as fs;
use sha2::{Digest as _, Sha256};

/// The first byte of what this module seals.
const FORMAT: u8 = 1;

/// How many bytes tell which key sealed something. They tell nothing about the key.
const MARK_BYTES: usize = 8;

/// The length of a nonce (draft-irtf-cfrg-xchacha §2.3).
const NONCE_BYTES: usize = 24;

/// What the key file begins with.
const TITLE: &str = "pilotlight key 1: keep this file as secret as the secrets it seals";

/// The longest key file that is read.
const FILE_BYTES_MAX: u64 = 4096;

/// Why something could not be sealed or opened. Each says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no key file, though something was sealed.
    #[error("its secrets are sealed, and the key file {} is gone: put it back, or deploy the app again", path.display())]
    Missing {
        /// Where the file should be.
        path: PathBuf,
    },
    /// The key file has another key than the one that sealed.
    #[error(
        "its secrets were sealed with another key than that of {}: put the right file back, or deploy the app again",
        path.display()
    )]
    Other {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the key file.
    #[error(
        "the key file {} can be read by others than its owner (mode {mode:o}): `chmod 600` it, and \
         change the secrets of your apps if somebody may have read it",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What stands in the key file is no key.
    #[error(
        "the file {} holds no key of pilotlight: put the right file back, or move it away and deploy the apps \
         that have secrets again",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot use the key file {}: {problem}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// What was sealed has been changed, belongs to another version, or has a format of the future.
    #[error("its sealed manifest is damaged or of a newer pilotlight: deploy the app again")]
    Damaged,
}

/// Seals and opens with the key of one file.
#[derive(Clone, Debug)]
pub(crate) struct Sealer {
    path: PathBuf,
}

/// What a sealed text belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    pub(crate) app: &'a str,
    pub(crate) version: u32,
}

impl Owner<'_> {
    /// The data that is authenticated with the text. No app id holds a NUL.
    fn data(self) -> Vec<u8> {
        format!("pilotlight manifest\0{}\0{}", self.app, self.version).into_bytes()
    }
}

impl Sealer {
    /// A sealer with the key file at `path`, which need not be there.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Seals `text`; makes the key file if there is none.
    pub(crate) fn seal(&self, owner: Owner<'_>, text: &str) -> Result<Vec<u8>, Error> {
        let key = match self.read()? {
            Some(key) => key,
            None => self.make()?,
        };
        let nonce = XNonce::generate();
        let payload = Payload { msg: text.as_bytes(), aad: &owner.data() };
        let sealed = XChaCha20Poly1305::new(&key).encrypt(&nonce, payload).map_err(|_| Error::Damaged)?;
        Ok([&[FORMAT][..], &mark(&key), &nonce, &sealed].concat())
    }

    /// Opens what [`seal`](Self::seal) sealed for the same owner.
    pub(crate) fn open(&self, owner: Owner<'_>, sealed: &[u8]) -> Result<String, Error> {
        let (format, rest) = sealed.split_first().ok_or(Error::Damaged)?;
        if *format != FORMAT || rest.len() < MARK_BYTES + NONCE_BYTES {
            return Err(Error::Damaged);
        }
        let (marked, rest) = rest.split_at(MARK_BYTES);
        let (nonce, text) = rest.split_at(NONCE_BYTES);
        let key = self.read()?.ok_or_else(|| Error::Missing { path: self.path.clone() })?;
        if marked != mark(&key) {
            return Err(Error::Other { path: self.path.clone() });
        }
        let nonce = XNonce::try_from(nonce).map_err(|_| Error::Damaged)?;
        let payload = Payload { msg: text, aad: &owner.data() };
        let text = XChaCha20Poly1305::new(&key).decrypt(&nonce, payload).map_err(|_| Error::Damaged)?;
        String::from_utf8(text).map_err(|_| Error::Damaged)
    }

    /// The key of the file; `None` if there is no file.
    fn read(&self) -> Result<Option<Key>, Error> {
        let mut file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.io(&error)),
        };
        let mode = file.metadata().map_err(|error| self.io(&error))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::Open { path: self.path.clone(), mode });
        }
        let mut text = Vec::new();
        (&mut file).take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(|error| self.io(&error))?;
        let key = parse(&text).ok_or_else(|| Error::Malformed { path: self.path.clone() })?;
        Ok(Some(key))
    }

    /// Makes the key file, or reads that of a process which was faster. It is never there in part.
    fn make(&self) -> Result<Key, Error> {
        let key = Key::generate();
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        let written = (|| {
            // Made with mode 0600; and put in place by a link, which does not replace a key made meanwhile.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(format!("{TITLE}\n{}\n", hex(&key)).as_bytes())?;
            file.as_file().sync_all()?;
            file.persist_noclobber(&self.path)?;
            fs::File::open(folder)?.sync_all()
        })();
        match written {
            Ok(()) => Ok(key),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                self.read()?.ok_or_else(|| Error::Missing { path: self.path.clone() })
            }
            Err(error) => Err(self.io(&error)),
        }
    }

    fn io(&self, error: &std::io::Error) -> Error {
        Error::Io { path: self.path.clone(), problem: error.to_string() }
    }
}

/// Tells keys apart without telling anything about them.
fn mark(key: &Key) -> [u8; MARK_BYTES] {
    let digest = Sha256::new().chain_update(b"pilotlight key mark").chain_update(key).finalize();
    let mut mark = [0; MARK_BYTES];
    mark.copy_from_slice(&digest[..MARK_BYTES]);
    mark
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}

/// The key in a key file's text.
fn parse(text: &[u8]) -> Option<Key> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix(TITLE)?.trim();
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = Key::default();
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests;
