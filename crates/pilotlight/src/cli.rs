//! The command line, as types. The doc comments are the help text.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use pilotlight_sandbox::Isolation;

use crate::config::env;
use crate::reference::Reference;

mod examples;
mod old;

pub(crate) use old::{Old, is_program, nearest, of_modal};

/// Web endpoints from plain Python files, in containers on your own machine.
#[derive(Debug, Parser)]
#[command(name = "pilotlight", version, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = examples::TOP)]
pub(crate) struct Cli {
    /// Where images, deployed apps and logs are kept [default: /var/lib/pilotlight; of other users than root ~/.local/state/pilotlight] [env: PILOTLIGHT_STATE_DIR]
    // Read by `Config`: what the environment gives is no argument, of which usage and help would make much.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,

    /// Print results and errors only
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a program's endpoints at temporary URLs until Ctrl-C, updated at every save
    #[command(after_help = examples::SERVE)]
    Serve(ServeArgs),
    /// Deploy a program's endpoints at persistent URLs
    #[command(after_help = examples::DEPLOY)]
    Deploy(DeployArgs),
    /// Run a program's local entrypoint on this machine while its endpoints are served
    #[command(after_help = examples::RUN)]
    Run(RunArgs),
    /// List, read and stop apps
    #[command(subcommand, arg_required_else_help = true)]
    App(AppCommand),
    /// List, build and remove what apps run in
    #[command(subcommand, arg_required_else_help = true)]
    Image(ImageCommand),
    /// Run the server in the foreground, or manage it as a daemon
    #[command(after_help = examples::SERVER)]
    Server(ServerArgs),
    /// Check what this machine has of what containers need, and tell how to get the rest
    #[command(after_help = examples::DOCTOR)]
    Doctor {
        /// Print JSON: the findings, and the facts they come from
        #[arg(long)]
        json: bool,
    },
    /// Tools that pilotlight brings along
    #[command(subcommand, hide = true)]
    Tool(ToolCommand),
    /// What is none of the above: a forgotten verb, a verb of Modal's, a slip of the fingers.
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

impl Command {
    /// Whether the time stands before containers' lines.
    pub(crate) fn timestamps(&self) -> bool {
        match self {
            Self::Serve(args) => args.output.timestamps,
            Self::Deploy(args) => args.output.timestamps,
            _ => false,
        }
    }
}

/// The user's program.
#[derive(Clone, Debug, Args)]
pub(crate) struct Source {
    /// The program: FILE, or FILE::NAME where several apps are in it
    #[arg(value_name = "REF")]
    reference: String,

    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// What containers get.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Isolated {
    /// What keeps containers apart from this machine, in a server that is started; `process`: nothing
    #[arg(long, value_name = "KIND")]
    pub(crate) isolation: Option<Kind>,
}

/// What keeps containers apart from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Sandbox,
    Process,
}

impl Isolated {
    /// What was asked for, if anything.
    pub(crate) fn wanted(self) -> Option<Isolation> {
        self.isolation.map(|kind| match kind {
            Kind::Sandbox => Isolation::Sandbox,
            Kind::Process => Isolation::Process,
        })
    }
}

/// How the user's program is read.
#[derive(Clone, Debug, Args)]
pub(crate) struct Reading {
    /// REF is the dotted name of a module, PACKAGE.MODULE or PACKAGE.MODULE::NAME
    #[arg(short, long)]
    pub(crate) module: bool,

    /// The Python that imports the program [default: the active virtual environment's, else python3] [env: PILOTLIGHT_PYTHON]
    #[arg(long, value_name = "PYTHON")]
    python: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) old: Old,
}

impl Reading {
    /// The interpreter that was asked for, here or in the environment.
    pub(crate) fn python(&self) -> Option<PathBuf> {
        let of_environment = || std::env::var_os(env::PYTHON).filter(|python| !python.is_empty());
        self.python.clone().or_else(|| of_environment().map(PathBuf::from))
    }
}

impl Source {
    /// What REF names.
    pub(crate) fn reference(&self) -> Reference {
        Reference::parse(&self.reference, self.reading.module)
    }
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) source: Source,

    /// Serve under this name in place of the one in the file
    #[arg(long, short, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Stop by itself after this many seconds [env: PILOTLIGHT_SERVE_TIMEOUT]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) timeout: Option<Duration>,

    /// Take over the URLs of another session that serves the same app
    #[arg(long)]
    pub(crate) take_over: bool,

    /// What ends the names in URLs, in place of `dev` [env: PILOTLIGHT_DEV_SUFFIX]
    #[arg(long, value_name = "SUFFIX")]
    pub(crate) dev_suffix: Option<String>,

    /// Serve the program as it is now, whatever is saved later
    #[arg(long)]
    pub(crate) no_reload: bool,

    #[command(flatten)]
    pub(crate) isolated: Isolated,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) source: Source,

    /// The app's name, which is part of its URLs [default: the name given in the file]
    #[arg(long, short, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Do not start each endpoint once to prove that it loads
    #[arg(long)]
    pub(crate) no_verify: bool,

    /// Show the app's log afterwards, until Ctrl-C
    #[arg(long)]
    pub(crate) stream_logs: bool,

    #[command(flatten)]
    pub(crate) isolated: Isolated,

    /// How Modal replaces a version; a new one always takes over when it is ready
    #[arg(long, value_name = "STRATEGY", hide = true)]
    pub(crate) strategy: Option<Strategy>,

    /// Modal's tag of a deployment
    #[arg(long, value_name = "TAG", hide = true)]
    pub(crate) tag: Option<String>,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// How Modal replaces a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Strategy {
    Rolling,
    Recreate,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) reading: Reading,

    /// Serve under this name in place of the one in the file
    #[arg(long, short, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Write what the entrypoint returns (a str or bytes) to this file
    #[arg(long, short, value_name = "FILE")]
    pub(crate) write_result: Option<PathBuf>,

    /// Show the time before each line that containers print
    #[arg(long)]
    pub(crate) timestamps: bool,

    /// What to run, as it was asked for in 2022
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) function_name: Option<String>,

    /// Modal: let the app go on when the command ends
    #[arg(long, short, overrides_with = "no_detach", hide = true)]
    pub(crate) detach: bool,

    #[arg(long, hide = true)]
    pub(crate) no_detach: bool,

    /// Modal: give containers the terminal
    #[arg(long, short, hide = true)]
    pub(crate) interactive: bool,

    /// The program, FILE or FILE::NAME, then the entrypoint's own options: `--help` there lists them
    #[arg(value_names = ["REF", "ARGS"], num_args = 1.., required = true, trailing_var_arg = true)]
    pub(crate) words: Vec<OsString>,
}

/// What is told, and to whom.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Output {
    /// Show the time before each line that containers print
    #[arg(long)]
    pub(crate) timestamps: bool,

    /// The descriptor that gets a line of JSON whenever a version serves: for the SDK
    #[arg(long, value_name = "FD", hide = true)]
    pub(crate) report_fd: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// List the apps of the running server
    #[command(after_help = examples::APP_LIST)]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        old: Old,
    },
    /// Print an app's log
    #[command(after_help = examples::APP_LOGS)]
    Logs(LogsArgs),
    /// Stop an app: its URLs and containers go away
    #[command(after_help = examples::APP_STOP)]
    Stop {
        /// The app's name or id
        app: String,
        /// Do not ask first
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        old: Old,
    },
    /// Change how many containers a function has, until its next deployment
    #[command(after_help = examples::APP_SCALE)]
    Scale(ScaleArgs),
    /// `pilotlight deploy`, as it was called in 2022
    #[command(hide = true)]
    Deploy(DeployArgs),
    /// `pilotlight run`, as it was called in 2022
    #[command(hide = true)]
    Run(RunArgs),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    /// The app's name or id
    pub(crate) app: String,
    /// The function's name: `f`, or `Class.method`
    pub(crate) function: String,
    /// Containers that are kept even when idle
    #[arg(long, value_name = "COUNT")]
    pub(crate) min_containers: Option<u32>,
    /// The most containers at a time
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_containers: Option<u32>,
    /// Spare containers that are kept while the function has requests
    #[arg(long, value_name = "COUNT")]
    pub(crate) buffer_containers: Option<u32>,
    /// How long a container may be idle before it goes
    #[arg(long, value_name = "SECONDS")]
    pub(crate) scaledown_window: Option<f64>,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The app's name or id
    pub(crate) app: String,
    /// Go on with new lines until Ctrl-C
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// How many of the last lines to begin with [default: 100]
    #[arg(long, short = 'n', value_name = "LINES")]
    pub(crate) tail: Option<u32>,
    /// All lines of the last while: 30s, 10m, 2h, 1d
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) since: Option<Duration>,
    /// Only lines that are older than this: 30s, 10m, 2h, 1d
    #[arg(long, value_name = "AGE", value_parser = age, conflicts_with = "follow")]
    pub(crate) until: Option<Duration>,
    /// Only lines with this text in them, in capitals or not
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// Only lines of this function
    #[arg(long, value_name = "NAME")]
    pub(crate) function: Option<String>,
    /// Only lines of this container
    #[arg(long, value_name = "ID")]
    pub(crate) container: Option<String>,
    /// Only what containers print, on one of the two streams, or what pilotlight says about them
    #[arg(long, short, value_name = "SOURCE")]
    pub(crate) source: Option<Printed>,
    /// Show the container's id before each line
    #[arg(long)]
    pub(crate) show_container_id: bool,
    /// Show the time before each line
    #[arg(long)]
    pub(crate) timestamps: bool,
    #[command(flatten)]
    pub(crate) old: Old,
}

impl LogsArgs {
    /// Every new line of `app`.
    pub(crate) fn of(app: String, timestamps: bool) -> Self {
        Self {
            app,
            follow: true,
            tail: None,
            since: None,
            until: None,
            search: None,
            function: None,
            container: None,
            source: None,
            show_container_id: false,
            timestamps,
            old: Old::default(),
        }
    }
}

/// Where a line of a log comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Printed {
    Stdout,
    Stderr,
    System,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// List the images, what they take on disk and which apps use them
    #[command(after_help = examples::IMAGE_LIST)]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Build a program's images without serving it
    #[command(after_help = examples::IMAGE_BUILD)]
    Build {
        #[command(flatten)]
        source: Source,
        /// Print JSON: each image, whether it was there, and the seconds that it took
        #[arg(long)]
        json: bool,
    },
    /// Print what the steps of an image printed when they were built
    #[command(after_help = examples::IMAGE_LOGS)]
    Logs {
        /// The image's id, or that of a layer
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Remove images, and of their layers those that no other image has
    Rm {
        /// Ids of images
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// Remove images that no app uses, least recently used first
    #[command(after_help = examples::IMAGE_PRUNE)]
    Prune {
        /// Stop when no more than this is left: 500MiB, 20GiB
        #[arg(long, value_name = "SIZE", value_parser = size)]
        keep: Option<u64>,
        /// Also remove the packages that were downloaded for builds
        #[arg(long)]
        downloads: bool,
        /// Do not ask first
        #[arg(long, short)]
        yes: bool,
    },
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ServerCommand>,

    #[command(flatten)]
    pub(crate) isolated: Isolated,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Start the server as a daemon
    Start {
        #[command(flatten)]
        isolated: Isolated,
    },
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

/// A time in seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "give a number of seconds that is not negative, for example 60".to_owned())
}

/// Ends the process with what is wrong in the command line. Hidden commands are not among those it says there are.
pub(crate) fn refuse(mut error: clap::Error) -> ! {
    if let Some(ContextValue::String(path)) = error.get(ContextKind::InvalidSubcommand)
        && error.kind() == ErrorKind::MissingSubcommand
    {
        let all = Cli::command();
        let command = path
            .split(' ')
            .skip(1)
            .fold(&all, |command, name| command.find_subcommand(name).unwrap_or(command));
        let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
        let names = shown.map(|one| one.get_name().to_owned()).collect();
        error.insert(ContextKind::ValidSubcommand, ContextValue::Strings(names));
    }
    error.exit()
}

/// A time with its unit.
fn age(text: &str) -> Result<Duration, String> {
    let units = [("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];
    let found = units.iter().find_map(|(unit, seconds)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Duration::try_from_secs_f64(number * seconds).ok()
    });
    found.ok_or_else(|| "give a number and a unit: 30s, 10m, 2h or 1d".to_owned())
}

/// A number of bytes with its unit.
fn size(text: &str) -> Result<u64, String> {
    let units =
        [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    let found = units.iter().find_map(|(unit, bits)| {
        let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(1 << bits)
    });
    found.ok_or_else(|| "give a whole number and a unit: 500MiB or 20GiB".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        assert!(seconds("-1").is_err() && seconds("nan").is_err() && seconds("").is_err());
        assert_eq!((size("20GiB"), size("5 M")), (Ok(20 << 30), Ok(5 << 20)));
        assert!(size("20").is_err() && size("1.5G").is_err() && size("99999999999T").is_err());
        assert_eq!(age("10m"), Ok(Duration::from_mins(10)));
        assert!(age("10").is_err() && age("-1s").is_err() && age("m").is_err());
    }
}
