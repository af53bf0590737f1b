//! Reads the user's file: runs the SDK's discovery in the local interpreter and takes its manifest.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fs_err as fs;
use pilotlight_api::manifest::Manifest;
use pilotlight_core::image::Era;
use pilotlight_image::step::{self, Request, Steps};
use pilotlight_image::{Builder, HostPython};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::cli::Source;
use crate::config::Config;
use crate::embedded;
use crate::exit::UserError;

/// Runs the SDK's discovery without the working directory on `sys.path`: a user's `pilotlight/` must not shadow ours.
const ENTRY: &str =
    "import sys; sys.path[:1] = []; from pilotlight._discover import main; sys.exit(main(sys.argv[1:]))";

/// How long importing the user's file may take before it counts as hanging.
const IMPORT_LIMIT: std::time::Duration = std::time::Duration::from_mins(5);

/// The local interpreter with everything that a discovery needs, made once per command.
pub(crate) struct Discovery {
    python: PathBuf,
    sdk: PathBuf,
    file: String,
    environment: PathBuf,
    front: bool,
}

/// Why a file gave no manifest, with the files to watch until it does.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What to tell the user.
    pub(crate) error: UserError,
    /// Files that were seen before the failure.
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalBody,
}

#[derive(Deserialize)]
struct RefusalBody {
    message: String,
    hint: Option<String>,
    traceback: Option<String>,
    #[serde(default)]
    files: Vec<PathBuf>,
}

impl Discovery {
    /// Finds the interpreter and the discovery environment for `source`. Blocks for seconds when nothing is cached.
    pub(crate) fn prepare(
        config: &Config,
        source: &Source,
        progress: &dyn pilotlight_image::Progress,
        cancel: &AtomicBool,
    ) -> anyhow::Result<Self> {
        let file = source.file.split("::").next().unwrap_or(&source.file);
        if !Path::new(file).is_file() {
            let here = std::env::current_dir().unwrap_or_default();
            return Err(UserError::new(
                format!("there is no file `{file}`"),
                format!("check the path; it is taken from {}", here.display()),
            )
            .into());
        }
        let python = local_python(source.python.as_deref())?;
        let host = HostPython::probe(&python).map_err(|error| {
            UserError::new(
                format!("cannot use the Python interpreter `{}`: {error}", python.display()),
                "install Python 3.9 or newer, or name one with `--python`",
            )
        })?;
        let sdk = embedded::unpack_sdk(&config.state_dir)?;
        let era = sniff_era(&python, &sdk, &source.file);
        let options = pilotlight_image::Options::new(config.state_dir.clone(), host, Vec::new())
            .map_err(|error| image_error(&error))?;
        let environment = Builder::with_steps(options, Arc::new(NoSteps))
            .and_then(|builder| builder.discovery(era, progress, cancel))
            .map_err(|error| image_error(&error))?;
        Ok(Self { python, sdk, file: source.file.clone(), environment, front: era == Era::Stub })
    }

    /// Imports the file and returns its manifest, each file with its digest.
    pub(crate) async fn run(&self) -> anyhow::Result<Result<Manifest, Failure>> {
        let scratch = tempfile::tempdir()?;
        let output = scratch.path().join("manifest.json");
        let mut command = tokio::process::Command::new(&self.python);
        command.args(["-c", ENTRY, "--output"]).arg(&output).arg(&self.file).stdin(Stdio::null());
        command.env("PYTHONPATH", python_path(&self.sdk)).env("PILOTLIGHT_DISCOVERY_PATH", &self.environment);
        command.kill_on_drop(true);
        if self.front {
            command.env("PILOTLIGHT_DISCOVERY_FRONT", "1");
        }
        let mut child = command.spawn().map_err(|error| cannot_run(&self.python, &error))?;
        let Ok(status) = tokio::time::timeout(IMPORT_LIMIT, child.wait()).await else {
            return Ok(Err(self.failure(
                format!("importing `{}` took more than {} s", self.file, IMPORT_LIMIT.as_secs()),
                "move work that waits or loops forever out of the module's top level",
            )));
        };
        let status = status?;
        let Ok(text) = fs::read_to_string(&output) else {
            return Ok(Err(self.failure(
                format!("importing `{}` ended the interpreter ({status})", self.file),
                "something at the top level of the file calls `os._exit` or crashes; the lines above may tell more",
            )));
        };
        if !status.success()
            && let Ok(Refusal { error }) = serde_json::from_str::<Refusal>(&text)
        {
            let told = UserError { message: error.message, hint: error.hint, detail: error.traceback };
            return Ok(Err(Failure { error: told, files: error.files }));
        }
        let mut manifest: Manifest = serde_json::from_str(&text)?;
        for file in &mut manifest.files {
            let content = match fs::read(&file.local) {
                Ok(content) => content,
                Err(error) => {
                    let hint = "make it readable, or do not import it";
                    let error = UserError::new(format!("cannot read a file of the app: {error}"), hint);
                    return Ok(Err(Failure { error, files: vec![file.local.clone()] }));
                }
            };
            file.size = Some(content.len() as u64);
            file.digest = Some(sha256(&content));
        }
        Ok(Ok(manifest))
    }

    fn failure(&self, message: String, hint: &str) -> Failure {
        let file = self.file.split("::").next().unwrap_or(&self.file);
        let files = std::path::absolute(file).into_iter().collect();
        Failure { error: UserError::new(message, hint), files }
    }
}

/// A discovery environment is made on the host: there are no build steps, and no helper to run them.
struct NoSteps;

impl Steps for NoSteps {
    fn run(&self, _: Request, _: &(dyn Fn(&str) + Sync), _: &AtomicBool) -> Result<(), step::Error> {
        Err(step::Error::HelperDied)
    }
}

/// SHA-256 of `content` in lower-case hex: how files are named between command and server.
pub(crate) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::with_capacity(64), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

/// An image error on this side of the API. The lines that tell why were told with the step that failed.
fn image_error(error: &pilotlight_image::Error) -> UserError {
    let told = pilotlight_api::error::ApiError::internal(error);
    let hint = (!error.tail().is_empty()).then(|| "the lines above say why".to_owned());
    UserError { message: told.message, hint, detail: None }
}

/// The interpreter to import the file with: as asked, else the active environment's, else `python3` on PATH.
fn local_python(asked: Option<&Path>) -> anyhow::Result<PathBuf> {
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

fn sniff_era(python: &Path, sdk: &Path, file: &str) -> Era {
    let file = file.split("::").next().unwrap_or(file);
    let output = std::process::Command::new(python)
        .args(["-c", ENTRY, "--era", file])
        .env("PYTHONPATH", python_path(sdk))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    match output {
        Ok(output) if output.stdout.starts_with(b"stub") => Era::Stub,
        _ => Era::App,
    }
}

/// The SDK before whatever the user has on PYTHONPATH.
fn python_path(sdk: &Path) -> std::ffi::OsString {
    let mut path = sdk.as_os_str().to_owned();
    if let Some(own) = std::env::var_os("PYTHONPATH").filter(|own| !own.is_empty()) {
        path.push(":");
        path.push(own);
    }
    path
}

fn cannot_run(python: &Path, error: &std::io::Error) -> UserError {
    UserError::new(
        format!("cannot run the Python interpreter `{}`: {error}", python.display()),
        "install Python 3.9 or newer, or name one with `--python`",
    )
}
