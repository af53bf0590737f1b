//! The apps that live in this server, and the one way each of them changes: build, try, swap, let the old one end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pilotlight_api::error::{ApiError, Code};
use pilotlight_api::manifest::Manifest;
use pilotlight_api::progress::{AppState, AppSummary, FunctionSummary, Progress};
use pilotlight_api::wire::Mode;
use pilotlight_core::id::{AppId, FunctionId};
use pilotlight_core::image::Plan;
use pilotlight_core::name::Naming;
use pilotlight_core::route::{Lifetime, PortRanges};
use pilotlight_gateway::{Endpoint, Gateway, Listener, Reach, Routes};
use pilotlight_image::Progress as _;
use pilotlight_image::tree::TreeFile;
use pilotlight_image::{Error, step};
use pilotlight_pool::{Launcher, Pool, Settings};
use pilotlight_store::Store;
use tokio::sync::{Notify, mpsc};

use super::builders::Builders;
use super::containers::Containers;
use super::launcher::{FunctionLauncher, Template};
use super::logs::{self, AppLog};
use super::progress::Steps;
use super::tasks::{self, Kind};
use super::{entropy, plan};

/// The domain under which every endpoint has a host of its own, beside its port.
const DOMAIN: &str = "localhost";

/// All apps of a server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Apps(Arc<Shared>);

/// What all apps share.
pub(crate) struct Shared {
    /// Makes images and trees.
    pub(crate) builder: Builders,
    /// Makes containers.
    pub(crate) containers: Containers,
    /// Answers requests.
    pub(crate) gateway: Gateway,
    /// Remembers deployed apps; an embedded server has none.
    pub(crate) store: Option<Store>,
    /// Keeps the logs of apps that outlive this process.
    pub(crate) logs: Option<Arc<pilotlight_store::logs::Logs>>,
    /// Uploaded files, by digest.
    pub(crate) blobs: PathBuf,
    /// Where upper directories are made.
    pub(crate) scratch: PathBuf,
    /// Where containers' sockets are.
    pub(crate) sockets: PathBuf,
    /// Which ports endpoints get.
    pub(crate) ports: PortRanges,
    /// The apps that serve now.
    pub(crate) live: Mutex<BTreeMap<AppId, Arc<App>>>,
}

/// One app that serves.
pub(crate) struct App {
    pub(crate) id: AppId,
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) log: AppLog,
    created_at: f64,
    ended: Notify,
    /// Held while a version is made: one change at a time.
    changing: tokio::sync::Mutex<()>,
    current: Mutex<Version>,
}

/// What of an app is replaced whole by a new version.
#[derive(Default)]
struct Version {
    number: u32,
    functions: Vec<Live>,
    stopped: bool,
}

/// One web endpoint of the version that serves.
struct Live {
    endpoint: Arc<Endpoint>,
    url: String,
    note: Option<String>,
    listener: Arc<Listener>,
}

/// One web endpoint of a version that is being made: everything but its pool.
struct Candidate {
    function: String,
    host: String,
    note: Option<String>,
    launcher: Arc<FunctionLauncher>,
    settings: Settings,
    timeout: Duration,
    listener: Arc<Listener>,
}

/// How a new version proves itself before it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    /// It does not.
    None,
    /// Each endpoint starts once, and that container ends.
    Once,
    /// As `Once`, but an endpoint whose old version has containers gets a warm one that stays.
    Warm,
}

impl Apps {
    /// A server without apps.
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// What all apps share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    /// Enters an app that serves nothing yet.
    pub(crate) fn enter(&self, id: AppId, name: String, mode: Mode) -> Arc<App> {
        let file = (mode == Mode::Deploy).then(|| self.0.logs.clone()).flatten();
        let app = Arc::new(App {
            log: AppLog::new(id.clone(), file),
            id: id.clone(),
            name,
            mode,
            created_at: logs::unix_seconds(),
            ended: Notify::new(),
            changing: tokio::sync::Mutex::default(),
            current: Mutex::default(),
        });
        self.live().insert(id, Arc::clone(&app));
        app
    }

    /// The app with this id or name; of several with one name the deployed one.
    pub(crate) fn find(&self, app: &str) -> Option<Arc<App>> {
        let live = self.live();
        let mut found: Vec<&Arc<App>> =
            live.values().filter(|it| it.id.as_str() == app || it.name == app).collect();
        found.sort_by_key(|it| it.mode != Mode::Deploy);
        found.first().map(|it| Arc::clone(it))
    }

    /// Makes the version that `manifest` describes and lets it serve. On an error everything is as before.
    ///
    /// `remember` is called when nothing can fail any more but itself; it gives the version's number.
    pub(crate) async fn apply<F>(
        &self,
        app: &Arc<App>,
        manifest: &Manifest,
        trial: Trial,
        progress: &mpsc::Sender<Progress>,
        remember: impl FnOnce(Vec<pilotlight_store::Endpoint>) -> F,
    ) -> Result<(), ApiError>
    where
        F: Future<Output = Result<u32, ApiError>>,
    {
        let _changing = app.changing.lock().await;
        let templates = self.templates(app, manifest, progress).await?;
        let mut candidates = Vec::new();
        for (template, function) in
            templates.into_iter().zip(manifest.functions.iter().filter(|f| f.web.is_some()))
        {
            candidates.push(self.candidate(app, function, template, &candidates).await?);
        }
        let mut fresh = Vec::new();
        for candidate in candidates {
            match Self::try_out(app, candidate, trial).await {
                Ok(live) => fresh.push(live),
                Err(error) => return Err(Self::discard(&fresh, error)),
            }
        }
        let endpoints = fresh.iter().map(Live::stored).collect();
        let number = match remember(endpoints).await {
            Ok(number) => number,
            Err(error) => return Err(Self::discard(&fresh, error)),
        };
        let (old, created) = {
            let mut current = app.current();
            if current.stopped {
                return Err(Self::discard(
                    &fresh,
                    ApiError::new(Code::Conflict, "the app was stopped meanwhile"),
                ));
            }
            current.number = number;
            let known: BTreeSet<String> =
                current.functions.iter().map(|live| live.endpoint.function.clone()).collect();
            let created: Vec<Progress> = fresh
                .iter()
                .filter(|live| app.mode == Mode::Deploy || !known.contains(&live.endpoint.function))
                .map(Live::created)
                .collect();
            (std::mem::replace(&mut current.functions, fresh), created)
        };
        self.publish();
        for live in old {
            live.endpoint.pool.retire();
        }
        for message in created {
            _ = progress.send(message).await;
        }
        Ok(())
    }

    /// Builds the images and the tree; gives one template per web endpoint.
    async fn templates(
        &self,
        app: &App,
        manifest: &Manifest,
        progress: &mpsc::Sender<Progress>,
    ) -> Result<Vec<Template>, ApiError> {
        let shared = Arc::clone(&self.0);
        let manifest = manifest.clone();
        let name = app.name.clone();
        let steps = Steps(progress.clone());
        let cancel = Arc::new(AtomicBool::new(false));
        // Dropped with this future: who waits for the images has left.
        let _cancelled = CancelOnDrop(Arc::clone(&cancel));
        let work = tokio::task::spawn_blocking(move || {
            let builder = shared.builder.of(&manifest);
            let files = manifest.files.iter().filter_map(|file| {
                let digest = file.digest.clone()?;
                let blob = shared.blobs.join(&digest);
                Some(TreeFile { remote: file.remote.clone(), mode: file.mode, digest, blob })
            });
            let tree = builder.tree(&files.collect::<Vec<_>>()).map_err(|error| image_error(&error))?;
            let mut images = BTreeMap::new();
            let mut templates = Vec::new();
            for function in manifest.functions.iter().filter(|function| function.web.is_some()) {
                if !images.contains_key(&function.image) {
                    let described = manifest.images.get(&function.image).ok_or_else(|| {
                        ApiError::new(Code::Invalid, format!("function `{}` names no image", function.name))
                    })?;
                    let plan = plan::image(&manifest, described)
                        .map_err(|error| ApiError::new(Code::Invalid, error))?;
                    let built = Self::build(&builder, &plan, &steps, &cancel)?;
                    images.insert(function.image.clone(), built);
                }
                templates.push(plan::template(
                    &name,
                    &manifest,
                    function,
                    &images[&function.image],
                    tree.clone(),
                ));
            }
            Ok(templates)
        });
        work.await.unwrap_or_else(|panic| Err(ApiError::internal(&panic)))
    }

    /// Builds one image, and tells which base it got and whether it was there.
    fn build(
        builder: &pilotlight_image::Builder,
        plan: &Plan,
        steps: &Steps,
        cancel: &AtomicBool,
    ) -> Result<pilotlight_image::Image, ApiError> {
        let began = Instant::now();
        let image = builder.build(plan, steps, cancel).map_err(|error| image_error(&error))?;
        let text = format!("Built image {} on {}", image.key, image.base.text);
        steps.done(&image.key, &text, image.cached, began.elapsed().as_secs_f64());
        for warning in &image.warnings {
            steps.line(&image.key, warning);
        }
        Ok(image)
    }

    /// Gives a web endpoint its address and its launcher.
    async fn candidate(
        &self,
        app: &App,
        function: &pilotlight_api::manifest::Function,
        template: Template,
        others: &[Candidate],
    ) -> Result<Candidate, ApiError> {
        let taken_host = |host: &String| others.iter().any(|other| other.host == *host);
        let mut naming = Naming {
            workspace: pilotlight_core::name::DEFAULT_WORKSPACE,
            app: &app.name,
            function: &function.name,
            label: function.label.as_deref(),
            ephemeral: app.mode == Mode::Ephemeral,
            ambiguous: false,
        };
        let invalid = |error: pilotlight_core::name::Error| ApiError::new(Code::Invalid, error.to_string());
        let (mut label, mut note) = naming.host_label().map_err(invalid)?;
        if taken_host(&label.host(DOMAIN)) {
            naming.ambiguous = true;
            (label, note) = naming.host_label().map_err(invalid)?;
        }
        let kept =
            app.current().functions.iter().find_map(|live| {
                (live.endpoint.function == function.name).then(|| Arc::clone(&live.listener))
            });
        let listener = match kept {
            Some(listener) => listener,
            None => Arc::new(self.listen(app, &function.name).await?),
        };
        let launcher = Arc::new(FunctionLauncher {
            template,
            containers: self.0.containers.clone(),
            log: app.log.clone(),
            sockets: self.0.sockets.clone(),
            scratch: self.0.scratch.clone(),
            running: Arc::default(),
        });
        Ok(Candidate {
            function: function.name.clone(),
            host: label.host(DOMAIN),
            note: note.map(|note| note.to_string()),
            launcher,
            settings: plan::settings(function),
            timeout: plan::seconds(function.timeout),
            listener,
        })
    }

    /// Opens the endpoint's own port: the one a deployed endpoint has for good, else the next that is free.
    async fn listen(&self, app: &App, function: &str) -> Result<Listener, ApiError> {
        if let (Mode::Deploy, Some(store)) = (app.mode, self.0.store.clone()) {
            let (name, function) = (app.name.clone(), function.to_owned());
            let candidates = self.0.ports.of(Lifetime::Deployed).clone().filter(|port| is_free(*port));
            let port = blocking(move || store.claim_port(&name, &function, candidates)).await?;
            return self.0.gateway.listen(port, Reach::Loopback).await.map_err(|error| {
                ApiError::new(Code::Conflict, format!("`{}` cannot have its port back: {error}", app.name))
                    .hint(format!(
                        "end the program that holds port {port}; the URL of a deployment never moves"
                    ))
            });
        }
        let mut taken = BTreeSet::new();
        loop {
            let port = self
                .0
                .ports
                .allocate(Lifetime::Ephemeral, None, &taken)
                .map_err(|error| ApiError::new(Code::Unavailable, error.to_string()))?;
            match self.0.gateway.listen(port, Reach::Loopback).await {
                Ok(listener) => return Ok(listener),
                Err(pilotlight_gateway::Error::PortInUse { .. }) => _ = taken.insert(port),
                Err(error) => return Err(ApiError::internal(&error)),
            }
        }
    }

    /// Lets an endpoint prove itself, and gives it the pool that it serves with.
    async fn try_out(app: &App, candidate: Candidate, trial: Trial) -> Result<Live, ApiError> {
        let warm = trial == Trial::Warm && app.has_containers(&candidate.function);
        let pool = if trial == Trial::None {
            candidate.pool()
        } else {
            let tried = candidate.pool();
            if let Err(failure) = tried.warm().await {
                tried.kill();
                return Err(start_error(&candidate.function, &failure));
            }
            if warm {
                tried
            } else {
                tried.retire();
                candidate.pool()
            }
        };
        let port = candidate.listener.port();
        Ok(Live {
            endpoint: Arc::new(Endpoint {
                id: FunctionId::from_entropy(entropy()).to_string(),
                app: app.name.clone(),
                function: candidate.function,
                hosts: vec![candidate.host],
                port: Some(port),
                pool,
                start_timeout: candidate.settings.startup_timeout,
                timeout: candidate.timeout,
            }),
            url: format!("http://localhost:{port}"),
            note: candidate.note,
            listener: candidate.listener,
        })
    }

    /// Lets go of what an attempt made before it failed.
    fn discard(fresh: &[Live], error: ApiError) -> ApiError {
        for live in fresh {
            live.endpoint.pool.kill();
        }
        error
    }

    /// Stops an app: no route, no listener, and its containers finish what they hold.
    pub(crate) fn stop(&self, app: &App) {
        self.live().remove(&app.id);
        app.ended.notify_one();
        let functions = {
            let mut current = app.current();
            current.stopped = true;
            std::mem::take(&mut current.functions)
        };
        self.publish();
        for live in functions {
            if app.mode == Mode::Ephemeral {
                live.endpoint.pool.kill();
            } else {
                live.endpoint.pool.retire();
            }
        }
    }

    /// The apps that serve now.
    pub(crate) fn list(&self) -> Vec<AppSummary> {
        self.live().values().map(|app| app.summary()).collect()
    }

    /// Every app that serves now.
    pub(crate) fn all(&self) -> Vec<Arc<App>> {
        self.live().values().cloned().collect()
    }

    /// How many apps serve now.
    pub(crate) fn count(&self) -> usize {
        self.live().len()
    }

    /// Gives the gateway the routes of all apps, deployed ones first: those never lose a host to an ephemeral one.
    fn publish(&self) {
        let mut apps = self.all();
        apps.sort_by_key(|app| app.mode != Mode::Deploy);
        let endpoints: Vec<Arc<Endpoint>> = apps
            .iter()
            .flat_map(|app| {
                app.current().functions.iter().map(|live| Arc::clone(&live.endpoint)).collect::<Vec<_>>()
            })
            .collect();
        self.0.gateway.publish(Routes::new(endpoints));
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<AppId, Arc<App>>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Candidate {
    /// A pool of the endpoint's containers, its actor running.
    fn pool(&self) -> Pool {
        let (pool, actor) = Pool::new(self.settings.clone(), Arc::clone(&self.launcher) as Arc<dyn Launcher>);
        tasks::spawn(Kind::Pool, actor);
        pool
    }
}

impl App {
    /// Resolves when the app was stopped.
    pub(crate) async fn stopped(&self) {
        self.ended.notified().await;
    }

    fn has_containers(&self, function: &str) -> bool {
        self.current().functions.iter().any(|live| {
            let stats = live.endpoint.pool.stats();
            live.endpoint.function == function && stats.ready + stats.starting > 0
        })
    }

    /// The version that serves, 0 before the first.
    pub(crate) fn version(&self) -> u32 {
        self.current().number
    }

    fn summary(&self) -> AppSummary {
        let current = self.current();
        let functions = current.functions.iter().map(|live| {
            let stats = live.endpoint.pool.stats();
            FunctionSummary {
                name: live.endpoint.function.clone(),
                url: Some(live.url.clone()),
                containers: u32::try_from(stats.ready + stats.starting).unwrap_or(u32::MAX),
                requests: u32::try_from(stats.busy + stats.waiting).unwrap_or(u32::MAX),
            }
        });
        AppSummary {
            id: self.id.to_string(),
            name: self.name.clone(),
            state: match self.mode {
                Mode::Ephemeral => AppState::Serving,
                Mode::Deploy => AppState::Deployed,
            },
            version: current.number,
            functions: functions.collect(),
            created_at: self.created_at,
        }
    }

    fn current(&self) -> MutexGuard<'_, Version> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    /// The endpoint as the store remembers it.
    fn stored(&self) -> pilotlight_store::Endpoint {
        pilotlight_store::Endpoint {
            function: self.endpoint.function.clone(),
            label: self.endpoint.hosts.concat(),
            port: self.listener.port(),
        }
    }

    fn created(&self) -> Progress {
        Progress::Created {
            function: self.endpoint.function.clone(),
            url: self.url.clone(),
            note: self.note.clone(),
        }
    }
}

/// Set when it is dropped.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A build's failure in the words of the API, with the lines that tell why.
fn image_error(error: &pilotlight_image::Error) -> ApiError {
    let mut told = ApiError::internal(error);
    let users = matches!(
        error,
        Error::Base(_)
            | Error::NeedsDebian { .. }
            | Error::Tree(_)
            | Error::Step { source: step::Error::Failed { .. }, .. }
    );
    if users {
        told.code = Code::Invalid;
    }
    let tail = error.tail().join("\n");
    if tail.is_empty() { told } else { told.detail(tail) }
}

/// A start that failed, for who deployed it.
fn start_error(function: &str, failure: &pilotlight_pool::StartFailure) -> ApiError {
    let mut error = ApiError::new(Code::Invalid, format!("`{function}` does not start: {}", failure.summary));
    error.detail.clone_from(&failure.traceback);
    error.hint("the last good version, if there is one, goes on serving")
}

/// Whether a program could listen there now.
fn is_free(port: u16) -> bool {
    std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Runs a call of the store on a blocking thread.
pub(crate) async fn blocking<T, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ApiError>
where
    T: Send + 'static,
    E: std::error::Error + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(|error| ApiError::internal(&error)),
        Err(panic) => Err(ApiError::internal(&panic)),
    }
}
