//! Reads the user's program: runs the SDK's discovery in the local interpreter and takes its manifest.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pilotlight_api::manifest::Manifest;
use pilotlight_core::image::Era;
use pilotlight_image::step::{self, Request, Steps};
use pilotlight_image::{Builder, HostPython};
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::Command;

use crate::config::Config;
use crate::embedded;
use crate::exit::UserError;
use crate::reference::Reference;

mod loaded;
mod python;
mod warm;

pub(crate) use loaded::{Loaded, sha256};

use warm::{Notes, Outcome, Warm};

/// How long importing the user's file may take before it counts as hanging.
const IMPORT_LIMIT: Duration = Duration::from_mins(5);

/// The longest manifest, bytes: pickled functions are in it.
const MANIFEST_MAX: u64 = 512 * 1024 * 1024;

/// How long the pipe may stay open after the interpreter has ended: a process that the program forked may hold it.
const PIPE_LIMIT: Duration = Duration::from_secs(1);

/// The local interpreter with everything that a discovery needs, made once per command.
pub(crate) struct Discovery {
    python: PathBuf,
    sdk: PathBuf,
    reference: Reference,
    environment: PathBuf,
    front: bool,
    ahead: tokio::sync::Mutex<Ahead>,
    /// What the builds of this command are called.
    build: String,
}

/// What is known for the next discovery.
#[derive(Default)]
struct Ahead {
    /// The process whose fork it may be.
    warm: Option<Warm>,
    /// What the last one told.
    notes: Option<Notes>,
    /// The notes by which no process is to be made: its forks would not be what a process of their own is.
    never: Option<Notes>,
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
    /// Finds the interpreter and the discovery environment. Blocks for seconds when nothing is cached.
    pub(crate) fn prepare(
        config: &Config,
        reference: Reference,
        python: Option<&Path>,
        progress: &dyn pilotlight_image::Progress,
        cancel: &AtomicBool,
    ) -> anyhow::Result<Self> {
        if let Some(file) = reference.file()
            && !file.is_file()
        {
            return Err(no_file(&file.display().to_string()).into());
        }
        let python = python::find(python)?;
        let host = HostPython::probe(&python).map_err(|error| python::cannot_run(&python, &error))?;
        let sdk = embedded::unpack_sdk(&config.user_dir())?;
        let era = python::era(&python, &sdk, &reference);
        let options = pilotlight_image::Options::new(config.user_dir(), host, Vec::new())
            .map_err(|error| image_error(&error))?;
        let environment = Builder::with_steps(options, Arc::new(NoSteps))
            .and_then(|builder| builder.discovery(era, progress, cancel))
            .map_err(|error| image_error(&error))?;
        let ahead = tokio::sync::Mutex::default();
        let build = format!("{:032x}", crate::serve::entropy());
        Ok(Self { python, sdk, reference, environment, front: era == Era::Stub, ahead, build })
    }

    /// Imports the program and returns what it declares, each file with its digest. In a fork of the process that was
    /// made ahead, where there is one and the result is what a process of its own would give.
    pub(crate) async fn run(&self) -> anyhow::Result<Result<Loaded, Failure>> {
        let mut ahead = self.ahead.lock().await;
        if let Some(mut warm) = ahead.warm.take() {
            let Ok(outcome) = tokio::time::timeout(IMPORT_LIMIT, warm.run()).await else {
                return Ok(Err(self.too_slow()));
            };
            match outcome {
                Ok(Outcome::Ended(code, text)) if code >= 0 => {
                    let found = self.read(code == 0, &format!("exit code {code}"), &text)?;
                    match found {
                        Ok((loaded, notes)) if notes.is_served_by(&warm.notes) => {
                            ahead.notes = Some(notes);
                            ahead.warm = Some(warm);
                            return Ok(Ok(loaded));
                        }
                        Ok((_, notes)) => ahead.never = notes.changed.then_some(notes),
                        Err(failure) => {
                            ahead.warm = Some(warm);
                            return Ok(Err(failure));
                        }
                    }
                }
                Ok(Outcome::Ended(..)) => tracing::debug!("the fork of a warm discovery was killed"),
                Ok(Outcome::Stale(why)) => tracing::debug!(why, "a warm discovery is not used"),
                Ok(Outcome::Obstacle(why)) => {
                    tracing::debug!(why, "no warm discovery for this program");
                    ahead.never = Some(warm.notes.clone());
                }
                Err(error) => tracing::debug!(%error, "a warm discovery broke"),
            }
        }
        Ok(match self.run_afresh().await? {
            Ok((loaded, notes)) => {
                ahead.notes = Some(notes);
                Ok(loaded)
            }
            Err(failure) => Err(failure),
        })
    }

    /// Makes the process whose fork the next discovery may be. Called when nobody waits for anything.
    pub(crate) async fn prepare_next(&self) {
        let mut ahead = self.ahead.lock().await;
        let Some(notes) = ahead.notes.clone() else { return };
        let fits = ahead.warm.as_ref().is_some_and(|warm| warm.notes.has_modules_of(&notes));
        let never = ahead.never.as_ref().is_some_and(|never| never.modules == notes.modules);
        if never {
            ahead.warm = None;
        } else if let Some(warm) = ahead.warm.as_mut().filter(|_| fits) {
            warm.notes.imports = notes.imports;
        } else {
            let mut command = Command::from(self.python());
            command.args(["-c", python::WARM_ENTRY]).args(self.reference.arguments());
            // The one before ends first: they share the machine.
            ahead.warm = None;
            match Warm::start(command, self.reference.file(), notes).await {
                Ok(warm) => ahead.warm = Some(warm),
                Err(error) => tracing::debug!(%error, "cannot start a warm discovery"),
            }
        }
    }

    /// In a process of its own.
    async fn run_afresh(&self) -> anyhow::Result<Result<(Loaded, Notes), Failure>> {
        let (sender, receiver) = pipe::pipe()?;
        let mut command = Command::from(self.python());
        command.args(["-c", python::ENTRY]).args(self.reference.arguments());
        command.stdin(Stdio::from(sender.into_blocking_fd()?)).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| python::cannot_run(&self.python, &error))?;
        // It holds the pipe's other end, which only the child may have: else the pipe would never end.
        drop(command);
        let Ok(outcome) = tokio::time::timeout(IMPORT_LIMIT, outcome(child.wait(), receiver)).await else {
            return Ok(Err(self.too_slow()));
        };
        let (status, text) = outcome?;
        self.read(status.success(), &status.to_string(), &text)
    }

    /// Reads what a discovery wrote until it ended as `status` says.
    fn read(
        &self,
        success: bool,
        status: &str,
        text: &[u8],
    ) -> anyhow::Result<Result<(Loaded, Notes), Failure>> {
        if !success && let Ok(Refusal { error }) = serde_json::from_slice::<Refusal>(text) {
            let told = UserError { message: error.message, hint: error.hint, detail: error.traceback };
            return Ok(Err(Failure { error: told, files: error.files }));
        }
        if !success || text.is_empty() {
            return Ok(Err(self.failure(
                format!("`{}` ended the interpreter while it was being imported ({status})", self.reference),
                "something at the top level of the file calls `os._exit` or crashes; the lines above may tell more",
            )));
        }
        let mut documents = serde_json::Deserializer::from_slice(text);
        let mut manifest = Manifest::deserialize(&mut documents)?;
        let notes = Notes::deserialize(&mut documents)?;
        manifest.imports.clone_from(&notes.imports);
        if manifest.images.values().any(|image| image.force_build.is_some()) {
            manifest.build.clone_from(&self.build);
        }
        Ok(Loaded::new(manifest).map(|loaded| (loaded, notes)))
    }

    fn too_slow(&self) -> Failure {
        self.failure(
            format!("importing `{}` took more than {} s", self.reference, IMPORT_LIMIT.as_secs()),
            "move work that waits or loops forever out of the module's top level",
        )
    }

    /// The interpreter, about to run the `main` of a module of the SDK with the arguments that are added.
    pub(crate) fn interpreter(&self, module: &str) -> std::process::Command {
        let mut command = self.python();
        command.args(["-c", &python::entry(module)]);
        command
    }

    /// The interpreter did not start.
    pub(crate) fn cannot_run(&self, error: &std::io::Error) -> UserError {
        python::cannot_run(&self.python, error)
    }

    fn python(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.python);
        command.env("PYTHONPATH", python::path(&self.sdk));
        command.env("PILOTLIGHT_DISCOVERY_PATH", &self.environment);
        if self.front {
            command.env("PILOTLIGHT_DISCOVERY_FRONT", "1");
        }
        command
    }

    fn failure(&self, message: String, hint: &str) -> Failure {
        let files = self.reference.file().and_then(|file| std::path::absolute(file).ok());
        Failure { error: UserError::new(message, hint), files: files.into_iter().collect() }
    }
}

/// The interpreter's end, and what it wrote into the pipe until then. Reads while it runs: a pipe holds 64 KiB.
async fn outcome<T>(
    end: impl Future<Output = std::io::Result<T>>,
    pipe: pipe::Receiver,
) -> std::io::Result<(T, Vec<u8>)> {
    let mut end = std::pin::pin!(end);
    let mut text = Vec::new();
    let mut pipe = pipe.take(MANIFEST_MAX);
    let mut open = true;
    let status = loop {
        tokio::select! {
            read = pipe.read_buf(&mut text), if open => open = read? > 0,
            status = &mut end => break status?,
        }
    };
    let rest = async {
        while open {
            open = pipe.read_buf(&mut text).await? > 0;
        }
        std::io::Result::Ok(())
    };
    // Too long: what the interpreter itself had to write is here, for it ended after it had written it.
    tokio::time::timeout(PIPE_LIMIT, rest).await.unwrap_or(Ok(()))?;
    Ok((status, text))
}

/// A discovery environment is made on the host: there are no build steps, and no helper to run them.
struct NoSteps;

impl Steps for NoSteps {
    fn run(&self, _: Request, _: &(dyn Fn(&str) + Sync), _: &AtomicBool) -> Result<(), step::Error> {
        Err(step::Error::HelperDied)
    }

    fn errand(
        &self,
        _: (&str, &str),
        _: &Path,
        _: &(dyn Fn(&str) + Sync),
        _: &AtomicBool,
    ) -> Result<(), step::Error> {
        Err(step::Error::HelperDied)
    }

    fn erase(&self, _: &Path) -> Result<(), step::Error> {
        Err(step::Error::HelperDied)
    }
}

fn no_file(path: &str) -> UserError {
    if path == "-" {
        let hint = "save it into a file, and give its name";
        return UserError::new("a program cannot be read from standard input", hint);
    }
    if Path::new(path).is_dir() {
        let hint = "name the Python file in it, or a module with `-m`";
        return UserError::new(format!("`{path}` is a directory"), hint);
    }
    let here = std::env::current_dir().unwrap_or_default();
    UserError::new(
        format!("there is no file `{path}`"),
        format!("check the path; it is taken from {}", here.display()),
    )
}

/// An image error on this side of the API. The lines that tell why were told with the step that failed.
fn image_error(error: &pilotlight_image::Error) -> UserError {
    let told = pilotlight_api::error::ApiError::internal(error);
    let hint = (!error.tail().is_empty()).then(|| "the lines above say why".to_owned());
    UserError { message: told.message, hint, detail: None }
}
