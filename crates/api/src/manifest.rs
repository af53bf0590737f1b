//! The manifest: what a user's file declares, as data. Discovery writes it, the command line adds digests and sends it.
//!
//! The shape is one JSON object with `"manifest": 1`. A field that has a natural default may be left out; a field that
//! is not known is ignored, so that a newer SDK can talk to an older server. [`Manifest::check`] holds the rules that
//! types cannot.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod check;
mod hidden;

pub use check::Problem;
pub(crate) use check::{app_name_problem, is_digest};
pub use hidden::Hidden;

/// The format that this crate reads and writes: the value of the field `manifest`.
pub const FORMAT: u32 = 1;

/// What one user's file declares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Manifest {
    /// The format's number, [`FORMAT`].
    pub manifest: u32,
    /// The version of the SDK that wrote it.
    pub sdk: String,
    /// Which generation of the API the file uses; it decides the package set of its containers.
    pub era: Era,
    /// The interpreter that imported the file.
    pub python: Python,
    /// The app.
    pub app: App,
    /// The images that functions name, by their key in this manifest (`im-0`).
    #[serde(default)]
    pub images: BTreeMap<String, Image>,
    /// The user's source files and where containers see them.
    #[serde(default)]
    pub files: Vec<File>,
    /// Functions and classes that were pickled by value, in base64, by the names that [`Function::pickled`] gives. What
    /// they close over may be secret: they are never files of the server's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pickles: BTreeMap<String, Hidden>,
    /// The functions of the app.
    #[serde(default)]
    pub functions: Vec<Function>,
    /// Absolute local paths whose change means that the file must be read again.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub watch: Vec<PathBuf>,
    /// What the user should be told: renamed or ignored arguments and the like.
    #[serde(default)]
    pub notices: Vec<String>,
    /// The user's settings, as the SDK reads them; between discovery and the command line only, which follows them.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub settings: Settings,
    /// Names the build that makes anew what [`Image::force_build`] asks for: under the same name nothing is made twice.
    /// The command line gives each of its runs one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub build: String,
    /// The names that the user's files import: what may be imported ahead for the next version.
    #[serde(default)]
    pub imports: Vec<String>,
}

/// What the user has set for all programs, in the environment or in Modal's file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    /// Seconds after which `serve` ends by itself.
    #[serde(default)]
    pub serve_timeout: Option<f64>,
    /// What ends the labels of ephemeral apps in place of `dev`.
    #[serde(default)]
    pub dev_suffix: Option<String>,
}

impl Settings {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A generation of the Modal API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Era {
    /// `modal.Stub`, 2022 and 2023.
    Stub,
    /// `modal.App`, since 2024.
    App,
}

/// The local interpreter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Python {
    /// Its version, `3.11.7`.
    pub version: String,
    /// Its path, shims resolved.
    #[schema(value_type = String)]
    pub executable: PathBuf,
    /// `sys.base_prefix`: the installation behind a virtual environment.
    #[schema(value_type = String)]
    pub base_prefix: PathBuf,
}

/// The app as the file names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct App {
    /// The name given in the file; `deploy --name` overrides it.
    #[serde(default)]
    pub name: Option<String>,
    /// What stands in for a name in messages: the file's name.
    #[serde(default)]
    pub description: Option<String>,
}

/// An image: a base and the steps on top of it, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// What it starts from.
    pub base: Base,
    /// What is done on top.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// The first of the steps that are made anew, whatever was built before under another [`Manifest::build`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_build: Option<usize>,
}

/// What an image starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Base {
    /// A Debian userland with Python.
    DebianSlim {
        /// `3.11` or `3.11.7`; without one, the version of the interpreter that imported the file.
        #[serde(default)]
        python_version: Option<String>,
    },
    /// An image of a registry.
    Registry {
        /// `[host/]repository[:tag][@digest]`.
        reference: String,
        /// The version of Python to be put into it; its own otherwise.
        #[serde(default)]
        add_python: Option<String>,
        /// Who asks for it; nobody in particular otherwise.
        #[serde(default)]
        login: Option<Login>,
    },
    /// The image that the first step's `FROM` names: that one is of the kind `dockerfile_commands`.
    Dockerfile {
        /// The version of Python to be put into it; its own otherwise.
        #[serde(default)]
        add_python: Option<String>,
        /// Who asks the registry for it; nobody in particular otherwise.
        #[serde(default)]
        login: Option<Login>,
    },
    /// A small Linux with a prefix of conda's, whose Python is the image's.
    Conda {
        /// `3.11` or `3.11.7`; without one, the version of the interpreter that imported the file.
        #[serde(default)]
        python_version: Option<String>,
    },
}

impl Base {
    /// Who asks a registry for it.
    fn login(&self) -> Option<&Login> {
        match self {
            Self::DebianSlim { .. } | Self::Conda { .. } => None,
            Self::Registry { login, .. } | Self::Dockerfile { login, .. } => login.as_ref(),
        }
    }
}

/// A name and a password for a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password, or a token in its place.
    pub password: Hidden,
}

/// One build step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Step {
    /// Installs Python packages into the image's environment.
    PipInstall {
        /// Requirement specifiers, as pip takes them.
        packages: Vec<String>,
        /// A page or directory with links to archives.
        #[serde(default)]
        find_links: Option<String>,
        /// The package index in place of the configured one.
        #[serde(default)]
        index_url: Option<String>,
        /// A package index beside the other.
        #[serde(default)]
        extra_index_url: Option<String>,
        /// Whether pre-releases count.
        #[serde(default)]
        pre: bool,
        /// Further options of uv, each `--name` or `--name=value`.
        #[serde(default)]
        options: Vec<String>,
        /// Whether git brings them from private repositories, with `GITHUB_TOKEN` and `GITLAB_TOKEN` of the step's secrets.
        #[serde(default)]
        git: bool,
    },
    /// Installs what a project locks.
    UvSync {
        /// `/pyproject.toml`, and `/uv.lock` where there is one.
        files: Vec<File>,
        /// Dependency groups beside the default ones.
        #[serde(default)]
        groups: Vec<String>,
        /// Optional dependencies.
        #[serde(default)]
        extras: Vec<String>,
        /// Whether the lock file is taken as it stands.
        frozen: bool,
        /// Further options of `uv sync`, each `--name` or `--name=value`.
        #[serde(default)]
        options: Vec<String>,
    },
    /// Installs the packages of a Poetry project.
    PoetryInstall {
        /// `/pyproject.toml`, and `/poetry.lock` unless it is ignored.
        files: Vec<File>,
        /// Optional groups that are installed too.
        #[serde(default)]
        with: Vec<String>,
        /// Groups that are not.
        #[serde(default)]
        without: Vec<String>,
        /// The only groups.
        #[serde(default)]
        only: Vec<String>,
        /// Poetry's own version; the newest otherwise.
        #[serde(default)]
        version: Option<String>,
    },
    /// Installs packages of conda channels, on a base of the kind `conda`.
    CondaInstall {
        /// As conda names them, such as `numpy=1.26`.
        packages: Vec<String>,
        /// Names and URLs of channels, asked before those of the machine.
        #[serde(default)]
        channels: Vec<String>,
        /// An environment file at most.
        #[serde(default)]
        files: Vec<File>,
        /// A date, or a moment of RFC 3339: packages that were made later do not count.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exclude_newer: Option<String>,
    },
    /// Installs Debian packages.
    AptInstall {
        /// Package names.
        packages: Vec<String>,
    },
    /// Runs shell commands, each with `sh -c`, as root of the image.
    RunCommands {
        /// The commands.
        commands: Vec<String>,
    },
    /// Sets environment variables for later steps and for containers.
    Env {
        /// Names and values.
        vars: BTreeMap<String, String>,
    },
    /// Sets the working directory for later steps and for containers.
    Workdir {
        /// An absolute path.
        path: String,
    },
    /// Sets what runs the commands of later steps.
    Shell {
        /// The shell and its options; a command line is added as one word.
        command: Vec<String>,
    },
    /// What containers begin with, their program behind it as its arguments.
    Entrypoint {
        /// The program and its first arguments; empty for none.
        command: Vec<String>,
    },
    /// Runs a function of the user's.
    RunFunction {
        /// The module to import.
        module: String,
        /// Where the function stands in it.
        qualname: String,
        /// A digest of what the function does: it is run again when this changes.
        source: String,
        /// A pickle of positional and keyword arguments, in base64.
        arguments: String,
        /// The files that it is imported from.
        files: Vec<File>,
    },
    /// Local files that are part of the image. [`File::functions`] is empty.
    CopyFiles {
        /// The files.
        files: Vec<File>,
    },
    /// Lines of a Dockerfile, without `FROM` but for the first step on a base of the kind `dockerfile`.
    DockerfileCommands {
        /// Lines; one may have line feeds in it.
        commands: Vec<String>,
        /// Local files that the lines may copy, their places relative to the root of the build context.
        #[serde(default)]
        context: Vec<File>,
        /// Values for `ARG`.
        #[serde(default)]
        build_args: BTreeMap<String, String>,
    },
    /// A step with variables of its own, which are neither the later steps' nor the containers'.
    With {
        /// Names and values.
        #[serde(default)]
        env: BTreeMap<String, String>,
        /// Names and values that no layer keeps.
        #[serde(default)]
        secrets: BTreeMap<String, Hidden>,
        /// The step.
        #[schema(no_recursion)]
        step: Box<Step>,
    },
}

impl Step {
    /// Whether it needs a prefix of conda's.
    pub(crate) fn is_of_conda(&self) -> bool {
        match self {
            Self::CondaInstall { .. } => true,
            Self::With { step, .. } => step.is_of_conda(),
            _ => false,
        }
    }

    /// The local files that it needs.
    pub fn files(&self) -> &[File] {
        match self {
            Self::CopyFiles { files }
            | Self::DockerfileCommands { context: files, .. }
            | Self::UvSync { files, .. }
            | Self::PoetryInstall { files, .. }
            | Self::CondaInstall { files, .. }
            | Self::RunFunction { files, .. } => files,
            Self::With { step, .. } => step.files(),
            _ => &[],
        }
    }

    /// The lines of a Dockerfile that it is, and values for their `ARG`s.
    pub fn dockerfile_lines(&self) -> Option<(&[String], &BTreeMap<String, String>)> {
        match self {
            Self::DockerfileCommands { commands, build_args, .. } => Some((commands, build_args)),
            Self::With { step, .. } => step.dockerfile_lines(),
            _ => None,
        }
    }

    fn files_mut(&mut self) -> &mut [File] {
        match self {
            Self::CopyFiles { files }
            | Self::DockerfileCommands { context: files, .. }
            | Self::UvSync { files, .. }
            | Self::PoetryInstall { files, .. }
            | Self::CondaInstall { files, .. }
            | Self::RunFunction { files, .. } => files,
            Self::With { step, .. } => step.files_mut(),
            _ => &mut [],
        }
    }

    /// Whether it has values that must not be kept in the clear.
    fn holds_secrets(&self) -> bool {
        match self {
            Self::With { secrets, step, .. } => !secrets.is_empty() || step.holds_secrets(),
            _ => false,
        }
    }
}

/// A source file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct File {
    /// The absolute path in containers.
    pub remote: String,
    /// The absolute path on the user's machine.
    #[schema(value_type = String)]
    pub local: PathBuf,
    /// Permission bits (0o644 is 420).
    pub mode: u32,
    /// SHA-256 of the content, lower-case hex. Filled in by the command line; a server insists on it.
    #[serde(default)]
    pub digest: Option<String>,
    /// The content's length, bytes. Filled in by the command line.
    #[serde(default)]
    pub size: Option<u64>,
    /// The functions whose containers have it; empty means every function's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<String>,
}

impl File {
    /// Whether the containers of `function` have it.
    pub fn is_for(&self, function: &str) -> bool {
        self.functions.is_empty() || self.functions.iter().any(|name| name == function)
    }
}

/// So many requests in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RateLimit {
    /// How many.
    pub requests: u32,
    /// In how many seconds.
    pub seconds: u32,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Function {
    /// Its name, unique in the app: `f`, or `Class.method`.
    pub name: String,
    /// The module to import.
    pub module: String,
    /// Where it stands in the module: `f` or `Class.method`.
    pub qualname: String,
    /// The key of its image in [`Manifest::images`].
    pub image: String,
    /// How it answers requests; `null` for a function without a URL.
    #[serde(default)]
    pub web: Option<Web>,
    /// The URL label that the user asked for; `null` means one made from the names of app and function.
    #[serde(default)]
    pub label: Option<String>,
    /// Hosts of the user's own under which it answers as well: lower case, the first label may be `*`.
    #[serde(default)]
    pub custom_domains: Vec<String>,
    /// Whether a client waits for the answer. Otherwise it is answered 202 at once, with a URL where the answer will be.
    #[serde(default = "default_wait_for_response")]
    pub wait_for_response: bool,
    /// The user's class when `qualname` names a method of it: `Class` of `Class.method`.
    #[serde(default)]
    pub cls: Option<String>,
    /// Which of [`Manifest::pickles`] is the function, or its class: it is loaded from there and nothing is imported.
    #[serde(default)]
    pub pickled: Option<String>,
    /// What the SDK tells itself inside the container: `PILOTLIGHT_CONTEXT`, verbatim.
    #[serde(default)]
    pub context: Option<String>,
    /// Containers that are kept even when idle.
    #[serde(default)]
    pub min_containers: u32,
    /// The most containers at a time; `null` means the server's own limit.
    #[serde(default)]
    pub max_containers: Option<u32>,
    /// Spare containers that are kept while the function has requests.
    #[serde(default)]
    pub buffer_containers: u32,
    /// How long a container may be idle before it goes, seconds.
    #[serde(default = "default_scaledown_window")]
    pub scaledown_window: f64,
    /// How long a request may be silent, seconds: no byte in either direction.
    #[serde(default = "default_timeout")]
    pub timeout: f64,
    /// How long a request may be with a container in all, seconds; `null` means as long as bytes pass.
    #[serde(default)]
    pub total_timeout: Option<f64>,
    /// How long a container may take to start, seconds; `null` means the same as `timeout`.
    #[serde(default)]
    pub startup_timeout: Option<f64>,
    /// Inputs that one container handles at a time.
    #[serde(default = "default_max_inputs")]
    pub max_inputs: u32,
    /// Inputs per container from which on another one is started; `null` means the same as `max_inputs`.
    #[serde(default)]
    pub target_inputs: Option<u32>,
    /// Whether a container handles one input and goes; `max_inputs` is then 1.
    #[serde(default)]
    pub single_use: bool,
    /// CPU cores; `null` means no limit of its own.
    #[serde(default)]
    pub cpu: Option<f64>,
    /// Memory, MiB; `null` means no limit of its own.
    #[serde(default)]
    pub memory: Option<u64>,
    /// What a container may write to its files, MiB; `null` means as much as the server's disk has.
    #[serde(default)]
    pub ephemeral_disk: Option<u64>,
    /// How often its endpoint may be asked; `null` means as often as one likes.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// Whether its containers reach nothing but themselves.
    #[serde(default)]
    pub block_network: bool,
    /// Whether its containers are forks of a process that has imported the program and run the snap hooks; `null`
    /// means where that is safe.
    #[serde(default)]
    pub snapshot: Option<bool>,
    /// Environment variables of its containers, the values of secrets among them.
    #[serde(default)]
    pub env: BTreeMap<String, Hidden>,
}

/// How a function answers HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Web {
    /// A handler that is wrapped in a FastAPI app of its own.
    Endpoint {
        /// The one HTTP method that it answers.
        method: String,
        /// Whether `/docs` is served.
        docs: bool,
        /// Whether every origin may call it from a browser.
        cors: bool,
    },
    /// A function that returns an ASGI app.
    Asgi,
    /// A function that returns a WSGI app.
    Wsgi,
    /// A function that starts a server of its own.
    WebServer {
        /// The port at which it listens.
        port: u16,
        /// How long it may take until it does, seconds.
        startup_timeout: f64,
    },
}

impl Manifest {
    /// Whether it has values that must not be kept in the clear.
    pub fn holds_secrets(&self) -> bool {
        let steps = || self.images.values().flat_map(|image| &image.steps);
        !self.pickles.is_empty()
            || self.functions.iter().any(|function| !function.env.is_empty())
            || steps().any(Step::holds_secrets)
            || self.images.values().any(|image| image.base.login().is_some())
    }

    /// Every local file: those of containers, and those that images are built of.
    pub fn all_files(&self) -> impl Iterator<Item = &File> {
        let steps = self.images.values().flat_map(|image| &image.steps);
        self.files.iter().chain(steps.flat_map(Step::files))
    }

    /// The same, to be completed.
    pub fn all_files_mut(&mut self) -> impl Iterator<Item = &mut File> {
        let steps = self.images.values_mut().flat_map(|image| &mut image.steps);
        self.files.iter_mut().chain(steps.flat_map(Step::files_mut))
    }

    /// What to call the app in messages: its name, else its description, else `app`.
    pub fn title(&self) -> &str {
        self.app.name.as_deref().or(self.app.description.as_deref()).unwrap_or("app")
    }
}

fn default_wait_for_response() -> bool {
    true
}

fn default_scaledown_window() -> f64 {
    60.0
}

fn default_timeout() -> f64 {
    300.0
}

fn default_max_inputs() -> u32 {
    1
}
