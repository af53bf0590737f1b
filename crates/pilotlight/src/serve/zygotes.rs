//! The pilot lights of this server: processes that have everything imported, from which containers are forked.
//!
//! An image's zygote has what is not the user's, and above it a function's zygote has the user's module and web app.
//! Between them there may be one for the next versions of a function that is being edited (`lineage`).
//! They are lit when first needed, and go out when nobody holds them, by budget, or when they die; without one a
//! container starts all the same, slower.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use pilotlight_api::progress::Stream;
use pilotlight_core::id::{AppId, ContainerId};
use pilotlight_pool::{Stage, StartFailure};
use pilotlight_sandbox::runner::{FromRunner, Phase, Role, Sequence, ToRunner};
use pilotlight_sandbox::{Limits, Network, Signal, Spec};
use tokio::sync::watch;

use self::written::Written;
use super::containers::Containers;
use super::launcher::{Configure, Template};
use super::logs::AppLog;
use super::runner::{self, Messages, Process, Voice, send, stage_of};
use super::tasks::{self, Kind};
use super::{entropy, inside};

mod lineage;
mod written;

pub(crate) use lineage::Lineage;

/// How long an image's zygote may take to be lit: it runs no code of the user's.
const IMAGE_WITHIN: Duration = Duration::from_mins(1);

/// Functions' zygotes at a time; the one that was used longest ago goes first.
const FUNCTIONS_MAX: usize = 64;

/// How long a function's zygote stays lit without being used.
const UNUSED_MAX: Duration = Duration::from_hours(1);

/// When an image's zygote that could not be lit is tried again.
const AGAIN: Duration = Duration::from_mins(1);

/// A zygote that lived shorter than this is not lit again by itself.
const SOUND: Duration = Duration::from_secs(30);

/// The zygotes of a server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Zygotes(Arc<Shared>);

struct Shared {
    containers: Containers,
    scratch: PathBuf,
    /// Whether there are any: without the sandbox nothing is forked.
    used: bool,
    images: Mutex<HashMap<String, Weak<Zygote>>>,
    functions: Mutex<Vec<Weak<Zygote>>>,
}

/// What a zygote is to become.
struct Wanted {
    spec: Spec,
    configure: Configure,
    role: Role,
    function: Arc<str>,
    log: Option<AppLog>,
    /// Modules were imported before the user's that it may be about to change.
    ahead: bool,
    within: Duration,
}

/// One zygote. It goes out when the last reference is dropped.
pub(crate) struct Zygote {
    id: ContainerId,
    state: watch::Receiver<State>,
    containers: Containers,
    used: Mutex<Instant>,
    /// It was put out to make room.
    dismissed: AtomicBool,
}

/// How far a zygote is.
#[derive(Clone, Debug)]
enum State {
    Lighting,
    Lit,
    /// A fork would break what was found in it.
    Unfit,
    Failed(StartFailure),
    /// It was lit, and ended.
    Out,
}

/// How a zygote came out.
pub(crate) enum Light {
    /// It can be forked from.
    Lit,
    /// It cannot be used, and was not the user's mistake.
    Without,
    /// The user's code failed in it.
    Failed(StartFailure),
}

/// A function's own way to its zygotes: the image's, held as long as the function lives, and its own.
pub(crate) struct FunctionLight {
    zygotes: Zygotes,
    template: Template,
    log: AppLog,
    lineage: Option<Arc<Lineage>>,
    image: Mutex<Option<Arc<Zygote>>>,
    own: Mutex<Own>,
}

/// A function's own zygote.
#[derive(Default)]
struct Own {
    zygote: Option<Arc<Zygote>>,
    since: Option<Instant>,
    /// It is a fork of the lineage's.
    ahead: bool,
    /// It is not to be tried again.
    never: bool,
}

/// The zygote to fork a container from.
#[derive(Clone, Debug)]
pub(crate) struct From {
    pub(crate) id: String,
    pub(crate) path: Path,
}

/// Which way a container was started. Its text is part of the receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// Forked from the function's zygote.
    Function,
    /// Forked from the image's zygote.
    Image,
    /// An interpreter of its own.
    Plain,
}

impl Zygotes {
    /// None is lit yet.
    pub(crate) fn new(containers: Containers, scratch: PathBuf, used: bool) -> Self {
        let (images, functions) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Shared { containers, scratch, used, images, functions }))
    }

    /// The way to zygotes for one function of one version.
    pub(crate) fn function(
        &self,
        template: Template,
        log: AppLog,
        lineage: Option<Arc<Lineage>>,
    ) -> FunctionLight {
        let (image, own) = (Mutex::default(), Mutex::default());
        FunctionLight { zygotes: self.clone(), template, log, lineage, image, own }
    }

    /// The zygote of a template's image, lit by whoever asks first.
    fn image(&self, template: &Template) -> Arc<Zygote> {
        let mut images = lock(&self.0.images);
        images.retain(|_, zygote| zygote.strong_count() > 0);
        let lit = images.get(&template.image.key).and_then(Weak::upgrade);
        if let Some(zygote) = lit.filter(|zygote| !zygote.is_spent()) {
            return zygote;
        }
        let mut spec = without_user(template);
        spec.command.env.clone_from(&template.image.env);
        let zygote = self.light(Wanted {
            spec,
            configure: Configure {
                app: String::new(),
                era: template.configure.era.clone(),
                function: serde_json::Value::Null,
            },
            role: Role::Image,
            function: Arc::from("image"),
            log: None,
            ahead: false,
            within: IMAGE_WITHIN,
        });
        images.insert(template.image.key.clone(), Arc::downgrade(&zygote));
        zygote
    }

    /// The zygote of a template's next versions, with these modules of its image imported.
    fn session(&self, template: &Template, image: &Zygote, modules: &[String]) -> Arc<Zygote> {
        let mut spec = without_user(template);
        spec.from = Some(image.id.to_string());
        let function = serde_json::json!({ "modules": modules });
        self.light(Wanted {
            spec,
            configure: Configure { function, ..template.configure.clone() },
            role: Role::Session,
            function: Arc::clone(&template.function),
            log: None,
            ahead: false,
            within: IMAGE_WITHIN,
        })
    }

    fn light(&self, mut wanted: Wanted) -> Arc<Zygote> {
        let id = ContainerId::from_entropy(entropy());
        wanted.spec.id = id.to_string();
        wanted.spec.hostname = id.to_string();
        wanted.spec.scratch = self.0.scratch.join(id.as_str());
        wanted.spec.zygote = true;
        // What is imported may ask for it, as in every container.
        wanted.spec.command.env.push(("MODAL_TASK_ID".into(), id.to_string()));
        let (sender, state) = watch::channel(State::Lighting);
        let zygote = Arc::new(Zygote {
            id: id.clone(),
            state,
            containers: self.0.containers.clone(),
            used: Mutex::new(Instant::now()),
            dismissed: AtomicBool::new(false),
        });
        tasks::spawn(Kind::Zygote, burn(self.0.containers.clone(), wanted, id, sender));
        zygote
    }

    /// Keeps count of a function's zygote, and puts out those that are too many or too old.
    fn enter(&self, zygote: &Arc<Zygote>) {
        let mut functions = lock(&self.0.functions);
        functions.push(Arc::downgrade(zygote));
        let burns = |zygote: &Arc<Zygote>| matches!(*zygote.state.borrow(), State::Lighting | State::Lit);
        let mut lit: Vec<Arc<Zygote>> = functions.iter().filter_map(Weak::upgrade).filter(burns).collect();
        lit.sort_by_key(|zygote| *lock(&zygote.used));
        let too_many = lit.len().saturating_sub(FUNCTIONS_MAX);
        for (place, zygote) in lit.iter().enumerate() {
            if place < too_many || lock(&zygote.used).elapsed() > UNUSED_MAX {
                zygote.dismissed.store(true, Ordering::Relaxed);
                zygote.put_out();
            }
        }
        *functions = lit.iter().map(Arc::downgrade).collect();
    }
}

impl FunctionLight {
    /// Lights the function's zygote, and the image's before it, and says how that went.
    pub(crate) async fn light(&self) -> Light {
        if !self.is_used() {
            self.tell_of_no_snapshot();
            return Light::Without;
        }
        let Some(image) = self.image().await else { return Light::Without };
        let zygote = match self.own(&image) {
            Some(zygote) if self.is_misled(&zygote.settled().await) => self.own(&image),
            zygote => zygote,
        };
        match zygote {
            Some(zygote) => match zygote.settled().await {
                State::Lit => Light::Lit,
                State::Failed(failure) if failure.stage.is_users() || failure.stage == Stage::Timeout => {
                    Light::Failed(failure)
                }
                State::Unfit | State::Failed(_) | State::Out | State::Lighting => {
                    lock(&self.own).never = true;
                    Light::Without
                }
            },
            None => Light::Without,
        }
    }

    /// The nearest zygote that can be forked from now. Waits for the image's, which takes no longer than its imports
    /// would, and for none of the user's code: the function's own is lit beside, for the next container.
    pub(crate) async fn nearest(&self) -> Option<From> {
        if !self.is_used() {
            return None;
        }
        if let Some(own) = self.lit() {
            *lock(&own.used) = Instant::now();
            return Some(From { id: own.id.to_string(), path: Path::Function });
        }
        let image = self.image().await?;
        _ = self.own(&image);
        Some(From { id: image.id.to_string(), path: Path::Image })
    }

    fn tell_of_no_snapshot(&self) {
        if self.template.snapshot == Some(true) {
            let reason = if self.zygotes.0.used {
                "one of its variables is read at the start of an interpreter (PYTHON…, LD_…, LC_…, LANG, MALLOC_…)"
            } else {
                "nothing is forked without the sandbox"
            };
            let line = format!("no snapshot is taken of the program's memory: {reason}");
            self.log.push(&self.template.function, None, Stream::System, line);
        }
    }

    /// Takes note of what a container has imported of the image, for the next version.
    pub(crate) fn learn(&self, modules: &[String]) {
        let Some(lineage) = &self.lineage else { return };
        let image = lock(&self.image).clone();
        if let Some(image) = image.filter(|_| self.is_used()) {
            lineage.learn(&self.template, modules, |modules| {
                self.zygotes.session(&self.template, &image, modules)
            });
        }
    }

    /// Whether the function's zygote came out as it did since modules had been imported ahead; the next has none.
    fn is_misled(&self, state: &State) -> bool {
        let mut own = lock(&self.own);
        let users = matches!(state, State::Failed(failure) if failure.stage.is_users());
        if !own.ahead || matches!(state, State::Lit) || users {
            return false;
        }
        if let Some(lineage) = &self.lineage {
            lineage.end(&self.template);
        }
        own.zygote = None;
        true
    }

    fn is_used(&self) -> bool {
        self.zygotes.0.used && !self.template.is_read_at_exec()
    }

    fn lit(&self) -> Option<Arc<Zygote>> {
        let own = lock(&self.own);
        own.zygote.clone().filter(|zygote| matches!(*zygote.state.borrow(), State::Lit))
    }

    async fn image(&self) -> Option<Arc<Zygote>> {
        let image = {
            let mut kept = lock(&self.image);
            match kept.as_ref().filter(|zygote| !zygote.is_spent()) {
                Some(zygote) => Arc::clone(zygote),
                None => Arc::clone(kept.insert(self.zygotes.image(&self.template))),
            }
        };
        matches!(image.settled().await, State::Lit).then_some(image)
    }

    /// The function's own zygote; lights it unless it is, or is not to be.
    fn own(&self, image: &Zygote) -> Option<Arc<Zygote>> {
        let mut own = lock(&self.own);
        if let Some(out) = own.zygote.take_if(|zygote| matches!(*zygote.state.borrow(), State::Out)) {
            let broke = own.since.is_some_and(|since| since.elapsed() < SOUND);
            own.never |= broke && !out.dismissed.load(Ordering::Relaxed);
        }
        if own.never || self.template.snapshot == Some(false) {
            return None;
        }
        if own.zygote.is_none() {
            let mut spec = self.template.spec.clone();
            let ahead = self.lineage.as_ref().and_then(|lineage| lineage.zygote(&self.template));
            own.ahead = ahead.is_some();
            spec.from = Some(ahead.as_deref().unwrap_or(image).id.to_string());
            let zygote = self.zygotes.light(Wanted {
                spec,
                configure: self.template.configure.clone(),
                role: Role::Function,
                function: Arc::clone(&self.template.function),
                log: Some(self.log.clone()),
                ahead: own.ahead,
                within: self.template.start_timeout,
            });
            self.zygotes.enter(&zygote);
            own.since = Some(Instant::now());
            own.zygote = Some(zygote);
        }
        own.zygote.clone()
    }
}

impl Zygote {
    /// Whether another is to be lit in its place. One that failed had its reason, which may pass.
    fn is_spent(&self) -> bool {
        match *self.state.borrow() {
            State::Out => true,
            State::Failed(_) => lock(&self.used).elapsed() > AGAIN,
            State::Lighting | State::Lit | State::Unfit => false,
        }
    }

    /// Its state once it is no longer being lit.
    async fn settled(&self) -> State {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Lighting)).await;
        settled.map_or(State::Out, |state| state.clone())
    }

    /// Ends its process. What was forked from it goes on.
    fn put_out(&self) {
        self.containers.signal(self.id.as_str(), Signal::Terminate);
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.put_out();
    }
}

impl Path {
    /// The word for it in receipts.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Function => "function-zygote",
            Self::Image => "image-zygote",
            Self::Plain => "plain",
        }
    }
}

/// A template's container without anything of the user's but the environment.
fn without_user(template: &Template) -> Spec {
    let mut spec = template.spec.clone();
    // The topmost layer is the user's files.
    spec.lowers.drain(..1);
    // Names that are one app's.
    spec.binds.retain(|bind| bind.target != std::path::Path::new(inside::HOSTS));
    spec.network = Network::None;
    spec.limits = Limits::default();
    spec
}

/// The life of one zygote, as a task.
async fn burn(containers: Containers, wanted: Wanted, id: ContainerId, state: watch::Sender<State>) {
    let log = wanted.log.clone().unwrap_or_else(|| AppLog::new(AppId::from_entropy(0), None));
    let say = |line: String| log.push(&wanted.function, Some(&id), Stream::System, line);
    let voice = Voice { log: &log, function: &wanted.function, container: &id };
    let ahead = wanted.ahead;
    let lowers = wanted.spec.lowers.clone();
    let started = match runner::start(&containers, wanted.spec, None, voice).await {
        Ok(process) => containers.look(id.as_str()).await.map(|seen| (process, Written::new(seen))),
        Err(error) => Err(error),
    };
    let (process, written) = match started {
        Ok(started) => started,
        Err(error) => {
            tracing::warn!(function = &*wanted.function, "cannot light a zygote: {error:#}");
            state.send_replace(State::Failed(StartFailure::new(Stage::Sandbox, format!("{error:#}"))));
            return;
        }
    };
    let Process { mut control, mut ended, .. } = process;
    let Configure { app, era, function } = wanted.configure;
    let asked_for = function.get("snapshot") == Some(&serde_json::Value::Bool(true));
    let configure = ToRunner::Configure { app, era, function, container: id.to_string(), role: wanted.role };
    // A runner that cannot be told anything ends by itself, which is heard below.
    _ = send(&mut control, &configure).await;
    let mut messages = Messages::new(control);
    let lit = tokio::time::timeout(wanted.within, lighting(&mut messages)).await;
    let next = match lit {
        Ok(Ok((_, true))) if ahead => State::Failed(StartFailure::new(
            Stage::Sandbox,
            "its import changes what was imported ahead".to_owned(),
        )),
        Ok(Ok((mut obstacles, _))) => {
            if obstacles.is_empty() {
                obstacles.extend(missed(&containers, &id, written, lowers).await);
            }
            if obstacles.is_empty() {
                State::Lit
            } else {
                let obstacles = obstacles.join(" and ");
                say(if asked_for {
                    format!(
                        "no snapshot is taken of the program's memory, since a fork would break {obstacles}; each \
                         container imports it and runs its snap hooks by itself"
                    )
                } else {
                    format!(
                        "each container imports the program by itself, since a fork would break {obstacles}"
                    )
                });
                State::Unfit
            }
        }
        Ok(Err(failure)) => State::Failed(failure),
        Err(_) => {
            let seconds = wanted.within.as_secs();
            State::Failed(StartFailure::new(Stage::Timeout, format!("importing took more than {seconds} s")))
        }
    };
    let lit = matches!(next, State::Lit);
    state.send_replace(next);
    // Whoever let go of it before may not have been heard: there was no process yet, or the user's code took the signal.
    if !lit || state.is_closed() {
        containers.signal(id.as_str(), Signal::Kill);
        return;
    }
    // Its pid 1 goes on with what is below it. The process itself shows its end here.
    tokio::select! {
        _ = &mut ended => {}
        () = silence(&mut messages) => {}
    }
    state.send_replace(State::Out);
}

/// Waits until nobody is at the other end any more.
async fn silence<R: tokio::io::AsyncRead + Unpin>(messages: &mut Messages<R>) {
    while let Ok(Some(_)) = messages.next().await {}
}

/// What of a zygote's files a fork of it would miss, as words for the log.
async fn missed(
    containers: &Containers,
    id: &ContainerId,
    written: Written,
    lowers: Vec<PathBuf>,
) -> Option<String> {
    let found = async {
        let seen = containers.look(id.as_str()).await?;
        anyhow::Ok(tokio::task::spawn_blocking(move || written.since(seen, &lowers)).await?)
    };
    match found.await {
        Ok(path) => path.map(|path| format!("the use of {}, which it has written", path.display())),
        Err(error) => Some(format!("what cannot be told: {error:#}")),
    }
}

/// Hears a zygote until it is lit; what a fork of it would break, and whether it changes what imports see.
async fn lighting<R: tokio::io::AsyncRead + Unpin>(
    messages: &mut Messages<R>,
) -> Result<(Vec<String>, bool), StartFailure> {
    let broken = |text: String| StartFailure::new(Stage::Sandbox, text);
    let mut sequence = Sequence::new();
    loop {
        let message = match messages.next().await {
            Ok(Some(message)) => message,
            Ok(None) => {
                let users = sequence.phase() == Phase::Greeted;
                let stage = if users { Stage::Exited } else { Stage::Sandbox };
                return Err(StartFailure::new(stage, "it ended before it was lit"));
            }
            Err(error) => return Err(broken(error.to_string())),
        };
        sequence.accept(&message).map_err(|error| broken(error.to_string()))?;
        match message {
            FromRunner::Lit { obstacles, changes, .. } => return Ok((obstacles, changes)),
            FromRunner::Failed { stage, summary, traceback } => {
                return Err(StartFailure { stage: stage_of(stage), summary, traceback: Some(traceback) });
            }
            _ => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
