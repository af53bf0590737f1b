//! The apps that live in this server, and the one way each of them changes: build, try, swap, let the old one end.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use pilotlight_api::error::{ApiError, Code};
use pilotlight_api::manifest::Manifest;
use pilotlight_api::progress::{AppState, AppSummary, FunctionSummary, MissingPart, Progress, Stream};
use pilotlight_api::wire::{Mode, Scaling};
use pilotlight_core::id::{self, AppId};
use pilotlight_core::route::PortRanges;
use pilotlight_gateway::{Endpoint, Gateway, Routes};
use pilotlight_pool::Room;
use pilotlight_sandbox::Isolation;
use pilotlight_store::Store;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::builders::{Builders, Builds};
use super::containers::Containers;
use super::entropy;
use super::logs::{self, AppLog};
use super::plan;
use super::public::Origin;
use super::shells::Shells;
use super::starts::Starts;
use super::tasks::{self, Kind};
use super::zygotes::{Lineage, Zygotes};

mod address;
mod trial;
mod version;

pub(crate) use address::{LabelRules, SharedHosts};
pub(crate) use trial::Trial;

use address::Address;

/// How long requests of a version that was replaced or stopped may go on.
const FINISH_LIMIT: Duration = Duration::from_mins(5);

/// How long the idle containers of an app that ends with its command may take to shut down, exit hooks included.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// How long at Ctrl-C a request may still seem to be under way: its client can have the answer before the pool hears of it.
const ANSWERED_LIMIT: Duration = Duration::from_millis(250);

/// All apps of a server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Apps(Arc<Shared>);

/// What all apps share.
pub(crate) struct Shared {
    /// Makes images and trees.
    pub(crate) builder: Builders,
    /// Makes containers.
    pub(crate) containers: Containers,
    /// What containers get.
    pub(crate) isolation: Isolation,
    /// How much they may write where their function does not say it, MiB.
    pub(crate) disk_mib: Option<u64>,
    /// What images may take on disk, bytes.
    pub(crate) image_bytes: u64,
    /// Told when something was built.
    pub(crate) built: Notify,
    /// What of the isolation they do not get.
    pub(crate) weaknesses: Vec<MissingPart>,
    /// What containers are forked from.
    pub(crate) zygotes: Zygotes,
    /// Answers requests.
    pub(crate) gateway: Gateway,
    /// Remembers deployed apps; an embedded server has none.
    pub(crate) store: Option<Store>,
    /// Keeps the logs of apps that outlive this process.
    pub(crate) logs: Option<Arc<pilotlight_store::logs::Logs>>,
    /// Where the time of starts went.
    pub(crate) starts: Starts,
    /// Where all that is kept lies.
    pub(crate) state_dir: PathBuf,
    /// Uploaded files, by digest.
    pub(crate) blobs: PathBuf,
    /// Containers made ahead.
    pub(crate) shells: Shells,
    /// What containers may ask for together, and what they do.
    pub(crate) room: Room,
    /// The port that all endpoints share, once it is open.
    pub(crate) common_port: OnceLock<u16>,
    /// How URLs begin beyond this machine, if they are anything there.
    pub(crate) origin: Option<Origin>,
    /// A domain under which every endpoint has a host, beside `localhost`.
    pub(crate) domain: Option<String>,
    /// Which ports endpoints get.
    pub(crate) ports: PortRanges,
    /// The labels and custom domains of all apps.
    pub(crate) hosts: SharedHosts,
    /// Where containers reach this server, if they do.
    pub(crate) inside: Option<SocketAddrV4>,
    /// Where each version's `/etc/hosts` is.
    pub(crate) hosts_files: PathBuf,
    /// Held while the routes are gathered and published: the newest are the last.
    pub(crate) publishing: Mutex<()>,
    /// The image builds under way.
    pub(crate) builds: Builds,
    /// The apps that serve now.
    pub(crate) live: Mutex<BTreeMap<AppId, Arc<App>>>,
}

/// One app that serves.
pub(crate) struct App {
    pub(crate) id: AppId,
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) log: AppLog,
    labels: LabelRules,
    /// A part of the names under which its containers reach its endpoints, and nobody else's do.
    secret: String,
    created_at: f64,
    ended: Notify,
    /// Held while a version is made: one at a time.
    changing: tokio::sync::Mutex<()>,
    /// Held while the store and the routes are changed together, so that they never disagree.
    commit: tokio::sync::Mutex<()>,
    current: Mutex<Version>,
    /// What is known of each function from version to version; of an app that is edited while it serves.
    lineages: Mutex<BTreeMap<String, Arc<Lineage>>>,
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
    address: Address,
    /// The image of its containers.
    image: String,
    /// How it was scaled since this version serves.
    scaling: Scaling,
    /// Ends when the pool was retired and its last container is gone.
    actor: JoinHandle<()>,
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

    /// Enters an app that serves nothing yet; gives the one that is there if somebody was faster.
    pub(crate) fn enter(&self, id: AppId, name: String, mode: Mode, labels: LabelRules) -> Arc<App> {
        let file = (mode == Mode::Deploy).then(|| self.0.logs.clone()).flatten();
        let app = Arc::new(App {
            log: AppLog::new(id.clone(), file),
            id: id.clone(),
            name,
            mode,
            labels,
            secret: id::secret(entropy()),
            created_at: logs::unix_seconds(),
            ended: Notify::new(),
            changing: tokio::sync::Mutex::default(),
            commit: tokio::sync::Mutex::default(),
            current: Mutex::default(),
            lineages: Mutex::default(),
        });
        Arc::clone(self.live().entry(id).or_insert(app))
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
        let changing = app.changing.lock().await;
        let fresh = self.make(app, manifest, trial, progress).await?;
        let commit = app.commit.lock().await;
        if app.current().stopped {
            let stopped = ApiError::new(Code::Conflict, "the app was stopped meanwhile");
            return Err(Self::discard(&fresh, stopped));
        }
        let endpoints = fresh.iter().map(Live::stored).collect();
        let number = match remember(endpoints).await {
            Ok(number) => number,
            Err(error) => return Err(Self::discard(&fresh, error)),
        };
        let (old, created, robbed) = {
            let mut current = app.current();
            current.number = number;
            let known: BTreeMap<String, Vec<String>> = current
                .functions
                .iter()
                .map(|live| (live.endpoint.function.clone(), live.address.domains()))
                .collect();
            // Together with the swap: a route table made meanwhile has the old hosts or the new ones.
            let robbed: Vec<_> = fresh.iter().flat_map(|live| live.address.names.take()).collect();
            let news = |live: &&Live| {
                app.mode == Mode::Deploy
                    || known.get(&live.endpoint.function) != Some(&live.address.domains())
            };
            let created: Vec<Progress> =
                fresh.iter().filter(news).map(|live| live.created(&self.0)).collect();
            (std::mem::replace(&mut current.functions, fresh), created, robbed)
        };
        self.publish();
        drop(commit);
        for live in old {
            tasks::spawn(Kind::Ending, live.finish(FINISH_LIMIT));
        }
        drop(changing);
        for (host, holder) in robbed {
            self.tell_robbed(&host, &holder.app, app);
        }
        for message in created {
            _ = progress.send(message).await;
        }
        Ok(())
    }

    /// Tells who follows an app that one of its hosts is another's now.
    fn tell_robbed(&self, host: &str, robbed: &AppId, by: &App) {
        let Some(robbed) = self.live().get(robbed).cloned() else { return };
        let live = robbed.current().functions.iter().find_map(|live| {
            live.address.names.has(host).then(|| (live.endpoint.function.clone(), live.address.url()))
        });
        if let Some((function, url)) = live {
            let whose = match by.mode {
                Mode::Ephemeral => format!("another session of `{}`", by.name),
                Mode::Deploy => format!("the deployed app `{}`", by.name),
            };
            let line = format!("{host} now leads to {whose} (label stolen); this one goes on at {url}");
            robbed.log.push(&function, None, Stream::System, line);
        }
    }

    /// Lets go of what an attempt made before it failed.
    fn discard(fresh: &[Live], error: ApiError) -> ApiError {
        for live in fresh {
            live.endpoint.pool.kill();
        }
        error
    }

    /// Stops an app once `forget` has made the store forget it: no route, and what is under way finishes.
    pub(crate) async fn stop(
        &self,
        app: &App,
        forget: impl Future<Output = Result<(), ApiError>>,
    ) -> Result<(), ApiError> {
        let _commit = app.commit.lock().await;
        forget.await?;
        let mut leaving = Vec::new();
        for live in self.end(app) {
            match app.mode {
                Mode::Ephemeral => leaving.push(tasks::spawn(Kind::Ending, live.leave())),
                Mode::Deploy => _ = tasks::spawn(Kind::Ending, live.finish(FINISH_LIMIT)),
            }
        }
        for live in leaving {
            _ = live.await;
        }
        // Last, so that who follows the app hears what its containers say at their end.
        app.ended.notify_one();
        Ok(())
    }

    /// Stops an app whose first version failed, unless another attempt is under way.
    pub(crate) async fn stop_if_idle(&self, app: &App) {
        let Ok(_changing) = app.changing.try_lock() else { return };
        if app.version() == 0 {
            _ = self.stop(app, std::future::ready(Ok(()))).await;
        }
    }

    /// Ends every app within about `limit`: requests under way are answered, containers shut down.
    pub(crate) async fn finish_all(&self, limit: Duration) {
        let apps = self.all();
        let ending: Vec<_> = apps
            .iter()
            .flat_map(|app| self.end(app))
            .map(|live| tasks::spawn(Kind::Ending, live.finish(limit / 2)))
            .collect();
        let all = async {
            for live in ending {
                _ = live.await;
            }
        };
        _ = tokio::time::timeout(limit, all).await;
        for app in apps {
            app.ended.notify_one();
        }
    }

    /// Takes an app out of the routes; what served it is the caller's to end.
    fn end(&self, app: &App) -> Vec<Live> {
        self.live().remove(&app.id);
        let functions = {
            let mut current = app.current();
            current.stopped = true;
            std::mem::take(&mut current.functions)
        };
        self.publish();
        functions
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
        let _publishing = self.0.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut apps = self.all();
        apps.sort_by_key(|app| app.mode != Mode::Deploy);
        let of = |live: &Live| (Arc::clone(&live.endpoint), live.address.addresses(self.0.domain.as_deref()));
        let endpoints: Vec<_> =
            apps.iter().flat_map(|app| app.current().functions.iter().map(of).collect::<Vec<_>>()).collect();
        self.0.gateway.publish(Routes::new(endpoints));
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<AppId, Arc<App>>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    /// Resolves when the app was stopped.
    pub(crate) async fn stopped(&self) {
        self.ended.notified().await;
    }

    /// Held while the store and what serves are changed together.
    pub(crate) async fn commit(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.commit.lock().await
    }

    /// Scales a function of the version that serves; the next version begins with what its program says. All that was
    /// asked for so far.
    pub(crate) fn scale(&self, function: &str, scaling: Scaling) -> Result<Scaling, ApiError> {
        let mut current = self.current();
        let functions = &mut current.functions;
        let Some(live) = functions.iter_mut().find(|live| live.endpoint.function == function) else {
            let known: Vec<_> = functions.iter().map(|live| live.endpoint.function.as_str()).collect();
            let message = format!("the app `{}` has no web endpoint `{function}`", self.name);
            return Err(ApiError::new(Code::NotFound, message).hint(format!("it has {}", known.join(", "))));
        };
        live.endpoint
            .pool
            .change(|settings| plan::scaled(settings, scaling))
            .map_err(|problem| ApiError::new(Code::Invalid, problem))?;
        live.scaling = scaling.over(live.scaling);
        Ok(live.scaling)
    }

    /// What is known of a function from version to version. A deployed app has few.
    fn lineage(&self, function: &str) -> Option<Arc<Lineage>> {
        let mut lineages = self.lineages.lock().unwrap_or_else(PoisonError::into_inner);
        (self.mode == Mode::Ephemeral).then(|| Arc::clone(lineages.entry(function.to_owned()).or_default()))
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
                url: Some(live.address.url()),
                label: Some(live.address.label().to_owned()),
                custom_domains: live.address.domains(),
                image: Some(live.image.clone()),
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
    /// Lets requests under way be answered for at most `limit`, and the containers end. Its hosts are free at once.
    fn finish(self, limit: Duration) -> impl Future<Output = ()> + Send + use<> {
        let Self { endpoint, address: Address { names, listener }, actor, .. } = self;
        drop(names);
        async move {
            endpoint.pool.retire();
            // The next version has the port too, unless it has no such function.
            if let Some(listener) = Arc::into_inner(listener) {
                listener.close(limit).await;
            }
            if tokio::time::timeout(limit, actor).await.is_err() {
                endpoint.pool.kill();
            }
        }
    }

    /// Ends as who serves a file wants it at Ctrl-C: at once, whoever is being answered, and else after the last words
    /// of its containers.
    async fn leave(self) {
        if tokio::time::timeout(ANSWERED_LIMIT, self.endpoint.pool.idle()).await.is_err() {
            self.endpoint.pool.kill();
        }
        self.finish(LEAVE_LIMIT).await;
    }

    /// The endpoint as the store remembers it.
    fn stored(&self) -> pilotlight_store::Endpoint {
        pilotlight_store::Endpoint {
            function: self.endpoint.function.clone(),
            label: self.address.label().to_owned(),
            port: self.address.listener.port(),
            scaling: None,
        }
    }

    fn created(&self, shared: &Shared) -> Progress {
        Progress::Created {
            function: self.endpoint.function.clone(),
            url: self.address.url(),
            note: self.address.note().map(str::to_owned),
            label: Some(self.address.label().to_owned()),
            host_url: self.address.host_url(shared),
            custom_domains: self.address.domain_urls(shared),
        }
    }
}
