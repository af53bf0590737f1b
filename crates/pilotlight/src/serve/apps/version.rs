//! Makes a new version of an app, one endpoint at a time: image and files, address, proof. Nothing here is visible to
//! a request before the whole version is swapped in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pilotlight_api::error::{ApiError, Code};
use pilotlight_api::manifest::{Function, Manifest};
use pilotlight_api::progress::Progress;
use pilotlight_api::wire::Mode;
use pilotlight_core::id::FunctionId;
use pilotlight_core::image::Plan;
use pilotlight_core::name::Naming;
use pilotlight_core::route::Lifetime;
use pilotlight_gateway::{Endpoint, Listener, Reach};
use pilotlight_image::tree::TreeFile;
use pilotlight_image::{Builder, Error, Image, Progress as _, step};
use pilotlight_pool::{Launcher, Pool, Settings};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{App, Apps, Live};
use crate::serve::launcher::{FunctionLauncher, Template};
use crate::serve::progress::Steps;
use crate::serve::stored::stored;
use crate::serve::tasks::{self, Kind};
use crate::serve::zygotes::Light;
use crate::serve::{entropy, plan};

/// The domain under which every endpoint has a host of its own, beside its port.
const DOMAIN: &str = "localhost";

/// How much longer a request waits than its container may start: why there is none is told by the start that failed.
const START_SLACK: Duration = Duration::from_secs(1);

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
    /// Every web endpoint of the version that `manifest` describes, proven and ready to serve.
    pub(super) async fn make(
        &self,
        app: &App,
        manifest: &Manifest,
        trial: Trial,
        progress: &mpsc::Sender<Progress>,
    ) -> Result<Vec<Live>, ApiError> {
        let templates = self.templates(app, manifest, progress).await?;
        let functions = manifest.functions.iter().filter(|function| function.web.is_some());
        let mut candidates = Vec::new();
        for (template, function) in templates.into_iter().zip(functions) {
            candidates.push(self.candidate(app, function, template, &candidates).await?);
        }
        let mut fresh = Vec::new();
        for candidate in candidates {
            match Self::try_out(app, candidate, trial).await {
                Ok(live) => fresh.push(live),
                Err(error) => return Err(Self::discard(&fresh, error)),
            }
        }
        Ok(fresh)
    }

    /// Builds the images and the trees of files; gives one template per web endpoint.
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
        // Dropped with this future: who waits for the images has left.
        let build = self.shared().builds.begin();
        let cancel = build.cancel();
        let work = tokio::task::spawn_blocking(move || {
            let builder = shared.builder.of(&manifest);
            let tree = |function: &Function| {
                let files = manifest.files.iter().filter(|file| file.is_for(&function.name));
                let files = files.filter_map(|file| {
                    let digest = file.digest.clone()?;
                    let blob = shared.blobs.join(&digest);
                    Some(TreeFile { remote: file.remote.clone(), mode: file.mode, digest, blob })
                });
                builder.tree(&files.collect::<Vec<_>>()).map_err(|error| image_error(&error))
            };
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
                    tree(function)?,
                ));
            }
            Ok(templates)
        });
        work.await.unwrap_or_else(|panic| Err(ApiError::internal(&panic)))
    }

    /// Builds one image, and tells which base it got and whether it was there.
    fn build(builder: &Builder, plan: &Plan, steps: &Steps, cancel: &AtomicBool) -> Result<Image, ApiError> {
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
        function: &Function,
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
        let light = self.0.zygotes.function(template.clone(), app.log.clone());
        let launcher = Arc::new(FunctionLauncher {
            template,
            light: Arc::new(light),
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
            let port = stored(move || store.claim_port(&name, &function, candidates)).await?;
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
        let (pool, actor) = if trial == Trial::None {
            // Who serves a file is about to ask; the many apps of a server that starts again are not.
            if app.mode == Mode::Ephemeral {
                let light = Arc::clone(&candidate.launcher.light);
                tasks::spawn(Kind::Zygote, async move { _ = light.light().await });
            }
            candidate.pool(candidate.settings.clone())
        } else {
            // One that does not stay starts one container, however many are kept warm later.
            let one = Settings {
                min_containers: 0,
                max_containers: Some(1),
                buffer_containers: 0,
                ..candidate.settings.clone()
            };
            if let Light::Failed(failure) = candidate.launcher.light.light().await {
                return Err(start_error(&candidate.function, &failure));
            }
            let (tried, actor) = candidate.pool(if warm { candidate.settings.clone() } else { one });
            if let Err(failure) = tried.warm().await {
                tried.kill();
                return Err(start_error(&candidate.function, &failure));
            }
            if warm {
                (tried, actor)
            } else {
                tried.retire();
                candidate.pool(candidate.settings.clone())
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
                start_timeout: candidate.settings.startup_timeout + START_SLACK,
                timeout: candidate.timeout,
            }),
            url: format!("http://localhost:{port}"),
            note: candidate.note,
            listener: candidate.listener,
            actor,
        })
    }
}

impl Candidate {
    /// A pool of the endpoint's containers, its actor running.
    fn pool(&self, settings: Settings) -> (Pool, JoinHandle<()>) {
        let (pool, actor) = Pool::new(settings, Arc::clone(&self.launcher) as Arc<dyn Launcher>);
        (pool, tasks::spawn(Kind::Pool, actor))
    }
}

/// A build's failure in the words of the API. The lines that tell why were told with the step that failed.
fn image_error(error: &Error) -> ApiError {
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
    if error.tail().is_empty() { told } else { told.hint("the lines above say why") }
}

/// A start that failed, for who deployed it.
fn start_error(function: &str, failure: &pilotlight_pool::StartFailure) -> ApiError {
    let mut error = ApiError::new(Code::Invalid, format!("`{function}` does not start: {}", failure.summary));
    error.detail.clone_from(&failure.traceback);
    error.hint("the last good version, if there is one, goes on serving")
}

/// Whether a program could listen there now, on both families as the gateway does. A machine may lack one.
fn is_free(port: u16) -> bool {
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    let taken = |address: IpAddr| {
        let bound = std::net::TcpListener::bind((address, port));
        bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
    };
    !loopback.into_iter().any(taken)
}
