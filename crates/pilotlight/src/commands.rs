//! One module per command.

mod app;
mod deploy;
mod link;
mod serve;
mod server;
mod steps;
mod tool;

use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::exit::Status;
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
