//! One function's way to its zygotes: its image's, and its own above that.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pilotlight_api::progress::Stream;
use pilotlight_pool::{Stage, StartFailure};
use pilotlight_sandbox::runner::Role;

use super::lighting::Wanted;
use super::{From, Hold, Lineage, Path, State, Why, Zygote, Zygotes, lock};
use crate::serve::launcher::Template;
use crate::serve::logs::AppLog;
use crate::serve::shells::FunctionShells;

/// A zygote that lived shorter than this is not lit again by itself.
const SOUND: Duration = Duration::from_secs(30);

/// How a zygote came out.
pub(crate) enum Light {
    /// It can be forked from.
    Lit,
    /// It cannot be used, and was not the user's mistake.
    Without,
    /// The user's code failed in it.
    Failed(StartFailure),
}

/// A function's own way to its zygotes: the image's, held as long as the function lives, and its own.
pub(crate) struct FunctionLight {
    zygotes: Zygotes,
    /// What all containers of the function have in common.
    pub(crate) template: Template,
    /// Where their output goes.
    pub(crate) log: AppLog,
    lineage: Option<Arc<Lineage>>,
    /// Whether its containers may be forks.
    used: bool,
    /// Those made ahead.
    pub(crate) shells: FunctionShells,
    image: Mutex<Option<Arc<Zygote>>>,
    own: Mutex<Own>,
}

/// A function's own zygote.
#[derive(Default)]
enum Own {
    /// It is not lit, and will be when it is needed.
    #[default]
    Dark,
    /// It was lit, and may be out by now.
    Kindled(Kindled),
    /// It is not to be tried again in this version.
    Never,
}

/// A zygote that was lit.
struct Kindled {
    zygote: Arc<Zygote>,
    since: Instant,
    /// It is a fork of the lineage's.
    ahead: bool,
}

impl FunctionLight {
    /// Nothing is lit yet.
    pub(super) fn new(
        zygotes: Zygotes,
        template: Template,
        log: AppLog,
        lineage: Option<Arc<Lineage>>,
    ) -> Self {
        let used = zygotes.0.used && template.never_forked.is_none();
        let shells = zygotes.0.shells.function();
        let (image, own) = (Mutex::default(), Mutex::default());
        Self { zygotes, template, log, lineage, used, shells, image, own }
    }

    /// Lights the function's zygote, and the image's before it, and says how that went.
    pub(crate) async fn light(&self) -> Light {
        if !self.used {
            self.tell_of_no_snapshot();
            return Light::Without;
        }
        let Some(image) = self.image().await else { return Light::Without };
        let zygote = match self.own(&image) {
            Some(zygote) if self.is_misled(&zygote.settled().await) => self.own(&image),
            zygote => zygote,
        };
        match zygote {
            Some(zygote) => match zygote.settled().await {
                State::Lit => Light::Lit,
                State::Failed(failure) if failure.stage.is_users() || failure.stage == Stage::Timeout => {
                    Light::Failed(failure)
                }
                State::Unfit | State::Failed(_) => {
                    *lock(&self.own) = Own::Never;
                    Light::Without
                }
                State::Out(_) | State::Lighting => Light::Without,
            },
            None => Light::Without,
        }
    }

    /// The nearest zygote to fork from, and `None` for a container that is to import everything itself.
    ///
    /// Waits for none of the user's code: the function's own is lit beside, for the next container. While the image's is
    /// lit in the place of one that is out, which takes longer than a container's own imports do, one container does not
    /// wait for it either; all others do, since many that import side by side would be slower.
    pub(crate) async fn nearest(&self) -> Option<From> {
        if !self.used {
            return None;
        }
        if let Some(own) = self.lit() {
            return Some(From::new(&own, Path::Function));
        }
        if self.held().goes_ahead() {
            return None;
        }
        let image = self.image().await?;
        _ = self.own(&image);
        Some(From::new(&image, Path::Image))
    }

    /// The nearest zygote that burns already. Nobody is asked to light another; see [`kindle`](Self::kindle).
    pub(crate) fn burning(&self) -> Option<From> {
        if !self.used {
            return None;
        }
        if let Some(own) = self.lit() {
            return Some(From::new(&own, Path::Function));
        }
        let image = lock(&self.image).clone()?;
        let lit = matches!(*image.state.borrow(), State::Lit);
        lit.then(|| From::new(&image, Path::Image))
    }

    /// Lights the function's own zygote beside, unless it is, or is not to be.
    pub(crate) fn kindle(&self) {
        let image = lock(&self.image).clone();
        if let Some(image) = image.filter(|image| self.used && matches!(*image.state.borrow(), State::Lit)) {
            _ = self.own(&image);
        }
    }

    fn tell_of_no_snapshot(&self) {
        if self.template.snapshot == Some(true) {
            let reason = self.template.never_forked.unwrap_or("nothing is forked without the sandbox");
            let line = format!("no snapshot is taken of the program's memory: {reason}");
            self.log.push(&self.template.function, None, Stream::System, line);
        }
    }

    /// Takes note of what a container has imported of the image, for the next version.
    pub(crate) fn learn(&self, modules: &[String]) {
        let Some(lineage) = &self.lineage else { return };
        let image = lock(&self.image).clone();
        if let Some(image) = image.filter(|_| self.used) {
            lineage.learn(&self.template, modules, |modules| {
                self.zygotes.session(&self.template, &image, modules)
            });
        }
    }

    /// Whether the function's zygote came out as it did since modules had been imported ahead; the next has none.
    fn is_misled(&self, state: &State) -> bool {
        let mut own = lock(&self.own);
        let users = matches!(state, State::Failed(failure) if failure.stage.is_users());
        let ahead = matches!(&*own, Own::Kindled(kindled) if kindled.ahead);
        if !ahead || matches!(state, State::Lit) || users {
            return false;
        }
        if let Some(lineage) = &self.lineage {
            lineage.end(&self.template);
        }
        *own = Own::Dark;
        true
    }

    fn lit(&self) -> Option<Arc<Zygote>> {
        match &*lock(&self.own) {
            Own::Kindled(Kindled { zygote, .. }) if matches!(*zygote.state.borrow(), State::Lit) => {
                Some(Arc::clone(zygote))
            }
            _ => None,
        }
    }

    async fn image(&self) -> Option<Arc<Zygote>> {
        let image = self.held();
        matches!(image.settled().await, State::Lit).then_some(image)
    }

    /// The image's zygote, which is lit anew if it is out.
    fn held(&self) -> Arc<Zygote> {
        let mut kept = lock(&self.image);
        match kept.as_ref().filter(|zygote| !zygote.is_spent()) {
            Some(zygote) => Arc::clone(zygote),
            None => Arc::clone(kept.insert(self.zygotes.image(&self.template))),
        }
    }

    /// The function's own zygote; lights it unless it is, or is not to be.
    fn own(&self, image: &Arc<Zygote>) -> Option<Arc<Zygote>> {
        if self.template.snapshot == Some(false) {
            return None;
        }
        let mut own = lock(&self.own);
        if let Own::Kindled(Kindled { zygote, since, .. }) = &*own {
            let State::Out(why) = *zygote.state.borrow() else { return Some(Arc::clone(zygote)) };
            *own = match why {
                // One that ends by itself, and soon, would again.
                Why::Ended if since.elapsed() < SOUND => Own::Never,
                // So would one that needs more memory than all together may have.
                Why::TooLarge => Own::Never,
                Why::Ended | Why::Dismissed => Own::Dark,
            };
        }
        if let Own::Never = *own {
            return None;
        }
        let mut spec = self.template.spec.clone();
        let lineage = self.lineage.as_ref().and_then(|lineage| lineage.zygote(&self.template));
        let ahead = lineage.is_some();
        let from = lineage.unwrap_or_else(|| Arc::clone(image));
        spec.from = Some(from.id.to_string());
        let zygote = self.zygotes.light(Wanted {
            spec,
            doors: self.template.doors.clone(),
            from: Some(Hold::new(from)),
            configure: self.template.configure.clone(),
            role: Role::Function,
            function: Arc::clone(&self.template.function),
            log: Some(self.log.clone()),
            ahead,
            within: self.template.start_timeout,
            _pins: self.template.pins.clone(),
        });
        *own = Own::Kindled(Kindled { zygote: Arc::clone(&zygote), since: Instant::now(), ahead });
        Some(zygote)
    }
}
