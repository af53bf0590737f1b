//! `pilotlight app list | logs | stop`.

use pilotlight_api::client::Client;
use pilotlight_api::progress::AppState;
use pilotlight_api::wire::LogQuery;

use super::link;
use crate::cli::AppCommand;
use crate::config::Config;
use crate::exit::Status;
use crate::printer::Printer;

/// Runs an `app` command against the running server.
pub(crate) async fn run(config: &Config, command: AppCommand, printer: &Printer) -> anyhow::Result<Status> {
    let client = link::daemon(config);
    match command {
        AppCommand::List => list(&client, printer).await,
        AppCommand::Logs { app, follow, tail } => logs(&client, &app, follow, tail, printer).await,
        AppCommand::Stop { app } => {
            client.stop(&app).await?;
            printer.note(&format!("✓ Stopped {app}"));
            Ok(Status::Success)
        }
    }
}

async fn list(client: &Client, printer: &Printer) -> anyhow::Result<Status> {
    let apps = client.list().await?;
    if apps.is_empty() {
        printer.note("No apps. Deploy one with `pilotlight deploy FILE --name NAME`");
        return Ok(Status::Success);
    }
    let mut rows = vec![["NAME", "STATE", "VERSION", "FUNCTION", "CONTAINERS", "URL"].map(str::to_owned)];
    for app in &apps {
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

async fn logs(
    client: &Client,
    app: &str,
    follow: bool,
    tail: u32,
    printer: &Printer,
) -> anyhow::Result<Status> {
    let mut lines = client.logs(app, LogQuery { tail, follow }).await?;
    loop {
        tokio::select! {
            line = lines.next() => match line? {
                Some(line) => printer.out(&format!("{} | {}", line.function, line.line)),
                None => return Ok(Status::Success),
            },
            _ = tokio::signal::ctrl_c() => return Ok(Status::Success),
        }
    }
}

fn state(state: AppState) -> &'static str {
    match state {
        AppState::Deployed => "deployed",
        AppState::Serving => "serving",
        AppState::Stopped => "stopped",
    }
}
