//! Bodies of requests and of plain answers.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::manifest::{Manifest, Problem};
use crate::progress::{LogLine, Stream};

/// The largest file that can be uploaded, bytes.
pub const BLOB_MAX: u64 = 256 * 1024 * 1024;

/// The largest JSON body of a request, bytes: a manifest with very many files fits.
pub const JSON_MAX: u64 = 64 * 1024 * 1024;

/// The most containers that a function can ask for.
const CONTAINERS_MAX: u32 = 10_000;

/// The longest end of an ephemeral app's labels.
const DEV_SUFFIX_MAX: usize = 8;

/// How many containers a deployed function has from now on, until the next deployment. `null` leaves what there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Containers that are kept even when idle: at most 10,000.
    #[serde(default)]
    pub min_containers: Option<u32>,
    /// The most containers at a time: 1 to 10,000.
    #[serde(default)]
    pub max_containers: Option<u32>,
    /// Spare containers that are kept while the function has requests: at most 10,000.
    #[serde(default)]
    pub buffer_containers: Option<u32>,
    /// How long a container may be idle before it goes, seconds: 1 to 3600.
    #[serde(default)]
    pub scaledown_window: Option<f64>,
}

impl Scaling {
    /// What holds after this is asked for, where `earlier` did before.
    #[must_use]
    pub fn over(self, earlier: Self) -> Self {
        Self {
            min_containers: self.min_containers.or(earlier.min_containers),
            max_containers: self.max_containers.or(earlier.max_containers),
            buffer_containers: self.buffer_containers.or(earlier.buffer_containers),
            scaledown_window: self.scaledown_window.or(earlier.scaledown_window),
        }
    }

    /// What is wrong with it by itself, if something is.
    pub fn problem(&self) -> Option<Problem> {
        let count = |path: &str, value: Option<u32>, least: u32| {
            let wrong = value.filter(|value| !(least..=CONTAINERS_MAX).contains(value))?;
            let message = format!("{wrong} is not a number from {least} to {CONTAINERS_MAX}");
            Some(Problem { path: path.to_owned(), message })
        };
        let window = || {
            let wrong = self.scaledown_window.filter(|seconds| !(1.0..=3600.0).contains(seconds))?;
            let message = format!("{wrong} is not a number of seconds from 1 to 3600");
            Some(Problem { path: "scaledown_window".to_owned(), message })
        };
        count("min_containers", self.min_containers, 0)
            .or_else(|| count("max_containers", self.max_containers, 1))
            .or_else(|| count("buffer_containers", self.buffer_containers, 0))
            .or_else(window)
    }
}

/// Asks for an app. Answered by a stream of [`Progress`](crate::progress::Progress).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateApp {
    /// What the user's file declares, with the digest of every file.
    pub manifest: Manifest,
    /// How long the app lives.
    pub mode: Mode,
    /// The app's name; `null` takes the manifest's.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether each web endpoint must load once before the version counts as good.
    #[serde(default = "default_verify")]
    pub verify: bool,
    /// Whether an ephemeral app takes the URLs of another one that has them; without it, it gets others.
    #[serde(default)]
    pub take_over: bool,
    /// What ends the labels of an ephemeral app in place of `dev`: at most 8 letters and digits, lower case.
    #[serde(default)]
    pub dev_suffix: Option<String>,
}

impl CreateApp {
    /// The app's name: the request's, else the manifest's.
    pub fn app_name(&self) -> Option<&str> {
        self.name.as_deref().or(self.manifest.app.name.as_deref())
    }

    /// Says why `dev_suffix` cannot end a label; `None` if it can or there is none.
    pub fn suffix_problem(&self) -> Option<Problem> {
        let suffix = self.dev_suffix.as_deref()?;
        let letters = suffix.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let good = letters && (1..=DEV_SUFFIX_MAX).contains(&suffix.len());
        (!good).then(|| Problem {
            path: "dev_suffix".to_owned(),
            message: format!("`{suffix}` is not 1 to {DEV_SUFFIX_MAX} lower-case letters and digits"),
        })
    }
}

fn default_verify() -> bool {
    true
}

/// How long an app lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// As long as the answer to its creation is read.
    Ephemeral,
    /// Until it is stopped, over restarts of the server. Needs a name; the same name again replaces the version.
    Deploy,
}

/// Moves a running app to a new manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateApp {
    /// What the user's file declares now.
    pub manifest: Manifest,
}

/// Asks which files a server does not have yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlobQuery {
    /// SHA-256 digests, lower-case hex.
    pub digests: Vec<String>,
}

/// The files that must be uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlobAnswer {
    /// SHA-256 digests, lower-case hex.
    pub missing: Vec<String>,
}

/// Which log lines to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// How many of the last lines, of those that are asked for.
    #[serde(default = "default_tail")]
    pub tail: u32,
    /// Whether to go on with new lines until the reader leaves.
    #[serde(default)]
    pub follow: bool,
    /// Lines from this time on, seconds since the epoch.
    #[serde(default)]
    pub since: Option<f64>,
    /// Lines before this time, seconds since the epoch.
    #[serde(default)]
    pub until: Option<f64>,
    /// Lines with this text in them, however it is written.
    #[serde(default)]
    pub search: Option<String>,
    /// Lines of this function.
    #[serde(default)]
    pub function: Option<String>,
    /// Lines of this container.
    #[serde(default)]
    pub container: Option<String>,
    /// Lines of this source.
    #[serde(default)]
    #[param(inline)]
    pub source: Option<Stream>,
}

impl LogQuery {
    /// Whether a line is asked for.
    pub fn takes(&self, line: &LogLine) -> bool {
        let holds = |search: &String| line.line.to_lowercase().contains(&search.to_lowercase());
        self.since.is_none_or(|since| line.at >= since)
            && self.until.is_none_or(|until| line.at < until)
            && self.function.as_ref().is_none_or(|function| *function == line.function)
            && self.container.as_ref().is_none_or(|container| line.container.as_ref() == Some(container))
            && self.source.is_none_or(|source| source == line.stream)
            && self.search.as_ref().is_none_or(holds)
    }

    /// Whether every line is asked for.
    pub fn takes_all(&self) -> bool {
        let Self { tail, follow, .. } = *self;
        *self == Self { tail, follow, ..Self::default() }
    }

    /// The query as the URL has it.
    pub(crate) fn text(&self) -> String {
        let Self { tail, follow, since, until, search, function, container, source } = self;
        let mut text = format!("tail={tail}&follow={follow}");
        let time = |time: &f64| time.to_string();
        let source = source.map(|source| match source {
            Stream::Stdout => "stdout".to_owned(),
            Stream::Stderr => "stderr".to_owned(),
            Stream::System => "system".to_owned(),
        });
        let more = [
            ("since", since.as_ref().map(time)),
            ("until", until.as_ref().map(time)),
            ("search", search.clone()),
            ("function", function.clone()),
            ("container", container.clone()),
            ("source", source),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                text = format!("{text}&{name}={}", encode(&value));
            }
        }
        text
    }
}

impl Default for LogQuery {
    fn default() -> Self {
        Self {
            tail: default_tail(),
            follow: false,
            since: None,
            until: None,
            search: None,
            function: None,
            container: None,
            source: None,
        }
    }
}

/// A part of a URL: every byte but the unreserved ones (RFC 3986 §2.3) as `%XX`.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes every write");
        }
    }
    encoded
}

fn default_tail() -> u32 {
    100
}
