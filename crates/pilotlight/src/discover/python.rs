//! The local interpreter: which one, and what it finds.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use pilotlight_core::image::Era;

use crate::exit::UserError;
use crate::reference::Reference;

/// Runs the SDK's discovery without the working directory on `sys.path`: a user's `pilotlight/` must not shadow ours.
///
/// The manifest holds secrets, so it goes through a pipe and never to a disk. The pipe comes as standard input, which
/// needs no number of its own; it is moved away before the user's code runs, for which standard input is empty. The
/// copy is not inherited by programs that the user's code starts (PEP 446), so that the pipe ends with the process.
pub(super) const ENTRY: &str = "import os, sys; sys.path[:1] = []; pipe = os.dup(0); \
     null = os.open(os.devnull, os.O_RDONLY); os.dup2(null, 0); os.close(null); \
     from pilotlight._discover import main; \
     sys.exit(main(['--notes', '--output', f'/dev/fd/{pipe}', *sys.argv[1:]]))";

/// The same in forks of a process that imports ahead. What comes as standard input is its socket.
pub(super) const WARM_ENTRY: &str = "import os, sys; sys.path[:1] = []; pipe = os.dup(0); \
     null = os.open(os.devnull, os.O_RDONLY); os.dup2(null, 0); os.close(null); \
     from pilotlight import _warm; pipe = _warm.serve(pipe); del _warm; from pilotlight._discover import main; \
     sys.exit(main(['--notes', '--output', f'/dev/fd/{pipe}', *sys.argv[1:]]))";

/// Runs the `main` of a module of the SDK, the working directory not on `sys.path`, for the same reason.
pub(super) fn entry(module: &str) -> String {
    format!("import sys; sys.path[:1] = []; from {module} import main; sys.exit(main(sys.argv[1:]))")
}

/// The interpreter to import the file with: as asked, else the active environment's, else `python3` on PATH.
pub(super) fn find(asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(python) = asked {
        if python.components().count() > 1 && !python.exists() {
            return Err(UserError::new(
                format!("there is no Python at `{}`", python.display()),
                "give the path of an interpreter, or leave `--python` out",
            )
            .into());
        }
        return Ok(python.to_owned());
    }
    if let Some(environment) = std::env::var_os("VIRTUAL_ENV") {
        let python = Path::new(&environment).join("bin/python");
        if python.exists() {
            return Ok(python);
        }
    }
    // Installed by pip, the command stands beside the interpreter that it belongs to.
    if let Some(python) = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("python")))
        && python.exists()
    {
        return Ok(python);
    }
    Ok(PathBuf::from("python3"))
}

/// Which generation of the API the program uses, read off its source. A program that cannot be read is today's.
pub(super) fn era(python: &Path, sdk: &Path, reference: &Reference) -> Era {
    let output = std::process::Command::new(python)
        .args(["-c", &entry("pilotlight._discover"), "--era"])
        .args(reference.arguments())
        .env("PYTHONPATH", path(sdk))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    match output {
        Ok(output) if output.stdout.starts_with(b"stub") => Era::Stub,
        _ => Era::App,
    }
}

/// `PYTHONPATH`: the SDK before whatever the user has there.
pub(super) fn path(sdk: &Path) -> OsString {
    let mut path = sdk.as_os_str().to_owned();
    if let Some(own) = std::env::var_os("PYTHONPATH").filter(|own| !own.is_empty()) {
        path.push(":");
        path.push(own);
    }
    path
}

/// The interpreter did not start.
pub(super) fn cannot_run(python: &Path, error: &dyn std::fmt::Display) -> UserError {
    UserError::new(
        format!("cannot use the Python interpreter `{}`: {error}", python.display()),
        "install Python 3.9 or newer, or name one with `--python`",
    )
}
