//! Brings the content of a digest to this machine: in parts where the connection breaks, and believed only when its
//! digest is right.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use fs_err::{File, OpenOptions};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::client::{self, Client};
use super::document::Descriptor;
use crate::lock;

/// How often in a row a connection may break without having brought anything.
const BARREN_MAX: u32 = 3;
/// How often it may break at all.
const BREAKS_MAX: u32 = 50;

/// Why a content is not here.
#[derive(Debug, Error)]
pub enum Error {
    /// The registry did not give it.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The connection broke too often.
    #[error("the connection to the registry broke {times} times, last after {got} of {size} bytes: {source}")]
    Breaks {
        /// How often.
        times: u32,
        /// Bytes that are here, and that a next attempt goes on from.
        got: u64,
        /// Bytes that there are.
        size: u64,
        /// How it broke the last time.
        source: io::Error,
    },
    /// More came than the manifest says.
    #[error("it is larger than the {size} bytes that the manifest says")]
    Larger {
        /// What the manifest says.
        size: u64,
    },
    /// Less came, and there is no more.
    #[error("it has {got} bytes, and the manifest says {size}")]
    Smaller {
        /// What came.
        got: u64,
        /// What the manifest says.
        size: u64,
    },
    /// Something else came than was asked for.
    #[error("what the registry sent has the digest {found}")]
    Lies {
        /// The digest of what came.
        found: String,
    },
    /// It could not be kept.
    #[error("cannot keep it: {0}")]
    Io(#[from] io::Error),
    /// The build was cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// The content as a file in `directory`, whole and true. `told` hears how many bytes are here.
pub(crate) fn fetch(
    client: &Client<'_>,
    wanted: &Descriptor,
    directory: &Path,
    cancel: &AtomicBool,
    told: &mut dyn FnMut(u64),
) -> Result<PathBuf, Error> {
    let name = wanted.digest.trim_start_matches("sha256:");
    let whole = directory.join(name);
    // Two builds that want the same bring it once.
    let lock = lock::acquire(&directory.join(format!(".lock-{name}")), cancel, || {});
    let lock = lock.map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => Error::Cancelled,
        _ => Error::Io(error),
    })?;
    if whole.exists() {
        return Ok(whole);
    }
    let partial = directory.join(format!(".partial-{name}"));
    // A first try may go on from what is no good; a second begins anew.
    let began = partial.metadata().is_ok_and(|meta| meta.len() > 0);
    let found = match bring(client, wanted, &partial, cancel, told)? {
        found if found != wanted.digest && began => bring(client, wanted, &partial, cancel, told)?,
        found => found,
    };
    if found != wanted.digest {
        return Err(Error::Lies { found });
    }
    fs_err::rename(&partial, &whole)?;
    drop(lock);
    Ok(whole)
}

/// Fills `partial` up, and returns its digest; one that is not as wanted is not kept.
fn bring(
    client: &Client<'_>,
    wanted: &Descriptor,
    partial: &Path,
    cancel: &AtomicBool,
    told: &mut dyn FnMut(u64),
) -> Result<String, Error> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(partial)?;
    let (mut hash, mut got) = hashed(&mut file)?;
    let (mut breaks, mut barren) = (0, 0);
    while got < wanted.size {
        let before = got;
        let mut part = Part { file: &mut file, hash: &mut hash, got: &mut got, size: wanted.size };
        let source = match part.receive(client, &wanted.digest, cancel, told) {
            Ok(()) => continue,
            Err(Error::Client(client::Error::Broken(source))) => source,
            Err(Error::Client(client::Error::Unreached(error))) if breaks > 0 || before > 0 => {
                io::Error::other(error)
            }
            Err(error @ Error::Larger { .. }) => {
                fs_err::remove_file(partial)?;
                return Err(error);
            }
            // There is nothing behind what is here (RFC 9110 §15.5.17).
            Err(Error::Client(client::Error::Status { status: 416 })) if got > 0 => {
                fs_err::remove_file(partial)?;
                return Err(Error::Smaller { got, size: wanted.size });
            }
            Err(error) => return Err(error),
        };
        breaks += 1;
        barren = if got > before { 0 } else { barren + 1 };
        tracing::info!(digest = wanted.digest, got, "the connection to a registry broke: {source}");
        if barren == BARREN_MAX || breaks == BREAKS_MAX {
            return Err(Error::Breaks { times: breaks, got, size: wanted.size, source });
        }
    }
    let found = super::digest(hash);
    if got > wanted.size || found != wanted.digest {
        fs_err::remove_file(partial)?;
    }
    Ok(found)
}

/// What is in the file so far.
fn hashed(file: &mut File) -> io::Result<(Sha256, u64)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut got = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hash, got)),
            count => {
                hash.update(&buffer[..count]);
                got += count as u64;
            }
        }
    }
}

struct Part<'a> {
    file: &'a mut File,
    hash: &'a mut Sha256,
    got: &'a mut u64,
    size: u64,
}

impl Part<'_> {
    /// One answer of the registry, until its end.
    fn receive(
        &mut self,
        client: &Client<'_>,
        digest: &str,
        cancel: &AtomicBool,
        told: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        let answer = client.content(digest, *self.got)?;
        let resumed = answer.status().as_u16() == 206
            && answer
                .headers()
                .get("content-range")
                .and_then(|value| value.to_str().ok())
                .is_some_and(|value| value.starts_with(&format!("bytes {}-", self.got)));
        if !resumed {
            // It begins at its start.
            self.file.set_len(0)?;
            *self.hash = Sha256::new();
            *self.got = 0;
        }
        let mut reader = answer.into_body().into_reader();
        let mut buffer = vec![0; 1 << 18];
        loop {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let count = reader.read(&mut buffer).map_err(client::Error::Broken)?;
            if count == 0 {
                break;
            }
            if *self.got + count as u64 > self.size {
                return Err(Error::Larger { size: self.size });
            }
            self.file.write_all(&buffer[..count])?;
            self.hash.update(&buffer[..count]);
            *self.got += count as u64;
            told(*self.got);
        }
        if *self.got < self.size {
            return Err(client::Error::Broken(io::ErrorKind::UnexpectedEof.into()).into());
        }
        Ok(())
    }
}
