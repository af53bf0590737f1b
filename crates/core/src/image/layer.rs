//! Decides the chain of layers of a plan: one after another, each key covering everything below it.

use super::command::{self, Tools};
use super::{Key, Plan, Sets, Step};

/// The format of layers; changing how layers are laid out changes it, and with it every key.
const DOMAIN: &str = "pilotlight layer 1";

/// What kind of step makes a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// The virtual environment with the era's package set.
    Venv,
    /// `pip_install`.
    Pip,
    /// `apt_install`; needs a base whose /usr can be written.
    Apt,
    /// One command of `run_commands`.
    Run,
}

/// A layer to be built, or found: the command runs on top of the layers before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerPlan {
    /// Names the layer.
    pub key: Key,
    /// What the key was chained to; not always a layer, since `env` and `workdir` make none.
    pub parent: Key,
    /// What kind of step it is.
    pub kind: LayerKind,
    /// The step in a few words, for people.
    pub text: String,
    /// The command line inside the image.
    pub command: Vec<String>,
    /// The image's own variables as far as set before this step, sorted by name.
    pub env: Vec<(String, String)>,
    /// The working directory as set before this step.
    pub workdir: Option<String>,
    /// The wheel directory or page the step names; a local path must be made visible to the step.
    pub find_links: Option<String>,
}

/// All of an image above its base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    /// Names the whole image, variables and working directory included.
    pub key: Key,
    /// From the bottom up.
    pub layers: Vec<LayerPlan>,
    /// The image's variables, sorted by name.
    pub env: Vec<(String, String)>,
    /// The working directory, when the plan names one.
    pub workdir: Option<String>,
}

/// The layers of `plan` on the base that is called `base_identity`, with the package sets `sets`.
///
/// Steps that would do nothing (no packages, no commands) make no layer and leave the keys as they are.
pub fn layers(plan: &Plan, base_identity: &str, sets: &Sets) -> Layers {
    let python = plan.base.python();
    let mut chain = Chain {
        key: Key::of(DOMAIN, ["base", base_identity, &python.to_string()]),
        layers: Vec::new(),
        env: Vec::new(),
        workdir: None,
        tools: Tools::inside(python),
    };
    let venv = command::venv(&chain.tools, sets.of(plan.era));
    chain.layer(LayerKind::Venv, venv_text(plan), venv, None);
    for step in &plan.steps {
        chain.step(step);
    }
    Layers { key: chain.key, layers: chain.layers, env: chain.env, workdir: chain.workdir }
}

/// What `plan` installs, as command lines for a virtual environment of the host. The step that only an image can have,
/// if there is one: a host's packages and files are not the program's to change.
pub fn on_host(plan: &Plan, sets: &Sets, tools: &Tools) -> Result<Vec<Vec<String>>, String> {
    let mut commands = vec![command::venv(tools, sets.of(plan.era))];
    for step in &plan.steps {
        match step {
            Step::PipInstall(pip) if command::requirements(&pip.packages).is_empty() => {}
            Step::PipInstall(pip) => commands.push(command::pip(tools, pip)),
            Step::AptInstall { packages } if packages.is_empty() => {}
            Step::AptInstall { packages } => return Err(format!("apt_install({})", packages.join(", "))),
            Step::RunCommands { commands } if commands.is_empty() => {}
            Step::RunCommands { commands } => return Err(format!("run_commands({})", commands.join(", "))),
            Step::Env { .. } | Step::Workdir { .. } => {}
        }
    }
    Ok(commands)
}

struct Chain {
    key: Key,
    layers: Vec<LayerPlan>,
    env: Vec<(String, String)>,
    workdir: Option<String>,
    tools: Tools,
}

impl Chain {
    fn step(&mut self, step: &Step) {
        match step {
            Step::PipInstall(pip) => {
                let packages = command::requirements(&pip.packages);
                if !packages.is_empty() {
                    let text = format!("pip install {}", packages.join(" "));
                    self.layer(LayerKind::Pip, text, command::pip(&self.tools, pip), pip.find_links.clone());
                }
            }
            Step::AptInstall { packages } => {
                let sorted = command::sorted(packages);
                if !sorted.is_empty() {
                    let text = format!("apt install {}", sorted.join(" "));
                    self.layer(LayerKind::Apt, text, command::apt(packages), None);
                }
            }
            Step::RunCommands { commands } => {
                for line in commands {
                    self.layer(LayerKind::Run, format!("run {line}"), command::run(line), None);
                }
            }
            Step::Env { vars } => self.set_env(vars),
            Step::Workdir { path } => {
                self.advance(["workdir", path]);
                self.workdir = Some(path.clone());
            }
        }
    }

    fn layer(&mut self, kind: LayerKind, text: String, command: Vec<String>, find_links: Option<String>) {
        let parent = self.key.clone();
        self.advance(std::iter::once("layer").chain(command.iter().map(String::as_str)));
        self.layers.push(LayerPlan {
            key: self.key.clone(),
            parent,
            kind,
            text,
            command,
            env: self.env.clone(),
            workdir: self.workdir.clone(),
            find_links,
        });
    }

    fn set_env(&mut self, vars: &[(String, String)]) {
        for (name, value) in vars {
            self.env.retain(|(known, _)| known != name);
            self.env.push((name.clone(), value.clone()));
        }
        self.env.sort();
        if !vars.is_empty() {
            let fields: Vec<String> =
                self.env.iter().flat_map(|(name, value)| [name.clone(), value.clone()]).collect();
            self.advance(std::iter::once("env").chain(fields.iter().map(String::as_str)));
        }
    }

    fn advance<'a>(&mut self, fields: impl IntoIterator<Item = &'a str>) {
        let fields = fields.into_iter().map(str::to_owned);
        self.key = Key::of(DOMAIN, std::iter::once(self.key.to_string()).chain(fields));
    }
}

fn venv_text(plan: &Plan) -> String {
    let packages = match plan.era {
        super::Era::Stub => "the packages of modal.Stub's era",
        super::Era::App => "FastAPI",
    };
    format!("Python {} with {packages}", plan.base.python())
}
