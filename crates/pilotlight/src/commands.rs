//! One module per command.

mod app;
mod deploy;
mod doctor;
mod follow;
mod image;
mod link;
mod other;
mod run;
mod serve;
mod server;
mod steps;
mod stop;
mod tool;

use std::sync::atomic::AtomicBool;

use pilotlight_api::client::ClientError;
use pilotlight_api::error::{ApiError, Code};

use crate::cli::{Cli, Command, Old, Source};
use crate::config::Config;
use crate::discover::{Discovery, Loaded};
use crate::exit::{Status, UserError};
use crate::printer::Printer;

/// Runs the command that was asked for.
pub(crate) async fn run(cli: Cli, printer: &Printer) -> anyhow::Result<Status> {
    let config = Config::load(cli.state_dir)?;
    match cli.command {
        Command::Serve(args) => {
            let config = config.isolated(args.isolated.wanted());
            serve::run(&config, args, printer).await
        }
        Command::Deploy(args) => {
            let config = config.isolated(args.isolated.wanted());
            deploy::run(&config, args, printer).await
        }
        Command::Run(args) => run::run(&config, args, printer).await,
        Command::App(command) => app::run(&config, command, printer).await,
        Command::Image(command) => image::run(&config, command, printer).await,
        Command::Server(args) => {
            let config = config.isolated(args.isolated.wanted());
            server::run(&config, args.command, printer).await
        }
        Command::Doctor { json } => doctor::run(json, printer).await,
        Command::Tool(command) => tool::run(&config, &command, printer).await,
        Command::Other(words) => Ok(other::refuse("", &words, printer)),
    }
}

/// The server in the foreground, if that is what is asked for.
pub(crate) fn foreground(cli: &Cli, printer: &Printer) -> Option<std::process::ExitCode> {
    let Command::Server(args) = &cli.command else { return None };
    if args.command.is_some() {
        return None;
    }
    let served = Config::load(cli.state_dir.clone())
        .and_then(|config| server::foreground(&config.isolated(args.isolated.wanted()), cli.quiet));
    Some(served.unwrap_or_else(|error| crate::exit::report(printer, &error).into()))
}

/// Imports the program on this machine.
async fn load(config: &Config, source: &Source, printer: &Printer) -> anyhow::Result<Loaded> {
    let discovery = steps::blocking(printer, {
        let (config, source) = (config.clone(), source.clone());
        move |progress| {
            let (python, never) = (source.reading.python(), AtomicBool::new(false));
            Discovery::prepare(&config, source.reference(), python.as_deref(), progress, &never)
        }
    })
    .await?;
    let loaded = discovery.run().await?.map_err(|failure| failure.error)?;
    notices(printer, &loaded.manifest);
    Ok(loaded)
}

/// Tells what the program asks for that is not built yet.
fn notices(printer: &Printer, manifest: &pilotlight_api::manifest::Manifest) {
    for notice in &manifest.notices {
        printer.warning(notice);
    }
}

/// Refuses a program of which no request would ever reach anything.
fn check_served(manifest: &pilotlight_api::manifest::Manifest) -> Result<(), UserError> {
    if manifest.functions.iter().any(|function| function.web.is_some()) {
        return Ok(());
    }
    Err(UserError::new(
        format!("there is nothing to serve in {}: no function has a web decorator", manifest.title()),
        "write `@modal.fastapi_endpoint()` between `@app.function()` and the function; `pilotlight run` runs local \
         entrypoints",
    ))
}

/// A failure told in a progress stream: the user's to mend, unless the server says that it is its own.
fn failed(code: &str, message: String, hint: Option<String>, detail: Option<String>) -> anyhow::Error {
    if [Code::Internal, Code::Unavailable].iter().any(|ours| ours.as_str() == code) {
        return ClientError::Api(ApiError { code: Code::Internal, message, hint, detail }).into();
    }
    UserError { message, hint, detail }.into()
}

/// Tells which options of Modal's have no effect.
fn old(printer: &Printer, old: &Old) {
    for notice in old.notices() {
        printer.warning(&notice);
    }
}

/// Refuses a name that no app can have.
fn check_name(name: &str) -> Result<(), UserError> {
    pilotlight_core::name::check_app(name)
        .map_err(|error| UserError::new(error.to_string(), "choose another name with `--name`"))
}

/// Asks on the terminal; an empty answer is the `default`.
async fn asked(printer: &Printer, question: &str, default: bool) -> anyhow::Result<bool> {
    printer.question(question);
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    })
    .await??;
    Ok(match answer.trim().to_lowercase().as_str() {
        "" => default,
        answer => matches!(answer, "y" | "yes"),
    })
}
