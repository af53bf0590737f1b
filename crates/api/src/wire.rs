//! Bodies of requests and of plain answers.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::manifest::{Manifest, Problem};

/// The largest file that can be uploaded, bytes.
pub const BLOB_MAX: u64 = 256 * 1024 * 1024;

/// The largest JSON body of a request, bytes: a manifest with very many files fits.
pub const JSON_MAX: u64 = 64 * 1024 * 1024;

/// The longest end of an ephemeral app's labels.
const DEV_SUFFIX_MAX: usize = 8;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// How many of the last lines.
    #[serde(default = "default_tail")]
    pub tail: u32,
    /// Whether to go on with new lines until the reader leaves.
    #[serde(default)]
    pub follow: bool,
}

impl Default for LogQuery {
    fn default() -> Self {
        Self { tail: default_tail(), follow: false }
    }
}

fn default_tail() -> u32 {
    100
}
