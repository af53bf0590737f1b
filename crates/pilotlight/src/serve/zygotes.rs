//! The pilot lights of this server: processes that have everything imported, from which containers are forked.
//!
//! An image's zygote has what is not the user's, and above it a function's zygote has the user's module and web app.
//! Between them there may be one for the next versions of a function that is being edited (`lineage`).
//! They are lit when first needed, and go out when nobody holds them, by budget, or when they die; without one a
//! container starts all the same, slower.

mod function;
mod lighting;
mod lineage;
mod written;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use pilotlight_core::hearth::{self, Budget};
use pilotlight_core::id::ContainerId;
use pilotlight_pool::StartFailure;
use pilotlight_sandbox::runner::Role;
use pilotlight_sandbox::{Limits, Network, Signal, Spec};
use tokio::sync::{Notify, watch};

pub(crate) use self::function::{FunctionLight, Light};
use self::lighting::{Wanted, burn};
pub(crate) use self::lineage::Lineage;
use super::containers::Containers;
use super::launcher::{Configure, Template};
use super::logs::AppLog;
use super::shells::Shells;
use super::tasks::{self, Kind};
use super::{entropy, inside};

/// How long an image's zygote may take to be lit: it runs no code of the user's.
const IMAGE_WITHIN: Duration = Duration::from_mins(1);

/// When an image's zygote that could not be lit is tried again.
const AGAIN: Duration = Duration::from_mins(1);

/// How often memory and age of zygotes are looked at, at least.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// What a zygote counts for where its memory cannot be measured, KiB.
const UNMEASURED_KIB: u64 = 64 * 1024;

/// The zygotes of a server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Zygotes(Arc<Shared>);

struct Shared {
    containers: Containers,
    shells: Shells,
    scratch: PathBuf,
    /// Whether there are any: without the sandbox nothing is forked.
    used: bool,
    budget: Budget,
    /// Those of images, by the image's key.
    images: Mutex<HashMap<String, Weak<Zygote>>>,
    /// All of them.
    all: Mutex<Vec<Weak<Zygote>>>,
    /// Rung when one was lit.
    lit: Notify,
}

/// One zygote. It goes out when the last reference is dropped.
pub(crate) struct Zygote {
    id: ContainerId,
    state: Fate,
    containers: Containers,
    used: Mutex<Used>,
    /// Whether every container waits for it, or one went ahead already.
    awaited: AtomicBool,
}

/// When something was last forked from a zygote, and how many are being forked now.
struct Used {
    at: Instant,
    holds: usize,
}

/// How far a zygote is.
#[derive(Clone, Debug)]
enum State {
    Lighting,
    Lit,
    /// A fork would break what was found in it.
    Unfit,
    Failed(StartFailure),
    /// It was lit.
    Out(Why),
}

/// Why a zygote is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It ended.
    Ended,
    /// It was put out: too old, or in the way of others.
    Dismissed,
    /// It was put out, and no budget will ever hold it.
    TooLarge,
}

/// The state of a zygote, for it and for who follows it.
#[derive(Clone)]
struct Fate(Arc<watch::Sender<State>>);

impl Fate {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::Lighting)))
    }

    fn borrow(&self) -> watch::Ref<'_, State> {
        self.0.borrow()
    }

    /// Moves on; `false` if it is out already, which is the end.
    fn settle(&self, next: State) -> bool {
        self.0.send_if_modified(|state| {
            let open = !matches!(state, State::Out(_));
            if open {
                *state = next;
            }
            open
        })
    }
}

/// Keeps a zygote from being put out while something is forked from it.
pub(crate) struct Hold(Arc<Zygote>);

impl Hold {
    fn new(zygote: Arc<Zygote>) -> Self {
        let mut used = lock(&zygote.used);
        *used = Used { at: Instant::now(), holds: used.holds + 1 };
        drop(used);
        Self(zygote)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        lock(&self.0.used).holds -= 1;
    }
}

/// The zygote to fork a container from.
#[derive(Clone)]
pub(crate) struct From {
    pub(crate) id: String,
    pub(crate) path: Path,
    zygote: Weak<Zygote>,
}

impl From {
    fn new(zygote: &Arc<Zygote>, path: Path) -> Self {
        Self { id: zygote.id.to_string(), path, zygote: Arc::downgrade(zygote) }
    }

    /// Keeps it while something is forked from it. One that is out is out.
    pub(crate) fn hold(&self) -> Option<Hold> {
        self.zygote.upgrade().map(Hold::new)
    }
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
    /// None is lit yet. [`tend`](Self::tend) keeps them within the budget.
    pub(crate) fn new(
        containers: Containers,
        shells: Shells,
        scratch: PathBuf,
        used: bool,
        budget: Budget,
    ) -> Self {
        let (images, all, lit) = (Mutex::default(), Mutex::default(), Notify::new());
        Self(Arc::new(Shared { containers, shells, scratch, used, budget, images, all, lit }))
    }

    /// How many are lit.
    pub(crate) fn count(&self) -> usize {
        self.lit().len()
    }

    /// The way to zygotes for one function of one version.
    pub(crate) fn function(
        &self,
        template: Template,
        log: AppLog,
        lineage: Option<Arc<Lineage>>,
    ) -> FunctionLight {
        FunctionLight::new(self.clone(), template, log, lineage)
    }

    /// Puts out those that are too old or too many, for as long as the server lives.
    pub(crate) async fn tend(self) {
        let pause = LOOK_EVERY.min(self.0.budget.unused / 4).max(Duration::from_millis(100));
        loop {
            // Whichever comes first.
            _ = tokio::time::timeout(pause, self.0.lit.notified()).await;
            let lit = self.lit();
            let (ids, containers) =
                (lit.iter().map(|zygote| zygote.id.to_string()), self.0.containers.clone());
            let ids: Vec<String> = ids.collect();
            let measure = move || ids.iter().map(|id| containers.memory_kib(id)).collect::<Vec<_>>();
            let Ok(measured) = tokio::task::spawn_blocking(measure).await else { continue };
            let sizes: Vec<u64> = measured.into_iter().map(|kib| kib.unwrap_or(UNMEASURED_KIB)).collect();
            let burning: Vec<hearth::Zygote> = lit
                .iter()
                .zip(&sizes)
                .map(|(zygote, kib)| {
                    let used = lock(&zygote.used);
                    hearth::Zygote { used: used.at, kib: *kib, busy: used.holds > 0 }
                })
                .collect();
            for place in hearth::to_put_out(Instant::now(), self.0.budget, &burning) {
                let large = sizes[place] > self.0.budget.kib;
                lit[place].dismiss(if large { Why::TooLarge } else { Why::Dismissed });
            }
        }
    }

    fn lit(&self) -> Vec<Arc<Zygote>> {
        let mut all = lock(&self.0.all);
        all.retain(|zygote| zygote.strong_count() > 0);
        let all = all.iter().filter_map(Weak::upgrade);
        all.filter(|zygote| matches!(*zygote.state.borrow(), State::Lit)).collect()
    }

    /// The zygote of a template's image, lit by whoever asks first.
    fn image(&self, template: &Template) -> Arc<Zygote> {
        let mut images = lock(&self.0.images);
        images.retain(|_, zygote| zygote.strong_count() > 0);
        let before = images.get(&template.image.key).and_then(Weak::upgrade);
        if let Some(zygote) = before.as_ref().filter(|zygote| !zygote.is_spent()) {
            return Arc::clone(zygote);
        }
        let mut spec = without_user(template);
        spec.command.env.clone_from(&template.image.env);
        let zygote = self.light(Wanted {
            spec,
            doors: Vec::new(),
            from: None,
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
            _pins: template.pins.clone(),
        });
        // Whoever asks for the first one finds nothing else prepared either.
        zygote.awaited.store(before.is_none(), Ordering::Relaxed);
        images.insert(template.image.key.clone(), Arc::downgrade(&zygote));
        zygote
    }

    /// The zygote of a template's next versions, with these modules of its image imported.
    fn session(&self, template: &Template, image: &Arc<Zygote>, modules: &[String]) -> Arc<Zygote> {
        let mut spec = without_user(template);
        spec.from = Some(image.id.to_string());
        let function = serde_json::json!({ "modules": modules });
        self.light(Wanted {
            spec,
            doors: Vec::new(),
            from: Some(Hold::new(Arc::clone(image))),
            configure: Configure { function, ..template.configure.clone() },
            role: Role::Session,
            function: Arc::clone(&template.function),
            log: None,
            ahead: false,
            within: IMAGE_WITHIN,
            _pins: template.pins.clone(),
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
        let state = Fate::new();
        let zygote = Arc::new(Zygote {
            id: id.clone(),
            state: state.clone(),
            containers: self.0.containers.clone(),
            used: Mutex::new(Used { at: Instant::now(), holds: 0 }),
            awaited: AtomicBool::new(true),
        });
        lock(&self.0.all).push(Arc::downgrade(&zygote));
        tasks::spawn(Kind::Zygote, burn(self.clone(), wanted, id, Arc::downgrade(&zygote), state));
        zygote
    }
}

impl Zygote {
    /// Whether another is to be lit in its place. One that failed had its reason, which may pass.
    fn is_spent(&self) -> bool {
        match *self.state.borrow() {
            State::Out(_) => true,
            State::Failed(_) => lock(&self.used).at.elapsed() > AGAIN,
            State::Lighting | State::Lit | State::Unfit => false,
        }
    }

    /// Whether a container that could be forked from this starts without it. One does while it is lit in the place of one
    /// that is out.
    fn goes_ahead(&self) -> bool {
        matches!(*self.state.borrow(), State::Lighting) && !self.awaited.swap(true, Ordering::Relaxed)
    }

    /// Its state once it is no longer being lit.
    async fn settled(&self) -> State {
        let mut state = self.state.0.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Lighting)).await;
        settled.map_or(State::Out(Why::Ended), |state| state.clone())
    }

    /// Puts it out, unless something is being forked from it.
    fn dismiss(&self, why: Why) {
        let used = lock(&self.used);
        if used.holds == 0 && self.state.settle(State::Out(why)) {
            tracing::debug!(id = %self.id, ?why, "a zygote is put out");
            self.put_out();
        }
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
