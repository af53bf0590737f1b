//! `pilotlight run`: a program's local entrypoint, on this machine, in the local interpreter.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::sync::atomic::AtomicBool;

use super::steps;
use crate::cli::RunArgs;
use crate::config::{Config, env};
use crate::discover::Discovery;
use crate::exit::Status;
use crate::printer::Printer;
use crate::reference::Reference;

/// Becomes the interpreter that runs the entrypoint; returns only when that fails.
pub(crate) async fn run(config: &Config, args: RunArgs, printer: &Printer) -> anyhow::Result<Status> {
    super::old(printer, &args.reading.old);
    if args.detach && !args.no_detach {
        let instead = "`pilotlight deploy` makes one that stays";
        printer.warning(&format!("`--detach` has no effect: the app ends with the command; {instead}"));
    }
    if args.interactive {
        printer.warning("`--interactive` has no effect: containers have no terminal");
    }
    let (first, arguments) = args.words.split_first().expect("clap asks for one word at least");
    let mut reference = Reference::parse(&first.to_string_lossy(), args.reading.module);
    let discovery = steps::blocking(printer, {
        let (config, reference, python) = (config.clone(), reference.clone(), args.reading.python());
        let cancel = AtomicBool::new(false);
        move |progress| Discovery::prepare(&config, reference, python.as_deref(), progress, &cancel)
    })
    .await?;
    if reference.name.is_none() {
        reference.name = args.function_name;
    }
    let mut command = discovery.interpreter("pilotlight._run");
    command.args(reference.arguments());
    if let Some(path) = &args.write_result {
        command.arg("--write-result").arg(path);
    }
    // For the `pilotlight serve` that the SDK starts.
    let mut serve: Vec<OsString> = Vec::new();
    serve.extend(printer.is_quiet().then(|| "--quiet".into()));
    serve.extend(args.timestamps.then(|| "--timestamps".into()));
    serve.extend(args.name.map(|name| format!("--name={name}").into()));
    for option in serve {
        let mut given = OsString::from("--serve-option=");
        given.push(option);
        command.arg(given);
    }
    command.arg("--").args(arguments);
    command.env("PILOTLIGHT_BINARY", std::env::current_exe()?).env(env::STATE_DIR, &config.state_dir);
    // The same process: its exit status, its signals and its terminal are the program's.
    Err(discovery.cannot_run(&command.exec()).into())
}

/// `app run` of 2022, whose options could stand behind the reference.
pub(crate) async fn of_2022(config: &Config, args: RunArgs, printer: &Printer) -> anyhow::Result<Status> {
    run(config, reordered(args), printer).await
}

fn reordered(mut args: RunArgs) -> RunArgs {
    let mut words = std::mem::take(&mut args.words).into_iter();
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--function-name") => {
                args.function_name = words.next().and_then(|name| name.into_string().ok());
            }
            Some("--detach") => args.detach = true,
            Some("--no-detach") => args.detach = false,
            _ => args.words.push(word),
        }
    }
    args
}
