//! The command line, as types. The doc comments are the help text.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::env;
use crate::reference::Reference;

/// Web endpoints from plain Python files, in containers on your own machine.
#[derive(Debug, Parser)]
#[command(name = "pilotlight", version, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 your program or request has a mistake, 2 wrong usage, 3 pilotlight or its server failed"
)]
pub(crate) struct Cli {
    /// Where images, deployed apps and logs are kept [default: /var/lib/pilotlight]
    #[arg(long, global = true, env = env::STATE_DIR, value_name = "DIR", hide_env_values = true)]
    pub(crate) state_dir: Option<PathBuf>,

    /// Print results and errors only
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a file's endpoints at temporary URLs until Ctrl-C, updated at every save
    Serve(ServeArgs),
    /// Deploy a file's endpoints at persistent URLs
    Deploy(DeployArgs),
    /// List, read and stop apps
    #[command(subcommand)]
    App(AppCommand),
    /// Run the server in the foreground, or manage it as a daemon
    Server(ServerArgs),
    /// Tools that pilotlight brings along
    #[command(subcommand, hide = true)]
    Tool(ToolCommand),
}

/// How the user's file is found and read.
#[derive(Clone, Debug, Args)]
pub(crate) struct Source {
    /// The Python file, optionally with the name of its app: FILE or FILE::NAME
    #[arg(value_name = "FILE")]
    file: String,

    /// Take FILE as the dotted name of a module: -m PACKAGE.MODULE
    #[arg(short, long)]
    module: bool,

    /// The Python that imports the file [default: the active virtual environment's, else python3]
    #[arg(long, env = env::PYTHON, value_name = "PYTHON", hide_env_values = true)]
    pub(crate) python: Option<PathBuf>,
}

impl Source {
    /// What FILE names.
    pub(crate) fn reference(&self) -> Reference {
        Reference::parse(&self.file, self.module)
    }
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) source: Source,

    /// Stop by itself after this many seconds
    #[arg(long, env = env::SERVE_TIMEOUT, value_name = "SECONDS", hide_env_values = true)]
    pub(crate) timeout: Option<f64>,
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) source: Source,

    /// The app's name, which is part of its URLs [default: the name given in the file]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Do not start each endpoint once to prove that it loads
    #[arg(long)]
    pub(crate) no_verify: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// List the apps of the running server
    List,
    /// Print an app's log
    Logs {
        /// The app's name or id
        app: String,
        /// Go on with new lines until Ctrl-C
        #[arg(long, short)]
        follow: bool,
        /// How many of the last lines to begin with
        #[arg(long, default_value_t = 100)]
        tail: u32,
    },
    /// Stop an app: its URLs and containers go away
    Stop {
        /// The app's name or id
        app: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ServerCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Start the server as a daemon
    Start,
    /// Stop the daemon; deployed apps come back with the next start
    Stop,
    /// Tell whether the daemon runs, and what it serves
    Status,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ToolCommand {
    /// Print the path of uv, after fetching it if needed
    Uv,
}
