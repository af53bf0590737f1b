//! One module per command.

mod app;
mod deploy;
mod link;
mod serve;
mod server;
mod steps;
mod tool;

use pilotlight_api::client::ClientError;
use pilotlight_api::error::{ApiError, Code};

use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::exit::{Status, UserError};
use crate::printer::Printer;

/// Runs the command that was asked for.
pub(crate) async fn run(cli: Cli, printer: &Printer) -> anyhow::Result<Status> {
    let config = Config::load(cli.state_dir)?;
    match cli.command {
        Command::Serve(args) => serve::run(&config, args, printer).await,
        Command::Deploy(args) => deploy::run(&config, args, printer).await,
        Command::App(command) => app::run(&config, command, printer).await,
        Command::Server(args) => server::run(&config, args.command, printer).await,
        Command::Tool(command) => tool::run(&config, &command, printer).await,
    }
}

/// Tells what the program asks for that is not built yet.
fn notices(printer: &Printer, manifest: &pilotlight_api::manifest::Manifest) {
    for notice in &manifest.notices {
        printer.warning(notice);
    }
    if manifest.functions.iter().all(|function| function.web.is_none()) {
        printer.warning(
            "there is nothing to serve: no function has a web decorator, such as `fastapi_endpoint()`",
        );
    }
}

/// A failure told in a progress stream: the user's to mend, unless the server says that it is its own.
fn failed(code: &str, message: String, hint: Option<String>, detail: Option<String>) -> anyhow::Error {
    if [Code::Internal, Code::Unavailable].iter().any(|ours| ours.as_str() == code) {
        return ClientError::Api(ApiError { code: Code::Internal, message, hint, detail }).into();
    }
    UserError { message, hint, detail }.into()
}
