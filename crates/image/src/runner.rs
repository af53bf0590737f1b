//! Decides what the runner's two layers hold: its locked dependencies, and its code with the SDK.
//!
//! They lie beside the image's own packages, so that user code sees only the image's versions. Both are keyed by
//! content and Python version, hence shared by all images of that version.

use std::borrow::Cow;
use std::path::Path;

use pilotlight_core::image::{Key, PythonVersion, UV};

/// Where the runner's dependencies are inside.
pub const DEPS: &str = "/opt/pilotlight/deps";
/// Where the runner's package is inside; on `PYTHONPATH` of the runner.
pub const LIB: &str = "/opt/pilotlight/lib";
/// Where `pilotlight` and `modal` are inside.
pub const SDK: &str = "/opt/pilotlight/sdk";
/// Where a build step finds what it works on; part of no layer.
pub(crate) const INPUT: &str = "/opt/pilotlight/build";

/// Hash-locked lists by minor version of Python 3, made as `locks/README.md` says.
const LOCKS: &[(u8, &str)] = &[
    (9, include_str!("../locks/runner-py39.txt")),
    (10, include_str!("../locks/runner-py310.txt")),
    (11, include_str!("../locks/runner-py311.txt")),
    (12, include_str!("../locks/runner-py312.txt")),
    (13, include_str!("../locks/runner-py313.txt")),
    (14, include_str!("../locks/runner-py314.txt")),
];

/// One file of the runner or the SDK, as the binary embeds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeFile {
    /// Relative to the python directory of the repository: `_pilotlight_runner/__main__.py`, `modal.py`.
    pub path: String,
    /// Its content.
    pub bytes: Cow<'static, [u8]>,
}

/// The locked list for `python`.
pub(crate) fn lock(python: PythonVersion) -> Option<&'static str> {
    LOCKS.iter().find(|(minor, _)| python == PythonVersion::new(3, *minor)).map(|(_, list)| *list)
}

/// Compiled packages are for one C library, and for its version as long as that is not the host's own.
pub(crate) fn deps_key(python: PythonVersion, libc: &str, lock: &str) -> Key {
    Key::of("pilotlight runner deps 2", [std::env::consts::ARCH, libc, &python.to_string(), lock])
}

/// Installs [`INPUT`]`/runner.txt`. Wheels only: the hashes are of wheels, and images have no compiler.
pub(crate) fn deps_command(python: PythonVersion) -> Vec<String> {
    let interpreter = format!("/opt/python/bin/python{python}");
    let list = format!("{INPUT}/runner.txt");
    let argv = [UV, "pip", "install", "--python", &interpreter, "--target", DEPS, "--require-hashes"];
    let more = ["--only-binary", ":all:", "--no-deps", "--compile-bytecode", "-r", &list];
    argv.into_iter().chain(more).map(str::to_owned).collect()
}

pub(crate) fn code_key(python: PythonVersion, files: &[CodeFile]) -> Key {
    let version = python.to_string();
    let fields = files.iter().flat_map(|file| [file.path.as_bytes(), &file.bytes[..]]);
    Key::of("pilotlight code 1", [version.as_bytes()].into_iter().chain(fields))
}

/// Copies [`INPUT`]`/code` into place and compiles it.
///
/// Unchecked: the layer never changes, so the interpreter need not look at the sources' times at every start.
pub(crate) fn code_command(python: PythonVersion) -> Vec<String> {
    let script = format!(
        "cp -R {INPUT}/code/. /opt/pilotlight/ && \
         /opt/python/bin/python{python} -I -S -m compileall -q --invalidation-mode unchecked-hash {LIB} {SDK}"
    );
    ["/bin/sh", "-ec", &script].map(str::to_owned).to_vec()
}

/// Writes `files` as [`code_command`] expects them, below the layer `input`.
pub(crate) fn write_code(input: &Path, files: &[CodeFile]) -> std::io::Result<()> {
    let code = input.join(INPUT.trim_start_matches('/')).join("code");
    for name in ["lib", "sdk"] {
        fs_err::create_dir_all(code.join(name))?;
    }
    for file in files {
        let place = if file.path.starts_with("_pilotlight_runner/") { "lib" } else { "sdk" };
        let to = code.join(place).join(&file.path);
        fs_err::create_dir_all(to.parent().expect("a joined path has a parent"))?;
        fs_err::write(to, &file.bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &'static str) -> CodeFile {
        CodeFile { path: path.to_owned(), bytes: text.as_bytes().into() }
    }

    #[test]
    fn every_supported_version_has_a_locked_list_with_the_server() {
        for minor in PythonVersion::OLDEST.minor..=PythonVersion::NEWEST.minor {
            let list = lock(PythonVersion::new(3, minor)).unwrap();
            for name in ["uvicorn", "h11", "a2wsgi", "click", "httptools", "uvloop", "cloudpickle"] {
                assert!(
                    list.lines().any(|line| line.starts_with(&format!("{name}=="))),
                    "{name} for 3.{minor}"
                );
            }
            assert!(list.contains("--hash=sha256:"));
        }
        assert_eq!(lock(PythonVersion::new(3, 8)), None);
    }

    #[test]
    fn keys_follow_content_and_version() {
        let (old, new) = (PythonVersion::new(3, 11), PythonVersion::new(3, 12));
        let files = [file("modal.py", "a")];
        assert_ne!(code_key(old, &files), code_key(new, &files));
        assert_ne!(code_key(old, &files), code_key(old, &[file("modal.py", "b")]));
        assert_ne!(deps_key(old, "glibc", "a"), deps_key(old, "glibc", "b"));
        assert_ne!(deps_key(old, "glibc", "a"), deps_key(old, "musl", "a"));
    }

    #[test]
    fn the_runner_and_the_sdk_lie_apart() {
        let dir = tempfile::tempdir().unwrap();
        let files = [file("_pilotlight_runner/__main__.py", "r"), file("modal.py", "m")];
        write_code(dir.path(), &files).unwrap();
        let code = dir.path().join("opt/pilotlight/build/code");
        assert!(code.join("lib/_pilotlight_runner/__main__.py").is_file());
        assert!(code.join("sdk/modal.py").is_file());
        assert!(!code.join("sdk/_pilotlight_runner").exists());
    }
}
