//! The adapter between the pool's `Launcher` port and the sandbox: a container from start to end.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pilotlight_api::progress::Stream;
use pilotlight_core::id::ContainerId;
use pilotlight_pool::{Address, LaunchEvent, Launcher, Sender, Stage, StartFailure, StartReceipt, Stop};
use pilotlight_sandbox::runner::{FromRunner, OutOfOrder, Phase, Sequence, ToRunner};
use pilotlight_sandbox::{ExitStatus, Fds, Signal, Spec};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::containers::{Containers, Ended};
use super::logs::AppLog;
use super::tasks::{self, Kind};

/// How long a container may take to end after its runner said that it cannot start, before it is killed.
const EXIT_LIMIT: Duration = Duration::from_secs(10);

/// The longest message a runner may send, bytes: a traceback fits, a flood does not.
const MESSAGE_MAX: u64 = 1024 * 1024;

/// How long the log may take to be read to its end after its container's. Its writers are all gone by then.
const LOG_LIMIT: Duration = Duration::from_secs(1);

/// How much later than the pool's clock ours may begin when a container is launched.
const LAUNCH_DELAY_MAX: Duration = Duration::from_millis(100);

/// Starts containers of one function of one version.
pub(crate) struct FunctionLauncher {
    /// What every container of the function has in common; the id is filled in per container.
    pub(crate) template: Template,
    /// Where containers are made.
    pub(crate) containers: Containers,
    /// Where their output goes.
    pub(crate) log: AppLog,
    /// The run directory's folder of container sockets.
    pub(crate) sockets: PathBuf,
    /// Where upper directories are made.
    pub(crate) scratch: PathBuf,
    /// How to stop each running container.
    pub(crate) running: Arc<Mutex<HashMap<ContainerId, mpsc::Sender<Stop>>>>,
}

/// The parts of a container that do not depend on which one it is.
#[derive(Clone)]
pub(crate) struct Template {
    /// The function's name.
    pub(crate) function: Arc<str>,
    /// The sandbox, without id, scratch directory and host name.
    pub(crate) spec: Spec,
    /// What the runner is told to load.
    pub(crate) configure: Configure,
    /// How long a container may take to become ready. The pool ends one that takes longer; its log says so.
    pub(crate) start_timeout: Duration,
}

/// What the runner is told, without the container's id.
#[derive(Clone)]
pub(crate) struct Configure {
    /// The app's name.
    pub(crate) app: String,
    /// `stub` or `app`.
    pub(crate) era: String,
    /// The function as the manifest describes it.
    pub(crate) function: serde_json::Value,
}

impl Launcher for FunctionLauncher {
    fn launch(&self, container: ContainerId, events: Sender) {
        let (stop_sender, stop) = mpsc::channel(2);
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(container.clone(), stop_sender);
        let life = Life {
            container: container.clone(),
            template: self.template.clone(),
            containers: self.containers.clone(),
            log: self.log.clone(),
            socket: self.sockets.join(container.as_str().trim_start_matches(ContainerId::PREFIX)),
            scratch: self.scratch.join(container.as_str()),
            launched: Instant::now(),
            events,
        };
        let running = Arc::clone(&self.running);
        tasks::spawn(Kind::Container, async move {
            life.run(stop).await;
            running.lock().unwrap_or_else(PoisonError::into_inner).remove(&container);
        });
    }

    fn stop(&self, container: ContainerId, stop: Stop) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = running.get(&container) {
            // Full means that it was told twice already.
            _ = sender.try_send(stop);
        }
    }
}

/// One container's life, as one task.
struct Life {
    container: ContainerId,
    template: Template,
    containers: Containers,
    log: AppLog,
    socket: PathBuf,
    scratch: PathBuf,
    launched: Instant,
    events: Sender,
}

/// What is left open once the container runs.
struct Running {
    control: UnixStream,
    ended: oneshot::Receiver<Ended>,
    began: Instant,
    /// Those who copy the container's output into the log.
    copies: [JoinHandle<()>; 2],
}

impl Life {
    async fn run(self, stop: mpsc::Receiver<Stop>) {
        match self.start().await {
            Ok(running) => self.follow(running, stop).await,
            Err(error) => {
                let summary = format!("the container could not be made: {error:#}");
                self.system(&summary);
                self.fail(Stage::Sandbox, summary, None);
            }
        }
        _ = fs_err::remove_file(&self.socket);
    }

    /// Makes the sockets and pipes, starts the container, and sends the runner its work.
    async fn start(&self) -> anyhow::Result<Running> {
        let began = Instant::now();
        let listener = std::os::unix::net::UnixListener::bind(&self.socket)?;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (stdout_reader, stdout) = std::io::pipe()?;
        let (stderr_reader, stderr) = std::io::pipe()?;
        let mut spec = self.template.spec.clone();
        spec.id = self.container.to_string();
        spec.hostname = self.container.to_string();
        spec.scratch.clone_from(&self.scratch);
        spec.command.env.push(("MODAL_TASK_ID".into(), self.container.to_string()));
        let fds = Fds {
            control: Some(theirs.into()),
            listener: Some(listener.into()),
            stdout: stdout.into(),
            stderr: stderr.into(),
        };
        let copies = [
            self.copy(stdout_reader.into(), Stream::Stdout)?,
            self.copy(stderr_reader.into(), Stream::Stderr)?,
        ];
        let (started, ended) = self.containers.run(spec, fds).await?;
        for note in started.notes {
            self.system(&note);
        }
        let mut control = UnixStream::from_std(ours)?;
        let Configure { app, era, function } = self.template.configure.clone();
        let container = self.container.to_string();
        send(&mut control, &ToRunner::Configure { app, era, function, container }).await?;
        Ok(Running { control, ended, began, copies })
    }

    /// Copies one of the container's outputs into the log until its end.
    fn copy(&self, output: OwnedFd, stream: Stream) -> std::io::Result<JoinHandle<()>> {
        let output = tokio::net::unix::pipe::Receiver::from_owned_fd(output)?;
        let function = Arc::clone(&self.template.function);
        let copy = self.log.clone().copy(output, function, self.container.clone(), stream);
        Ok(tasks::spawn(Kind::Logs, copy))
    }

    /// Follows the runner's messages and the orders to stop until the container has ended.
    async fn follow(&self, running: Running, mut stop: mpsc::Receiver<Stop>) {
        let Running { control, mut ended, began, copies } = running;
        let (reader, mut writer) = control.into_split();
        let mut messages = Messages::new(reader);
        let mut course = Course::new(began);
        let mut open = true;
        loop {
            let overdue = course.failed_at.map(|at| at + EXIT_LIMIT);
            tokio::select! {
                end = &mut ended => {
                    // What the runner said last may still wait in the channel.
                    while let Ok(Some(message)) = messages.next().await {
                        if self.hear(&mut course, message).is_err() {
                            break;
                        }
                    }
                    // What it printed comes before what is said about its end.
                    let copied = async {
                        for copy in copies {
                            _ = copy.await;
                        }
                    };
                    _ = tokio::time::timeout(LOG_LIMIT, copied).await;
                    return self.finish(end.ok(), &course);
                }
                message = messages.next(), if open => {
                    let heard = match message {
                        Ok(Some(message)) => self.hear(&mut course, message).map_err(|error| error.to_string()),
                        Ok(None) => { open = false; Ok(()) }
                        Err(error) => Err(error.to_string()),
                    };
                    if let Err(error) = heard {
                        // User code runs in there: a runner that breaks the protocol is not believed any longer.
                        self.system(&format!("the container is ended, its runner broke the protocol: {error}"));
                        self.kill();
                        open = false;
                    }
                }
                order = stop.recv() => {
                    course.ordered = course.ordered.or(order);
                    self.tell_overdue(&course, order);
                    match order {
                        Some(Stop::Drain) if send(&mut writer, &ToRunner::Drain).await.is_ok() => {}
                        Some(_) | None => self.kill(),
                    }
                }
                () = sleep_until(overdue) => {
                    course.failed_at = None;
                    self.kill();
                }
            }
        }
    }

    /// Takes one message of the runner, and tells the pool what it means.
    fn hear(&self, course: &mut Course, message: FromRunner) -> Result<(), OutOfOrder> {
        course.sequence.accept(&message)?;
        match message {
            FromRunner::Hello { .. } => course.receipt.sandbox = course.began.elapsed(),
            FromRunner::Imported { import_ms } => course.receipt.import = milliseconds(import_ms),
            FromRunner::Ready { app_ms } => {
                course.receipt.app = milliseconds(app_ms);
                self.events.send(LaunchEvent::Ready {
                    container: self.container.clone(),
                    address: Address::from(self.socket.clone()),
                    receipt: course.receipt,
                });
            }
            FromRunner::Draining => {}
            FromRunner::Failed { stage, summary, traceback } => {
                course.failed_at = Some(tokio::time::Instant::now());
                self.fail(stage_of(stage), summary, Some(traceback));
            }
        }
        Ok(())
    }

    /// Says how the container ended, to the log where the user should know, and to the pool unless it knows already.
    fn finish(&self, ended: Option<Ended>, course: &Course) {
        let how = ended.map_or_else(|| "ended with the sandbox helper".to_owned(), |ended| ended.to_string());
        let clean = ended.is_some_and(|ended| matches!(ended.status, ExitStatus::Code(0)));
        match course.sequence.phase() {
            Phase::Failed => {}
            Phase::Ready | Phase::Draining => {
                // A container that broke is ordered to be killed as well, and its end is news.
                if !clean && course.ordered != Some(Stop::Drain) {
                    self.system(&format!("the container {how}"));
                }
                self.events.send(LaunchEvent::Exited { container: self.container.clone() });
            }
            Phase::Launched | Phase::Greeted | Phase::Imported => {
                let summary = format!("the container {how} before it was ready");
                if course.ordered.is_none() {
                    self.system(&summary);
                }
                self.fail(Stage::Exited, summary, None);
            }
        }
    }

    /// A start that is ended for taking too long: the pool tells those who wait, and the log is for everybody else.
    fn tell_overdue(&self, course: &Course, order: Option<Stop>) {
        let limit = self.template.start_timeout;
        let starting = matches!(course.sequence.phase(), Phase::Launched | Phase::Greeted | Phase::Imported);
        if starting && order == Some(Stop::Kill) && self.launched.elapsed() + LAUNCH_DELAY_MAX >= limit {
            let place = match course.sequence.phase() {
                Phase::Imported => "making its app",
                Phase::Greeted => "importing its module",
                _ => "starting its interpreter",
            };
            self.system(&format!(
                "the container is ended: it was still {place} after {} s; `startup_timeout` gives it more time",
                limit.as_secs_f64()
            ));
        }
    }

    fn kill(&self) {
        self.containers.signal(self.container.as_str(), Signal::Kill);
    }

    fn fail(&self, stage: Stage, summary: String, traceback: Option<String>) {
        let failure = StartFailure { stage, summary, traceback };
        self.events.send(LaunchEvent::Failed { container: self.container.clone(), failure });
    }

    fn system(&self, line: &str) {
        self.log.push(&self.template.function, Some(&self.container), Stream::System, line.to_owned());
    }
}

/// How far a container has got.
struct Course {
    began: Instant,
    sequence: Sequence,
    receipt: StartReceipt,
    failed_at: Option<tokio::time::Instant>,
    /// What the pool asked for first.
    ordered: Option<Stop>,
}

impl Course {
    fn new(began: Instant) -> Self {
        Self {
            began,
            sequence: Sequence::new(),
            receipt: StartReceipt::default(),
            failed_at: None,
            ordered: None,
        }
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The runner's messages: JSON lines of bounded length.
struct Messages<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

impl<R: tokio::io::AsyncRead + Unpin> Messages<R> {
    fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new() }
    }

    /// The next message; `None` when the runner closed its end. Cancel safe: a part read stays in the buffer.
    async fn next(&mut self) -> std::io::Result<Option<FromRunner>> {
        use tokio::io::AsyncReadExt as _;
        loop {
            let room = MESSAGE_MAX.saturating_sub(self.line.len() as u64);
            if room == 0 {
                return Err(std::io::Error::other("the runner's message is too long"));
            }
            let read = (&mut self.reader).take(room).read_until(b'\n', &mut self.line).await?;
            if self.line.last() == Some(&b'\n') {
                let message = serde_json::from_slice(&self.line).map_err(std::io::Error::other);
                self.line.clear();
                return message.map(Some);
            }
            if read == 0 {
                return Ok(None);
            }
        }
    }
}

async fn send<W: tokio::io::AsyncWrite + Unpin>(writer: &mut W, message: &ToRunner) -> std::io::Result<()> {
    writer.write_all(message.to_line().as_bytes()).await
}

/// The runner's word for how far it got, as the pool's.
fn stage_of(stage: pilotlight_sandbox::runner::Stage) -> Stage {
    use pilotlight_sandbox::runner::Stage as Runner;
    match stage {
        Runner::App => Stage::App,
        Runner::Import => Stage::Import,
        Runner::Lifespan => Stage::Lifespan,
    }
}

/// A runner's figure as a duration: never negative, never not a number, whatever the runner says.
fn milliseconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value / 1000.0).unwrap_or_default()
}
