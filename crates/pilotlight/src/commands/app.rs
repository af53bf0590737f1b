//! `pilotlight app list | logs | stop`, and the verbs that stood below `app` in 2022.

use std::io::IsTerminal as _;
use std::time::SystemTime;

use pilotlight_api::client::Client;
use pilotlight_api::progress::{AppState, AppSummary};
use pilotlight_api::wire::LogQuery;

use super::{deploy, link, other};
use crate::cli::{AppCommand, LogsArgs};
use crate::config::Config;
use crate::exit::Status;
use crate::printer::Printer;

/// How many lines of a log are shown when nothing is said about it.
const TAIL: u32 = 100;

/// Runs an `app` command against the running server.
pub(crate) async fn run(config: &Config, command: AppCommand, printer: &Printer) -> anyhow::Result<Status> {
    let client = link::daemon(config);
    match command {
        AppCommand::List { json, old } => {
            super::old(printer, &old);
            list(&client, json, printer).await
        }
        AppCommand::Logs(args) => {
            super::old(printer, &args.old);
            logs(&client, args, printer).await
        }
        AppCommand::Stop { app, yes, old } => {
            super::old(printer, &old);
            stop(&client, &app, yes, printer).await
        }
        AppCommand::Deploy(args) => deploy::run(config, args, printer).await,
        AppCommand::Run(args) => super::run::of_2022(config, args, printer).await,
        AppCommand::Other(words) => Ok(other::refuse("app ", &words, printer)),
    }
}

async fn list(client: &Client, json: bool, printer: &Printer) -> anyhow::Result<Status> {
    let apps = client.list().await?;
    if json {
        printer.out(&serde_json::to_string_pretty(&apps)?);
        return Ok(Status::Success);
    }
    if apps.is_empty() {
        printer.note("No apps. Deploy one with `pilotlight deploy FILE --name NAME`");
        return Ok(Status::Success);
    }
    let rows = rows(&apps);
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        printer.out(cells.join("  ").trim_end());
    }
    Ok(Status::Success)
}

/// The table: a row of titles, then a row per function.
fn rows(apps: &[AppSummary]) -> Vec<[String; 6]> {
    let mut rows = vec![["NAME", "STATE", "VERSION", "FUNCTION", "CONTAINERS", "URL"].map(str::to_owned)];
    for app in apps {
        let mut head = [app.name.clone(), state(app.state).to_owned(), format!("v{}", app.version)];
        if app.functions.is_empty() {
            let [name, state, version] = head;
            rows.push([name, state, version, String::new(), String::new(), String::new()]);
            continue;
        }
        for function in &app.functions {
            // The app's own columns stand in its first row only.
            let [name, state, version] = std::mem::take(&mut head);
            let url = function.url.clone().unwrap_or_default();
            rows.push([name, state, version, function.name.clone(), function.containers.to_string(), url]);
        }
    }
    rows
}

/// Prints log lines until the last, or with `follow` until Ctrl-C.
pub(super) async fn logs(client: &Client, args: LogsArgs, printer: &Printer) -> anyhow::Result<Status> {
    let since = args.since.and_then(|age| SystemTime::now().checked_sub(age)).map_or(0.0, |since| {
        since.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
    });
    let tail = args.tail.unwrap_or(if args.since.is_some() { u32::MAX } else { TAIL });
    let mut lines = client.logs(&args.app, LogQuery { tail, follow: args.follow }).await?;
    loop {
        tokio::select! {
            line = lines.next() => match line? {
                Some(line) if line.at >= since => {
                    let at = if args.timestamps { format!("{} ", crate::printer::timestamp(line.at)) } else { String::new() };
                    printer.out(&format!("{at}{} | {}", line.function, line.line));
                }
                Some(_) => {}
                None => return Ok(Status::Success),
            },
            _ = tokio::signal::ctrl_c() => return Ok(Status::Success),
        }
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

fn state(state: AppState) -> &'static str {
    match state {
        AppState::Deployed => "deployed",
        AppState::Serving => "serving",
        AppState::Stopped => "stopped",
    }
}
