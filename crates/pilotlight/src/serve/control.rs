//! The control API's port, implemented by this server.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use pilotlight_api::control::{Answer, Control};
use pilotlight_api::error::{ApiError, Code};
use pilotlight_api::images::{BuildLine, Images, Prune, Removed};
use pilotlight_api::manifest::Manifest;
use pilotlight_api::progress::{AppState, AppSummary, LogLine, Progress, Room as RoomStatus, Status};
use pilotlight_api::wire::{CreateApp, LogQuery, Mode, Scaling};
use pilotlight_core::id::AppId;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{Notify, broadcast};

use super::apps::{App, Apps, LabelRules, Trial};
use super::logs::AppLog;
use super::stored::stored;
use super::tasks::{self, Kind};
use super::{entropy, images, logs};

/// The most lines of a log that are looked through.
const LINES_MAX: u32 = 100_000;

/// Messages that may wait for the reader of a stream.
const STREAM_MAX: usize = 256;

/// Implements the control API on the apps of this server.
pub(crate) struct Controller {
    apps: Apps,
    started_at: f64,
    stop: Arc<Notify>,
}

impl Controller {
    /// A controller that notifies `stop` when it is told to shut down.
    pub(crate) fn new(apps: Apps, stop: Arc<Notify>) -> Self {
        Self { apps, started_at: logs::unix_seconds(), stop }
    }

    fn found(&self, app: &str) -> Result<Arc<App>, ApiError> {
        self.apps.find(app).ok_or_else(|| ApiError::no_app(app))
    }

    /// The log of an app that was deployed and stopped: its file is kept.
    async fn log_of_stopped(&self, app: &str) -> Result<AppLog, ApiError> {
        let shared = self.apps.shared();
        let (Some(store), Some(logs)) = (shared.store.clone(), shared.logs.clone()) else {
            return Err(ApiError::no_app(app));
        };
        let known = stored(move || store.list()).await?;
        let found = known.into_iter().find(|known| known.name == app || known.id.as_str() == app);
        let found = found.ok_or_else(|| ApiError::no_app(app))?;
        Ok(AppLog::new(found.id, Some(logs)))
    }

    /// Files that the manifest names must be there before anything begins.
    async fn check_blobs(&self, manifest: &Manifest) -> Result<(), ApiError> {
        let blobs = self.apps.shared().blobs.clone();
        let files: Vec<_> =
            manifest.all_files().map(|file| (file.remote.clone(), file.digest.clone())).collect();
        let missing = on_disk(move || {
            let missing =
                |digest: &Option<String>| digest.as_ref().is_none_or(|digest| !blobs.join(digest).is_file());
            files.into_iter().find(|(_, digest)| missing(digest))
        });
        match missing.await? {
            None => Ok(()),
            Some((remote, _)) => {
                Err(ApiError::new(Code::MissingBlobs, format!("the file `{remote}` was not uploaded")))
            }
        }
    }
}

impl Control for Controller {
    fn status(&self) -> Answer<'_, Status> {
        Box::pin(async {
            let room = &self.apps.shared().room;
            let (used, capacity) = (room.used(), room.capacity());
            Ok(Status {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: supervisor(),
                state_dir: self.apps.shared().state_dir.clone(),
                started_at: self.started_at,
                apps: u32::try_from(self.apps.count()).unwrap_or(u32::MAX),
                isolation: self.apps.shared().weaknesses.clone(),
                starts: self.apps.shared().starts.times(),
                zygotes: u32::try_from(self.apps.shared().zygotes.count()).unwrap_or(u32::MAX),
                shells: u32::try_from(self.apps.shared().shells.count()).unwrap_or(u32::MAX),
                room: RoomStatus {
                    memory_mib: used.memory_mib,
                    memory_mib_max: capacity.memory_mib,
                    cpu_millis: used.cpu_millis,
                    cpu_millis_max: capacity.cpu_millis,
                },
            })
        })
    }

    fn metrics(&self) -> Answer<'_, String> {
        Box::pin(async { Ok(self.apps.shared().starts.text()) })
    }

    fn missing_blobs(&self, digests: Vec<String>) -> Answer<'_, Vec<String>> {
        let blobs = self.apps.shared().blobs.clone();
        Box::pin(on_disk(move || {
            digests.into_iter().filter(|digest| !is_kept(&blobs.join(digest))).collect()
        }))
    }

    fn put_blob(&self, digest: String, content: Bytes) -> Answer<'_, ()> {
        let blobs = self.apps.shared().blobs.clone();
        Box::pin(async move {
            let write = move || -> Result<(), ApiError> {
                if crate::discover::sha256(&content) != digest {
                    return Err(ApiError::new(Code::WrongDigest, "the content is not what its digest says"));
                }
                let broken = |error: std::io::Error| ApiError::internal(&error);
                let mut partial = tempfile::NamedTempFile::new_in(&blobs).map_err(broken)?;
                std::io::Write::write_all(&mut partial, &content).map_err(broken)?;
                partial.persist(blobs.join(&digest)).map_err(|error| ApiError::internal(&error))?;
                Ok(())
            };
            on_disk(write).await?
        })
    }

    fn create_app(&self, request: CreateApp) -> Answer<'_, Receiver<Progress>> {
        Box::pin(async move {
            self.check_blobs(&request.manifest).await?;
            let (sender, receiver) = mpsc::channel(STREAM_MAX);
            let apps = self.apps.clone();
            match request.mode {
                Mode::Ephemeral => tasks::spawn(Kind::Apply, serve_ephemeral(apps, request, sender)),
                Mode::Deploy => tasks::spawn(Kind::Apply, deploy(apps, request, sender)),
            };
            Ok(receiver)
        })
    }

    fn update_app(&self, id: String, manifest: Manifest) -> Answer<'_, Receiver<Progress>> {
        Box::pin(async move {
            let app = self.found(&id)?;
            if app.mode == Mode::Deploy {
                return Err(ApiError::new(Code::Conflict, format!("`{}` is deployed", app.name))
                    .hint("deploy it again with `pilotlight deploy`"));
            }
            self.check_blobs(&manifest).await?;
            let (sender, receiver) = mpsc::channel(STREAM_MAX);
            let apps = self.apps.clone();
            tasks::spawn(Kind::Apply, async move {
                let outcome = tokio::select! {
                    outcome = apps.apply(&app, &manifest, Trial::Warm, &sender, |_| next_version(&app)) => outcome,
                    () = sender.closed() => return,
                };
                _ = sender.send(outcome.map_or_else(failed, |()| ready(&app))).await;
            });
            Ok(receiver)
        })
    }

    fn list(&self) -> Answer<'_, Vec<AppSummary>> {
        Box::pin(async {
            let mut apps = self.apps.list();
            if let Some(store) = self.apps.shared().store.clone() {
                let known = stored(move || store.list()).await?;
                let live: Vec<String> = apps.iter().map(|app| app.id.clone()).collect();
                // One that is deployed but does not live could not be served again: it has no URL, and can be stopped.
                let others = known.into_iter().filter(|app| !live.iter().any(|id| id == app.id.as_str()));
                apps.extend(others.map(|app| AppSummary {
                    id: app.id.to_string(),
                    name: app.name,
                    state: match app.state {
                        pilotlight_store::State::Deployed => AppState::Deployed,
                        pilotlight_store::State::Stopped => AppState::Stopped,
                    },
                    version: app.version,
                    functions: Vec::new(),
                    created_at: app.created_at,
                }));
            }
            Ok(apps)
        })
    }

    fn logs(&self, app: String, query: LogQuery) -> Answer<'_, Receiver<LogLine>> {
        Box::pin(async move {
            let log = match self.apps.find(&app) {
                Some(app) => app.log.clone(),
                None => self.log_of_stopped(&app).await?,
            };
            let (sender, receiver) = mpsc::channel(STREAM_MAX);
            // Of lines that are chosen the last are found among all.
            let read = if query.takes_all() { query.tail } else { LINES_MAX };
            let (mut past, lines) = on_disk(move || log.follow(read as usize)).await?;
            past.retain(|line| query.takes(line));
            past.drain(..past.len().saturating_sub(query.tail as usize));
            tasks::spawn(Kind::Logs, async move {
                for line in past {
                    if sender.send(line).await.is_err() {
                        return;
                    }
                }
                if query.follow {
                    forward(lines, &sender, |line| query.takes(line)).await;
                }
            });
            Ok(receiver)
        })
    }

    fn scale(&self, app: String, function: String, scaling: Scaling) -> Answer<'_, ()> {
        Box::pin(async move {
            let found = self.found(&app)?;
            // Together with what is remembered of it: a version that is deployed meanwhile begins anew in both.
            let _commit = found.commit().await;
            let scaling = found.scale(&function, scaling)?;
            let store = self.apps.shared().store.clone().filter(|_| found.mode == Mode::Deploy);
            let Some(store) = store else { return Ok(()) };
            let text = serde_json::to_string(&scaling).map_err(|error| ApiError::internal(&error))?;
            let id = found.id.clone();
            stored(move || store.scale(&id, &function, text)).await
        })
    }

    fn stop(&self, app: String) -> Answer<'_, ()> {
        Box::pin(async move {
            let store = self.apps.shared().store.clone();
            let Some(found) = self.apps.find(&app) else {
                // Deployed, but it could not be served again when the server started.
                let Some(store) = store else { return Err(ApiError::no_app(&app)) };
                let name = app.clone();
                return stored(move || store.stop(&name)).await.map(drop);
            };
            let forget = async {
                match store {
                    Some(store) if found.mode == Mode::Deploy && found.version() > 0 => {
                        let name = found.name.clone();
                        stored(move || store.stop(&name)).await.map(drop)
                    }
                    _ => Ok(()),
                }
            };
            self.apps.stop(&found, forget).await
        })
    }

    fn images(&self) -> Answer<'_, Images> {
        Box::pin(images::list(&self.apps))
    }

    fn build_images(&self, manifest: Manifest) -> Answer<'_, Receiver<Progress>> {
        Box::pin(async move {
            self.check_blobs(&manifest).await?;
            let (sender, receiver) = mpsc::channel(STREAM_MAX);
            let apps = self.apps.clone();
            tasks::spawn(Kind::Apply, async move {
                let outcome = tokio::select! {
                    outcome = apps.build_images(manifest, &sender) => outcome,
                    () = sender.closed() => return,
                };
                _ = sender.send(outcome.map_or_else(failed, |images| Progress::Built { images })).await;
            });
            Ok(receiver)
        })
    }

    fn remove_image(&self, id: String) -> Answer<'_, Removed> {
        Box::pin(images::remove(&self.apps, id))
    }

    fn prune_images(&self, prune: Prune) -> Answer<'_, Removed> {
        Box::pin(images::prune(&self.apps, prune))
    }

    fn image_log(&self, id: String) -> Answer<'_, Receiver<BuildLine>> {
        Box::pin(async move {
            let lines = images::log(&self.apps, id).await?;
            let (sender, receiver) = mpsc::channel(STREAM_MAX);
            tasks::spawn(Kind::Logs, async move {
                for line in lines {
                    if sender.send(line).await.is_err() {
                        return;
                    }
                }
            });
            Ok(receiver)
        })
    }

    fn shutdown(&self) -> Answer<'_, ()> {
        Box::pin(async {
            self.stop.notify_one();
            Ok(())
        })
    }
}

/// The root of this server's processes, which is there as long as any of them.
fn supervisor() -> u32 {
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    parent.and_then(|pid| u32::try_from(pid).ok()).unwrap_or_else(std::process::id)
}

/// Whether an upload is there. One that is asked for is about to be used: its age is counted from now on.
fn is_kept(blob: &Path) -> bool {
    let found = std::fs::File::options().write(true).open(blob);
    found.is_ok_and(|file| file.set_modified(std::time::SystemTime::now()).is_ok())
}

/// Runs what waits for the disk on a blocking thread.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|panic| ApiError::internal(&panic))
}

/// An app that lives for as long as its maker listens.
async fn serve_ephemeral(apps: Apps, request: CreateApp, sender: Sender<Progress>) {
    let name = request.app_name().map_or_else(|| request.manifest.title().to_owned(), str::to_owned);
    let labels = LabelRules {
        suffix: request.dev_suffix.clone(),
        take_over: request.take_over,
        ..LabelRules::default()
    };
    let app = apps.enter(AppId::from_entropy(entropy()), name, Mode::Ephemeral, labels);
    let (_, lines) = app.log.follow(0);
    let trial = if request.verify { Trial::Once } else { Trial::None };
    let made = tokio::select! {
        made = apps.apply(&app, &request.manifest, trial, &sender, |_| next_version(&app)) => made,
        () = sender.closed() => Err(ApiError::new(Code::Unavailable, "the client left")),
    };
    let message = made.map_or_else(failed, |()| ready(&app));
    let serving = matches!(message, Progress::Ready { .. });
    if sender.send(message).await.is_ok() && serving {
        tokio::select! {
            () = forward(lines, &sender, |_| true) => {}
            () = app.stopped() => {
                _ = sender.send(Progress::Stopped { reason: "`pilotlight app stop`".to_owned() }).await;
            }
        }
    }
    _ = apps.stop(&app, std::future::ready(Ok(()))).await;
}

/// A version of a deployed app: it serves and is remembered, or nothing changes.
async fn deploy(apps: Apps, request: CreateApp, sender: Sender<Progress>) {
    let outcome = deploy_version(&apps, &request, &sender).await;
    _ = sender.send(outcome.map_or_else(failed, |app| ready(&app))).await;
}

async fn deploy_version(
    apps: &Apps,
    request: &CreateApp,
    sender: &Sender<Progress>,
) -> Result<Arc<App>, ApiError> {
    let Some(store) = apps.shared().store.clone() else {
        return Err(ApiError::new(
            Code::Conflict,
            "this server lives only as long as the command that started it",
        )
        .hint("start one that stays with `pilotlight server start`"));
    };
    let name = request.app_name().unwrap_or_default().to_owned();
    let app = if let Some(app) = apps.find(&name).filter(|app| app.mode == Mode::Deploy) {
        app
    } else {
        let (store, wanted) = (store.clone(), name.clone());
        let (id, _) = stored(move || store.identity(&wanted)).await?;
        apps.enter(id, name.clone(), Mode::Deploy, LabelRules::default())
    };
    let trial = if request.verify { Trial::Once } else { Trial::None };
    let manifest = pilotlight_store::Manifest {
        text: serde_json::to_string(&request.manifest).map_err(|error| ApiError::internal(&error))?,
        secret: request.manifest.holds_secrets(),
    };
    let remember = |endpoints: Vec<pilotlight_store::Endpoint>| {
        stored(move || store.deploy(&name, manifest, &endpoints).map(|(_, version)| version))
    };
    match apps.apply(&app, &request.manifest, trial, sender, remember).await {
        Ok(()) => Ok(app),
        Err(error) => {
            // Where it never served there is no last good version to leave alone.
            apps.stop_if_idle(&app).await;
            Err(error)
        }
    }
}

/// The number of an ephemeral app's next version: counted, not remembered.
fn next_version(app: &App) -> std::future::Ready<Result<u32, ApiError>> {
    std::future::ready(Ok(app.version() + 1))
}

/// Sends lines on until the reader leaves or the log ends.
async fn forward<T: From<LogLine>>(
    mut lines: broadcast::Receiver<LogLine>,
    sender: &Sender<T>,
    takes: impl Fn(&LogLine) -> bool,
) {
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            () = sender.closed() => return,
        };
        match line {
            Ok(line) => {
                if takes(&line) && sender.send(line.into()).await.is_err() {
                    return;
                }
            }
            Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "a reader of the log was too slow"),
            Err(RecvError::Closed) => return,
        }
    }
}

fn ready(app: &App) -> Progress {
    Progress::Ready { app_id: app.id.to_string(), name: app.name.clone(), version: app.version() }
}

fn failed(error: ApiError) -> Progress {
    Progress::Failed {
        code: error.code.to_string(),
        message: error.message,
        hint: error.hint,
        detail: error.detail,
    }
}
