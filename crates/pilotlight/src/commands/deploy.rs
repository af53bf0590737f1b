//! `pilotlight deploy`: an app at persistent URLs on the daemon.

use std::io::IsTerminal as _;

use pilotlight_api::wire::{CreateApp, Mode};

use super::follow::{self, Reports, Shown};
use super::{app, link, server};
use crate::cli::{DeployArgs, LogsArgs, Strategy};
use crate::config::Config;
use crate::exit::{Status, UserError};
use crate::printer::Printer;

/// Deploys the program, replacing the version that runs under the same name.
pub(crate) async fn run(config: &Config, args: DeployArgs, printer: &Printer) -> anyhow::Result<Status> {
    let mut reports = Reports::to(args.output.report_fd)?;
    old(printer, &args);
    let client = link::daemon(config);
    match client.status().await {
        Ok(status) => link::check_daemon(config, &status.isolation)?,
        Err(_) => offer_start(config, printer).await?,
    }
    let loaded = super::load(config, &args.source, printer).await?;
    super::check_served(&loaded.manifest)?;
    let Some(name) = args.name.or_else(|| loaded.manifest.app.name.clone()) else {
        return Err(UserError::new(
            "a deployment needs a name",
            format!(
                "give one with `pilotlight deploy {} --name my-app`, or in the file: `pilotlight.App(\"my-app\")`",
                args.source.reference()
            ),
        )
        .into());
    };
    super::check_name(&name)?;
    link::upload(&client, &loaded, printer).await?;
    let request = CreateApp {
        manifest: loaded.manifest,
        mode: Mode::Deploy,
        name: Some(name),
        verify: !args.no_verify,
        take_over: false,
        dev_suffix: None,
    };
    let mut stream = client.create_app(&request).await?;
    let shown = Shown { verb: "Deployed", cached: true };
    let version = follow::until_ready(&mut stream, printer, shown).await?;
    let app = &version.app;
    printer.note(&format!("✓ App {} v{} is deployed", app.name, app.version));
    reports.tell(&version);
    if args.stream_logs {
        let logs = LogsArgs::of(app.id.clone(), args.output.timestamps);
        return app::logs(&client, logs, printer).await;
    }
    Ok(Status::Success)
}

/// Tells what options of Modal's do here.
fn old(printer: &Printer, args: &DeployArgs) {
    super::old(printer, &args.source.reading.old);
    if args.strategy == Some(Strategy::Recreate) {
        printer.warning(
            "`--strategy recreate` has no effect: the old version goes on until the new one is ready",
        );
    }
    if args.tag.is_some() {
        printer.warning("`--tag` has no effect: versions are numbered");
    }
}

/// Without a server there is nowhere to deploy to: on a terminal the user is asked, elsewhere told.
async fn offer_start(config: &Config, printer: &Printer) -> anyhow::Result<()> {
    let hint = "start it with `pilotlight server start`, then deploy again";
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(UserError::new("no server is running", hint).into());
    }
    if !super::asked(printer, "No server is running. Start one now? [Y/n]", true).await? {
        return Err(UserError::new("no server is running", hint).into());
    }
    server::start(config, printer).await
}
