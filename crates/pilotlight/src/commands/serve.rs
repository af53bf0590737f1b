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

use super::follow::{self, Reports, Shown, Version};
use super::link::{self, Link};
use super::steps;
use super::stop::Stop;
use crate::cli::{self, ServeArgs};
use crate::config::{Config, env};
use crate::discover::{Discovery, Failure, Loaded};
use crate::exit::{self, Status, UserError};
use crate::printer::Printer;
use crate::watch::Watch;

/// How long cancelled preparations may take to clean up.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

/// How long what containers print at their end is waited for. Longer than the server lets them take.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(10);

/// What is asked of the server beside the program.
struct Wishes {
    name: Option<String>,
    take_over: bool,
    dev_suffix: Option<String>,
}

/// Serves the program until Ctrl-C, SIGTERM or the timeout.
pub(crate) async fn run(config: &Config, args: ServeArgs, printer: &Printer) -> anyhow::Result<Status> {
    let timeout = args.timeout.map_or_else(timeout_of_environment, |timeout| Ok(Some(timeout)))?;
    let began = tokio::time::Instant::now();
    let mut stop = Stop::new(timeout.map(|after| began + after))?;
    let mut reports = Reports::to(args.output.report_fd)?;
    let dev_suffix = args.dev_suffix.clone().or_else(|| env::setting(env::DEV_SUFFIX));
    let mut wishes = Wishes { name: args.name.clone(), take_over: args.take_over, dev_suffix };
    if let Some(name) = &wishes.name {
        super::check_name(name)?;
    }
    super::old(printer, &args.source.reading.old);
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
    let (discovery, mut loaded) = prepared;
    let settings = std::mem::take(&mut loaded.manifest.settings);
    // A block of a script says itself how long it lasts.
    if let (None, None, Some(seconds)) = (timeout, args.output.report_fd, settings.serve_timeout) {
        stop.after(began, Duration::try_from_secs_f64(seconds).unwrap_or_default());
    }
    wishes.dev_suffix = wishes.dev_suffix.or(settings.dev_suffix);
    let link = Link::open(config, printer).await?;
    let session = Session { client: &link.client, discovery: &discovery, printer };
    let outcome = session.run(loaded, wishes, !args.no_reload, &mut reports, &mut stop).await;
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
        move |progress| {
            let python = source.reading.python();
            Discovery::prepare(&config, source.reference(), python.as_deref(), progress, &cancel)
        }
    })
    .await?;
    let loaded = discovery.run().await?.map_err(|failure| failure.error)?;
    super::notices(printer, &loaded.manifest);
    // A script may run its own entrypoint while it serves nothing.
    if args.output.report_fd.is_none() {
        super::check_served(&loaded.manifest)?;
    }
    Ok((discovery, loaded))
}

/// An app from its creation to its end.
struct Session<'a> {
    client: &'a Client,
    discovery: &'a Discovery,
    printer: &'a Printer,
}

impl Session<'_> {
    async fn run(
        &self,
        loaded: Loaded,
        wishes: Wishes,
        reloading: bool,
        reports: &mut Reports,
        stop: &mut Stop,
    ) -> anyhow::Result<Status> {
        let Self { client, printer, .. } = *self;
        let mut watch = reloading.then(Watch::new).transpose()?;
        if let Some(watch) = &mut watch {
            watch.loaded(&loaded);
        }
        let watching = summary(&loaded.local_files().map(|file| shown(&file.local)).collect::<Vec<_>>());
        link::upload(client, &loaded, printer).await?;
        let Wishes { name, take_over, dev_suffix } = wishes;
        let (manifest, mode) = (loaded.manifest, Mode::Ephemeral);
        let request = CreateApp { manifest, mode, name, verify: false, take_over, dev_suffix };
        let mut stream = client.create_app(&request).await?;
        let mut version = tokio::select! {
            version = follow::until_ready(&mut stream, printer, Shown { verb: "Created", cached: true }) => version?,
            () = stop.wait() => {
                printer.clear_steps();
                printer.note("Stopping…");
                return Ok(Status::Success);
            }
        };
        let watching = if reloading { format!(" Watching {watching}") } else { String::new() };
        printer.note(&format!("⚡ Serving… Ctrl-C to stop.{watching}"));
        reports.tell(&version);
        self.prepare_next(reloading).await;
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
                (watch, (changed, others)) = changed(&mut watch) => {
                    let more = if others == 0 { String::new() } else { format!(" and {others} more") };
                    printer.note(&format!("↻ {}{more} changed", shown(&changed)));
                    tokio::select! {
                        reloaded = self.reload(&version, watch) => {
                            if let Some(newer) = reloaded? {
                                reports.tell(&newer);
                                version = newer;
                            }
                            self.prepare_next(reloading).await;
                        }
                        () = stop.wait() => return self.end(&version, &mut stream).await,
                    }
                }
                () = stop.wait() => return self.end(&version, &mut stream).await,
            }
        }
    }

    /// Stops the app. The stream's end would do it too; this way it is over when the command returns.
    async fn end(&self, version: &Version, stream: &mut Lines<Progress>) -> anyhow::Result<Status> {
        self.printer.clear_steps();
        self.printer.note("Stopping…");
        let last_words = async {
            while let Ok(Some(progress)) = stream.next().await {
                if matches!(progress, Progress::Stopped { .. }) {
                    break;
                }
                steps::show(self.printer, "Created", &progress);
            }
        };
        let stop = self.client.stop(&version.app.id);
        let (stopped, _) = tokio::join!(stop, tokio::time::timeout(LAST_WORDS_LIMIT, last_words));
        stopped?;
        self.printer.note("✓ App stopped");
        Ok(Status::Success)
    }

    /// Brings the app to the files as they are now. One that does not load leaves the last good version serving.
    async fn reload(&self, old: &Version, watch: &mut Watch) -> anyhow::Result<Option<Version>> {
        let Self { client, printer, .. } = *self;
        let began = Instant::now();
        let loaded = match self.discovery.run().await? {
            Ok(loaded) => loaded,
            Err(Failure { error, files }) => {
                watch.failed(files);
                self.broken(&error.into());
                return Ok(None);
            }
        };
        let read = began.elapsed();
        watch.loaded(&loaded);
        if let Err(error) = super::check_served(&loaded.manifest) {
            self.broken(&error.into());
            return Ok(None);
        }
        // A file that was saved again since it was read, or is gone for an instant: its own event brings it.
        if let Err(error) = link::upload(client, &loaded, printer).await {
            if error.is::<std::io::Error>() {
                tracing::debug!(%error, "an upload was overtaken by a save");
            } else {
                self.broken(&error);
            }
            return Ok(None);
        }
        let uploaded = began.elapsed();
        let functions: Vec<String> =
            loaded.manifest.functions.iter().map(|function| function.name.clone()).collect();
        let mut stream = match client.update_app(&old.app.id, loaded.manifest).await {
            Err(ClientError::Api(error)) if error.code == Code::MissingBlobs => return Ok(None),
            stream => stream?,
        };
        let shown = Shown { verb: "Created", cached: false };
        let mut version = match follow::until_ready(&mut stream, printer, shown).await {
            Ok(version) => version,
            Err(error)
                if matches!(error.downcast_ref(), Some(ClientError::Api(_))) || error.is::<UserError>() =>
            {
                self.broken(&error);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        tracing::debug!(?read, ?uploaded, serving = ?began.elapsed(), "reloaded");
        printer.note(&format!("✓ Updated in {} ms", began.elapsed().as_millis()));
        // Told are the new URLs only.
        let kept = old.urls.iter().filter(|(function, _)| functions.contains(function));
        for (function, url) in kept {
            version.urls.entry(function.clone()).or_insert_with(|| url.clone());
        }
        Ok(Some(version))
    }

    /// What the next save needs is begun when this one is over: they share the machine.
    async fn prepare_next(&self, reloading: bool) {
        if reloading {
            self.discovery.prepare_next().await;
        }
    }

    fn broken(&self, error: &anyhow::Error) {
        exit::report(self.printer, error);
        self.printer.note("The last good version goes on serving");
    }
}

/// Waits for a change, for ever where nothing is watched. Cancel safe.
async fn changed(watch: &mut Option<Watch>) -> (&mut Watch, (std::path::PathBuf, usize)) {
    match watch {
        Some(watch) => {
            let changed = watch.changed().await;
            (watch, changed)
        }
        None => std::future::pending().await,
    }
}

fn timeout_of_environment() -> anyhow::Result<Option<Duration>> {
    let Some(text) = env::setting(env::SERVE_TIMEOUT) else { return Ok(None) };
    cli::seconds(&text).map(Some).map_err(|hint| {
        UserError::new(format!("the serve timeout in the environment is no time: `{text}`"), hint).into()
    })
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
