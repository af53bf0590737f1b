//! Decides what an image consists of: from a plan to content-addressed layers, each with the command that makes it.
//!
//! Nothing is built here. The `image` crate executes what [`layers`] returns. Keys depend on the plan and on the name
//! of the base alone, so they are the same on every machine and in every process.

use std::fmt;

mod command;
pub mod conda;
pub mod dockerfile;
mod era;
mod key;
mod layer;
pub mod leaving;
pub mod registry;
mod version;

pub use command::{APT_ENV, COPIED, HOME, PATH, PYTHON_HOME, Tools, UV, UV_CACHE, VENV, VENV_PYTHON};
pub use era::{Era, PackageSet, Sets};
pub use key::Key;
pub use layer::{LayerKind, LayerPlan, Layers, layers, on_host};
pub use registry::Registry;
pub use version::{PythonVersion, VersionError};

/// An image as the user's program describes it: where it starts and what is done to it, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What the image starts from.
    pub base: Base,
    /// The era of the program, which decides the packages every image of it holds.
    pub era: Era,
    /// What is done to the base, in the order of the program.
    pub steps: Vec<Step>,
}

/// What an image starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// `Image.debian_slim(python_version)`: a small Debian with this Python.
    DebianSlim {
        /// Major and minor version; the builder picks the patch release.
        python: PythonVersion,
    },
    /// `Image.from_registry(…)`: an image of an OCI registry.
    Registry(Registry),
    /// `Image.micromamba(python_version)`, `Image.conda`: a small Linux with a prefix of conda's and its Python.
    Conda {
        /// Major and minor version; the channel has the patch release.
        python: PythonVersion,
    },
}

impl Base {
    /// The version of Python that was asked for; without one it is the base's own.
    pub fn python(&self) -> Option<PythonVersion> {
        match self {
            Self::DebianSlim { python } | Self::Conda { python } => Some(*python),
            Self::Registry(registry) => registry.add_python,
        }
    }
}

/// One step of an image, named after the method of `Image` it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `Image.pip_install`.
    PipInstall(PipInstall),
    /// `Image.pip_install_private_repos`: packages that git brings, with the tokens among the step's secrets.
    PrivateRepos(PipInstall),
    /// `Image.uv_sync`.
    UvSync(UvSync),
    /// `Image.poetry_install_from_file`.
    PoetryInstall(PoetryInstall),
    /// `Image.micromamba_install`, `Image.conda_install`, `Image.conda_update_from_environment`.
    CondaInstall(CondaInstall),
    /// `Image.apt_install`: Debian packages by name.
    AptInstall {
        /// Package names as apt knows them.
        packages: Vec<String>,
    },
    /// `Image.run_commands`: each is run by a shell of its own and makes a layer of its own.
    RunCommands {
        /// Shell command lines.
        commands: Vec<String>,
    },
    /// `Image.env`: variables for the later steps and for the container. Makes no layer.
    Env {
        /// Names and values; of two equal names the later one wins.
        vars: Vec<(String, String)>,
    },
    /// `Image.workdir`: the working directory of the later steps and of the container. Makes no layer.
    Workdir {
        /// An absolute path inside the image.
        path: String,
    },
    /// `Image.shell`: what runs the later `RunCommands`. Makes no layer.
    Shell {
        /// The shell and its options; the command line is added as one word.
        command: Vec<String>,
    },
    /// `Image.entrypoint`, `ENTRYPOINT`: what containers begin with; their program is its arguments. Makes no layer.
    Entrypoint {
        /// The program and its first arguments; empty for none, whatever the base has.
        command: Vec<String>,
    },
    /// `USER`: remembered to be told, since containers are their own root. Makes no layer.
    User {
        /// As the line has it.
        name: String,
    },
    /// `Image.run_function`: a function of the user's.
    RunFunction(RunFunction),
    /// `RUN` in its exec form: a program without a shell.
    Exec {
        /// The program and its arguments.
        argv: Vec<String>,
    },
    /// Local files that are part of the image: `copy=True`, `COPY`.
    CopyFiles {
        /// At their places; of two for one place the later stays.
        files: Vec<CopiedFile>,
    },
    /// `ADD` of local archives, which are unpacked.
    Unpack {
        /// The archives; one that is none is copied to its place.
        files: Vec<CopiedFile>,
        /// The folder that they are unpacked in.
        to: String,
    },
    /// `force_build=True` of the step after it: from here on the layers are none that another name has made.
    ForceBuild {
        /// The name of this build.
        build: String,
    },
    /// A step with variables of its own, which are neither the later steps' nor the container's.
    With {
        /// Names and values; they are part of what the layer is.
        env: Vec<(String, String)>,
        /// Only their names are part of what the layer is.
        secrets: Vec<Secret>,
        /// The step.
        step: Box<Step>,
    },
}

impl Step {
    /// `step` with variables of its own.
    pub fn with(env: Vec<(String, String)>, secrets: Vec<Secret>, step: Self) -> Self {
        Self::With { env, secrets, step: Box::new(step) }
    }

    /// Whether it installs packages of Debian's.
    pub fn installs_packages(&self) -> bool {
        match self {
            Self::AptInstall { .. } => true,
            Self::With { step, .. } => step.installs_packages(),
            _ => false,
        }
    }
}

/// A variable whose value is in no layer, key, log or debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// The variable's name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=(hidden)", self.name)
    }
}

/// A local file in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedFile {
    /// Its absolute path inside the image.
    pub remote: String,
    /// Permission bits.
    pub mode: u32,
    /// What is in it.
    pub content: Content,
}

/// What is in a copied file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The content of this SHA-256 digest, in lower-case hex, which the server has.
    Blob(String),
    /// This text.
    Text(String),
}

/// What `Image.run_function` was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFunction {
    /// The module to import.
    pub module: String,
    /// Where the function stands in it.
    pub qualname: String,
    /// What the function does, as a digest: it is run again when this changes.
    pub source: String,
    /// A pickle of its positional and keyword arguments, in base64.
    pub arguments: String,
    /// The user's files, which it is imported from. They are there for the step alone, and are not what its layer is.
    pub files: Vec<CopiedFile>,
}

/// What `Image.pip_install` was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipInstall {
    /// Requirements, each perhaps with ` --hash=…` behind it; one that starts with `-` is an option, as programs of 2022
    /// wrote it.
    pub packages: Vec<String>,
    /// Replaces the package index of the machine.
    pub index_url: Option<String>,
    /// Searched beside the index; the best version of both wins, as with pip.
    pub extra_index_url: Option<String>,
    /// A directory or page of wheels.
    pub find_links: Option<String>,
    /// Whether pre-releases count.
    pub pre: bool,
    /// Further options of uv, each `--name` or `--name=value`.
    pub options: Vec<String>,
}

/// The packages that a project locks: `Image.uv_sync`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UvSync {
    /// `/pyproject.toml`, and `/uv.lock` where there is one.
    pub files: Vec<CopiedFile>,
    /// Dependency groups beside the default ones.
    pub groups: Vec<String>,
    /// Optional dependencies.
    pub extras: Vec<String>,
    /// Whether the lock file must be there, and is taken as it stands.
    pub frozen: bool,
    /// Further options of `uv sync`.
    pub options: Vec<String>,
}

/// The packages of a Poetry project: `Image.poetry_install_from_file`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoetryInstall {
    /// `/pyproject.toml`, and `/poetry.lock` unless it is ignored.
    pub files: Vec<CopiedFile>,
    /// Optional groups that are installed too.
    pub with: Vec<String>,
    /// Groups that are not.
    pub without: Vec<String>,
    /// The only groups.
    pub only: Vec<String>,
    /// Poetry's own version; the newest otherwise.
    pub version: Option<String>,
}

/// Packages of conda channels, on [`Base::Conda`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CondaInstall {
    /// As conda names them: `numpy=1.26`, `conda-forge::numpy>=1`.
    pub packages: Vec<String>,
    /// Names and URLs of channels, which are asked before the machine's own.
    pub channels: Vec<String>,
    /// An environment file, if there is one.
    pub files: Vec<CopiedFile>,
    /// A date, or a moment of RFC 3339: packages that were made later do not count.
    pub exclude_newer: Option<String>,
}

#[cfg(test)]
mod tests;
