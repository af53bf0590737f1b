//! A manifest with the digest of every file, and the content of those that nobody has on disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fs_err as fs;
use pilotlight_api::manifest::{File, Manifest};
use sha2::{Digest as _, Sha256};

use super::Failure;
use crate::exit::UserError;

/// A program as it was read, ready to be sent.
pub(crate) struct Loaded {
    /// What it declares.
    pub(crate) manifest: Manifest,
    /// Files that discovery made (pickled functions), by digest.
    made: BTreeMap<String, Bytes>,
}

impl Loaded {
    /// Gives each file of `manifest` its digest and size.
    pub(crate) fn new(mut manifest: Manifest) -> Result<Self, Failure> {
        let mut made = BTreeMap::new();
        for file in &mut manifest.files {
            let content = match file.content.take() {
                Some(content) => {
                    let bytes = STANDARD.decode(content.expose()).map_err(|error| {
                        let message = format!("the content of `{}` is no base64: {error}", file.remote);
                        failure(UserError { message, hint: None, detail: None }, None)
                    })?;
                    let bytes = Bytes::from(bytes);
                    made.insert(sha256(&bytes), bytes.clone());
                    bytes
                }
                None => fs::read(&file.local).map(Bytes::from).map_err(|error| {
                    let message = format!("cannot read a file of the app: {error}");
                    failure(UserError::new(message, "make it readable, or do not import it"), Some(file))
                })?,
            };
            file.size = Some(content.len() as u64);
            file.digest = Some(sha256(&content));
        }
        Ok(Self { manifest, made })
    }

    /// The content that `digest` names, read again when it lies on disk. `None`: no file has it, or not any more.
    pub(crate) fn content(&self, digest: &str) -> std::io::Result<Option<Bytes>> {
        if let Some(made) = self.made.get(digest) {
            return Ok(Some(made.clone()));
        }
        let Some(file) = self.manifest.files.iter().find(|file| file.digest.as_deref() == Some(digest))
        else {
            return Ok(None);
        };
        let content = fs::read(&file.local)?;
        // Saved again since it was read: the server would refuse it, and the next reload brings the new content.
        Ok((sha256(&content) == digest).then(|| content.into()))
    }

    /// The files on this machine.
    pub(crate) fn local_files(&self) -> impl Iterator<Item = &File> {
        self.manifest.files.iter().filter(|file| !file.local.as_os_str().is_empty())
    }
}

/// SHA-256 of `content` in lower-case hex: how files are named between command and server.
pub(crate) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::with_capacity(64), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

fn failure(error: UserError, file: Option<&File>) -> Failure {
    let files: Vec<PathBuf> = file.map(|file| file.local.clone()).into_iter().collect();
    Failure { error, files }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(files: &serde_json::Value) -> Manifest {
        serde_json::from_value(serde_json::json!({
            "manifest": 1, "sdk": "0", "era": "app", "app": {}, "files": files,
            "python": {"version": "3.11.0", "executable": "/p", "base_prefix": "/"},
        }))
        .unwrap()
    }

    #[test]
    fn made_content_is_digested_and_taken_out() {
        let files = serde_json::json!([{"remote": "/root/f.pickle", "mode": 420, "content": "aGk="}]);
        let loaded = Loaded::new(manifest(&files)).ok().unwrap();
        let [file] = &loaded.manifest.files[..] else { panic!() };
        assert_eq!((file.size, file.content.is_none()), (Some(2), true));
        let digest = file.digest.clone().unwrap();
        assert_eq!(digest, sha256(b"hi"));
        assert_eq!(loaded.content(&digest).unwrap().unwrap(), "hi");
        assert_eq!(loaded.local_files().count(), 0);
    }

    #[test]
    fn a_file_that_was_saved_again_is_not_the_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.py");
        fs::write(&path, "1").unwrap();
        let files = serde_json::json!([{"remote": "/root/x.py", "mode": 420, "local": path}]);
        let loaded = Loaded::new(manifest(&files)).ok().unwrap();
        assert_eq!(loaded.content(&sha256(b"1")).unwrap().unwrap(), "1");
        fs::write(&path, "2").unwrap();
        assert_eq!(loaded.content(&sha256(b"1")).unwrap(), None);
        fs::remove_file(&path).unwrap();
        assert!(loaded.content(&sha256(b"1")).is_err());
        let gone = Loaded::new(manifest(&files)).err().unwrap();
        assert_eq!(gone.files, [path]);
    }
}
