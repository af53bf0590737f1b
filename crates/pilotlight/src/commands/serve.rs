//! `pilotlight serve`: an app at temporary URLs for as long as the command runs, updated at every save.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pilotlight_api::client::{Client, ClientError, Lines};
use pilotlight_api::error::Code;
use pilotlight_api::progress::Progress;
use pilotlight_api::wire::{CreateApp, Mode};

use super::link::{self, Link};
use super::steps;
use crate::cli::ServeArgs;
use crate::config::{Config, env};
use crate::discover::{Discovery, Failure, Loaded};
use crate::exit::{Status, UserError};
use crate::printer::Printer;
use crate::watch::Watch;

/// How long cancelled preparations may take to clean up.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

/// How long what containers print at their end is waited for. Longer than the server lets them take.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(10);

/// Serves the file until Ctrl-C, SIGTERM or the timeout.
pub(crate) async fn run(config: &Config, args: ServeArgs, printer: &Printer) -> anyhow::Result<Status> {
    let deadline = args.timeout.map(Duration::try_from_secs_f64).transpose().map_err(|_| {
        UserError::new(
            "`--timeout` is not a number of seconds",
            "give a positive number, for example `--timeout 60`",
        )
    })?;
    let end = deadline.map(|after| tokio::time::Instant::now() + after);
    let mut stop = Stop::new(end)?;
    link::check(config).await?;
    let cancel = Arc::new(AtomicBool::new(false));
    let mut preparing = pin!(prepare(config, &args, printer, &cancel));
    let prepared = tokio::select! {
        prepared = &mut preparing => prepared?,
        () = stop.wait() => {
            printer.clear_steps();
            printer.note("Stopping…");
            cancel.store(true, Ordering::Relaxed);
            // Programs that it runs are ended and what they made so far is removed.
            _ = tokio::time::timeout(CANCEL_LIMIT, preparing).await;
            return Ok(Status::Success);
        }
    };
    let (discovery, loaded) = prepared;
    let link = Link::open(config).await?;
    let outcome = session(&link.client, &discovery, loaded, printer, &mut stop).await;
    link.close().await;
    outcome
}

async fn prepare(
    config: &Config,
    args: &ServeArgs,
    printer: &Printer,
    cancel: &Arc<AtomicBool>,
) -> anyhow::Result<(Discovery, Loaded)> {
    let discovery = steps::blocking(printer, {
        let (config, source, cancel) = (config.clone(), args.source.clone(), Arc::clone(cancel));
        move |progress| Discovery::prepare(&config, &source, progress, &cancel)
    })
    .await?;
    let loaded = discovery.run().await?.map_err(|failure| failure.error)?;
    super::notices(printer, &loaded.manifest);
    Ok((discovery, loaded))
}

/// The app from its creation to its end.
async fn session(
    client: &Client,
    discovery: &Discovery,
    loaded: Loaded,
    printer: &Printer,
    stop: &mut Stop,
) -> anyhow::Result<Status> {
    let mut watch = Watch::new()?;
    watch.loaded(&loaded);
    let watching = summary(&loaded.local_files().map(|file| shown(&file.local)).collect::<Vec<_>>());
    link::upload(client, &loaded, printer).await?;
    let request = CreateApp {
        manifest: loaded.manifest,
        mode: Mode::Ephemeral,
        name: None,
        verify: false,
        take_over: false,
        dev_suffix: None,
    };
    let mut stream = client.create_app(&request).await?;
    let app = tokio::select! {
        ready = wait_ready(&mut stream, printer) => ready?,
        () = stop.wait() => {
            printer.clear_steps();
            printer.note("Stopping…");
            return Ok(Status::Success);
        }
    };
    printer.note(&format!("⚡ Serving… Ctrl-C to stop. Watching {watching}"));
    loop {
        tokio::select! {
            progress = stream.next() => match progress? {
                Some(Progress::Stopped { reason }) => {
                    printer.note(&format!("The app was stopped: {reason}"));
                    return Ok(Status::Success);
                }
                Some(progress) => steps::show(printer, "Created", &progress),
                None => anyhow::bail!("the server went away"),
            },
            (changed, others) = watch.changed() => {
                let more = if others == 0 { String::new() } else { format!(" and {others} more") };
                printer.note(&format!("↻ {}{more} changed", shown(&changed)));
                tokio::select! {
                    reloaded = reload(client, &app, discovery, &mut watch, printer) => reloaded?,
                    () = stop.wait() => return end(client, &app, &mut stream, printer).await,
                }
            }
            () = stop.wait() => return end(client, &app, &mut stream, printer).await,
        }
    }
}

/// Stops the app. The stream's end would do it too; this way it is over when the command returns.
async fn end(
    client: &Client,
    app: &str,
    stream: &mut Lines<Progress>,
    printer: &Printer,
) -> anyhow::Result<Status> {
    printer.clear_steps();
    printer.note("Stopping…");
    let last_words = async {
        while let Ok(Some(progress)) = stream.next().await {
            if matches!(progress, Progress::Stopped { .. }) {
                break;
            }
            steps::show(printer, "Created", &progress);
        }
    };
    let (stopped, _) = tokio::join!(client.stop(app), tokio::time::timeout(LAST_WORDS_LIMIT, last_words));
    stopped?;
    printer.note("✓ App stopped");
    Ok(Status::Success)
}

/// Shows the creation's progress until the app is ready, and returns its id.
async fn wait_ready(stream: &mut Lines<Progress>, printer: &Printer) -> anyhow::Result<String> {
    while let Some(progress) = stream.next().await? {
        match progress {
            Progress::Ready { app_id, .. } => return Ok(app_id),
            Progress::Failed { code, message, hint, detail } => {
                return Err(super::failed(&code, message, hint, detail));
            }
            other => steps::show(printer, "Created", &other),
        }
    }
    anyhow::bail!("the server went away before the app was ready")
}

/// Brings the app to the files as they are now. A file that does not load leaves the last good version serving.
async fn reload(
    client: &Client,
    app: &str,
    discovery: &Discovery,
    watch: &mut Watch,
    printer: &Printer,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let loaded = match discovery.run().await? {
        Ok(loaded) => loaded,
        Err(Failure { error, files }) => {
            printer.error(&error.message, error.hint.as_deref(), error.detail.as_deref());
            printer.note("The last good version goes on serving");
            watch.failed(files);
            return Ok(());
        }
    };
    watch.loaded(&loaded);
    // A file that was saved again since it was read, or is gone for an instant: its own event brings it.
    if let Err(error) = link::upload(client, &loaded, printer).await {
        tracing::debug!(%error, "an upload was overtaken by a save");
        return Ok(());
    }
    let mut stream = match client.update_app(app, loaded.manifest).await {
        Err(ClientError::Api(error)) if error.code == Code::MissingBlobs => return Ok(()),
        stream => stream?,
    };
    while let Some(progress) = stream.next().await? {
        match progress {
            Progress::Ready { .. } => {
                printer.note(&format!("✓ Updated in {} ms", began.elapsed().as_millis()));
                return Ok(());
            }
            Progress::Failed { message, hint, detail, .. } => {
                printer.error(&message, hint.as_deref(), detail.as_deref());
                printer.note("The last good version goes on serving");
                return Ok(());
            }
            // That nothing had to be built is no news at every save.
            Progress::StepDone { cached: true, .. } => {}
            other => steps::show(printer, "Created", &other),
        }
    }
    anyhow::bail!("the server went away during the update")
}

/// A path as the user would write it: relative to the working directory where it lies below it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    // Below `/` everything is, and nothing is shorter.
    let here = Some(here).filter(|here| here.parent().is_some());
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).display().to_string()
}

/// Up to three names, and how many more.
fn summary(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names if names.len() <= 3 => names.join(", "),
        names => format!("{} and {} more files", names[..2].join(", "), names.len() - 2),
    }
}

/// Arranges that the script which handed over to this command takes it along when it ends. `false`: it ended already.
fn end_with_parent() -> anyhow::Result<bool> {
    let Some(parent) = std::env::var(env::PARENT).ok().and_then(|pid| pid.parse().ok()) else {
        return Ok(true);
    };
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    Ok(rustix::process::getppid() == rustix::process::Pid::from_raw(parent))
}

/// What ends the command from outside: Ctrl-C, SIGTERM, SIGHUP, the timeout.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    end: Option<tokio::time::Instant>,
}

impl Stop {
    fn new(end: Option<tokio::time::Instant>) -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let end = if end_with_parent()? { end } else { Some(tokio::time::Instant::now()) };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            end,
        })
    }

    async fn wait(&mut self) {
        let end = self.end;
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
            () = async { match end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            } } => {}
        }
    }
}
