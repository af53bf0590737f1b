//! Runs build steps in containers: what changed becomes a layer's `fs`, and every line of output is handed over.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pilotlight_sandbox::{
    Bind, Command, Door, ExitStatus, Fds, Helper, Limits, Network, Relay, Signal, Spec,
};
use thiserror::Error;

use crate::output::{Stoppable, Tail, each_line};

/// A build step that takes longer is ended: it hangs.
const STEP_LIMIT: Duration = Duration::from_hours(1);
/// How long a killed container may take to be gone before its step is over without it.
const KILL_LIMIT: Duration = Duration::from_secs(1);
/// How often cancellation is looked at.
const TICK: Duration = Duration::from_millis(50);
/// Ids of build containers start with this, so that the server can tell them from those of apps.
const ID_PREFIX: &str = "bu-";

/// Why a build step gave no layer.
#[derive(Debug, Error)]
pub enum Error {
    /// The container could not be started.
    #[error("cannot start a container for a build step")]
    Start(#[source] pilotlight_sandbox::Error),
    /// The step's command failed. Its last lines usually say why; `Progress::failed` has told them.
    #[error("{how}")]
    Failed {
        /// The command line inside the image.
        command: String,
        /// `exit code 1`, `signal 9`, `out of memory`.
        how: String,
        /// Its last lines of output.
        tail: Vec<String>,
    },
    /// The step was ended for taking too long.
    #[error("`{command}` did not end within {} minutes", limit.as_secs() / 60)]
    Deadline {
        /// The command line inside the image.
        command: String,
        /// How long it had.
        limit: Duration,
    },
    /// The sandbox helper ended.
    #[error("the sandbox helper ended during a build step; its log says why")]
    HelperDied,
    /// The build was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A pipe could not be made.
    #[error("cannot make a pipe for a build step's output")]
    Io(#[from] io::Error),
}

/// A build step, ready to run.
#[derive(Clone, Debug)]
pub struct Request {
    /// Layers, topmost first.
    pub lowers: Vec<PathBuf>,
    /// Paths of the host the step sees.
    pub binds: Vec<Bind>,
    /// The command line inside.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Where it starts.
    pub cwd: PathBuf,
    /// What of the network it sees.
    pub network: Network,
    /// What of this machine's loopback it reaches.
    pub doors: Vec<Door>,
    /// A directory on disk for the overlay's working files.
    pub scratch: PathBuf,
    /// Where what changed is put after success.
    pub upper: PathBuf,
}

/// Runs build steps. The port between this crate's decisions and the sandbox; tests put their own behind it.
pub trait Steps: Send + Sync {
    /// Runs one step to its end; `line` gets its output from several threads.
    fn run(&self, request: Request, line: &(dyn Fn(&str) + Sync), cancel: &AtomicBool) -> Result<(), Error>;

    /// Runs one of [`ERRANDS`](crate::ERRANDS), named with its argument, which makes `fs` in the directory `target`.
    fn errand(
        &self,
        errand: (&str, &str),
        target: &Path,
        line: &(dyn Fn(&str) + Sync),
        cancel: &AtomicBool,
    ) -> Result<(), Error>;

    /// Removes a file or tree that has parts of other owners than this process; nothing there is fine.
    fn erase(&self, path: &Path) -> Result<(), Error>;
}

/// Carries the news of ended containers from the server, which owns the helper's events, to build steps.
#[derive(Clone, Debug, Default)]
pub struct Exits(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    waiting: HashMap<String, Sender<Ended>>,
    dead: bool,
}

#[derive(Debug)]
enum Ended {
    Container { status: ExitStatus, oom: bool },
    Helper,
}

impl Exits {
    /// Says that a container ended. Whether it was a build step; others are none of our business.
    pub fn container_exited(&self, id: &str, status: ExitStatus, oom: bool) -> bool {
        if !id.starts_with(ID_PREFIX) {
            return false;
        }
        if let Some(sender) = self.state().waiting.remove(id) {
            // A receiver that is gone has been told otherwise.
            let _ = sender.send(Ended::Container { status, oom });
        }
        true
    }

    /// Says that the helper ended: every build step fails, those to come as well.
    pub fn helper_died(&self) {
        let mut state = self.state();
        state.dead = true;
        for (_, sender) in state.waiting.drain() {
            let _ = sender.send(Ended::Helper);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs build steps through the sandbox helper.
pub struct Sandboxed {
    helper: Helper,
    exits: Exits,
    /// Makes ids unique together with the random part below.
    started: std::sync::atomic::AtomicU64,
    salt: u64,
}

impl Sandboxed {
    /// Steps through `helper`, whose exits arrive through `exits`.
    pub fn new(helper: Helper, exits: Exits) -> Self {
        use std::hash::{BuildHasher, Hasher};
        // The standard library's only door to the system's randomness.
        let salt = std::hash::RandomState::new().build_hasher().finish();
        Self { helper, exits, started: 0.into(), salt }
    }

    fn id(&self) -> String {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        format!("{ID_PREFIX}{:016x}-{number}", self.salt)
    }

    fn spec(id: &str, request: Request) -> Spec {
        Spec {
            id: id.to_owned(),
            hostname: "build".to_owned(),
            scratch: request.scratch,
            lowers: request.lowers,
            binds: request.binds,
            network: request.network,
            limits: Limits::default(),
            command: Command { argv: request.argv, env: request.env, cwd: request.cwd },
            keep_upper: Some(request.upper),
            zygote: false,
            from: None,
        }
    }
}

impl Steps for Sandboxed {
    fn run(&self, request: Request, line: &(dyn Fn(&str) + Sync), cancel: &AtomicBool) -> Result<(), Error> {
        let command = request.argv.join(" ");
        let start = |id: &str, stdout: io::PipeWriter, stderr: io::PipeWriter| {
            let fds = Fds { control: None, listener: None, stdout: stdout.into(), stderr: stderr.into() };
            let doors = request.doors.clone();
            let spec = Self::spec(id, request);
            let start = |fds| {
                let started = self.helper.start(&spec, fds)?;
                // What this machine cannot give explains what the step cannot do.
                started.notes.iter().for_each(|note| line(note));
                Ok(())
            };
            if doors.is_empty() {
                return start(fds).map(|()| None);
            }
            // Open before anything runs that could find them closed.
            self.helper.prepare(&spec)?;
            let relay = self.helper.open(id, &doors);
            let started = relay.and_then(|relay| start(fds).map(|()| Some(relay)));
            if started.is_err() {
                _ = self.helper.signal(id, Signal::Kill);
            }
            started
        };
        self.attend(command, start, line, cancel)
    }

    fn errand(
        &self,
        errand: (&str, &str),
        target: &Path,
        line: &(dyn Fn(&str) + Sync),
        cancel: &AtomicBool,
    ) -> Result<(), Error> {
        let command = format!("{} {}", errand.0, errand.1);
        let start = |id: &str, stdout: io::PipeWriter, stderr: io::PipeWriter| {
            self.helper.errand(id, errand, target, [stdout.as_fd(), stderr.as_fd()]).map(|()| None)
        };
        self.attend(command, start, line, cancel)
    }

    fn erase(&self, path: &Path) -> Result<(), Error> {
        self.helper.erase(path).map_err(Error::Start)
    }
}

impl Sandboxed {
    /// Starts something and follows it to its end.
    fn attend(
        &self,
        command: String,
        start: impl FnOnce(
            &str,
            io::PipeWriter,
            io::PipeWriter,
        ) -> Result<Option<Relay>, pilotlight_sandbox::Error>,
        line: &(dyn Fn(&str) + Sync),
        cancel: &AtomicBool,
    ) -> Result<(), Error> {
        let id = self.id();
        let (out, stdout) = io::pipe()?;
        let (err, stderr) = io::pipe()?;
        let (sender, ended) = channel();
        {
            let mut state = self.exits.state();
            if state.dead {
                return Err(Error::HelperDied);
            }
            // Before the start, so that an exit that follows at once finds somebody waiting.
            state.waiting.insert(id.clone(), sender);
        }
        let tail = Tail::default();
        let stop = AtomicBool::new(false);
        let outcome = std::thread::scope(|scope| {
            let _relay = match start(&id, stdout, stderr) {
                Ok(relay) => relay,
                Err(error) => {
                    self.exits.state().waiting.remove(&id);
                    return Err(Error::Start(error));
                }
            };
            let each = |text: &str| {
                tail.push(text);
                line(text);
            };
            let (out, err) = (Stoppable::new(out, &stop), Stoppable::new(err, &stop));
            scope.spawn(move || each_line(out, each));
            scope.spawn(move || each_line(err, each));
            let outcome = self.wait(&id, &ended, cancel);
            // The pipes' other ends went with the container, unless it is not gone yet.
            stop.store(true, Ordering::Release);
            outcome
        });
        match outcome? {
            Outcome::Ended(ExitStatus::Code(0), _) => Ok(()),
            Outcome::Ended(status, oom) => {
                Err(Error::Failed { command, how: describe(status, oom), tail: tail.take() })
            }
            Outcome::Deadline => Err(Error::Deadline { command, limit: STEP_LIMIT }),
            Outcome::Cancelled => Err(Error::Cancelled),
        }
    }
}

enum Outcome {
    Ended(ExitStatus, bool),
    Deadline,
    Cancelled,
}

impl Sandboxed {
    fn wait(
        &self,
        id: &str,
        ended: &std::sync::mpsc::Receiver<Ended>,
        cancel: &AtomicBool,
    ) -> Result<Outcome, Error> {
        let start = Instant::now();
        let mut killed: Option<(Instant, Outcome)> = None;
        loop {
            match ended.recv_timeout(TICK) {
                Ok(Ended::Container { status, oom }) => {
                    return Ok(killed.map_or(Outcome::Ended(status, oom), |(_, why)| why));
                }
                Ok(Ended::Helper) | Err(RecvTimeoutError::Disconnected) => return Err(Error::HelperDied),
                Err(RecvTimeoutError::Timeout) => {}
            }
            match killed {
                Some((at, why)) if at.elapsed() > KILL_LIMIT => {
                    tracing::warn!("the container {id} of a build step was killed and is not gone yet");
                    self.exits.state().waiting.remove(id);
                    return Ok(why);
                }
                Some(_) => {}
                None => {
                    let why = if cancel.load(Ordering::Relaxed) {
                        Outcome::Cancelled
                    } else if start.elapsed() > STEP_LIMIT {
                        Outcome::Deadline
                    } else {
                        continue;
                    };
                    // It may have ended on its own this instant; its exit is on the way then.
                    let _ = self.helper.signal(id, Signal::Kill);
                    killed = Some((Instant::now(), why));
                }
            }
        }
    }
}

fn describe(status: ExitStatus, oom: bool) -> String {
    match status {
        _ if oom => "out of memory".to_owned(),
        ExitStatus::Code(code) => format!("exit code {code}"),
        ExitStatus::Signal(signal) => format!("signal {signal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_of_build_steps_are_taken() {
        let exits = Exits::default();
        let (sender, ended) = channel();
        exits.state().waiting.insert("bu-1".to_owned(), sender);
        assert!(!exits.container_exited("co-1", ExitStatus::Code(0), false));
        assert!(exits.container_exited("bu-0", ExitStatus::Code(0), false));
        assert!(exits.container_exited("bu-1", ExitStatus::Code(3), false));
        let news = ended.try_recv().unwrap();
        assert!(matches!(news, Ended::Container { status: ExitStatus::Code(3), oom: false }));
    }

    #[test]
    fn everybody_hears_that_the_helper_died() {
        let exits = Exits::default();
        let (sender, ended) = channel();
        exits.state().waiting.insert("bu-1".to_owned(), sender);
        exits.helper_died();
        assert!(matches!(ended.try_recv(), Ok(Ended::Helper)));
        assert!(exits.state().dead);
    }

    #[test]
    fn ends_are_described() {
        assert_eq!(describe(ExitStatus::Code(2), false), "exit code 2");
        assert_eq!(describe(ExitStatus::Signal(9), true), "out of memory");
        assert_eq!(describe(ExitStatus::Signal(9), false), "signal 9");
    }
}
