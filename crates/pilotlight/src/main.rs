//! The `pilotlight` command: parses the command line and hands over to the room that does the work.

mod cli;
mod commands;
mod config;
mod discover;
mod embedded;
mod exit;
mod printer;
mod reference;
mod serve;
mod watch;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // The helper must run before anything starts a thread: it forks containers from itself.
    if std::env::args_os().nth(1).is_some_and(|arg| arg == "sandbox-helper") {
        return pilotlight_sandbox::helper_main(pilotlight_image::ERRANDS);
    }
    if let Some(code) = pilotlight_image::tool_main() {
        return code;
    }
    let arguments: Vec<String> =
        std::env::args_os().skip(1).take(3).map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(code) = serve::process::hidden(&arguments) {
        return code;
    }
    let cli = cli::Cli::try_parse().unwrap_or_else(|error| cli::refuse(error));
    init_tracing();
    let printer = printer::Printer::new(cli.quiet, cli.command.timestamps());
    // It becomes the root of the server's processes, which has one thread.
    if let Some(code) = commands::foreground(&cli, &printer) {
        return code;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            printer.error(&format!("cannot start the runtime: {error}"), None, None);
            return exit::Status::Failure.into();
        }
    };
    let status = match runtime.block_on(commands::run(cli, &printer)) {
        Ok(status) => status,
        Err(error) => exit::report(&printer, &error),
    };
    // Blocking tasks (an image build that was cancelled) must not hold the process.
    runtime.shutdown_background();
    status.into()
}

/// Diagnostics of our own go to stderr, and only when `PILOTLIGHT_LOG` asks for more than warnings.
pub(crate) fn init_tracing() {
    let filter = tracing_subscriber::EnvFilter::try_from_env(config::env::LOG)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
