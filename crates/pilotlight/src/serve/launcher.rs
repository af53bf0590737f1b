//! The adapter between the pool's `Launcher` port and the sandbox: a container from start to end.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pilotlight_api::progress::Stream;
use pilotlight_core::id::ContainerId;
use pilotlight_image::Pins;
use pilotlight_pool::{
    Address, LaunchEvent, Launcher, Receipt, Sender, Stage, StartFailure, StartReceipt, Stop, TimeLimit,
};
use pilotlight_sandbox::runner::{FromRunner, OutOfOrder, Phase, Role, Sequence, ToRunner};
use pilotlight_sandbox::{Door, ExitStatus, Isolation, Relay, Signal, Spec};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::containers::{Containers, Ended};
use super::inside::Inside;
use super::runner::{self, Messages, Process, Voice, milliseconds, send, stage_of};
use super::shells::{FunctionShells, Shell, Shells, Starting};
use super::starts::{Starts, Who};
use super::tasks::{self, Kind};
use super::zygotes::{FunctionLight, Path};
use super::{entropy, on_host};

/// How long a container may take to end after its runner said that it cannot start, before it is killed.
const EXIT_LIMIT: Duration = Duration::from_secs(10);

/// How long the log may take to be read to its end after its container's. Its writers are all gone by then.
const LOG_LIMIT: Duration = Duration::from_secs(1);

/// How much later than the pool's clock ours may begin when a container is launched.
const LAUNCH_DELAY_MAX: Duration = Duration::from_millis(100);

/// Starts containers of one function of one version.
pub(crate) struct FunctionLauncher {
    /// Where containers are made.
    pub(crate) containers: Containers,
    /// Those made ahead.
    pub(crate) shells: Shells,
    /// What they have in common, and are forked from.
    pub(crate) light: Arc<FunctionLight>,
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
    /// What of this machine's loopback it reaches.
    pub(crate) doors: Vec<Door>,
    /// What the runner is told to load.
    pub(crate) configure: Configure,
    /// How long a container may take to become ready. The pool ends one that takes longer; its log says so.
    pub(crate) start_timeout: Duration,
    /// The image by itself.
    pub(crate) image: TemplateImage,
    /// Keep its layers on disk.
    pub(crate) pins: Vec<Pins>,
    /// The names that the user's files import, where all of these files lie in the user's own place.
    pub(crate) imports: Option<Vec<String>>,
    /// Why no container may be a fork: something happens at the start of a program that a fork would not have.
    pub(crate) never_forked: Option<&'static str>,
    /// What of its command is the image's entrypoint.
    pub(crate) entrypoint: Vec<String>,
}

impl Template {
    /// A container of the function, for the records.
    fn who<'who>(&'who self, container: &'who ContainerId) -> Who<'who> {
        Who { app: &self.configure.app, function: &self.function, container }
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
    fn launch(&self, events: Sender) -> ContainerId {
        let starting = self.shells.starting();
        let shell = self.light.burning().and_then(|from| self.light.shells.take(&from));
        let container =
            shell.as_ref().map_or_else(|| ContainerId::from_entropy(entropy()), |shell| shell.id.clone());
        let (stop_sender, stop) = mpsc::channel(2);
        let held = Held { stop: stop_sender, overdue: Arc::default() };
        let overdue = Arc::clone(&held.overdue);
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(container.clone(), held);
        let life = Life {
            container: container.clone(),
            containers: self.containers.clone(),
            shells: self.shells.clone(),
            light: Arc::clone(&self.light),
            isolation: self.isolation,
            starts: self.starts.clone(),
            socket: self.shells.socket(&container),
            launched: Instant::now(),
            overdue,
            events,
        };
        let (running, id) = (Arc::clone(&self.running), container.clone());
        tasks::spawn(Kind::Container, async move {
            life.run(shell, starting, stop).await;
            running.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        });
        container
    }

    fn stop(&self, container: ContainerId, stop: Stop) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = running.get(&container) {
            // Full means that it was told twice already.
            _ = held.stop.try_send(stop);
        }
    }

    fn waited(&self, container: &ContainerId, receipt: &Receipt) {
        self.starts.waited(self.light.template.who(container), receipt);
    }

    fn overdue(&self, container: &ContainerId, limit: TimeLimit) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = running.get(container) {
            held.overdue.store(true, Ordering::Relaxed);
            let TimeLimit { name, after } = limit;
            let line = format!(
                "a request went over its {name} of {} s, and its container is ended; `{name}` gives requests more time",
                after.as_secs_f64()
            );
            self.light.log.push(&self.light.template.function, Some(container), Stream::System, line);
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
    containers: Containers,
    shells: Shells,
    light: Arc<FunctionLight>,
    isolation: Isolation,
    starts: Starts,
    socket: PathBuf,
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
    /// As long as it runs.
    _doors: Option<Relay>,
    /// Until it is ready.
    starting: Option<Starting>,
}

impl Life {
    async fn run(self, shell: Option<Shell>, starting: Starting, stop: mpsc::Receiver<Stop>) {
        let started = self.start(shell).await;
        // The next start finds one again.
        FunctionShells::fill(&self.light);
        match started {
            Ok(running) => self.follow(Running { starting: Some(starting), ..running }, stop).await,
            Err(error) => {
                let summary = format!("the container could not be made: {error:#}");
                self.system(&summary);
                self.fail(Stage::Sandbox, summary, None);
            }
        }
        _ = fs_err::remove_file(&self.socket);
    }

    /// Starts the container, as a fork of the nearest zygote if there is one: into the shell that was made ahead for it,
    /// or else a fresh one.
    async fn start(&self, shell: Option<Shell>) -> anyhow::Result<Running> {
        let began = Instant::now();
        let Configure { app, era, function } = self.light.template.configure.clone();
        let container = self.container.to_string();
        let configure = ToRunner::Configure { app, era, function, container, role: Role::Serve };
        let doors = &self.light.template.doors;
        let mut receipt = StartReceipt::default();
        let mut forked = None;
        let (spec, from, listener) = if let Some(Shell { spec, from, listener, .. }) = shell {
            (Spec { from: None, ..spec }, Some(from), listener)
        } else {
            let listener = OwnedFd::from(std::os::unix::net::UnixListener::bind(&self.socket)?);
            let mut spec = self.shells.spec(&self.light.template, &self.container);
            if self.isolation == Isolation::Process {
                on_host::place(&mut spec);
            }
            (spec, self.light.nearest().await, listener)
        };
        if let Some(from) = from {
            receipt.path = from.path.as_str();
            let _hold = from.hold();
            if from.path == Path::Image {
                self.light.kindle();
            }
            let spec = Spec { from: Some(from.id), ..spec.clone() };
            let listener = Some(listener.try_clone()?);
            match runner::start(&self.containers, spec, listener, doors, Some(&configure), self.voice()).await
            {
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
            runner::start(&self.containers, spec, Some(listener), doors, Some(&configure), self.voice())
                .await?
        };
        receipt.sandbox = process.started.setup.saturating_sub(receipt.fork);
        for note in process.started.notes {
            self.system(&note);
        }
        let Process { control, ended, copies, doors, .. } = process;
        Ok(Running { control, ended, began, receipt, copies, _doors: doors, starting: None })
    }

    fn voice(&self) -> Voice<'_> {
        Voice { log: &self.light.log, function: &self.light.template.function, container: &self.container }
    }

    /// Follows the runner's messages and the orders to stop until the container has ended.
    async fn follow(&self, running: Running, mut stop: mpsc::Receiver<Stop>) {
        let Running { control, mut ended, began, receipt, copies, _doors, starting } = running;
        let (reader, mut writer) = control.into_split();
        let mut messages = Messages::new(reader);
        let mut course = Course::new(began, receipt, starting);
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
                course.starting = None;
                course.receipt.app = milliseconds(app_ms);
                let total = course.began.elapsed();
                self.events.send(LaunchEvent::Ready {
                    container: self.container.clone(),
                    address: Address::from(self.socket.clone()),
                    receipt: course.receipt,
                });
                // A request may wait for the event; nobody waits for the records.
                self.starts.ready(self.light.template.who(&self.container), &course.receipt, total);
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
                let hint = self.hint(course.sequence.phase());
                let summary = format!("the container {how} before it was ready{hint}");
                if course.ordered.is_none() {
                    self.system(&summary);
                }
                self.fail(Stage::Exited, summary, None);
            }
        }
    }

    /// How a container ended, and what could be done about it.
    fn how(&self, ended: Ended) -> String {
        match self.light.template.spec.limits.memory_mib {
            Some(mib) if ended.oom => format!(
                "ran out of memory and was killed: its limit is {mib} MiB; `memory={}` gives it more",
                mib * 2
            ),
            _ => ended.to_string(),
        }
    }

    /// What may be wrong where the runner never said a word.
    fn hint(&self, phase: Phase) -> String {
        let entrypoint = &self.light.template.entrypoint;
        if phase != Phase::Launched || entrypoint.is_empty() {
            return String::new();
        }
        format!(
            "; its image's entrypoint `{}` has to run its arguments: end it with exec \"$@\", or leave it out with \
             .entrypoint([])",
            entrypoint.join(" ")
        )
    }

    /// A start that is ended for taking too long: the pool tells those who wait, and the log is for everybody else.
    fn tell_overdue(&self, course: &Course, order: Option<Stop>) {
        let limit = self.light.template.start_timeout;
        let starting = matches!(course.sequence.phase(), Phase::Launched | Phase::Greeted | Phase::Imported);
        if starting && order == Some(Stop::Kill) && self.launched.elapsed() + LAUNCH_DELAY_MAX >= limit {
            let place = match course.sequence.phase() {
                Phase::Imported => "making its app",
                Phase::Greeted => "importing its module",
                _ => "starting its interpreter",
            };
            self.system(&format!(
                "the container is ended: it was still {place} after {} s; `startup_timeout` gives it more time{}",
                limit.as_secs_f64(),
                self.hint(course.sequence.phase())
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
        self.light.log.push(
            &self.light.template.function,
            Some(&self.container),
            Stream::System,
            line.to_owned(),
        );
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
    /// Until it is ready.
    starting: Option<Starting>,
}

impl Course {
    fn new(began: Instant, receipt: StartReceipt, starting: Option<Starting>) -> Self {
        Self { began, sequence: Sequence::new(), receipt, failed_at: None, ordered: None, starting }
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
