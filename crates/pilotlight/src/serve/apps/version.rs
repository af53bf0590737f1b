//! Makes a new version of an app, one endpoint at a time: image and files, address, proof. Nothing here is visible to
//! a request before the whole version is swapped in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use pilotlight_api::error::{ApiError, Code};
use pilotlight_api::manifest::{self, Function, Manifest, Web};
use pilotlight_api::progress::Progress;
use pilotlight_api::wire::Mode;
use pilotlight_gateway::RateLimit;
use pilotlight_image::tree::TreeFile;
use pilotlight_image::{Builder, Error, Image, Progress as _, step};
use tokio::sync::mpsc;

use super::address::{Address, Names};
use super::trial::{Candidate, Trial};
use super::{App, Apps, Live, Shared};
use crate::config::env;
use crate::serve::inside::Inside;
use crate::serve::launcher::{FunctionLauncher, Template};
use crate::serve::on_host;
use crate::serve::plan;
use crate::serve::progress::Steps;

/// Images that one command builds side by side. Of all commands so many steps run at once as the builder says.
const IMAGES_AT_ONCE: usize = 4;

impl Apps {
    /// Every web endpoint of the version that `manifest` describes, proven and ready to serve.
    pub(super) async fn make(
        &self,
        app: &App,
        manifest: &Manifest,
        trial: Trial,
        progress: &mpsc::Sender<Progress>,
    ) -> Result<Vec<Live>, ApiError> {
        let began = Instant::now();
        // What was deployed when there was more room is served again all the same: its requests are told.
        if trial != Trial::None || app.mode == Mode::Ephemeral {
            self.check_room(manifest)?;
        }
        let mut names = self.names(app, manifest)?;
        let inside = self.inside(&names)?;
        let templates = self.templates(app, manifest, progress).await?;
        tracing::debug!(after = ?began.elapsed(), "images and files are there");
        let functions = manifest.functions.iter().filter(|function| function.web.is_some());
        let mut candidates = Vec::new();
        for (mut template, function) in templates.into_iter().zip(functions) {
            if let Some(inside) = &inside {
                inside.tell(&mut template.spec);
            }
            let names = names.remove(&function.name).expect("every web endpoint was given its names");
            candidates.push(self.candidate(app, function, template, names, inside.clone()).await?);
        }
        let mut fresh = Vec::new();
        for candidate in candidates {
            match candidate.try_out(app, trial).await {
                Ok(live) => fresh.push(live),
                Err(error) => return Err(Self::discard(&fresh, error)),
            }
        }
        Ok(fresh)
    }

    /// Refuses a function none of whose containers could ever be started.
    fn check_room(&self, manifest: &Manifest) -> Result<(), ApiError> {
        let most = self.0.room.capacity().memory_mib;
        let large = |function: &&Function| function.web.is_some() && plan::share(function).memory_mib > most;
        let Some(function) = manifest.functions.iter().find(large) else { return Ok(()) };
        let asked = plan::share(function).memory_mib;
        let message = format!(
            "the function `{}` asks for {asked} MiB of memory, and this server gives all containers {most} MiB",
            function.name
        );
        Err(ApiError::new(Code::Invalid, message)
            .hint(format!("lower its `memory`, or raise `{}` and start the server again", env::MEMORY)))
    }

    /// What the version's containers are told about its endpoints, where they can reach them.
    fn inside(&self, names: &BTreeMap<String, Names>) -> Result<Option<Inside>, ApiError> {
        let Some(address) = self.0.inside else { return Ok(None) };
        let hosts = names.iter().map(|(function, names)| (function.clone(), names.inside.clone()));
        let inside = Inside::new(&self.0.hosts_files, address, &hosts.collect());
        inside.map(Some).map_err(|error| ApiError::internal(&error))
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
            let functions = || manifest.functions.iter().filter(|function| function.web.is_some());
            let mut wanted = BTreeMap::new();
            for function in functions() {
                on_host::check(shared.isolation, function)?;
                let described = manifest.images.get(&function.image).ok_or_else(|| {
                    ApiError::new(Code::Invalid, format!("function `{}` names no image", function.name))
                })?;
                wanted.insert(function.image.as_str(), described);
            }
            let build = |described| Self::image(&shared, &builder, &manifest, described, &steps, &cancel);
            let images = side_by_side(wanted, &cancel, build)?;
            let mut templates = Vec::new();
            for function in functions() {
                let image = &images[function.image.as_str()];
                let mut template = plan::template(&name, &manifest, function, image, tree(function)?);
                let disk = &mut template.spec.limits.disk_mib;
                *disk = disk.or(shared.disk_mib);
                templates.push(template);
            }
            Ok(templates)
        });
        work.await.unwrap_or_else(|panic| Err(ApiError::internal(&panic)))
    }

    /// Builds the images that a manifest describes, those of functions without an endpoint included; their ids.
    pub(crate) async fn build_images(
        &self,
        manifest: Manifest,
        progress: &mpsc::Sender<Progress>,
    ) -> Result<Vec<String>, ApiError> {
        let (shared, steps) = (Arc::clone(&self.0), Steps(progress.clone()));
        let build = self.shared().builds.begin();
        let cancel = build.cancel();
        let work = tokio::task::spawn_blocking(move || {
            let builder = shared.builder.of(&manifest);
            let build = |described| Self::image(&shared, &builder, &manifest, described, &steps, &cancel);
            let images = side_by_side(manifest.images.iter().collect(), &cancel, build)?;
            Ok(images.into_values().map(|image| image.key).collect())
        });
        work.await.unwrap_or_else(|panic| Err(ApiError::internal(&panic)))
    }

    /// Builds one image, and tells which base it got and whether it was there.
    fn image(
        shared: &Shared,
        builder: &Builder,
        manifest: &Manifest,
        described: &manifest::Image,
        steps: &Steps,
        cancel: &AtomicBool,
    ) -> Result<Image, ApiError> {
        let began = Instant::now();
        let invalid = |error| ApiError::new(Code::Invalid, error);
        let failed = |error| image_error(&error);
        let base = plan::base(manifest, described).map_err(invalid)?;
        let around = builder.surroundings(&base, steps, cancel).map_err(failed)?;
        let plan = plan::image(manifest, described, base, around).map_err(invalid)?;
        let image = builder.build(&plan, steps, cancel).map_err(failed)?;
        if !image.cached {
            shared.built.notify_one();
        }
        let text = format!("Built image {} on {}", image.key, image.base.text);
        steps.done(&image.key, &text, image.cached, began.elapsed().as_secs_f64());
        for warning in &image.warnings {
            steps.warning(warning);
        }
        Ok(image)
    }

    /// Gives a web endpoint its port and its launcher.
    async fn candidate(
        &self,
        app: &App,
        function: &Function,
        template: Template,
        names: Names,
        inside: Option<Inside>,
    ) -> Result<Candidate, ApiError> {
        let listener = self.port(app, &function.name).await?;
        let mut template = template;
        let lineage = app.lineage(&function.name);
        template.configure.function["tells"] = lineage.is_some().into();
        let light = self.0.zygotes.function(template, app.log.clone(), lineage);
        let launcher = Arc::new(FunctionLauncher {
            light: Arc::new(light),
            containers: self.0.containers.clone(),
            shells: self.0.shells.clone(),
            isolation: self.0.isolation,
            starts: self.0.starts.clone(),
            running: Arc::default(),
            _inside: inside,
        });
        Ok(Candidate {
            function: function.name.clone(),
            launcher,
            settings: plan::settings(function),
            room: self.0.room.clone(),
            share: plan::share(function),
            timeout: plan::seconds(function.timeout),
            total_timeout: function.total_timeout.map(plan::seconds),
            keep_alive: !matches!(function.web, Some(Web::WebServer { .. })),
            wait_for_response: function.wait_for_response,
            rate: function.rate_limit.map(|rate| Arc::new(RateLimit::new(plan::rate(rate)))),
            address: Address { names, listener },
        })
    }
}

/// Builds images side by side, [`IMAGES_AT_ONCE`] of them. The first that fails is the error, and ends the others.
fn side_by_side<Name: Ord + Send, Wanted: Send, Made: Send>(
    wanted: BTreeMap<Name, Wanted>,
    cancel: &AtomicBool,
    build: impl Fn(Wanted) -> Result<Made, ApiError> + Sync,
) -> Result<BTreeMap<Name, Made>, ApiError> {
    let workers = IMAGES_AT_ONCE.min(wanted.len());
    let (queue, made) = (Mutex::new(wanted.into_iter()), Mutex::new(Ok(BTreeMap::new())));
    let work = || {
        while made.lock().is_ok_and(|made| made.is_ok()) {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((name, wanted)) = next else { return };
            let built = build(wanted);
            let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
            match (&mut *made, built) {
                (Ok(made), Ok(image)) => _ = made.insert(name, image),
                (Ok(_), Err(error)) => {
                    *made = Err(error);
                    cancel.store(true, Ordering::Relaxed);
                }
                // Those that are cancelled for the first one's sake have nothing to tell.
                (Err(_), _) => {}
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(work);
        }
        work();
    });
    made.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A build's failure in the words of the API. The lines that tell why were told with the step that failed.
fn image_error(error: &Error) -> ApiError {
    let mut told = ApiError::internal(error);
    let users = matches!(
        error,
        Error::Base(_)
            | Error::NoBase { .. }
            | Error::NeedsDebian { .. }
            | Error::NeedsSandbox { .. }
            | Error::OnHost { .. }
            | Error::Tree(_)
            | Error::Step { source: step::Error::Failed { .. }, .. }
    );
    if users {
        told.code = Code::Invalid;
    }
    match error {
        _ if error.tail().is_empty() => told,
        Error::Step { layer, .. } => told.hint(format!(
            "the lines above say why; `pilotlight image logs {layer}` prints all that there were"
        )),
        _ => told.hint("the lines above say why"),
    }
}
