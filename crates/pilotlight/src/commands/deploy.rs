//! `pilotlight deploy`: an app at persistent URLs on the daemon.

use std::io::IsTerminal as _;
use std::sync::atomic::AtomicBool;

use pilotlight_api::progress::Progress;
use pilotlight_api::wire::{CreateApp, Mode};

use super::{link, server, steps};
use crate::cli::DeployArgs;
use crate::config::Config;
use crate::discover::Discovery;
use crate::exit::{Status, UserError};
use crate::printer::Printer;

/// Deploys the file, replacing the version that runs under the same name.
pub(crate) async fn run(config: &Config, args: DeployArgs, printer: &Printer) -> anyhow::Result<Status> {
    let client = link::daemon(config);
    if client.status().await.is_err() {
        offer_start(config, printer).await?;
    }
    let discovery = steps::blocking(printer, {
        let (config, source) = (config.clone(), args.source.clone());
        move |progress| Discovery::prepare(&config, &source, progress, &AtomicBool::new(false))
    })
    .await?;
    let loaded = discovery.run().await?.map_err(|failure| failure.error)?;
    super::notices(printer, &loaded.manifest);
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
    pilotlight_core::name::check_app(&name)
        .map_err(|error| UserError::new(error.to_string(), "choose another name with `--name`"))?;
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
    while let Some(progress) = stream.next().await? {
        match progress {
            Progress::Ready { name, version, .. } => {
                printer.note(&format!("✓ App {name} v{version} is deployed"));
                return Ok(Status::Success);
            }
            Progress::Failed { code, message, hint, detail } => {
                return Err(super::failed(&code, message, hint, detail));
            }
            other => steps::show(printer, "Deployed", &other),
        }
    }
    anyhow::bail!("the server went away before the app was deployed; run `pilotlight server status`")
}

/// Without a server there is nowhere to deploy to: on a terminal the user is asked, elsewhere told.
async fn offer_start(config: &Config, printer: &Printer) -> anyhow::Result<()> {
    let hint = "start it with `pilotlight server start`, then deploy again";
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(UserError::new("no server is running", hint).into());
    }
    printer.note("No server is running. Start one now? [Y/n]");
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    })
    .await??;
    if !matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes") {
        return Err(UserError::new("no server is running", hint).into());
    }
    server::start(config, printer).await
}
