//! Finds the Pythons of this machine that the SDK supports, on `PATH` and where pyenv puts them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::run::command;

/// The minor versions of Python 3 that the SDK supports.
const SUPPORTED: std::ops::RangeInclusive<u8> = 9..=14;

/// The supported Pythons besides `own`, as `3.12` and a path, the oldest first.
pub(crate) fn others(own: &str) -> Vec<(String, PathBuf)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let pyenv = pyenv_folders();
    let mut found = Vec::new();
    for wanted in SUPPORTED.map(|minor| format!("3.{minor}")).filter(|version| version != own) {
        let name = format!("python{wanted}");
        // A file of that name may be a stand-in (pyenv's shims) that does not start.
        let runs = |path: &PathBuf| version(path).as_ref() == Some(&wanted);
        if let Some(path) = on_path.iter().chain(&pyenv).map(|folder| folder.join(&name)).find(runs) {
            found.push((wanted, path));
        }
    }
    found
}

/// What Python this is, such as `3.12`; none when it does not start.
pub(crate) fn version(python: &Path) -> Option<String> {
    if !python.is_file() {
        return None;
    }
    let code = "import sys; print('%d.%d' % sys.version_info[:2])";
    let output = command(python).args(["-S", "-c", code]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn pyenv_folders() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(|home: OsString| Path::new(&home).join(".pyenv"));
    let Some(root) = std::env::var_os("PYENV_ROOT").map(PathBuf::from).or(home) else { return Vec::new() };
    let Ok(versions) = fs_err::read_dir(root.join("versions")) else { return Vec::new() };
    let mut folders: Vec<_> = versions.flatten().map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders
}
