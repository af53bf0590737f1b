//! The adapter between the pool's `Launcher` port and the sandbox: a container from start to end.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pilotlight_api::progress::Stream;
use pilotlight_core::id::ContainerId;
use pilotlight_pool::{
    Address, LaunchEvent, Launcher, Receipt, Sender, Stage, StartFailure, StartReceipt, Stop,
};
use pilotlight_sandbox::runner::{FromRunner, OutOfOrder, Phase, Role, Sequence, ToRunner};
use pilotlight_sandbox::{ExitStatus, Isolation, Signal, Spec};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::containers::{Containers, Ended};
use super::inside::Inside;
use super::logs::AppLog;
use super::on_host;
use super::runner::{self, Messages, Voice, milliseconds, send, stage_of};
use super::starts::{Starts, Who};
use super::tasks::{self, Kind};
use super::zygotes::{FunctionLight, Path};

/// How long a container may take to end after its runner said that it cannot start, before it is killed.
const EXIT_LIMIT: Duration = Duration::from_secs(10);

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
    /// What they are forked from.
    pub(crate) light: Arc<FunctionLight>,
    /// Where their output goes.
    pub(crate) log: AppLog,
    /// The run directory's folder of container sockets.
    pub(crate) sockets: PathBuf,
    /// Where upper directories are made.
    pub(crate) scratch: PathBuf,
    /// How to stop each running container.
    pub(crate) running: Arc<Mutex<HashMap<ContainerId, Held>>>,
    /// What containers get.
    pub(crate) isolation: Isolation,
    /// Where the time of starts goes.
    pub(crate) starts: Starts,
    /// Keeps the file that is every container's `/etc/hosts`.
    pub(crate) _inside: Option<Inside>,
}

/// The parts of a container that do not depend on which one it is.
#[derive(Clone)]
pub(crate) struct Template {
    /// The function's name.
    pub(crate) function: Arc<str>,
    /// The sandbox, without id, scratch directory and host name.
    pub(crate) spec: Spec,
    /// Whether the user wants containers to be forks of the function's zygote; `None` is where that is safe.
    pub(crate) snapshot: Option<bool>,
    /// What the runner is told to load.
    pub(crate) configure: Configure,
    /// How long a container may take to become ready. The pool ends one that takes longer; its log says so.
    pub(crate) start_timeout: Duration,
    /// The image by itself.
    pub(crate) image: TemplateImage,
    /// The names that the user's files import, where all of these files lie in the user's own place.
    pub(crate) imports: Option<Vec<String>>,
}

impl Template {
    /// A container of the function, for the records.
    fn who<'who>(&'who self, container: &'who ContainerId) -> Who<'who> {
        Who { app: &self.configure.app, function: &self.function, container }
    }

    /// Whether the function sets variables that only the start of a program reads: a fork would not have them.
    pub(crate) fn is_read_at_exec(&self) -> bool {
        const PREFIXES: [&str; 5] = ["PYTHON", "LD_", "LC_", "MALLOC_", "GLIBC_"];
        let read = |name: &str| {
            name == "LANG" || (name != "PYTHONPATH" && PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        };
        self.spec.command.env.iter().any(|variable| read(&variable.0) && !self.image.env.contains(variable))
    }
}

/// What of a template does not depend on the function.
#[derive(Clone)]
pub(crate) struct TemplateImage {
    /// The image's key.
    pub(crate) key: String,
    /// The environment of a process that serves nobody yet.
    pub(crate) env: Vec<(String, String)>,
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
        let held = Held { stop: stop_sender, overdue: Arc::default() };
        let overdue = Arc::clone(&held.overdue);
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(container.clone(), held);
        let life = Life {
            container: container.clone(),
            template: self.template.clone(),
            containers: self.containers.clone(),
            light: Arc::clone(&self.light),
            log: self.log.clone(),
            isolation: self.isolation,
            starts: self.starts.clone(),
            socket: self.sockets.join(container.as_str().trim_start_matches(ContainerId::PREFIX)),
            scratch: self.scratch.join(container.as_str()),
            launched: Instant::now(),
            overdue,
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
        if let Some(held) = running.get(&container) {
            // Full means that it was told twice already.
            _ = held.stop.try_send(stop);
        }
    }

    fn waited(&self, container: &ContainerId, receipt: &Receipt) {
        self.starts.waited(self.template.who(container), receipt);
    }

    fn overdue(&self, container: &ContainerId, timeout: Duration) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = running.get(container) {
            held.overdue.store(true, Ordering::Relaxed);
            let line = format!(
                "a request went over its timeout of {} s, and its container is ended; `timeout` gives requests more \
                 time",
                timeout.as_secs_f64()
            );
            self.log.push(&self.template.function, Some(container), Stream::System, line);
        }
    }
}

/// What the launcher holds of a container that runs.
pub(crate) struct Held {
    stop: mpsc::Sender<Stop>,
    /// A request went over its timeout in it: its end is told already.
    overdue: Arc<AtomicBool>,
}

/// One container's life, as one task.
struct Life {
    container: ContainerId,
    template: Template,
    containers: Containers,
    light: Arc<FunctionLight>,
    log: AppLog,
    isolation: Isolation,
    starts: Starts,
    socket: PathBuf,
    scratch: PathBuf,
    launched: Instant,
    overdue: Arc<AtomicBool>,
    events: Sender,
}

/// What is left open once the container runs.
struct Running {
    control: UnixStream,
    ended: oneshot::Receiver<Ended>,
    began: Instant,
    /// Those who copy the container's output into the log.
    copies: [JoinHandle<()>; 2],
    receipt: StartReceipt,
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

    /// Starts the container, as a fork of the nearest zygote if there is one, and sends the runner its work.
    async fn start(&self) -> anyhow::Result<Running> {
        let began = Instant::now();
        let listener = OwnedFd::from(std::os::unix::net::UnixListener::bind(&self.socket)?);
        let mut spec = self.template.spec.clone();
        spec.id = self.container.to_string();
        spec.hostname = self.container.to_string();
        spec.scratch.clone_from(&self.scratch);
        spec.command.env.push(("MODAL_TASK_ID".into(), self.container.to_string()));
        if self.isolation == Isolation::Process {
            on_host::place(&mut spec);
        }
        let mut receipt = StartReceipt::default();
        let mut forked = None;
        if let Some(from) = self.light.nearest().await {
            receipt.path = from.path.as_str();
            let spec = Spec { from: Some(from.id), ..spec.clone() };
            match runner::start(&self.containers, spec, Some(listener.try_clone()?), self.voice()).await {
                Ok(process) => forked = Some(process),
                // A zygote that is gone or hangs is no reason not to start.
                Err(error) => tracing::warn!(container = %self.container, "{error:#}; starting without"),
            }
        }
        let process = if let Some(process) = forked {
            receipt.fork = process.started.phases.run;
            process
        } else {
            receipt.path = Path::Plain.as_str();
            runner::start(&self.containers, spec, Some(listener), self.voice()).await?
        };
        receipt.sandbox = process.started.setup.saturating_sub(receipt.fork);
        for note in process.started.notes {
            self.system(&note);
        }
        let mut control = process.control;
        let Configure { app, era, function } = self.template.configure.clone();
        let container = self.container.to_string();
        let configure = ToRunner::Configure { app, era, function, container, role: Role::Serve };
        send(&mut control, &configure).await?;
        Ok(Running { control, ended: process.ended, began, receipt, copies: process.copies })
    }

    fn voice(&self) -> Voice<'_> {
        Voice { log: &self.log, function: &self.template.function, container: &self.container }
    }

    /// Follows the runner's messages and the orders to stop until the container has ended.
    async fn follow(&self, running: Running, mut stop: mpsc::Receiver<Stop>) {
        let Running { control, mut ended, began, receipt, copies } = running;
        let (reader, mut writer) = control.into_split();
        let mut messages = Messages::new(reader);
        let mut course = Course::new(began, receipt);
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
            // An interpreter of its own boots until here; a fork is there at once.
            FromRunner::Hello { .. } if course.receipt.fork.is_zero() => {
                course.receipt.sandbox = course.began.elapsed();
            }
            FromRunner::Hello { .. } => {
                course.receipt.fork = course.began.elapsed().saturating_sub(course.receipt.sandbox);
            }
            FromRunner::Imported { import_ms } => course.receipt.import = milliseconds(import_ms),
            FromRunner::Ready { app_ms } => {
                course.receipt.app = milliseconds(app_ms);
                let total = course.began.elapsed();
                self.events.send(LaunchEvent::Ready {
                    container: self.container.clone(),
                    address: Address::from(self.socket.clone()),
                    receipt: course.receipt,
                });
                // A request may wait for the event; nobody waits for the records.
                self.starts.ready(self.template.who(&self.container), &course.receipt, total);
            }
            // Only a zygote is lit; of a container the pool hears that it is not ready in time.
            FromRunner::Draining | FromRunner::Lit { .. } => {}
            FromRunner::Modules { modules } => self.light.learn(&modules),
            FromRunner::Failed { stage, summary, traceback } => {
                course.failed_at = Some(tokio::time::Instant::now());
                self.fail(stage_of(stage), summary, Some(traceback));
            }
        }
        Ok(())
    }

    /// Says how the container ended, to the log where the user should know, and to the pool unless it knows already.
    fn finish(&self, ended: Option<Ended>, course: &Course) {
        let how = ended.map_or_else(|| "ended with the sandbox helper".to_owned(), |ended| self.how(ended));
        let clean = ended.is_some_and(|ended| matches!(ended.status, ExitStatus::Code(0)));
        match course.sequence.phase() {
            Phase::Failed => {}
            Phase::Ready | Phase::Draining => {
                // A container that broke is ordered to be killed as well, and its end is news.
                let told = self.overdue.load(Ordering::Relaxed);
                if !clean && !told && course.ordered != Some(Stop::Drain) {
                    self.system(&format!("the container {how}"));
                }
                self.events.send(LaunchEvent::Exited { container: self.container.clone() });
            }
            Phase::Launched | Phase::Greeted | Phase::Imported | Phase::Lit => {
                let summary = format!("the container {how} before it was ready");
                if course.ordered.is_none() {
                    self.system(&summary);
                }
                self.fail(Stage::Exited, summary, None);
            }
        }
    }

    /// How a container ended, and what could be done about it.
    fn how(&self, ended: Ended) -> String {
        match self.template.spec.limits.memory_mib {
            Some(mib) if ended.oom => format!(
                "ran out of memory and was killed: its limit is {mib} MiB; `memory={}` gives it more",
                mib * 2
            ),
            _ => ended.to_string(),
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
    fn new(began: Instant, receipt: StartReceipt) -> Self {
        Self { began, sequence: Sequence::new(), receipt, failed_at: None, ordered: None }
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
