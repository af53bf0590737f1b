//! What goes from version to version of a function that is edited while it serves: a zygote that has imported of the
//! image what the last version did, and nothing of the user's. The next version pays for its own modules alone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::{State, Template, Zygote, lock};

/// Modules that are imported ahead. One that names more has more than programs have.
const MODULES_MAX: usize = 10_000;

/// One function's line of versions.
#[derive(Default)]
pub(crate) struct Lineage(Mutex<Known>);

#[derive(Default)]
struct Known {
    ahead: Option<Ahead>,
    /// The imports of a version that needs them in its own order.
    misled: Option<Vec<String>>,
}

/// A zygote, and which versions it is right for.
struct Ahead {
    zygote: Arc<Zygote>,
    modules: BTreeSet<String>,
    imports: Vec<String>,
    surroundings: Surroundings,
}

/// What modules may see when they are imported.
#[derive(PartialEq)]
struct Surroundings {
    image: String,
    env: Vec<(String, String)>,
    cwd: PathBuf,
}

impl Lineage {
    /// The zygote for a version, if what it has imported is what that version would import first.
    pub(super) fn zygote(&self, template: &Template) -> Option<Arc<Zygote>> {
        let known = lock(&self.0);
        let ahead = known.ahead.as_ref().filter(|ahead| ahead.is_for(template))?;
        matches!(*ahead.zygote.state.borrow(), State::Lit).then(|| Arc::clone(&ahead.zygote))
    }

    /// Takes note of what a version has imported, and has a zygote lit if that is more than the one of now has.
    pub(super) fn learn(
        &self,
        template: &Template,
        modules: &[String],
        light: impl FnOnce(&[String]) -> Arc<Zygote>,
    ) {
        let mut known = lock(&self.0);
        let imports = template.imports.clone().filter(|_| modules.len() <= MODULES_MAX);
        let Some(imports) = imports.filter(|imports| known.misled.as_ref() != Some(imports)) else { return };
        let ahead = &mut known.ahead;
        let right = ahead.as_ref().is_some_and(|ahead| ahead.is_for(template) && !ahead.zygote.is_spent());
        let names: BTreeSet<String> = modules.iter().cloned().collect();
        if let Some(ahead) = ahead.as_mut().filter(|ahead| right && names.is_subset(&ahead.modules)) {
            ahead.imports = imports;
        } else {
            let new = ahead.as_ref().map_or(0, |ahead| names.difference(&ahead.modules).count());
            tracing::debug!(right, modules = names.len(), new, "imports ahead for the next version");
            let (zygote, surroundings) = (light(modules), Surroundings::of(template));
            *ahead = Some(Ahead { zygote, modules: names, imports, surroundings });
        }
    }

    /// Lets go of the zygote, which was not right for this version, and has no other lit for its like.
    pub(super) fn end(&self, template: &Template) {
        *lock(&self.0) = Known { ahead: None, misled: template.imports.clone() };
    }
}

impl Ahead {
    /// A version that does not import something any more would find it all the same.
    fn is_for(&self, template: &Template) -> bool {
        let top = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let tops: BTreeSet<String> = self.modules.iter().map(|name| top(name)).collect();
        let Some(now) = &template.imports else { return false };
        let kept = self.imports.iter().all(|name| now.contains(name) || !tops.contains(&top(name)));
        kept && self.surroundings == Surroundings::of(template)
    }
}

impl Surroundings {
    fn of(template: &Template) -> Self {
        let command = &template.spec.command;
        Self { image: template.image.key.clone(), env: command.env.clone(), cwd: command.cwd.clone() }
    }
}
