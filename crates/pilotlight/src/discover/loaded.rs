//! A manifest with the digest of every file.

use std::fmt::Write as _;

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
}

impl Loaded {
    /// Gives each file of `manifest` its digest and size.
    pub(crate) fn new(mut manifest: Manifest) -> Result<Self, Failure> {
        for file in manifest.all_files_mut() {
            let content = fs::read(&file.local).map_err(|error| {
                let message = format!("cannot read a file of the app: {error}");
                let error = UserError::new(message, "make it readable, or do not import it");
                Failure { error, files: vec![file.local.clone()] }
            })?;
            file.size = Some(content.len() as u64);
            file.digest = Some(sha256(&content));
        }
        Ok(Self { manifest })
    }

    /// The content that `digest` names, read again when it lies on disk. `None`: no file has it, or not any more.
    pub(crate) fn content(&self, digest: &str) -> std::io::Result<Option<Bytes>> {
        let Some(file) = self.manifest.all_files().find(|file| file.digest.as_deref() == Some(digest)) else {
            return Ok(None);
        };
        let content = fs::read(&file.local)?;
        // Saved again since it was read: the server would refuse it, and the next reload brings the new content.
        Ok((sha256(&content) == digest).then(|| content.into()))
    }

    /// The files on this machine.
    pub(crate) fn local_files(&self) -> impl Iterator<Item = &File> {
        self.manifest.all_files()
    }
}

/// SHA-256 of `content` in lower-case hex: how files are named between command and server.
pub(crate) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::with_capacity(64), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
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
