//! `pilotlight app list | logs | stop`, and the verbs that stood below `app` in 2022.

use std::io::IsTerminal as _;
use std::time::{Duration, SystemTime};

use pilotlight_api::client::Client;
use pilotlight_api::progress::{AppState, AppSummary, Stream};
use pilotlight_api::wire::{LogQuery, Scaling};

use super::{deploy, link, other};
use crate::cli::{AppCommand, LogsArgs, Printed, ScaleArgs};
use crate::config::Config;
use crate::exit::{Status, UserError};
use crate::printer::Printer;

/// How many lines of a log are shown when nothing is said about it.
const TAIL: u32 = 100;

/// Runs an `app` command against the running servers: the daemon, and those inside commands that serve.
pub(crate) async fn run(config: &Config, command: AppCommand, printer: &Printer) -> anyhow::Result<Status> {
    match command {
        AppCommand::List { json, old } => {
            super::old(printer, &old);
            list(config, json, printer).await
        }
        AppCommand::Logs(args) => {
            super::old(printer, &args.old);
            logs(&link::server_of(config, &args.app).await, args, printer).await
        }
        AppCommand::Stop { app, yes, old } => {
            super::old(printer, &old);
            stop(&link::server_of(config, &app).await, &app, yes, printer).await
        }
        AppCommand::Scale(args) => scale(&link::server_of(config, &args.app).await, &args, printer).await,
        AppCommand::Deploy(args) => deploy::run(config, args, printer).await,
        AppCommand::Run(args) => super::run::of_2022(config, args, printer).await,
        AppCommand::Other(words) => Ok(other::refuse("app ", &words, printer)),
    }
}

async fn list(config: &Config, json: bool, printer: &Printer) -> anyhow::Result<Status> {
    let mut servers = link::servers(config).await;
    if servers.is_empty() {
        servers.push(link::daemon(config)); // Its error says that there is none.
    }
    let mut apps = Vec::new();
    for client in servers {
        apps.extend(client.list().await?);
    }
    if json {
        printer.out(&serde_json::to_string_pretty(&apps)?);
        return Ok(Status::Success);
    }
    if apps.is_empty() {
        printer.note("No apps. Deploy one with `pilotlight deploy FILE --name NAME`");
        return Ok(Status::Success);
    }
    printer.table(&rows(&apps));
    Ok(Status::Success)
}

/// The table: a row of titles, then a row per function.
fn rows(apps: &[AppSummary]) -> Vec<[String; 8]> {
    let titles = ["NAME", "ID", "STATE", "VERSION", "FUNCTION", "CONTAINERS", "LABEL", "URL"];
    let mut rows = vec![titles.map(str::to_owned)];
    for app in apps {
        let (state, version) = (state(app.state).to_owned(), format!("v{}", app.version));
        let mut head = [app.name.clone(), app.id.clone(), state, version];
        if app.functions.is_empty() {
            let [name, id, state, version] = head;
            rows.push([name, id, state, version, String::new(), String::new(), String::new(), String::new()]);
            continue;
        }
        for function in &app.functions {
            // The app's own columns stand in its first row only.
            let [name, id, state, version] = std::mem::take(&mut head);
            let (label, url) = (function.label.clone(), function.url.clone());
            let [label, url] = [label, url].map(Option::unwrap_or_default);
            let containers = function.containers.to_string();
            rows.push([name, id, state, version, function.name.clone(), containers, label, url]);
        }
    }
    rows
}

/// Prints log lines until the last, or with `follow` until Ctrl-C.
pub(super) async fn logs(client: &Client, args: LogsArgs, printer: &Printer) -> anyhow::Result<Status> {
    let mut lines = client.logs(&args.app, query(&args)).await?;
    loop {
        tokio::select! {
            line = lines.next() => match line? {
                Some(line) => {
                    let at = if args.timestamps { format!("{} ", crate::printer::timestamp(line.at)) } else { String::new() };
                    let container = line.container.filter(|_| args.show_container_id);
                    let container = container.map_or_else(String::new, |id| format!("{id} "));
                    printer.out(&format!("{at}{container}{} | {}", line.function, line.line));
                }
                None => return Ok(Status::Success),
            },
            _ = tokio::signal::ctrl_c() => return Ok(Status::Success),
        }
    }
}

/// The lines that are asked for.
fn query(args: &LogsArgs) -> LogQuery {
    let ago = |age: Duration| {
        let then = SystemTime::now().checked_sub(age)?;
        Some(then.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()))
    };
    LogQuery {
        tail: args.tail.unwrap_or(if args.since.is_some() { u32::MAX } else { TAIL }),
        follow: args.follow,
        since: args.since.and_then(ago),
        until: args.until.map(|age| ago(age).unwrap_or(0.0)),
        search: args.search.clone(),
        function: args.function.clone(),
        container: args.container.clone(),
        source: args.source.map(|source| match source {
            Printed::Stdout => Stream::Stdout,
            Printed::Stderr => Stream::Stderr,
            Printed::System => Stream::System,
        }),
    }
}

async fn stop(client: &Client, app: &str, yes: bool, printer: &Printer) -> anyhow::Result<Status> {
    if !yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        let question = format!("Stop {app}? Its URLs and containers go away. [y/N]");
        if !super::asked(printer, &question, false).await? {
            printer.note("Nothing was stopped");
            return Ok(Status::UserError);
        }
    }
    client.stop(app).await?;
    printer.note(&format!("✓ Stopped {app}"));
    Ok(Status::Success)
}

async fn scale(client: &Client, args: &ScaleArgs, printer: &Printer) -> anyhow::Result<Status> {
    let scaling = Scaling {
        min_containers: args.min_containers,
        max_containers: args.max_containers,
        buffer_containers: args.buffer_containers,
        scaledown_window: args.scaledown_window,
    };
    if scaling == Scaling::default() {
        let hint =
            "give `--min-containers`, `--max-containers`, `--buffer-containers` or `--scaledown-window`";
        return Err(UserError::new("nothing was said to change", hint).into());
    }
    client.scale(&args.app, &args.function, &scaling).await?;
    printer.note(&format!("✓ Scaled {} of {}, until its next deployment", args.function, args.app));
    Ok(Status::Success)
}

fn state(state: AppState) -> &'static str {
    match state {
        AppState::Deployed => "deployed",
        AppState::Serving => "serving",
        AppState::Stopped => "stopped",
    }
}
