//! Finds the server that a command talks to, and gives it what it lacks.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use pilotlight_api::client::Client;
use pilotlight_api::progress::MissingPart;
use pilotlight_sandbox::Isolation;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::config::{self, Config};
use crate::discover::Loaded;
use crate::exit::UserError;
use crate::printer::Printer;
use crate::serve::boot::{self, Kind};
use crate::serve::process::{self, Order, Report};
use crate::serve::user;

/// How long a server of this command's own may take to let go of everything, beyond what it gives itself.
const CLOSE_LIMIT: Duration = Duration::from_secs(35);

/// The longest word of a server about its start.
const REPORT_MAX: u64 = 1024 * 1024;

/// A server to talk to: the daemon, or one of this command's own.
pub(crate) struct Link {
    /// The way to it.
    pub(crate) client: Client,
    embedded: Option<Embedded>,
}

/// A server that lives as long as this command: by a socket that closes with it, however it ends.
struct Embedded {
    process: Child,
    life: UnixStream,
}

impl Link {
    /// The local daemon if one runs, else a server of this command's own.
    pub(crate) async fn open(config: &Config, printer: &Printer) -> anyhow::Result<Self> {
        let client = daemon(config);
        if let Ok(status) = client.status().await {
            tell_weaknesses(&status.isolation, printer);
            return Ok(Self { client, embedded: None });
        }
        let run_dir = config.embedded_run_dir();
        let (embedded, weaknesses) = Embedded::start(config, &run_dir).await?;
        tell_weaknesses(&weaknesses, printer);
        Ok(Self { client: Client::new(config::control_socket(&run_dir)), embedded: Some(embedded) })
    }

    /// Lets go of the server; one of this command's own ends, with all that it holds.
    pub(crate) async fn close(self) {
        if let Some(Embedded { mut process, life }) = self.embedded {
            drop(life);
            if tokio::time::timeout(CLOSE_LIMIT, process.wait()).await.is_err() {
                tracing::warn!("the server does not end; the next start removes what it leaves");
            }
        }
    }
}

impl Embedded {
    /// Starts it and waits until it serves; what it lacks.
    async fn start(config: &Config, run_dir: &Path) -> anyhow::Result<(Self, Vec<MissingPart>)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let order = Order::new(config, Kind::Embedded, run_dir.to_owned());
        let mut command = Command::new(std::env::current_exe()?);
        command.args([process::SUPERVISOR, &order.to_argument()]);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
        // Not of the terminal's foreground group: what Ctrl-C means is this command's to say.
        let process = command.process_group(0).spawn()?;
        drop(command);
        ours.set_nonblocking(true)?;
        let mut life = UnixStream::from_std(ours)?;
        let mut line = Vec::new();
        BufReader::new((&mut life).take(REPORT_MAX)).read_until(b'\n', &mut line).await?;
        match serde_json::from_slice(&line) {
            Ok(Report::Ready { weaknesses }) => Ok((Self { process, life }, weaknesses)),
            Ok(Report::Failed { user: true, message, hint, detail }) => {
                Err(UserError { message, hint, detail }.into())
            }
            Ok(Report::Failed { message, .. }) => Err(anyhow::anyhow!(message)),
            Err(_) => anyhow::bail!("the server ended while it started"),
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
        boot::make_state_dir(&state_dir, user::of_server(isolation)?)
    })
    .await?
}

/// Refuses `--isolation=process` where a server runs that does otherwise: the option would have no effect.
pub(crate) fn check_daemon(config: &Config, weaknesses: &[MissingPart]) -> anyhow::Result<()> {
    let wanted = config.weaknesses();
    if config.isolation == Isolation::Sandbox || wanted.iter().all(|part| weaknesses.contains(part)) {
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

/// The servers of this state directory: the daemon, then those inside commands that serve.
pub(crate) async fn servers(config: &Config) -> Vec<Client> {
    let mut found = Vec::new();
    let daemon = daemon(config);
    if daemon.status().await.is_ok() {
        found.push(daemon);
    }
    let is_other = |run_dir: &PathBuf| *run_dir != config.daemon_run_dir();
    for run_dir in config.embedded_run_dirs().into_iter().filter(is_other) {
        let client = Client::new(config::control_socket(&run_dir));
        // What a killed command left answers nobody.
        if client.status().await.is_ok_and(|status| status.state_dir == config.state_dir) {
            found.push(client);
        }
    }
    found
}

/// The server that has an app of this id or name; without one the first there is.
pub(crate) async fn server_of(config: &Config, app: &str) -> Client {
    let servers = servers(config).await;
    for client in &servers {
        let apps = client.list().await.unwrap_or_default();
        if apps.iter().any(|one| one.id == app || one.name == app) {
            return client.clone();
        }
    }
    servers.into_iter().next().unwrap_or_else(|| daemon(config))
}

/// Uploads the files of `loaded` that the server does not have yet.
pub(crate) async fn upload(client: &Client, loaded: &Loaded, printer: &Printer) -> anyhow::Result<()> {
    let began = Instant::now();
    let digests: Vec<String> = loaded.local_files().filter_map(|file| file.digest.clone()).collect();
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
