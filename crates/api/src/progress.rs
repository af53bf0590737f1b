//! What a server tells while it works: progress of a creation or update, and log lines. One JSON object per line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One message about an app that is being made, or that runs for as long as its maker listens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Progress {
    /// A step has begun.
    Step {
        /// Names the step in later messages.
        id: String,
        /// What is being done: `Building image im-3f9c…`.
        text: String,
    },
    /// A line that a step printed.
    StepOutput {
        /// The step.
        id: String,
        /// The line, without its end.
        line: String,
    },
    /// A step is done.
    StepDone {
        /// The step.
        id: String,
        /// What was done: `Built image im-3f9c…`.
        text: String,
        /// How long it took.
        seconds: f64,
        /// Whether nothing had to be done.
        cached: bool,
    },
    /// A step failed; [`Progress::Failed`] follows.
    StepFailed {
        /// The step.
        id: String,
        /// What failed.
        text: String,
        /// The last lines that it printed.
        tail: Vec<String>,
    },
    /// Something that the user should know, and that ends nothing.
    Warning {
        /// A sentence without a period.
        text: String,
    },
    /// A web endpoint has its URL.
    Created {
        /// The function.
        function: String,
        /// Its URL, one that works on this machine as it stands.
        url: String,
        /// What else to say about it.
        #[serde(default)]
        note: Option<String>,
        /// The label of its host: `local--hello-f`, without a domain.
        #[serde(default)]
        label: Option<String>,
        /// Its URL by that label: beyond this machine where the server answers there under a domain, else at the port
        /// that all endpoints share; a server without such a port has none.
        #[serde(default)]
        host_url: Option<String>,
        /// The URLs of the custom domains under which it answers as well.
        #[serde(default)]
        custom_domains: Vec<String>,
    },
    /// A log line of the app.
    Log {
        /// The function whose container wrote it; empty for a line about the whole app.
        function: String,
        /// The container.
        container: Option<String>,
        /// Where it was written.
        stream: Stream,
        /// The line, without its end.
        line: String,
        /// When, seconds since the epoch.
        at: f64,
    },
    /// The app serves this version.
    Ready {
        /// Its id.
        app_id: String,
        /// Its name.
        name: String,
        /// The version's number, from 1 on.
        version: u32,
    },
    /// The images of a program are there.
    Built {
        /// Their ids.
        images: Vec<String>,
    },
    /// It did not work out. A version that served before goes on serving.
    Failed {
        /// A stable word for programs, as in [`ApiError`](crate::error::ApiError).
        code: String,
        /// What is wrong, in a sentence.
        message: String,
        /// What to do about it.
        #[serde(default)]
        hint: Option<String>,
        /// A traceback or the last lines of a build.
        #[serde(default)]
        detail: Option<String>,
    },
    /// The app has ended.
    Stopped {
        /// Why, in a few words.
        reason: String,
    },
}

/// Where a log line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output of the container.
    Stdout,
    /// Standard error of the container.
    Stderr,
    /// pilotlight itself, about the container.
    System,
}

/// A log line of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When, seconds since the epoch.
    pub at: f64,
    /// The function whose container wrote it; empty for a line about the whole app.
    pub function: String,
    /// The container.
    pub container: Option<String>,
    /// Where it was written.
    pub stream: Stream,
    /// The line, without its end.
    pub line: String,
}

impl From<LogLine> for Progress {
    fn from(LogLine { at, function, container, stream, line }: LogLine) -> Self {
        Self::Log { function, container, stream, line, at }
    }
}

/// An app, in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AppSummary {
    /// Its id, `ap-…`.
    pub id: String,
    /// Its name, or for an ephemeral app without one what stands in for it.
    pub name: String,
    /// What it is doing.
    pub state: AppState,
    /// The version that serves or served last.
    pub version: u32,
    /// Its functions.
    pub functions: Vec<FunctionSummary>,
    /// When it was first made, seconds since the epoch.
    pub created_at: f64,
}

/// What an app is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    /// Ephemeral: it lives as long as its maker listens.
    Serving,
    /// Deployed.
    Deployed,
    /// Was deployed, and was stopped.
    Stopped,
}

/// A function, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FunctionSummary {
    /// Its name.
    pub name: String,
    /// Its URL, if it has one now.
    pub url: Option<String>,
    /// The label of its host: `local--hello-f`, without a domain.
    #[serde(default)]
    pub label: Option<String>,
    /// The custom domains under which it answers as well.
    #[serde(default)]
    pub custom_domains: Vec<String>,
    /// The id of its image: `im-` and 12 hex digits.
    #[serde(default)]
    pub image: Option<String>,
    /// Containers that run now, starting ones included.
    pub containers: u32,
    /// Requests that wait or are being answered.
    pub requests: u32,
}

/// A server's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The version of pilotlight.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Where it keeps images, apps and logs.
    #[serde(default)]
    #[schema(value_type = String)]
    pub state_dir: PathBuf,
    /// When it started, seconds since the epoch.
    pub started_at: f64,
    /// Apps that serve now.
    pub apps: u32,
    /// Parts of the isolation that this machine cannot give; empty when containers are fully isolated.
    pub isolation: Vec<MissingPart>,
    /// How long the last starts of containers took, by the way they went.
    #[serde(default)]
    pub starts: Vec<StartTimes>,
    /// Zygotes that are lit: processes that containers are forked from.
    #[serde(default)]
    pub zygotes: u32,
    /// Containers made ahead but for their process.
    #[serde(default)]
    pub shells: u32,
    /// What containers ask of the machine.
    #[serde(default)]
    pub room: Room,
}

/// What containers ask of the machine, and what the server gives all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Room {
    /// Memory that containers ask for together, MiB.
    pub memory_mib: u64,
    /// Memory that they may ask for, MiB.
    pub memory_mib_max: u64,
    /// Processors that containers ask for together, thousandths of one.
    pub cpu_millis: u64,
    /// Processors that they may ask for, thousandths of one.
    pub cpu_millis_max: u64,
}

/// How long starts took, of one way of starting: the last ones, up to a thousand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StartTimes {
    /// `function-zygote`, `image-zygote` or `plain`.
    pub path: String,
    /// Starts since the server's own.
    pub count: u64,
    /// What half of them took at most, milliseconds.
    pub p50_ms: f64,
    /// What 99 of 100 took at most, milliseconds.
    pub p99_ms: f64,
}

/// A part of the isolation that is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissingPart {
    /// The part.
    pub part: String,
    /// How to get it.
    pub how_to_get: String,
}

impl std::fmt::Display for MissingPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is missing: {}", self.part, self.how_to_get)
    }
}
