//! Decides the chain of layers of a plan: one after another, each key covering everything below it.

use super::command::{self, Tools};
use super::{Base, Content, CopiedFile, Key, Plan, PythonVersion, Secret, Sets, Step, conda};

/// The format of layers; changing how layers are laid out changes it, and with it every key.
const DOMAIN: &str = "pilotlight layer 1";

/// What kind of step makes a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// The virtual environment with the era's package set.
    Venv,
    /// `pip_install`.
    Pip,
    /// `micromamba_install` and its like: our own program is there for it, with an interpreter of its own.
    Conda,
    /// `apt_install`; needs a base whose /usr can be written.
    Apt,
    /// One command of `run_commands`.
    Run,
    /// Local files.
    Files,
    /// `run_function`: the runner and the user's files are there for it, and the environment of a container.
    Function,
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
    /// Variables of this step alone, sorted by name; they win over the image's own.
    pub own_env: Vec<(String, String)>,
    /// Variables of this step alone that leave no trace.
    pub secrets: Vec<Secret>,
    /// Local files: a [`Function`](LayerKind::Function) has them at their own places, and for itself alone; any other
    /// step finds them below [`COPIED`](super::COPIED).
    pub files: Vec<CopiedFile>,
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
    /// What containers begin with, when the plan says so; otherwise it is the base's.
    pub entrypoint: Option<Vec<String>>,
    /// The user that the plan names last.
    pub user: Option<String>,
}

/// The layers of `plan` on the base that is called `base_identity` and has `python`, with the package sets `sets`.
///
/// Steps that would do nothing (no packages, no commands) make no layer and leave the keys as they are.
pub fn layers(plan: &Plan, python: PythonVersion, base_identity: &str, sets: &Sets) -> Layers {
    let mut chain = Chain {
        key: Key::of(DOMAIN, ["base", base_identity, &python.to_string()]),
        layers: Vec::new(),
        env: Vec::new(),
        workdir: None,
        entrypoint: None,
        user: None,
        python,
        tools: Tools::inside(python),
        shell: command::SHELL.map(str::to_owned).to_vec(),
        given: Given::default(),
    };
    let set = sets.of(plan.era);
    let venv = match &plan.base {
        Base::Registry(_) => command::venv_above(&chain.tools, set),
        Base::Conda { .. } => command::venv_there(&chain.tools, set),
        Base::DebianSlim { .. } => command::venv(&chain.tools, set),
    };
    chain.layer(LayerKind::Venv, venv_text(plan, python), venv);
    for step in &plan.steps {
        chain.step(step);
    }
    if let Some(words) = chain.entrypoint.clone() {
        // At the end: no layer is another one for it.
        chain.advance(std::iter::once("entrypoint").chain(words.iter().map(String::as_str)));
    }
    let Chain { key, layers, env, workdir, entrypoint, user, .. } = chain;
    Layers { key, layers, env, workdir, entrypoint, user }
}

/// What `plan` installs, as command lines for a virtual environment of the host. The step that only an image can have,
/// if there is one: a host's packages and files are not the program's to change.
pub fn on_host(plan: &Plan, sets: &Sets, tools: &Tools) -> Result<Vec<Vec<String>>, String> {
    let mut commands = vec![command::venv(tools, sets.of(plan.era))];
    for step in &plan.steps {
        match step {
            Step::PipInstall(pip) if command::requirements(&pip.packages).is_empty() => {}
            Step::PipInstall(pip) => commands.push(command::pip(tools, pip)),
            Step::PrivateRepos(_) => return Err("pip_install_private_repos".to_owned()),
            Step::UvSync(_) => return Err("uv_sync".to_owned()),
            Step::PoetryInstall(_) => return Err("poetry_install_from_file".to_owned()),
            Step::CondaInstall(step) => return Err(conda::text(step)),
            Step::AptInstall { packages } if packages.is_empty() => {}
            Step::AptInstall { packages } => return Err(format!("apt_install({})", packages.join(", "))),
            Step::RunCommands { commands } if commands.is_empty() => {}
            Step::RunCommands { commands } => return Err(format!("run_commands({})", commands.join(", "))),
            Step::RunFunction(function) => return Err(format!("run_function({})", function.qualname)),
            Step::Exec { argv } => return Err(format!("run_commands({})", argv.join(" "))),
            Step::CopyFiles { files } if files.is_empty() => {}
            Step::CopyFiles { .. } => return Err("add_local_file(copy=True)".to_owned()),
            Step::Unpack { .. } => return Err("ADD of an archive".to_owned()),
            Step::With { .. } => return Err("env= and secrets= of a build step".to_owned()),
            Step::Entrypoint { command } if command.is_empty() => {}
            Step::Entrypoint { command } => return Err(format!("entrypoint({})", command.join(" "))),
            Step::Env { .. }
            | Step::Workdir { .. }
            | Step::Shell { .. }
            | Step::User { .. }
            | Step::ForceBuild { .. } => {}
        }
    }
    Ok(commands)
}

/// What a copied file is, on one line.
fn identity(file: &CopiedFile) -> String {
    let (kind, content) = match &file.content {
        Content::Blob(digest) => ("blob", digest.clone()),
        Content::Text(text) => ("text", Key::of("pilotlight text 1", [text]).to_string()),
    };
    format!("{kind} {:o} {content} {}", file.mode, file.remote)
}

struct Chain {
    key: Key,
    layers: Vec<LayerPlan>,
    env: Vec<(String, String)>,
    workdir: Option<String>,
    entrypoint: Option<Vec<String>>,
    user: Option<String>,
    python: PythonVersion,
    tools: Tools,
    /// What runs command lines.
    shell: Vec<String>,
    given: Given,
}

/// What the step at hand has for itself.
#[derive(Clone, Default)]
struct Given {
    env: Vec<(String, String)>,
    secrets: Vec<Secret>,
    find_links: Option<String>,
    files: Vec<CopiedFile>,
    /// What a function does, in place of its files.
    source: Option<String>,
}

impl Chain {
    fn step(&mut self, step: &Step) {
        match step {
            Step::PipInstall(pip) => {
                let packages = command::requirements(&pip.packages);
                if !packages.is_empty() {
                    let text = pip_text(&packages);
                    self.given.find_links.clone_from(&pip.find_links);
                    self.layer(LayerKind::Pip, text, command::pip(&self.tools, pip));
                }
            }
            Step::PrivateRepos(pip) => {
                // The layer of git is nobody's own: it knows nothing of this step's variables and secrets.
                let given = std::mem::take(&mut self.given);
                self.layer(LayerKind::Run, "git".to_owned(), command::git());
                self.given = Given { find_links: pip.find_links.clone(), ..given.clone() };
                self.given.env.extend(command::askpass_env());
                self.given.env.sort();
                let askpass = CopiedFile {
                    remote: command::ASKPASS_FILE.to_owned(),
                    mode: 0o755,
                    content: Content::Text(command::ASKPASS.to_owned()),
                };
                let text = pip_text(&command::requirements(&pip.packages));
                self.with_files(LayerKind::Pip, text, command::pip(&self.tools, pip), &[askpass]);
                self.given = given;
            }
            Step::UvSync(sync) => {
                let command = command::uv_sync(&self.tools, sync);
                self.with_files(LayerKind::Pip, "uv sync".to_owned(), command, &sync.files);
            }
            Step::PoetryInstall(poetry) => {
                let command = command::poetry(&self.tools, poetry);
                self.with_files(LayerKind::Pip, "poetry install".to_owned(), command, &poetry.files);
            }
            Step::CondaInstall(step) if step.packages.is_empty() && step.files.is_empty() => {}
            Step::CondaInstall(step) => {
                let command = conda::packages(self.python, step);
                self.with_files(LayerKind::Conda, conda::text(step), command, &step.files);
            }
            Step::AptInstall { packages } => {
                let sorted = command::sorted(packages);
                if !sorted.is_empty() {
                    let text = format!("apt install {}", sorted.join(" "));
                    self.layer(LayerKind::Apt, text, command::apt(packages));
                }
            }
            Step::RunCommands { commands } => {
                for line in commands {
                    let command = self.shell.iter().chain([line]).cloned().collect();
                    self.layer(LayerKind::Run, format!("run {line}"), command);
                }
            }
            Step::RunFunction(function) => {
                let text = format!("run {}", function.qualname);
                self.given.source = Some(function.source.clone());
                self.with_files(LayerKind::Function, text, command::function(function), &function.files);
                self.given.source = None;
            }
            Step::Exec { argv } => {
                self.layer(LayerKind::Run, format!("run {}", command::shell_words(argv)), argv.clone());
            }
            Step::Shell { command } => self.shell.clone_from(command),
            Step::Entrypoint { command } => self.entrypoint = Some(command.clone()),
            Step::User { name } => self.user = Some(name.clone()),
            Step::ForceBuild { build } => self.advance(["force_build", build]),
            Step::CopyFiles { files } => self.copy(files),
            Step::Unpack { files, to } => {
                let text = format!(
                    "unpack {} archive{} in {to}",
                    files.len(),
                    if files.len() == 1 { "" } else { "s" }
                );
                self.with_files(LayerKind::Files, text, command::unpack(to, files), files);
            }
            Step::With { env, secrets, step } => {
                let before = self.given.clone();
                self.given.env.extend(env.iter().cloned());
                self.given.env.sort();
                self.given.secrets.extend(secrets.iter().cloned());
                self.step(step);
                self.given = before;
            }
            Step::Env { vars } => self.set_env(vars),
            Step::Workdir { path } => {
                self.advance(["workdir", path]);
                self.workdir = Some(path.clone());
            }
        }
    }

    fn layer(&mut self, kind: LayerKind, text: String, command: Vec<String>) {
        let parent = self.key.clone();
        let Given { env: own_env, secrets, find_links, files, source } = self.given.clone();
        self.advance(std::iter::once("layer").chain(command.iter().map(String::as_str)));
        let pairs = own_env.iter().map(|(name, value)| format!("env {name}={value}"));
        // The name alone: who changes a password does not want everything built again.
        let names = secrets.iter().map(|secret| format!("secret {}", secret.name));
        // A function's files are the whole program, of which any save changes something.
        let contents = files.iter().filter(|_| source.is_none()).map(identity);
        let source = source.iter().map(|source| format!("source {source}"));
        let given: Vec<String> = pairs.chain(names).chain(contents).chain(source).collect();
        if !given.is_empty() {
            self.advance(std::iter::once("given").chain(given.iter().map(String::as_str)));
        }
        self.layers.push(LayerPlan {
            key: self.key.clone(),
            parent,
            kind,
            text,
            command,
            env: self.env.clone(),
            workdir: self.workdir.clone(),
            find_links,
            own_env,
            secrets,
            files,
        });
    }

    fn copy(&mut self, files: &[CopiedFile]) {
        let Some(first) = files.first() else { return };
        let text = match files.len() {
            1 => format!("copy {}", first.remote),
            count => format!("copy {count} files"),
        };
        self.with_files(LayerKind::Files, text, command::copy(), files);
    }

    /// A layer by a command that finds `files` below [`COPIED`](super::COPIED).
    fn with_files(&mut self, kind: LayerKind, text: String, command: Vec<String>, files: &[CopiedFile]) {
        self.given.files = files.to_vec();
        self.layer(kind, text, command);
        self.given.files.clear();
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

fn pip_text(requirements: &[String]) -> String {
    let names: Vec<_> = requirements.iter().map(|name| command::without_hashes(name)).collect();
    format!("pip install {}", names.join(" "))
}

fn venv_text(plan: &Plan, python: PythonVersion) -> String {
    let packages = match plan.era {
        super::Era::Stub => "the packages of modal.Stub's era",
        super::Era::App => "FastAPI",
    };
    format!("Python {python} with {packages}")
}
