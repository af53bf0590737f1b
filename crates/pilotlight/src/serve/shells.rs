//! Containers made ahead but for their process: namespaces, files, limits, network, socket. The next start of their
//! function only has to fork into one.
//!
//! A few for each function that was started lately or whose zygote was just lit, and a bounded number in all: those of
//! the function that was started longest ago go first. They are made one after the other, while nothing starts, and are
//! no containers: nobody runs in them, nothing waits for one, and each ends with the zygote that it is below.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pilotlight_core::hearth;
use pilotlight_core::id::ContainerId;
use pilotlight_sandbox::{Signal, Spec};
use tokio::sync::{Semaphore, watch};

use super::containers::Containers;
use super::entropy;
use super::launcher::Template;
use super::tasks::{self, Kind};
use super::zygotes::{From, FunctionLight};

/// For one function.
const EACH_MAX: usize = 2;

/// For all functions of a server.
const ALL_MAX: usize = 64;

/// How long after the last start shells are made: the answer to whoever waited for that start comes first.
const QUIET: Duration = Duration::from_millis(30);

/// How long to wait for a moment in which nothing starts. Under constant starts shells would not be made in time anyway.
const QUIET_WITHIN: Duration = Duration::from_secs(5);

/// The shells of a server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shells(Arc<Shared>);

struct Shared {
    containers: Containers,
    sockets: PathBuf,
    scratch: PathBuf,
    kept: Mutex<Vec<Kept>>,
    functions: AtomicU64,
    /// How many containers start now.
    starting: watch::Sender<usize>,
    /// Makes shells one after the other.
    turn: Semaphore,
}

/// A shell that waits for its start.
struct Kept {
    function: u64,
    /// When its function was last started.
    used: Instant,
    shell: Shell,
}

/// A container without a process.
pub(crate) struct Shell {
    pub(crate) id: ContainerId,
    /// As it was made, and is to be started.
    pub(crate) spec: Spec,
    /// The zygote to fork from.
    pub(crate) from: From,
    /// Where it will listen.
    pub(crate) listener: OwnedFd,
    socket: PathBuf,
}

/// One function's share.
pub(crate) struct FunctionShells {
    shells: Shells,
    function: u64,
    /// Whether somebody sees to its shells already.
    filling: AtomicBool,
}

impl FunctionShells {
    /// Takes a shell below this zygote; those below another are of no use any more.
    pub(crate) fn take(&self, from: &From) -> Option<Shell> {
        self.shells.drop_if(|kept| kept.function == self.function && kept.shell.from.id != from.id);
        let mut kept = self.shells.kept();
        let place = kept.iter().position(|kept| kept.function == self.function)?;
        Some(kept.swap_remove(place).shell)
    }

    /// Sees to it, beside, that there are shells below the nearest zygote of `light`, whose share this is.
    pub(crate) fn fill(light: &Arc<FunctionLight>) {
        if !light.shells.filling.swap(true, Ordering::SeqCst) {
            let light = Arc::clone(light);
            tasks::spawn(Kind::Shells, async move {
                light.shells.fill_up(&light).await;
                light.shells.filling.store(false, Ordering::SeqCst);
            });
        }
    }

    async fn fill_up(&self, light: &FunctionLight) {
        let used = Instant::now();
        loop {
            self.shells.quiet().await;
            let Ok(_turn) = self.shells.0.turn.acquire().await else { return };
            let Some(from) = light.burning() else { return };
            if !self.shells.has_room(self.function, used) {
                return;
            }
            match self.shells.make(&light.template, from).await {
                Ok(shell) => {
                    let (function, shells) = (self.function, &self.shells);
                    shells.kept().push(Kept { function, used, shell });
                    // It may have gone out meanwhile, and whoever let go of its shells not have seen this one.
                    let now = light.burning();
                    shells.drop_if(|kept| {
                        let here = kept.function == function;
                        here && now.as_ref().is_none_or(|now| now.id != kept.shell.from.id)
                    });
                }
                Err(error) => {
                    tracing::debug!(
                        function = &*light.template.function,
                        "cannot make a shell ahead: {error:#}"
                    );
                    return;
                }
            }
        }
    }
}

impl Drop for FunctionShells {
    fn drop(&mut self) {
        self.shells.drop_if(|kept| kept.function == self.function);
    }
}

/// Lasts as long as a container starts.
pub(crate) struct Starting(Arc<Shared>);

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.starting.send_modify(|starting| *starting -= 1);
    }
}

impl Shells {
    /// None yet. Sockets and scratch directories are made in these folders.
    pub(crate) fn new(containers: Containers, sockets: PathBuf, scratch: PathBuf) -> Self {
        Self(Arc::new(Shared {
            containers,
            sockets,
            scratch,
            kept: Mutex::default(),
            functions: AtomicU64::new(0),
            starting: watch::Sender::new(0),
            turn: Semaphore::new(1),
        }))
    }

    /// For one more function of one version.
    pub(crate) fn function(&self) -> FunctionShells {
        let function = self.0.functions.fetch_add(1, Ordering::Relaxed);
        FunctionShells { shells: self.clone(), function, filling: AtomicBool::new(false) }
    }

    /// Says that a container starts, until the answer is dropped. No shell is made meanwhile.
    pub(crate) fn starting(&self) -> Starting {
        self.0.starting.send_modify(|starting| *starting += 1);
        Starting(Arc::clone(&self.0))
    }

    /// How many wait for their start.
    pub(crate) fn count(&self) -> usize {
        self.kept().len()
    }

    /// Lets go of the shells below a zygote that is out.
    pub(crate) fn without(&self, zygote: &ContainerId) {
        self.drop_if(|kept| kept.shell.from.id == zygote.as_str());
    }

    /// Where a container listens.
    pub(crate) fn socket(&self, id: &ContainerId) -> PathBuf {
        self.0.sockets.join(id.as_str().trim_start_matches(ContainerId::PREFIX))
    }

    /// The specification of a container of this function.
    pub(crate) fn spec(&self, template: &Template, id: &ContainerId) -> Spec {
        let mut spec = template.spec.clone();
        spec.id = id.to_string();
        spec.hostname = id.to_string();
        spec.scratch = self.0.scratch.join(id.as_str());
        spec.command.env.push(("MODAL_TASK_ID".into(), id.to_string()));
        spec
    }

    /// Waits until nothing starts, or long enough.
    async fn quiet(&self) {
        let mut starting = self.0.starting.subscribe();
        let quiet = async {
            loop {
                if starting.wait_for(|starting| *starting == 0).await.is_err() {
                    return;
                }
                let stirred = starting.wait_for(|starting| *starting > 0);
                if tokio::time::timeout(QUIET, stirred).await.is_err() {
                    return;
                }
            }
        };
        _ = tokio::time::timeout(QUIET_WITHIN, quiet).await;
    }

    /// Whether one more may be made for this function; makes room for it.
    fn has_room(&self, function: u64, used: Instant) -> bool {
        let gone = {
            let mut kept = self.kept();
            if kept.iter().filter(|kept| kept.function == function).count() >= EACH_MAX {
                return false;
            }
            let uses: Vec<_> = kept.iter().map(|kept| (kept.function, kept.used)).collect();
            match hearth::room_for_shell(&uses, function, used, ALL_MAX) {
                hearth::Room::Free => return true,
                hearth::Room::None => return false,
                hearth::Room::InPlaceOf(place) => kept.swap_remove(place),
            }
        };
        self.end(&gone.shell);
        true
    }

    fn drop_if(&self, mut goes: impl FnMut(&Kept) -> bool) {
        let gone: Vec<Kept> = self.kept().extract_if(.., |kept| goes(kept)).collect();
        for kept in gone {
            self.end(&kept.shell);
        }
    }

    async fn make(&self, template: &Template, from: From) -> anyhow::Result<Shell> {
        let id = ContainerId::from_entropy(entropy());
        let socket = self.socket(&id);
        let listener = OwnedFd::from(std::os::unix::net::UnixListener::bind(&socket)?);
        let spec = Spec { from: Some(from.id.clone()), ..self.spec(template, &id) };
        match self.0.containers.prepare(spec.clone()).await {
            Ok(()) => Ok(Shell { id, spec, from, listener, socket }),
            Err(error) => {
                _ = fs_err::remove_file(&socket);
                Err(error)
            }
        }
    }

    fn end(&self, shell: &Shell) {
        self.0.containers.signal(shell.id.as_str(), Signal::Kill);
        _ = fs_err::remove_file(&shell.socket);
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
