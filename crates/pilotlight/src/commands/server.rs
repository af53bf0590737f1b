//! `pilotlight server`: the server in the foreground, and as a daemon.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::Duration;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use pilotlight_api::progress::Status as ServerStatus;
use pilotlight_sandbox::Isolation;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::link;
use crate::cli::ServerCommand;
use crate::config::{self, Config};
use crate::exit::{Status, UserError};
use crate::printer::Printer;
use crate::serve::boot::{Kind, Server};

/// Set by `server start` for the process that becomes the daemon; its value is not used.
const DAEMON: &str = "PILOTLIGHT_DAEMON";

/// How long the server may take to let go of everything when it is told to end.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Runs a `server` command; without one, the server itself in the foreground.
pub(crate) async fn run(
    config: &Config,
    command: Option<ServerCommand>,
    printer: &Printer,
) -> anyhow::Result<Status> {
    match command {
        None => foreground(config, printer).await,
        Some(ServerCommand::Start { isolated }) => {
            let config = config.clone().isolated(isolated.wanted());
            if let Ok(status) = link::daemon(&config).status().await {
                link::check_daemon(&config, &status.isolation)?;
                printer.note(&format!("The server runs already (pid {})", status.pid));
            } else {
                start(&config, printer).await?;
            }
            Ok(Status::Success)
        }
        Some(ServerCommand::Stop) => stop(config, printer).await,
        Some(ServerCommand::Status) => status(config, printer).await,
    }
}

/// Serves until Ctrl-C, SIGTERM or `server stop`.
async fn foreground(config: &Config, printer: &Printer) -> anyhow::Result<Status> {
    let daemon = std::env::var_os(DAEMON).is_some();
    if daemon {
        // A session of its own: a terminal that closes takes only its own session with it (setsid(2)).
        rustix::process::setsid()?;
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let run_dir = config.daemon_run_dir();
    let server = tokio::select! {
        server = Server::start(config, &run_dir, Kind::Daemon) => server?,
        // Restoring apps may take long; what was begun is swept by the next start.
        _ = tokio::signal::ctrl_c() => return Ok(Status::Success),
        _ = terminate.recv() => return Ok(Status::Success),
    };
    link::tell_weaknesses(&server.weaknesses(), printer);
    for warning in server.warnings() {
        printer.warning(&warning);
    }
    let (apps, plural) = (server.deployed(), if server.deployed() == 1 { "" } else { "s" });
    printer.note(&format!("✓ Serving {apps} deployed app{plural}. Ctrl-C to stop"));
    if daemon {
        printer.out("ready");
    }
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        () = server.told_to_stop() => {}
    }
    printer.note("Stopping…");
    server.stop(STOP_LIMIT).await;
    Ok(Status::Success)
}

/// Starts the daemon and waits until it serves.
pub(crate) async fn start(config: &Config, printer: &Printer) -> anyhow::Result<()> {
    crate::serve::boot::make_state_dir(&config.state_dir)?;
    let logs = config.state_dir.join("logs");
    fs::create_dir_all(&logs)?;
    let path = logs.join("server.log");
    let log = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
    let began = log.metadata()?.len();
    let mut child = std::process::Command::new(std::env::current_exe()?)
        .arg("--state-dir")
        .arg(&config.state_dir)
        .arg("server")
        .args((config.isolation == Isolation::Process).then_some("--isolation=process"))
        .env(DAEMON, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(log.into_parts().0))
        .spawn()?;
    let stdout = child.stdout.take().expect("the daemon's stdout is piped");
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map(|_| line)
    })
    .await??;
    if line.trim() == "ready" {
        printer.note(&format!("✓ Server started (pid {}). Its log: {}", child.id(), path.display()));
        link::weaknesses(&link::daemon(config), printer).await;
        return Ok(());
    }
    _ = tokio::task::spawn_blocking(move || child.wait()).await?;
    let text = fs::read(&path)?;
    let text = String::from_utf8_lossy(&text[usize::try_from(began)?.min(text.len())..]).into_owned();
    Err(UserError { message: "the server did not start".into(), hint: None, detail: Some(text) }.into())
}

async fn stop(config: &Config, printer: &Printer) -> anyhow::Result<Status> {
    let client = link::daemon(config);
    let Ok(status) = client.status().await else {
        printer.note("No server is running");
        return Ok(Status::Success);
    };
    let pid = i32::try_from(status.pid).ok().and_then(rustix::process::Pid::from_raw);
    // Opened before the order to stop: the pid cannot have been given to another process yet.
    let process =
        pid.map(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())).transpose()?;
    client.shutdown().await?;
    if let Some(process) = process {
        let ended = tokio::task::spawn_blocking(move || {
            // A pidfd becomes readable when its process ends (pidfd_open(2)).
            let mut ended = [PollFd::new(&process, PollFlags::IN)];
            let limit = Timespec { tv_sec: STOP_LIMIT.as_secs().cast_signed() + 5, tv_nsec: 0 };
            rustix::event::poll(&mut ended, Some(&limit))
        });
        if ended.await?? == 0 {
            anyhow::bail!("the server (pid {}) was told to stop but still runs", status.pid);
        }
    }
    printer.note("✓ Server stopped. Deployed apps come back with `pilotlight server start`");
    Ok(Status::Success)
}

async fn status(config: &Config, printer: &Printer) -> anyhow::Result<Status> {
    let Ok(ServerStatus { version, pid, apps, isolation, .. }) = link::daemon(config).status().await else {
        printer.out("stopped");
        printer.note("Start it with `pilotlight server start`");
        return Ok(Status::UserError);
    };
    printer.out(&format!("running (pid {pid}, version {version}, {apps} apps)"));
    printer.note(&format!("Control socket: {}", config::control_socket(&config.daemon_run_dir()).display()));
    link::tell_weaknesses(&isolation, printer);
    _ = std::io::stdout().flush();
    Ok(Status::Success)
}
