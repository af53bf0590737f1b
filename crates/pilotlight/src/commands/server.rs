//! `pilotlight server`: the server in the foreground, and as a daemon.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use fs_err as fs;
use pilotlight_api::progress::{StartTimes, Status as ServerStatus};
use pilotlight_sandbox::{Isolation, Owner};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use super::link;
use crate::cli::ServerCommand;
use crate::config::{self, Config};
use crate::exit::{Status, UserError};
use crate::printer::Printer;
use crate::serve::boot::Kind;
use crate::serve::process::{self, Order, STOP_LIMIT};
use crate::serve::user;

/// Set by `server start` for the process that becomes the daemon; its value is not used.
const DAEMON: &str = "PILOTLIGHT_DAEMON";

/// Runs a `server` command; without one, the server itself in the foreground.
pub(crate) async fn run(
    config: &Config,
    command: Option<ServerCommand>,
    printer: &Printer,
) -> anyhow::Result<Status> {
    match command {
        // `main` has it done before there is a runtime.
        None => unreachable!("the server in the foreground is no command of the runtime's"),
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

/// Serves until Ctrl-C, SIGTERM or `server stop`: becomes the root of the server's processes.
pub(super) fn foreground(config: &Config, quiet: bool) -> anyhow::Result<ExitCode> {
    let announce = std::env::var_os(DAEMON).is_some();
    if announce {
        // A session of its own: a terminal that closes takes only its own session with it (setsid(2)).
        rustix::process::setsid()?;
    }
    let order = Order::new(config, Kind::Daemon, config.daemon_run_dir());
    process::supervise(&Order { announce, quiet, ..order })
}

/// Starts the daemon and waits until it serves.
pub(crate) async fn start(config: &Config, printer: &Printer) -> anyhow::Result<()> {
    let owner = user::of_server(config.isolation)?;
    crate::serve::boot::make_state_dir(&config.state_dir, owner)?;
    let (mut log, path) = open_log(&config.state_dir, owner)?;
    let began = log.metadata()?.len();
    let mut child = std::process::Command::new(std::env::current_exe()?)
        .arg("--state-dir")
        .arg(&config.state_dir)
        .arg("server")
        .args((config.isolation == Isolation::Process).then_some("--isolation=process"))
        .env(DAEMON, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(log.try_clone()?))
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
    let mut text = Vec::new();
    log.seek(SeekFrom::Start(began))?;
    log.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    Err(UserError { message: "the server did not start".into(), hint: None, detail: Some(text) }.into())
}

/// Opens the daemon's own log. The state directory is the server's, who may have put links there: none is followed.
fn open_log(state_dir: &Path, owner: Owner) -> anyhow::Result<(std::fs::File, PathBuf)> {
    let (user, group) = (Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)));
    let top = fs::canonicalize(state_dir)?;
    let top =
        rustix::fs::openat(CWD, top, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    match rustix::fs::mkdirat(&top, "logs", Mode::RWXU) {
        Ok(()) => rustix::fs::chownat(&top, "logs", user, group, AtFlags::SYMLINK_NOFOLLOW)?,
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let log = rustix::fs::openat2(&top, "logs/server.log", flags, Mode::RUSR | Mode::WUSR, resolve)?;
    // What exists may be another name of somebody's file.
    let stat = rustix::fs::fstat(&log)?;
    if stat.st_nlink == 1 {
        rustix::fs::fchown(&log, user, group)?;
    }
    Ok((log.into(), state_dir.join("logs/server.log")))
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
    let status = link::daemon(config).status().await;
    let Ok(ServerStatus { version, pid, apps, isolation, starts, zygotes, shells, room, .. }) = status else {
        printer.out("stopped");
        printer.note("Start it with `pilotlight server start`");
        return Ok(Status::UserError);
    };
    printer.out(&format!("running (pid {pid}, version {version}, {apps} apps)"));
    printer.note(&format!("Kept ready: {zygotes} zygotes, {shells} shells"));
    printer.note(&format!(
        "Containers ask for {} of {} MiB, and {} of {} processors",
        room.memory_mib,
        room.memory_mib_max,
        processors(room.cpu_millis),
        processors(room.cpu_millis_max),
    ));
    printer.note(&format!("Control socket: {}", config::control_socket(&config.daemon_run_dir()).display()));
    for StartTimes { path, count, p50_ms, p99_ms } in starts {
        printer.note(&format!("Starts by {path}: {count}, p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms"));
    }
    link::tell_weaknesses(&isolation, printer);
    _ = std::io::stdout().flush();
    Ok(Status::Success)
}

/// Thousandths of a processor as a number without needless digits.
fn processors(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
