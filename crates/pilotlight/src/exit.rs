//! How a command ends: its exit status, and how an error is told to the user.

use std::process::ExitCode;

use pilotlight_api::client::ClientError;

use crate::printer::Printer;

/// Exit codes; documented in the help and in docs/reference/cli.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The command did what it was asked to do.
    Success,
    /// The user's program, image or request has a mistake.
    UserError,
    /// The command line has a mistake.
    Usage,
    /// pilotlight or its server failed.
    Failure,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Success => 0,
            Status::UserError => 1,
            // clap's as well.
            Status::Usage => 2,
            Status::Failure => 3,
        })
    }
}

/// Something that the user can mend, in the words that help.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct UserError {
    /// What is wrong, in one sentence.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// Text to show above the message: a traceback, the last lines of a build.
    pub(crate) detail: Option<String>,
}

impl UserError {
    /// An error with a hint and no detail.
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()), detail: None }
    }
}

/// Prints an error and says with which status the command ends.
pub(crate) fn report(printer: &Printer, error: &anyhow::Error) -> Status {
    if let Some(user) = error.downcast_ref::<UserError>() {
        printer.error(&user.message, user.hint.as_deref(), user.detail.as_deref());
        return Status::UserError;
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Api(api)) => {
            printer.error(&api.message, api.hint.as_deref(), api.detail.as_deref());
            if api.status() < 500 { Status::UserError } else { Status::Failure }
        }
        Some(ClientError::NoServer { .. }) => {
            printer.error("no server is running", Some("start it with `pilotlight server start`"), None);
            Status::UserError
        }
        _ => {
            printer.error(&format!("{error:#}"), None, None);
            Status::Failure
        }
    }
}
