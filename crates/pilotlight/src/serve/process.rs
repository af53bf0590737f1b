//! The server as a process of its own: how it is ordered, what it does while it still has its starter's rights, and how
//! it gives them up before it starts a thread. `docs/design/0011-who-holds-what.md`
//!
//! ```text
//! command ──▶ supervisor ──▶ helper
//!    ╰─ life ─────╰────────▶ server: prelude, drop, serve
//! ```

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;
use pilotlight_api::progress::MissingPart;
use pilotlight_api::server::Reserved;
use pilotlight_core::hearth::Budget;
use pilotlight_core::room::Share;
use pilotlight_image::HostPython;
use pilotlight_image::settings::Settings;
use pilotlight_sandbox::{Isolation, Owner, PrivateNetworks, Supervisor};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

use super::boot::{self, Kind, Server};
use super::public::{Opened, Public};
use super::user;
use crate::config::{self, Config};
use crate::exit::{self, Status, UserError};
use crate::printer::Printer;

/// The hidden commands, by their first argument: root of a server's processes, and the server below it.
pub(crate) const SUPERVISOR: &str = "supervisor";
const SERVER: &str = "server-process";

/// How long an embedded server may take to let go of everything.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// How long the daemon may take to.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What of a state directory may be links of root's to other disks.
const PARTS: [&str; 7] = ["layers", "trees", "blobs", "scratch", "tools", "cache", "discovery"];

/// What a server is told by who starts it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) kind: Kind,
    pub(crate) state_dir: PathBuf,
    pub(crate) run_root: PathBuf,
    pub(crate) run_dir: PathBuf,
    pub(crate) rootless: bool,
    pub(crate) port: u16,
    pub(crate) isolation: Isolation,
    /// What zygotes may take: KiB, and how long one is kept unused.
    pub(crate) hearth: (u64, Duration),
    /// What containers may ask for together: memory in MiB, and thousandths of processors.
    pub(crate) room: (u64, u64),
    /// Which private networks containers reach.
    pub(crate) private: PrivateNetworks,
    /// How much a container may write whose function does not say it, MiB.
    pub(crate) disk_mib: Option<u64>,
    /// What images may take on disk, MiB.
    pub(crate) image_disk_mib: Option<u64>,
    /// What the world reaches.
    pub(crate) public: Public,
    /// Of a daemon: whether it tells its starter that it is ready.
    pub(crate) announce: bool,
    pub(crate) quiet: bool,
}

impl Order {
    /// For a server of this configuration.
    pub(crate) fn new(config: &Config, kind: Kind, run_dir: PathBuf) -> Self {
        Self {
            kind,
            state_dir: config.state_dir.clone(),
            run_root: config.run_root.clone(),
            run_dir,
            rootless: config.rootless,
            port: config.port,
            isolation: config.isolation,
            hearth: (config.hearth.kib, config.hearth.unused),
            room: (config.room.memory_mib, config.room.cpu_millis),
            private: config.private.clone(),
            disk_mib: config.disk_mib,
            image_disk_mib: config.image_disk_mib,
            public: config.public.clone(),
            announce: false,
            quiet: false,
        }
    }

    /// As an argument.
    pub(crate) fn to_argument(&self) -> String {
        serde_json::to_string(self).expect("an order has text keys only")
    }

    fn config(&self) -> Config {
        let Self {
            state_dir,
            run_root,
            rootless,
            port,
            isolation,
            hearth: (kib, unused),
            room: (memory_mib, cpu_millis),
            private,
            disk_mib,
            image_disk_mib,
            public,
            ..
        } = self.clone();
        let hearth = Budget { kib, unused };
        let room = Share { memory_mib, cpu_millis };
        Config {
            state_dir,
            run_root,
            rootless,
            port,
            isolation,
            hearth,
            room,
            private,
            disk_mib,
            image_disk_mib,
            public,
        }
    }
}

/// What an embedded server says once to the command that it belongs to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It serves.
    Ready {
        /// What of the isolation containers do not get.
        weaknesses: Vec<MissingPart>,
    },
    /// It does not, and ends.
    Failed {
        /// Whether it is something that the user can mend.
        user: bool,
        message: String,
        hint: Option<String>,
        detail: Option<String>,
    },
}

/// What a server has from the time before it gave up its rights.
pub(crate) struct Prelude {
    pub(crate) control: Reserved,
    /// The invoking user's interpreter.
    pub(crate) python: HostPython,
    /// The invoking user's settings of package index, proxy and certificates.
    pub(crate) settings: Settings,
    pub(crate) owner: Owner,
    pub(crate) supervisor: Arc<Supervisor>,
    /// Of a daemon: what the world reaches.
    pub(crate) public: Opened,
}

/// Runs one of the hidden commands, if the arguments name one. Before anything starts a thread.
pub(crate) fn hidden(arguments: &[String]) -> Option<ExitCode> {
    let [command, order] = arguments else { return None };
    let order = || serde_json::from_str::<Order>(order).ok();
    match command.as_str() {
        SUPERVISOR => Some(order().map_or(ExitCode::FAILURE, |order| {
            crate::init_tracing();
            let printer = Printer::new(order.quiet, false);
            supervise(&order).unwrap_or_else(|error| match order.kind {
                Kind::Daemon => exit::report(&printer, &error).into(),
                Kind::Embedded => told_in_vain(&error),
            })
        })),
        SERVER => Some(order().map_or(ExitCode::FAILURE, |order| {
            crate::init_tracing();
            server(&order).into()
        })),
        _ => None,
    }
}

/// Becomes the root of a server's processes until the server ends. Standard input of an embedded one is its life.
pub(crate) fn supervise(order: &Order) -> anyhow::Result<ExitCode> {
    boot::check_isolation(order.isolation)?;
    let owner = user::of_server(order.isolation)?;
    boot::make_state_dir(&order.state_dir, owner)?;
    boot::check_owner(&order.state_dir, owner, order.isolation)?;
    boot::make_run_root(&order.run_root)?;
    let order = Order { state_dir: fs::canonicalize(&order.state_dir)?, ..order.clone() };
    let options = pilotlight_sandbox::Options {
        isolation: order.isolation,
        owner,
        shown: Settings::of_this_machine().local_paths().to_vec(),
        private: order.private.clone(),
        ..pilotlight_sandbox::Options::new(&order.run_dir, &order.state_dir)
    };
    let mut server = std::process::Command::new("/proc/self/exe");
    server.args([SERVER, &order.to_argument()]);
    Ok(pilotlight_sandbox::supervise(&options, server, order.kind == Kind::Embedded)?)
}

/// A supervisor of an embedded server that cannot start it says so in its place.
fn told_in_vain(error: &anyhow::Error) -> ExitCode {
    if let Ok(life) = rustix::io::dup(std::io::stdin()) {
        tell(&life, &failed(error));
    }
    ExitCode::FAILURE
}

/// The server itself.
fn server(order: &Order) -> Status {
    let printer = Printer::new(order.quiet, false);
    let mut life = None;
    let served = serve(order, &printer, &mut life);
    match (served, life) {
        (Ok(status), _) => status,
        (Err(error), Some(life)) => {
            tell(&life, &failed(&error));
            Status::Failure
        }
        (Err(error), None) => exit::report(&printer, &error),
    }
}

fn serve(order: &Order, printer: &Printer, life: &mut Option<OwnedFd>) -> anyhow::Result<Status> {
    let parent = rustix::process::getppid().map_or(0, |parent| parent.as_raw_nonzero().get());
    let supervisor = Arc::new(Supervisor::at_stdin()?);
    if order.kind == Kind::Embedded {
        *life = Some(supervisor.life()?);
    }
    let owner = user::of_server(order.isolation)?;
    let prelude = prelude(order, supervisor, owner)?;
    pilotlight_sandbox::become_server(owner, Some(parent))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let config = order.config();
    let served = match life {
        Some(life) => {
            let stream = std::os::unix::net::UnixStream::from(life.try_clone()?);
            runtime.block_on(embedded(&config, &order.run_dir, prelude, stream))
        }
        None => runtime.block_on(foreground(&config, order, prelude, printer)),
    };
    // Blocking tasks (an image build that was cancelled) must not hold the process.
    runtime.shutdown_background();
    served
}

/// Opens and reads what the server's own user could not.
fn prelude(order: &Order, supervisor: Arc<Supervisor>, owner: Owner) -> anyhow::Result<Prelude> {
    pilotlight_sandbox::adopt(&order.state_dir, &PARTS, owner)?;
    for name in ["c", "hosts"] {
        let path = order.run_dir.join(name);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        fs::os::unix::fs::chown(&path, Some(owner.uid), Some(owner.gid))?;
    }
    let control = pilotlight_api::server::reserve(&config::control_socket(&order.run_dir))?;
    let python = HostPython::probe(Path::new("python3"))?;
    let mut settings = Settings::of_this_machine();
    if let Some(copy) = copy_of_certificates(&settings, &order.run_dir) {
        settings = settings.with_ca_file(copy?);
    }
    // While the machine's other files are still in sight.
    let public = if order.kind == Kind::Daemon { order.public.open()? } else { Opened::none() };
    let parts = PARTS.iter().map(|part| order.state_dir.join(part)).filter(|path| path.is_dir());
    let writable: Vec<PathBuf> = std::iter::once(order.state_dir.clone()).chain(parts).collect();
    let mut readable = pilotlight_image::host::installations();
    readable.push(python.base_prefix.clone());
    readable.extend(python.executable.parent().map(Path::to_owned));
    readable.extend(settings.local_paths().iter().cloned());
    let state = &order.state_dir;
    readable.extend(order.public.folders().into_iter().filter(|folder| !state.starts_with(folder)));
    pilotlight_sandbox::reveal(&writable, &readable, owner)?;
    Ok(Prelude { control, python, settings, owner, supervisor, public })
}

/// A copy of the bundle of certificates, which may lie where the server's user cannot read it.
fn copy_of_certificates(settings: &Settings, run_dir: &Path) -> Option<io::Result<PathBuf>> {
    let bytes = fs::read(settings.ca_file()?).ok()?;
    let path = run_dir.join("certificates.pem");
    let written = fs::write(&path, bytes)
        .and_then(|()| fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)));
    Some(written.map(|()| path))
}

/// Serves until Ctrl-C, SIGTERM or `server stop`.
async fn foreground(
    config: &Config,
    order: &Order,
    prelude: Prelude,
    printer: &Printer,
) -> anyhow::Result<Status> {
    let mut terminate = signal(SignalKind::terminate())?;
    let server = tokio::select! {
        server = Server::start(config, &order.run_dir, Kind::Daemon, prelude) => server?,
        // Restoring apps may take long; what was begun is swept by the next start.
        _ = tokio::signal::ctrl_c() => return Ok(Status::Success),
        _ = terminate.recv() => return Ok(Status::Success),
    };
    for missing in server.weaknesses() {
        printer.warning(&missing.to_string());
    }
    for warning in server.warnings() {
        printer.warning(&warning);
    }
    let (apps, plural) = (server.deployed(), if server.deployed() == 1 { "" } else { "s" });
    printer.note(&format!("✓ Serving {apps} deployed app{plural}. Ctrl-C to stop"));
    if order.announce {
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

/// Serves until the command it belongs to lets go of it, however that ends.
async fn embedded(
    config: &Config,
    run_dir: &Path,
    prelude: Prelude,
    life: std::os::unix::net::UnixStream,
) -> anyhow::Result<Status> {
    let mut terminate = signal(SignalKind::terminate())?;
    // A terminal's Ctrl-C is the command's affair.
    let _interrupt = signal(SignalKind::interrupt())?;
    let _hangup = signal(SignalKind::hangup())?;
    let server = Server::start(config, run_dir, Kind::Embedded, prelude).await?;
    tell(&life, &Report::Ready { weaknesses: server.weaknesses() });
    life.set_nonblocking(true)?;
    let mut life = tokio::net::UnixStream::from_std(life)?;
    tokio::select! {
        // Nothing is ever said: it ends, or breaks.
        _ = life.read_u8() => {}
        _ = terminate.recv() => {}
    }
    server.stop(CLOSE_LIMIT).await;
    Ok(Status::Success)
}

fn failed(error: &anyhow::Error) -> Report {
    match error.downcast_ref::<UserError>() {
        Some(UserError { message, hint, detail }) => Report::Failed {
            user: true,
            message: message.clone(),
            hint: hint.clone(),
            detail: detail.clone(),
        },
        None => Report::Failed { user: false, message: format!("{error:#}"), hint: None, detail: None },
    }
}

/// Says something to the command, which may have left.
fn tell(life: impl std::os::fd::AsFd, report: &Report) {
    let Ok(life) = life.as_fd().try_clone_to_owned() else { return };
    let mut line = serde_json::to_vec(report).expect("a report has text keys only");
    line.push(b'\n');
    if let Err(error) = std::os::unix::net::UnixStream::from(life).write_all(&line) {
        tracing::debug!(%error, "nobody hears how the server started");
    }
}
