//! The way from a plan to an image: base, layers, the runner's layers, and what a container needs beside them.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pilotlight_core::image::registry::Reference;
use pilotlight_core::image::{
    Base as Start, Era, Key, LayerKind, Layers, PATH, Plan, PythonVersion, Registry, Sets, Step, VENV_PYTHON,
    conda, layers,
};
use pilotlight_sandbox::{Bind, Door, Helper, Isolation};
use thiserror::Error;

use crate::base::{self, Base, Bases, Choice};
use crate::discovery::{self, Wanted};
use crate::host::HostPython;
use crate::hostconf::HostConf;
use crate::inventory::{self, Inventory, Removed, StepLog, Stock};
use crate::on_host::OnHost;
use crate::progress::Progress;
use crate::registry::Pull;
use crate::runner::{self, CodeFile};
use crate::settings::{CA_INSIDE, Settings};
use crate::step::{Exits, Sandboxed, Steps};
use crate::store::{Pins, Store};
use crate::tools::{self, Cache};
use crate::tree;
use crate::turns::{self, Turns};

/// Why there is no image.
mod error;
/// One layer by one step.
mod workshop;

pub use error::Error;
use workshop::{Input, Job, Workshop};

/// Where a server keeps the files that users send, below its state directory: each under the SHA-256 of its content.
pub const BLOBS: &str = "blobs";

/// Where Pythons come from that this machine has none of: the images that the Python project's own are.
const PYTHON_IMAGE: &str = "docker.io/library/python:{version}-slim";
const VERSION: &str = "{version}";

/// What a builder needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where layers, tools and caches are kept.
    pub state_dir: PathBuf,
    /// The local interpreter: runs our scripts, and is the first choice for the host base.
    pub python: HostPython,
    /// Which bases may be used.
    pub base: Choice,
    /// The package sets of the eras.
    pub sets: Sets,
    /// Package index, proxy and certificates.
    pub settings: Settings,
    /// The runner and the SDK.
    pub code: Vec<CodeFile>,
    /// What containers of the images get: without the sandbox, images are made on the host itself.
    pub isolation: Isolation,
    /// The image of a registry that has the Python which this machine lacks; `{version}` stands for it. Empty for none.
    pub python_image: String,
}

impl Options {
    /// The usual: this machine's settings, and the base that `PILOTLIGHT_BASE` names.
    pub fn new(state_dir: PathBuf, python: HostPython, code: Vec<CodeFile>) -> Result<Self, Error> {
        let base = std::env::var("PILOTLIGHT_BASE").unwrap_or_default().parse()?;
        let settings = Settings::of_this_machine();
        let (sets, isolation) = (Sets::default(), Isolation::Sandbox);
        let python_image =
            std::env::var("PILOTLIGHT_PYTHON_IMAGE").unwrap_or_else(|_| PYTHON_IMAGE.to_owned());
        python_image.replace(VERSION, "3.12").parse::<Reference>().map(drop).or_else(|source| {
            if python_image.is_empty() { Ok(()) } else { Err(Error::PythonImage { source }) }
        })?;
        Ok(Self { state_dir, python, base, sets, settings, code, isolation, python_image })
    }

    /// The image of a registry for a Python that this machine lacks, unless only the machine's own userland may be used.
    fn python_image(&self, python: PythonVersion) -> Option<Reference> {
        let image = self.python_image.replace(VERSION, &python.to_string());
        if self.base == Choice::Host { None } else { image.parse().ok() }
    }
}

/// Which base an image got, for the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUsed {
    /// `Debian bookworm by mmdebstrap`, or `host userland (Debian 12), Python 3.11.7`.
    pub text: String,
    /// Whether it was made by this build.
    pub made: bool,
}

/// An image that exists, and what a container of it needs.
#[derive(Clone, Debug)]
pub struct Image {
    /// `im-` and 12 hex digits.
    pub key: String,
    /// What it starts from.
    pub base: BaseUsed,
    /// Whether everything was there already.
    pub cached: bool,
    /// Layers, topmost first, without the user's files, which go above them.
    pub lowers: Vec<PathBuf>,
    /// What of the host it shows.
    pub binds: Vec<Bind>,
    /// Variables of the base, of the certificates and of the image, in this order: later ones win. They win over the
    /// general ones of a container (`PATH`, `HOME`, …) too.
    pub env: Vec<(String, String)>,
    /// What of this machine's loopback its containers reach: its name server, if they have no other.
    pub doors: Vec<Door>,
    /// The working directory, when the plan names one.
    pub workdir: Option<String>,
    /// What its containers begin with, their program behind it as its arguments; empty for none.
    pub entrypoint: Vec<String>,
    /// Things the user should know.
    pub warnings: Vec<String>,
    /// Where its programs are.
    pub places: Places,
    /// Its layers stay on disk as long as these live.
    pub pins: Pins,
}

/// A user's files as a layer.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The layer.
    pub path: PathBuf,
    /// It stays on disk as long as these live.
    pub pins: Pins,
}

/// Where an image's programs are, as its containers see them.
#[derive(Clone, Debug)]
pub struct Places {
    /// The interpreter that runs the user's code.
    pub python: String,
    /// The search path.
    pub path: String,
    /// The directory of the runner's package.
    pub lib: String,
}

impl Default for Places {
    /// Those of every image with a root file system of its own.
    fn default() -> Self {
        Self { python: VENV_PYTHON.to_owned(), path: PATH.to_owned(), lib: runner::LIB.to_owned() }
    }
}

/// What the steps of an image find around them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Variables, as far as Dockerfile lines may use them.
    pub env: BTreeMap<String, String>,
    /// The working directory; empty where it is the usual one.
    pub workdir: String,
}

/// Builds images. Cheap to clone; builds may run side by side.
#[derive(Clone)]
pub struct Builder {
    options: Arc<Options>,
    bases: Bases,
    store: Store,
    trees: Store,
    steps: Arc<dyn Steps>,
    exits: Exits,
}

impl Builder {
    /// A builder whose steps run through `helper`. The owner of the helper's events tells [`Self::exits`] of them.
    ///
    /// Removes half-built layers of dead processes.
    pub fn new(options: Options, helper: Helper) -> Result<Self, Error> {
        let exits = Exits::default();
        let steps = Arc::new(Sandboxed::new(helper, exits.clone()));
        Ok(Self { exits, ..Self::with_steps(options, steps)? })
    }

    /// A builder with steps of the caller's making.
    pub fn with_steps(options: Options, steps: Arc<dyn Steps>) -> Result<Self, Error> {
        let store = Store::open(&options.state_dir, Some(Arc::clone(&steps)))?;
        let trees = Store::open_at(options.state_dir.join(tree::TREES), false)?;
        let bases = Bases::new(options.base, options.python.clone());
        let steps = Arc::new(Turns::new(steps, turns::usual()));
        Ok(Self { options: Arc::new(options), bases, store, trees, steps, exits: Exits::default() })
    }

    /// The same builder for programs of another local interpreter.
    #[must_use]
    pub fn with_python(&self, python: HostPython) -> Self {
        let bases = self.bases.with_local(python.clone());
        let options = Options { python, ..(*self.options).clone() };
        Self { options: Arc::new(options), bases, ..self.clone() }
    }

    /// Where exits of containers are to be reported; build steps wait for theirs.
    pub fn exits(&self) -> Exits {
        self.exits.clone()
    }

    /// What steps on this base find around them. Blocks: an image of a registry is brought, since only that one knows.
    pub fn surroundings(
        &self,
        base: &Start,
        progress: &dyn Progress,
        cancel: &AtomicBool,
    ) -> Result<Surroundings, Error> {
        let mut around =
            Surroundings { env: [("PATH".to_owned(), PATH.to_owned())].into(), ..Surroundings::default() };
        if let (Start::Registry(registry), Isolation::Sandbox) = (base, self.options.isolation) {
            let base = self.pull(&self.store, progress, cancel).base(registry).map_err(base::Error::from)?;
            around.env.extend(base.env);
            around.workdir = base.workdir.unwrap_or_default();
        }
        Ok(around)
    }

    fn pull<'a>(&'a self, store: &'a Store, progress: &'a dyn Progress, cancel: &'a AtomicBool) -> Pull<'a> {
        Pull {
            state_dir: &self.options.state_dir,
            store,
            steps: &*self.steps,
            settings: &self.options.settings,
            python: &self.options.python,
            progress,
            cancel,
        }
    }

    /// Builds what is missing of `plan`. Blocks; when everything is there, for a few milliseconds.
    pub fn build(&self, plan: &Plan, progress: &dyn Progress, cancel: &AtomicBool) -> Result<Image, Error> {
        if self.options.isolation == Isolation::Process {
            return OnHost { options: &self.options, bases: &self.bases, progress, cancel }.build(plan);
        }
        let (store, pins) = self.store.pinning();
        let base = match &plan.base {
            Start::DebianSlim { python } => self.slim(*python, plan, &store, progress, cancel)?,
            Start::Conda { python } => self.conda(*python, &store, progress, cancel)?,
            Start::Registry(registry) => {
                self.pull(&store, progress, cancel).base(registry).map_err(base::Error::from)?
            }
        };
        let python = base.python;
        let chain = layers(plan, python, &base.identity, &self.options.sets);
        if !base.takes_packages && chain.layers.iter().any(|layer| layer.kind == LayerKind::Apt) {
            // A Python of conda's may stand on any Debian.
            let of_conda = matches!(plan.base, Start::Conda { .. });
            let python = if of_conda { self.options.python.python() } else { python };
            let (image, why) = Default::default();
            return Err(Error::NeedsDebian { used: base.used, python, image, why });
        }
        let host = HostConf::of_this_machine(self.options.settings.ca_file());
        let hostconf = host.layer(&store)?;
        let parts = Parts::new(&chain, &base, &self.options.code);
        let (mut lowers, cached) = match parts.find(&store) {
            Some(found) => (found, true),
            None => (self.make(&store, &parts, &base, (&hostconf, &host.doors), progress, cancel)?, false),
        };
        lowers.insert(0, hostconf);
        lowers.extend(base.layers);
        let mut env = base.env;
        if !host.certificates.is_empty() {
            env.push(("SSL_CERT_FILE".to_owned(), CA_INSIDE.to_owned()));
        }
        env.extend(chain.env);
        let user = of_another_user(&chain.user.unwrap_or(base.user));
        let key = format!("im-{}", chain.key.short());
        let stock = Stock { layers: &store, ..self.stock() };
        stock.enter(&key, &base.used, &lowers, cancel)?;
        Ok(Image {
            key,
            base: BaseUsed { text: base.used, made: base.made },
            cached: cached && !base.made,
            lowers,
            binds: base.binds,
            env,
            workdir: chain.workdir.or(base.workdir),
            entrypoint: chain.entrypoint.unwrap_or(base.entrypoint),
            warnings: base.warning.into_iter().chain(host.warning).chain(user).collect(),
            doors: host.doors,
            places: Places::default(),
            pins,
        })
    }

    /// The base of `debian_slim`: of this machine's making where it can be, else Python's own image of a registry.
    fn slim(
        &self,
        python: PythonVersion,
        plan: &Plan,
        store: &Store,
        progress: &dyn Progress,
        cancel: &AtomicBool,
    ) -> Result<Base, Error> {
        let own = self.bases.get(python, store, &*self.steps, progress, cancel);
        let packages = plan.steps.iter().any(Step::installs_packages);
        let wanting = match &own {
            Ok(base) => packages && !base.takes_packages,
            Err(base::Error::Python(_) | base::Error::NoDebian { .. }) => true,
            Err(_) => false,
        };
        let Some(reference) = self.options.python_image(python).filter(|_| wanting) else { return Ok(own?) };
        let image = reference.to_string();
        let registry = Registry { reference, add_python: Some(python), login: None };
        match (self.pull(store, progress, cancel).base(&registry), own) {
            (Ok(base), _) => Ok(base),
            (Err(error), Ok(own)) => {
                let (used, why) = (own.used, error.to_string());
                Err(Error::NeedsDebian { used, python, image, why: why.into() })
            }
            (Err(error), Err(own)) => {
                Err(Error::NoBase { image, why: error.to_string().into(), own: own.into() })
            }
        }
    }

    /// A prefix of conda's, on what this machine can make.
    fn conda(
        &self,
        python: PythonVersion,
        store: &Store,
        progress: &dyn Progress,
        cancel: &AtomicBool,
    ) -> Result<Base, Error> {
        let python = python.supported().map_err(base::Error::from)?;
        let beneath = self.bases.beneath(store, &*self.steps, progress, cancel)?;
        let (prefix, found) = (conda::prefix(python), conda::found(python));
        let key = base::conda::key(&beneath, python, &prefix);
        let found_key = base::conda::found_key(&key, &found);
        let there = [&found_key, &key].into_iter().map(|key| store.find(key)).collect::<Option<Vec<_>>>();
        if let Some(layers) = there {
            return Ok(base::conda::base(beneath, python, &key, layers, false));
        }
        let host = HostConf::of_this_machine(self.options.settings.ca_file());
        let hostconf = host.layer(store)?;
        let text = format!("conda with Python {python}");
        let workshop = self.workshop(store, &beneath, (&hostconf, &host.doors), progress, cancel)?;
        let made = Parts::ours(&workshop, &key, &text, &prefix, Input::Conda(&[]))?;
        let base = base::conda::base(beneath.clone(), python, &key, vec![made.clone()], true);
        let workshop = Workshop { base: &base, ..workshop };
        let top = Parts::ours(&workshop, &found_key, "its Python", &found, Input::Files(&[]))?;
        Ok(base::conda::base(beneath, python, &key, vec![top, made], true))
    }

    /// The directory to put behind the local interpreter's path when it imports programs of `era`.
    pub fn discovery(
        &self,
        era: Era,
        progress: &dyn Progress,
        cancel: &AtomicBool,
    ) -> Result<PathBuf, Error> {
        let wanted = Wanted { python: &self.options.python, era, set: self.options.sets.of(era) };
        Ok(discovery::ensure(&self.options.state_dir, &wanted, &self.options.settings, progress, cancel)?)
    }

    /// The layer of the user's files.
    pub fn tree(&self, files: &[tree::TreeFile]) -> Result<Tree, Error> {
        let (store, pins) = self.trees.pinning();
        Ok(Tree { path: tree::tree(&store, files)?, pins })
    }

    /// What images take on disk. Blocks, as do the four below.
    pub fn images(&self) -> Result<Inventory, inventory::Error> {
        self.stock().list()
    }

    /// Removes the image with this id, and of its layers those that no other image has.
    pub fn remove_image(&self, id: &str) -> Result<Removed, inventory::Error> {
        self.stock().remove(id)
    }

    /// Removes what nobody uses, least recently used first, until images, files of versions and uploads take at most
    /// `budget` bytes. `uploads` are the digests of files that are needed again; `None` keeps all.
    pub fn prune(&self, budget: u64, uploads: Option<&HashSet<String>>) -> Result<Removed, inventory::Error> {
        self.stock().prune(budget, uploads)
    }

    /// Removes the packages that were downloaded for builds; how many bytes that were.
    pub fn drop_downloads(&self) -> Result<u64, inventory::Error> {
        self.stock().drop_downloads()
    }

    /// What the steps of an image printed, from the bottom up; or that of the layer whose key begins so.
    pub fn image_log(&self, id: &str) -> Result<Vec<StepLog>, inventory::Error> {
        self.stock().log(id)
    }

    fn stock(&self) -> Stock<'_> {
        Stock { state_dir: &self.options.state_dir, layers: &self.store, trees: &self.trees }
    }

    /// What all steps on a base share.
    fn workshop<'a>(
        &'a self,
        store: &'a Store,
        base: &'a Base,
        (hostconf, doors): (&'a Path, &[Door]),
        progress: &'a dyn Progress,
        cancel: &'a AtomicBool,
    ) -> Result<Workshop<'a>, Error> {
        let Options { state_dir, python, settings, .. } = &*self.options;
        let uv = tools::ensure(state_dir, python, settings, progress, cancel)?;
        for cache in Cache::OF_STEPS {
            store.pin_soon(&cache.pin(), cancel)?;
        }
        Ok(Workshop {
            store,
            steps: &*self.steps,
            settings,
            base,
            hostconf,
            doors: doors.iter().copied().chain(settings.doors()).collect(),
            blobs: state_dir.join(BLOBS),
            uv,
            cache: tools::cache(state_dir, Cache::Images)?,
            users_cache: tools::cache(state_dir, Cache::Users)?,
            progress,
            cancel,
        })
    }

    fn make(
        &self,
        store: &Store,
        parts: &Parts<'_>,
        base: &Base,
        host: (&Path, &[Door]),
        progress: &dyn Progress,
        cancel: &AtomicBool,
    ) -> Result<Vec<PathBuf>, Error> {
        let workshop = self.workshop(store, base, host, progress, cancel)?;
        // The runner's layers need the base alone, so they are made beside the image's own.
        std::thread::scope(|scope| {
            let runner = scope.spawn(|| parts.runner(&workshop));
            let own = parts.own(&workshop);
            let runner = runner.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let (mut lowers, mut own) = (runner?, own?);
            lowers.append(&mut own);
            Ok(lowers)
        })
    }
}

/// What is said of an image that asks for another user than its root.
fn of_another_user(user: &str) -> Option<String> {
    let root = matches!(user.split(':').next(), None | Some("" | "root" | "0"));
    (!root).then(|| format!("its USER {user} is not taken: build steps and containers run as their own root"))
}

/// All layers of an image above its base, by key.
struct Parts<'a> {
    chain: &'a Layers,
    python: PythonVersion,
    lock: &'static str,
    deps: Key,
    code: Key,
    files: &'a [CodeFile],
}

impl<'a> Parts<'a> {
    fn new(chain: &'a Layers, base: &Base, files: &'a [CodeFile]) -> Self {
        let python = base.python;
        let lock = runner::lock(python).expect("bases refuse versions without a runner");
        let (deps, code) = (runner::deps_key(python, &base.libc, lock), runner::code_key(python, files));
        Self { chain, python, lock, deps, code, files }
    }

    /// All of them, topmost first, when all are there.
    fn find(&self, store: &Store) -> Option<Vec<PathBuf>> {
        let own = self.chain.layers.iter().rev().map(|layer| &layer.key);
        [&self.code, &self.deps].into_iter().chain(own).map(|key| store.find(key)).collect()
    }

    /// The image's own layers, topmost first.
    fn own(&self, workshop: &Workshop<'_>) -> Result<Vec<PathBuf>, Error> {
        let mut below = Vec::new();
        for layer in &self.chain.layers {
            let input = match layer.kind {
                LayerKind::Function => Input::Program(&layer.files, self.code(workshop)?),
                LayerKind::Conda => Input::Conda(&layer.files),
                _ => Input::Files(&layer.files),
            };
            let job = Job {
                key: &layer.key,
                parent: Some(&layer.parent),
                kind: Some(layer.kind),
                text: &layer.text,
                command: &layer.command,
                env: &layer.env,
                workdir: layer.workdir.as_deref(),
                find_links: layer.find_links.as_deref(),
                own_env: &layer.own_env,
                secrets: &layer.secrets,
                input,
            };
            let made = workshop.layer(&job, &below)?;
            below.insert(0, made);
        }
        Ok(below)
    }

    /// The runner's code and dependencies.
    fn runner(&self, workshop: &Workshop<'_>) -> Result<Vec<PathBuf>, Error> {
        let command = runner::deps_command(self.python);
        let text = "the web server inside containers";
        let deps = Self::ours(workshop, &self.deps, text, &command, Input::Lock(self.lock))?;
        Ok(vec![self.code(workshop)?, deps])
    }

    /// The runner's code.
    fn code(&self, workshop: &Workshop<'_>) -> Result<PathBuf, Error> {
        let command = runner::code_command(self.python);
        Self::ours(workshop, &self.code, "the runner", &command, Input::Code(self.files))
    }

    /// A layer that depends on no image.
    fn ours(
        workshop: &Workshop<'_>,
        key: &Key,
        text: &str,
        command: &[String],
        input: Input<'_>,
    ) -> Result<PathBuf, Error> {
        let job = Job {
            key,
            parent: None,
            kind: None,
            text,
            command,
            env: &[],
            workdir: None,
            find_links: None,
            own_env: &[],
            secrets: &[],
            input,
        };
        workshop.layer(&job, &[])
    }
}
