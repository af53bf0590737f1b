//! The one body of every error answer, and its HTTP status.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::manifest::Problem;

/// What is wrong with a request, or what went wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The kind of error: a stable word for programs.
    pub code: Code,
    /// What is wrong, in a sentence without a period.
    pub message: String,
    /// What to do about it.
    #[serde(default)]
    pub hint: Option<String>,
    /// More lines: a traceback, the end of a build's output, every problem of a manifest.
    #[serde(default)]
    pub detail: Option<String>,
}

/// Kinds of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// 400: the request is not HTTP or JSON as this API takes it.
    BadRequest,
    /// 404: there is no such app, file or route.
    NotFound,
    /// 405: the route exists, the method does not.
    MethodNotAllowed,
    /// 408: the body did not come in time.
    Timeout,
    /// 409: it does not go together with what is there (a label in use, another update under way).
    Conflict,
    /// 413: the body is too large.
    TooLarge,
    /// 422: JSON of the wrong shape, or values that break a rule.
    Invalid,
    /// 422: files that the manifest names were not uploaded.
    MissingBlobs,
    /// 422: an upload's content has another digest.
    WrongDigest,
    /// 503: the server is going down or has too much to do; the same request may work later.
    Unavailable,
    /// 500: our mistake.
    #[serde(other)]
    Internal,
}

impl Code {
    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Timeout => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Invalid | Self::MissingBlobs | Self::WrongDigest => 422,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    /// The word that stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Timeout => "timeout",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
            Self::MissingBlobs => "missing_blobs",
            Self::WrongDigest => "wrong_digest",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ApiError {
    /// An error without hint and detail.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, detail: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds more lines.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// There is no app with this id or name.
    pub fn no_app(app: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no app `{app}`"))
            .hint("`pilotlight app list` shows the apps and their ids")
    }

    /// There is no image with this id.
    pub fn no_image(id: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no image `{id}`"))
            .hint("`pilotlight image list` shows the images and their ids")
    }

    /// An error that is not the user's: `error` with its causes.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // Some say their cause themselves.
            let told = error.to_string();
            if !message.ends_with(&told) {
                message = format!("{message}: {told}");
            }
            cause = error.source();
        }
        Self::new(Code::Internal, message)
    }

    /// The HTTP status that goes with it.
    pub fn status(&self) -> u16 {
        self.code.status()
    }
}

impl From<Vec<Problem>> for ApiError {
    /// The first problem as the message, all of them as the detail when there are several.
    fn from(problems: Vec<Problem>) -> Self {
        let error = match problems.first() {
            Some(first) => Self::new(Code::Invalid, format!("the app is not valid: {first}")),
            None => Self::new(Code::Invalid, "the app is not valid"),
        };
        if problems.len() < 2 {
            return error;
        }
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        error.detail(lines.join("\n"))
    }
}
