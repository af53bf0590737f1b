//! The Python that the binary carries: the SDK and the runner, so that server, command and runner can never disagree.

use std::path::{Path, PathBuf};

use fs_err as fs;
use include_dir::{Dir, File, include_dir};
use pilotlight_image::runner::CodeFile;

static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../python/pilotlight");
static MODAL: &[u8] = include_bytes!("../../../python/modal.py");
static RUNNER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../python/_pilotlight_runner");

/// Every file of the container's code layer.
pub(crate) fn container_files() -> Vec<CodeFile> {
    let mut files = Vec::new();
    collect(&RUNNER, Path::new("_pilotlight_runner"), &mut files);
    collect(&SDK, Path::new("pilotlight"), &mut files);
    files.push((PathBuf::from("modal.py"), MODAL));
    let named = |(path, bytes): (PathBuf, &'static [u8])| CodeFile {
        path: path.to_string_lossy().into_owned(),
        bytes: bytes.into(),
    };
    files.into_iter().map(named).collect()
}

/// Unpacks the SDK for the local interpreter below the state directory, once per content, and returns its path.
pub(crate) fn unpack_sdk(state_dir: &Path) -> anyhow::Result<PathBuf> {
    let mut files = Vec::new();
    collect(&SDK, Path::new("pilotlight"), &mut files);
    files.push((PathBuf::from("modal.py"), MODAL));
    let mut content = Vec::new();
    for (path, bytes) in &files {
        content.extend_from_slice(path.as_os_str().as_encoded_bytes());
        content.push(0);
        content.extend_from_slice(bytes);
    }
    let root = state_dir.join("sdk");
    let target = root.join(pilotlight_core::id::short_hash(&content));
    if target.is_dir() {
        return Ok(target);
    }
    fs::create_dir_all(&root)?;
    let partial = tempfile::tempdir_in(&root)?;
    for (path, bytes) in files {
        let path = partial.path().join(path);
        fs::create_dir_all(path.parent().expect("a file of the SDK has a parent"))?;
        fs::write(path, bytes)?;
    }
    // Another process may have won the race; its copy is the same.
    match fs::rename(partial.path(), &target) {
        Ok(()) => _ = partial.keep(),
        Err(error) if !target.is_dir() => return Err(error.into()),
        Err(_) => {}
    }
    Ok(target)
}

fn collect(dir: &'static Dir<'static>, prefix: &Path, files: &mut Vec<(PathBuf, &'static [u8])>) {
    let wanted = |file: &&File<'_>| !file.path().components().any(|part| part.as_os_str() == "__pycache__");
    files.extend(dir.files().filter(wanted).map(|file| (prefix.join(file.path()), file.contents())));
    for sub in dir.dirs().filter(|dir| dir.path().file_name().is_none_or(|name| name != "__pycache__")) {
        collect(sub, prefix, files);
    }
}
