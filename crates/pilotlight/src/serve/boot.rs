//! Boot and end of a server: check, sweep, bind, restore, serve; then stop taking, let finish, leave nothing.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use fs_err as fs;
use pilotlight_api::manifest::Manifest;
use pilotlight_api::progress::MissingPart;
use pilotlight_api::wire::Mode;
use pilotlight_core::route::PortRanges;
use pilotlight_gateway::{Gateway, Listener};
use pilotlight_pool::Room;
use pilotlight_sandbox::{Isolation, Owner};
use pilotlight_store::{Endpoint, Store};
use rustix::process::Resource;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::apps::{Apps, LabelRules, Shared, SharedHosts, Trial};
use super::builders::{Builders, Builds};
use super::containers::Containers;
use super::control::Controller;
use super::images;
use super::inside;
use super::process::Prelude;
use super::shells::Shells;
use super::starts::{self, Starts};
use super::stored::stored;
use super::tasks::{self, Kind as Task};
use super::zygotes::Zygotes;
use crate::config::{self, Config};
use crate::exit::UserError;

/// What a server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Lives as long as the command that it is part of; remembers nothing.
    Embedded,
    /// Remembers deployed apps and serves them again after a restart.
    Daemon,
}

/// A running server.
pub(crate) struct Server {
    apps: Apps,
    stop: watch::Sender<bool>,
    told_to_stop: Arc<Notify>,
    control: JoinHandle<()>,
    listeners: Vec<Listener>,
    warnings: Vec<String>,
}

impl Server {
    /// Starts a server in `run_dir` and serves what the store remembers.
    pub(crate) async fn start(
        config: &Config,
        run_dir: &Path,
        kind: Kind,
        prelude: Prelude,
    ) -> anyhow::Result<Self> {
        let Prelude { control, python, settings, owner, supervisor, public } = prelude;
        raise_descriptor_limit();
        let isolation = config.isolation;
        let options = pilotlight_sandbox::Options {
            isolation,
            owner,
            supervisor: Some(supervisor),
            ..pilotlight_sandbox::Options::new(run_dir, &config.state_dir)
        };
        let containers = tokio::task::spawn_blocking(move || Containers::start(options)).await??;
        let builders = Builders::new(config, python, settings, &containers)?;
        let mut shared = shared(config, run_dir, kind, builders, &containers, control.allowed())?;
        let (address, inside_listener) = match isolation {
            // A user's containers are in another network: an address of this one is not theirs to reach.
            Isolation::Sandbox if config.rootless => (None, None),
            Isolation::Sandbox => inside::listen(&shared.gateway).await.unzip(),
            Isolation::Process => (None, None),
        };
        shared.inside = address;
        tasks::spawn(Task::Hearth, shared.zygotes.clone().tend());
        let apps = Apps::new(shared);
        let told_to_stop = Arc::new(Notify::new());
        let controller = Controller::new(apps.clone(), Arc::clone(&told_to_stop));
        let (stop, mut stopped) = watch::channel(false);
        let (mut listeners, mut warnings) = (Vec::from_iter(inside_listener), Vec::new());
        if kind == Kind::Daemon {
            listeners.extend(open_shared_port(&apps, config.port, &mut warnings).await);
            restore(&apps, &mut warnings).await?;
            warnings.extend(config.public.warning());
            tasks::spawn(Task::Certificates, config.public.clone().follow(public.certificates.clone()));
            listeners.extend(public.listen(&apps.shared().gateway)?);
        }
        // What is deployed holds its images by now.
        tasks::spawn(Task::Images, images::tend(apps.clone()));
        // Orders are heard from here on, when the apps are what the store says.
        let listener = control.listen()?;
        let control = tasks::spawn(Task::Control, async move {
            let stopped = async move { _ = stopped.wait_for(|stop| *stop).await };
            if let Err(error) = pilotlight_api::server::serve(listener, Arc::new(controller), stopped).await {
                tracing::error!(%error, "the control socket failed");
            }
        });
        Ok(Self { apps, stop, told_to_stop, control, listeners, warnings })
    }

    /// What the user should know about this server, each as a sentence.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// What of the isolation containers do not get.
    pub(crate) fn weaknesses(&self) -> Vec<MissingPart> {
        self.apps.shared().weaknesses.clone()
    }

    /// How many apps are served.
    pub(crate) fn deployed(&self) -> usize {
        self.apps.count()
    }

    /// Resolves when somebody asked for the server's end over the control socket.
    pub(crate) async fn told_to_stop(&self) {
        self.told_to_stop.notified().await;
    }

    /// Ends everything within about `limit`: listeners, control socket, containers. The run directory goes with the
    /// supervisor.
    pub(crate) async fn stop(self, limit: Duration) {
        self.apps.finish_all(limit / 4).await;
        let closing =
            self.listeners.into_iter().map(|listener| tasks::spawn(Task::Ending, listener.close(limit / 4)));
        for closed in closing.collect::<Vec<_>>() {
            _ = closed.await;
        }
        if tokio::time::timeout(limit / 4, self.apps.shared().builds.stop()).await.is_err() {
            tracing::warn!("an image build did not end in time; the next start removes what it left");
        }
        _ = self.stop.send(true);
        if tokio::time::timeout(limit / 4, self.control).await.is_err() {
            tracing::debug!("a client of the control socket did not leave in time");
        }
        let containers = self.apps.shared().containers.clone();
        let ended = tokio::task::spawn_blocking(move || containers.shutdown(limit / 2)).await;
        if ended.is_err() {
            tracing::warn!("the sandbox helper did not end cleanly");
        }
    }
}

/// The port on which every endpoint answers by its host; a nicety next to each one's own port.
async fn open_shared_port(apps: &Apps, port: u16, warnings: &mut Vec<String>) -> Option<Listener> {
    match apps.shared().gateway.listen(port, pilotlight_gateway::Reach::Loopback).await {
        Ok(listener) => {
            _ = apps.shared().common_port.set(listener.port());
            Some(listener)
        }
        Err(error) => {
            let also = "endpoints answer at their own ports only";
            warnings.push(format!("port {port} cannot be opened, so {also}: {error}"));
            None
        }
    }
}

/// Serves again what was deployed. An app that cannot be is named and left as it is in the store.
async fn restore(apps: &Apps, warnings: &mut Vec<String>) -> anyhow::Result<()> {
    let Some(store) = apps.shared().store.clone() else { return Ok(()) };
    let old = store.clone();
    // One that does not read as a manifest may hold anything.
    let secret = |text: &str| serde_json::from_str(text).map_or(true, |read: Manifest| read.holds_secrets());
    if let Err(error) = stored(move || old.seal_old(secret)).await {
        warnings.push(format!("secrets of older deployments are still in the clear: {error}"));
    }
    for deployed in stored(move || store.deployed()).await? {
        let restored = async {
            let manifest: Manifest = serde_json::from_str(&deployed.manifest?.text)?;
            let kept = deployed.endpoints.iter().map(|it| (it.function.clone(), it.label.clone()));
            let labels = LabelRules { kept: kept.collect(), ..LabelRules::default() };
            let app = apps.enter(deployed.id, deployed.name.clone(), Mode::Deploy, labels);
            let (progress, mut ignored) = tokio::sync::mpsc::channel(64);
            let drain = tasks::spawn(Task::Logs, async move { while ignored.recv().await.is_some() {} });
            let version = || std::future::ready(Ok(deployed.version));
            let outcome = apps.apply(&app, &manifest, Trial::None, &progress, |_| version()).await;
            drop(progress);
            drain.await?;
            if outcome.is_err() {
                apps.stop_if_idle(&app).await;
            }
            outcome?;
            for Endpoint { function, scaling, .. } in deployed.endpoints {
                if let Some(scaling) = scaling {
                    app.scale(&function, serde_json::from_str(&scaling)?)?;
                }
            }
            anyhow::Ok(())
        };
        if let Err(error) = restored.await {
            warnings.push(format!("the app `{}` cannot be served again: {error:#}", deployed.name));
        }
    }
    Ok(())
}

/// Refuses a machine that lacks a part of the isolation; says which and how to get it.
pub(crate) fn check_isolation(wanted: Isolation) -> anyhow::Result<()> {
    if wanted == Isolation::Process {
        return Ok(());
    }
    let Some(missing) = pilotlight_sandbox::check().into_iter().next() else { return Ok(()) };
    let message = format!("this machine cannot isolate containers, {} is missing", missing.part);
    Err(UserError::new(message, missing.how_to_get).into())
}

/// Makes the state directory if it is not there, for its owner alone: layers hold programs of any user's making.
pub(crate) fn make_state_dir(state_dir: &Path, owner: Owner) -> anyhow::Result<()> {
    let is_new = !state_dir.exists();
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir);
    let given = made.and_then(|()| {
        let own = || std::os::unix::fs::chown(state_dir, Some(owner.uid), Some(owner.gid));
        if is_new { own() } else { Ok(()) }
    });
    given.map_err(|error| {
        let hint = format!("name another one with `--state-dir` or `{}`", config::env::STATE_DIR);
        let message = format!("cannot use the state directory `{}`: {error}", state_dir.display());
        UserError::new(message, hint).into()
    })
}

/// Refuses the state directory of a server of another user: without the sandbox a server keeps its own user, and what it
/// wrote there would be out of the other's reach.
pub(crate) fn check_owner(state_dir: &Path, owner: Owner, isolation: Isolation) -> anyhow::Result<()> {
    let found = fs::metadata(state_dir)?.uid();
    if isolation == Isolation::Sandbox || found == owner.uid {
        return Ok(());
    }
    let message =
        format!("the state directory `{}` is that of a server with the sandbox", state_dir.display());
    let hint = format!("name another one with `--state-dir` or `{}`", config::env::STATE_DIR);
    Err(UserError::new(message, hint).into())
}

/// Makes the directory of run directories if it is not there. An ordinary user's is for that user alone, and may be in a
/// place where anybody could have made it first.
pub(crate) fn make_run_root(run_root: &Path) -> anyhow::Result<()> {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(run_root)?;
    let found = rustix::fs::lstat(run_root)?;
    if found.st_uid != user.as_raw() || found.st_mode & 0o022 != 0 {
        let message = format!("the run directory `{}` is not yours alone", run_root.display());
        return Err(UserError::new(message, "remove it, or set `XDG_RUNTIME_DIR`").into());
    }
    Ok(())
}

/// Every connection and container costs descriptors, and the soft limit is 1024 on most machines (getrlimit(2)).
fn raise_descriptor_limit() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

fn shared(
    config: &Config,
    run_dir: &Path,
    kind: Kind,
    builder: Builders,
    containers: &Containers,
    owners: [u32; 2],
) -> anyhow::Result<Shared> {
    let state = &config.state_dir;
    let (blobs, scratch) = (state.join("blobs"), state.join("scratch"));
    fs::create_dir_all(&blobs)?;
    fs::create_dir_all(&scratch)?;
    let daemon = kind == Kind::Daemon;
    let first = config.port;
    let logs =
        daemon.then(|| pilotlight_store::logs::Logs::new(state.join("logs")).map(Arc::new)).transpose()?;
    let sockets = run_dir.join("c");
    let shells = Shells::new(containers.clone(), sockets, scratch.clone());
    Ok(Shared {
        builder,
        containers: containers.clone(),
        zygotes: Zygotes::new(
            containers.clone(),
            shells.clone(),
            scratch.clone(),
            config.isolation == Isolation::Sandbox,
            config.hearth,
        ),
        shells,
        room: Room::new(config.room),
        isolation: config.isolation,
        disk_mib: config.disk_mib,
        image_bytes: config.image_disk_mib.map_or_else(|| images::quarter_of_disk(state), |mib| mib << 20),
        built: Notify::new(),
        weaknesses: config.weaknesses(),
        common_port: OnceLock::new(),
        state_dir: config.state_dir.clone(),
        gateway: Gateway::new(pilotlight_gateway::Options {
            trusted_proxies: config.public.trusted_proxies.clone(),
            owners: owners.into(),
            body_bytes_max: config.public.body_bytes_max,
            redirect_after: config.public.redirect_after,
            ..pilotlight_gateway::Options::default()
        }),
        origin: config.public.origin().filter(|_| daemon),
        domain: config.public.domain.clone(),
        store: daemon.then(|| Store::open(&state.join("pilotlight.db"))).transpose()?,
        starts: Starts::new(logs.clone().map(starts::keep).transpose()?),
        logs,
        blobs,
        hosts: SharedHosts::default(),
        inside: None,
        hosts_files: run_dir.join("hosts"),
        ports: PortRanges::new(first + 1..=first + 499, first + 500..=first + 999)?,
        publishing: Mutex::default(),
        builds: Builds::default(),
        live: Mutex::default(),
    })
}
