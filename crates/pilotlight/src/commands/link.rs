//! Finds the server that a command talks to, and gives it what it lacks.

use std::time::{Duration, Instant};

use pilotlight_api::client::Client;
use pilotlight_api::progress::MissingPart;

use crate::config::{self, Config};
use crate::discover::Loaded;
use crate::exit::UserError;
use crate::printer::Printer;
use crate::serve::boot::{self, Server};

/// How long a server inside this process may take to let go of everything.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// A server to talk to: the daemon, or one inside this process.
pub(crate) struct Link {
    /// The way to it.
    pub(crate) client: Client,
    embedded: Option<Server>,
}

impl Link {
    /// The local daemon if one runs, else a server started inside this process.
    pub(crate) async fn open(config: &Config, printer: &Printer) -> anyhow::Result<Self> {
        let client = daemon(config);
        if let Ok(status) = client.status().await {
            tell_weaknesses(&status.isolation, printer);
            return Ok(Self { client, embedded: None });
        }
        let run_dir = config.embedded_run_dir();
        let server = Server::start(config, &run_dir, crate::serve::boot::Kind::Embedded).await?;
        tell_weaknesses(&server.weaknesses(), printer);
        Ok(Self { client: Client::new(config::control_socket(&run_dir)), embedded: Some(server) })
    }

    /// Lets go of the server; one inside this process ends, with all that it holds.
    pub(crate) async fn close(self) {
        if let Some(server) = self.embedded {
            server.stop(CLOSE_LIMIT).await;
        }
    }
}

/// Refuses at once what a server in this process would refuse after seconds of preparation.
pub(crate) async fn check(config: &Config) -> anyhow::Result<()> {
    if let Ok(status) = daemon(config).status().await {
        return check_daemon(config, &status.isolation);
    }
    let (state_dir, isolation) = (config.state_dir.clone(), config.isolation);
    tokio::task::spawn_blocking(move || {
        boot::check_isolation(isolation)?;
        boot::make_state_dir(&state_dir)
    })
    .await?
}

/// Refuses `--isolation=process` where a server runs that does otherwise: the option would have no effect.
pub(crate) fn check_daemon(config: &Config, weaknesses: &[MissingPart]) -> anyhow::Result<()> {
    let wanted = config.weaknesses();
    if wanted.iter().all(|part| weaknesses.contains(part)) {
        return Ok(());
    }
    let hint = "stop it with `pilotlight server stop`, or leave out `--isolation`";
    Err(UserError::new("the server that runs was started without `--isolation=process`", hint).into())
}

/// Says what a server does not give, each as a warning.
pub(crate) fn tell_weaknesses(weaknesses: &[MissingPart], printer: &Printer) {
    for missing in weaknesses {
        printer.warning(&missing.to_string());
    }
}

/// As [`tell_weaknesses`], of the server behind `client`.
pub(crate) async fn weaknesses(client: &Client, printer: &Printer) {
    if let Ok(status) = client.status().await {
        tell_weaknesses(&status.isolation, printer);
    }
}

/// The way to the local daemon, whether it runs or not.
pub(crate) fn daemon(config: &Config) -> Client {
    Client::new(config::control_socket(&config.daemon_run_dir()))
}

/// Uploads the files of `loaded` that the server does not have yet.
pub(crate) async fn upload(client: &Client, loaded: &Loaded, printer: &Printer) -> anyhow::Result<()> {
    let began = Instant::now();
    let files = loaded.manifest.files.iter();
    let digests: Vec<String> = files.filter_map(|file| file.digest.clone()).collect();
    let missing = client.missing_blobs(digests).await?;
    let (files, mut bytes) = (missing.len(), 0);
    for digest in missing {
        if let Some(content) = loaded.content(&digest)? {
            bytes += content.len();
            client.put_blob(&digest, content).await?;
        }
    }
    if files > 0 {
        let (plural, kib) = (if files == 1 { "" } else { "s" }, bytes.div_ceil(1024));
        let text = format!("Uploaded {files} file{plural}, {kib} KiB");
        printer.step_done("upload", &text, began.elapsed().as_secs_f64(), false);
    }
    Ok(())
}
