//! How a new version proves itself before it serves: each of its endpoints starts once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pilotlight_api::error::{ApiError, Code};
use pilotlight_api::wire::{Mode, Scaling};
use pilotlight_core::id::FunctionId;
use pilotlight_gateway::{Endpoint, RateLimit};
use pilotlight_pool::{Launcher, Pool, Room, Settings, Share};
use tokio::task::JoinHandle;

use super::address::Address;
use super::{App, Live};
use crate::serve::entropy;
use crate::serve::launcher::FunctionLauncher;
use crate::serve::shells::FunctionShells;
use crate::serve::tasks::{self, Kind};
use crate::serve::zygotes::Light;

/// How much longer a request waits than its container may start: why there is none is told by the start that failed.
const START_SLACK: Duration = Duration::from_secs(1);

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

/// One web endpoint of a version that is being made: everything but its pool.
pub(super) struct Candidate {
    pub(super) function: String,
    pub(super) launcher: Arc<FunctionLauncher>,
    pub(super) settings: Settings,
    /// Where its containers need room.
    pub(super) room: Room,
    /// What each of them asks for.
    pub(super) share: Share,
    pub(super) timeout: Duration,
    pub(super) total_timeout: Option<Duration>,
    /// See the gateway's field of this name.
    pub(super) keep_alive: bool,
    /// Whether a client waits for the answer.
    pub(super) wait_for_response: bool,
    /// How often it may be asked.
    pub(super) rate: Option<Arc<RateLimit>>,
    pub(super) address: Address,
}

impl Candidate {
    /// Lets an endpoint prove itself, and gives it the pool that it serves with.
    pub(super) async fn try_out(self, app: &App, trial: Trial) -> Result<Live, ApiError> {
        let warm = trial == Trial::Warm && app.has_containers(&self.function);
        let (pool, actor) = if trial == Trial::None {
            // Who serves a file is about to ask; the many apps of a server that starts again are not.
            if app.mode == Mode::Ephemeral {
                let light = Arc::clone(&self.launcher.light);
                tasks::spawn(Kind::Zygote, async move {
                    _ = light.light().await;
                    FunctionShells::fill(&light);
                });
            }
            self.pool(self.settings.clone())
        } else {
            // One that does not stay starts one container, however many are kept warm later.
            let one = Settings {
                min_containers: 0,
                max_containers: Some(1),
                buffer_containers: 0,
                ..self.settings.clone()
            };
            let began = Instant::now();
            if let Light::Failed(failure) = self.launcher.light.light().await {
                return Err(start_error(&self.function, &failure));
            }
            let lit = began.elapsed();
            FunctionShells::fill(&self.launcher.light);
            let (tried, actor) = self.pool(if warm { self.settings.clone() } else { one });
            if let Err(failure) = tried.warm().await {
                tried.kill();
                return Err(start_error(&self.function, &failure));
            }
            tracing::debug!(function = self.function, ?lit, started = ?began.elapsed(), "it proved itself");
            if warm {
                (tried, actor)
            } else {
                tried.retire();
                self.pool(self.settings.clone())
            }
        };
        Ok(Live {
            endpoint: Arc::new(Endpoint {
                id: FunctionId::from_entropy(entropy()).to_string(),
                app: app.name.clone(),
                function: self.function,
                pool,
                start_timeout: self.settings.startup_timeout + START_SLACK,
                timeout: self.timeout,
                total_timeout: self.total_timeout,
                keep_alive: self.keep_alive,
                wait_for_response: self.wait_for_response,
                rate: self.rate,
            }),
            address: self.address,
            scaling: Scaling::default(),
            image: self.launcher.light.template.image.key.clone(),
            actor,
        })
    }

    /// A pool of the endpoint's containers, its actor running.
    fn pool(&self, settings: Settings) -> (Pool, JoinHandle<()>) {
        let launcher = Arc::clone(&self.launcher) as Arc<dyn Launcher>;
        let (pool, actor) = Pool::within(&self.room, self.share, settings, launcher);
        (pool, tasks::spawn(Kind::Pool, actor))
    }
}

/// A start that failed, for who deployed it.
fn start_error(function: &str, failure: &pilotlight_pool::StartFailure) -> ApiError {
    let mut error = ApiError::new(Code::Invalid, format!("`{function}` does not start: {}", failure.summary));
    error.detail.clone_from(&failure.traceback);
    error.hint("the last good version, if there is one, goes on serving")
}
