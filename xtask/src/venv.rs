//! The virtual environment of the tests: pinned packages, installed by the uv that pilotlight brings.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::run::{check, command, output, say};
use crate::tree::Tree;

/// A Python environment with everything of `tests/requirements.txt`.
pub(crate) struct Venv {
    folder: PathBuf,
    /// The uv that made it.
    pub(crate) uv: PathBuf,
}

impl Venv {
    /// Makes or updates the environment. `binary` is a built pilotlight.
    pub(crate) fn prepare(tree: &Tree, binary: &Path) -> Result<Self> {
        let venv = Self { folder: tree.target.join("test-venv"), uv: find_uv(tree, binary)? };
        venv.filled(Path::new("python3"), &tree.root.join("tests/requirements.txt"))
    }

    /// The same for another Python, with what the SDK's own tests need: `tests/requirements-sdk.txt`.
    pub(crate) fn prepare_sdk(&self, tree: &Tree, python: &Path, name: &str) -> Result<Self> {
        let venv = Self { folder: tree.target.join(format!("test-venv-{name}")), uv: self.uv.clone() };
        venv.filled(python, &tree.root.join("tests/requirements-sdk.txt"))
    }

    /// One with the servers that `tests/http` puts behind the gateway.
    pub(crate) fn prepare_servers(&self, tree: &Tree) -> Result<Self> {
        let venv = Self { folder: tree.target.join("test-venv-servers"), uv: self.uv.clone() };
        venv.filled(Path::new("python3"), &tree.root.join("tests/http/requirements.txt"))
    }

    fn filled(self, python: &Path, requirements: &Path) -> Result<Self> {
        let venv = self;
        let wanted = fs_err::read_to_string(requirements)?;
        let stamp = venv.folder.join("requirements-installed.txt");
        if venv.tool("python").exists() && fs_err::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(venv);
        }
        check(venv.command().args(["venv", "--clear", "--python"]).arg(python).arg(&venv.folder))?;
        check(
            venv.command()
                .args(["pip", "sync", "--require-hashes", "--python"])
                .arg(venv.tool("python"))
                .arg(requirements),
        )?;
        fs_err::write(&stamp, wanted)?;
        Ok(venv)
    }

    /// Puts the packages of `requirements` for another machine's Python of this version into a folder.
    pub(crate) fn install_beside(&self, folder: &Path, python: &str, requirements: &Path) -> Result<()> {
        let mut install = self.command();
        install
            .args(["pip", "install", "--require-hashes", "--python-version", python, "--target"])
            .arg(folder);
        check(install.arg("--requirement").arg(requirements))
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of a program of the environment.
    pub(crate) fn tool(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// `PATH` with the environment's programs and uv first.
    pub(crate) fn path(&self) -> Result<OsString> {
        let rest = env::var_os("PATH").unwrap_or_default();
        let ours = [self.folder.join("bin"), self.uv.parent().unwrap_or(Path::new("/")).to_path_buf()];
        let folders = ours.into_iter().chain(env::split_paths(&rest));
        env::join_paths(folders).context("PATH has a folder with a colon in its name")
    }

    fn command(&self) -> std::process::Command {
        let mut uv = command(&self.uv);
        uv.args(["--quiet", "--no-config"]);
        for (name, value) in index_settings() {
            uv.env(name, value);
        }
        uv
    }
}

/// Whether uv has to come from a built pilotlight.
pub(crate) fn needs_binary() -> bool {
    env::var_os("UV").is_none()
}

/// The uv to use: `$UV` where that is set, else the one that pilotlight fetches.
fn find_uv(tree: &Tree, binary: &Path) -> Result<PathBuf> {
    if let Some(uv) = env::var_os("UV") {
        return Ok(uv.into());
    }
    say("$ pilotlight tool uv");
    let mut tool = command(binary);
    tool.args(["tool", "uv"]);
    if env::var_os("PILOTLIGHT_STATE_DIR").is_none() {
        tool.env("PILOTLIGHT_STATE_DIR", state_dir(tree));
    }
    let printed =
        output(&mut tool).context("pilotlight could not bring uv; `UV=/path/to/uv` names another")?;
    let uv = PathBuf::from(printed.lines().last().unwrap_or_default());
    if !uv.is_file() {
        bail!("`pilotlight tool uv` printed `{printed}`, which is no file");
    }
    Ok(uv)
}

/// A state directory for tests, beside the build: images built once serve later runs.
fn state_dir(tree: &Tree) -> PathBuf {
    tree.target.join("test-state")
}

/// uv's words for the package index settings that pip reads from the environment.
pub(crate) fn index_settings() -> Vec<(&'static str, OsString)> {
    const SAME: &[(&str, &str)] = &[
        ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
        ("PIP_CERT", "SSL_CERT_FILE"),
    ];
    let mut settings = vec![
        // uv brings its own list of authorities; the machine's knows the machine's proxy.
        ("UV_SYSTEM_CERTS", OsString::from("1")),
        ("UV_PYTHON_DOWNLOADS", OsString::from("never")),
    ];
    for (pip, uv) in SAME {
        if let (Some(value), None) = (env::var_os(pip), env::var_os(uv)) {
            settings.push((uv, value));
        }
    }
    settings
}
