//! Where things are: the state directory, the run directory, the ports. Read once, before a command runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pilotlight_api::progress::MissingPart;
use pilotlight_core::hearth::Budget;
use pilotlight_core::room::Share;
use pilotlight_sandbox::doctor::{self, State};
use pilotlight_sandbox::{Isolation, PrivateNetworks};

use crate::serve::public::Public;

/// The environment variables that pilotlight reads, each with what it means.
pub(crate) mod env {
    /// The state directory: images, deployed apps, logs. Since 0.1.
    pub(crate) const STATE_DIR: &str = "PILOTLIGHT_STATE_DIR";
    /// The Python interpreter that imports the user's file. Since 0.1.
    pub(crate) const PYTHON: &str = "PILOTLIGHT_PYTHON";
    /// Seconds after which `serve` ends by itself; also by Modal's name, as every [`setting`]. Since 0.1.
    pub(crate) const SERVE_TIMEOUT: &str = "SERVE_TIMEOUT";
    /// What ends the labels of ephemeral apps in place of `dev`; a [`setting`]. Since 0.1.
    pub(crate) const DEV_SUFFIX: &str = "DEV_SUFFIX";
    /// The process id of a script that handed over to this command, which ends with it, `kill -9` included. Since 0.1.
    pub(crate) const PARENT: &str = "PILOTLIGHT_PARENT";
    /// The diagnostics filter, for example `debug` or `pilotlight_gateway=trace`. Since 0.1.
    pub(crate) const LOG: &str = "PILOTLIGHT_LOG";
    /// The user that root's server becomes once it has started: a name or a number, `root` for none. Default: the
    /// user `pilotlight` if there is one, else the id 1878982656, which is nobody's. Since 0.1.
    pub(crate) const USER: &str = "PILOTLIGHT_USER";
    /// The first of 1000 ports that endpoints are given: the shared port, then 499 ephemeral and 500 deployed ones.
    /// Default 8000. Since 0.1.
    pub(crate) const PORT: &str = "PILOTLIGHT_PORT";
    /// How much memory all zygotes of a server may take together, MiB; those that were used longest ago go first. Default
    /// a quarter of the machine's. Since 0.1.
    pub(crate) const ZYGOTE_MEMORY: &str = "PILOTLIGHT_ZYGOTE_MEMORY";
    /// How long a zygote is kept from which nothing is forked, seconds. Default 3600. Since 0.1.
    pub(crate) const ZYGOTE_LIFETIME: &str = "PILOTLIGHT_ZYGOTE_LIFETIME";

    /// How much memory all containers of a server may ask for together, MiB. Default nine tenths of the machine's.
    /// Since 0.1.
    pub(crate) const MEMORY: &str = "PILOTLIGHT_MEMORY";
    /// How many processors all containers of a server may ask for together. Default sixteen times the machine's, since
    /// most containers are idle most of the time. Since 0.1.
    pub(crate) const CPUS: &str = "PILOTLIGHT_CPUS";

    /// Which private networks containers reach: `allow`, the default, `deny`, or the addresses and networks that are
    /// reached in spite of a denial, with commas between. Since 0.1.
    pub(crate) const PRIVATE_NETWORKS: &str = "PILOTLIGHT_PRIVATE_NETWORKS";
    /// How much a container may write whose function has no `ephemeral_disk=`, MiB. Default: what the disk holds. Since
    /// 0.1.
    pub(crate) const EPHEMERAL_DISK: &str = "PILOTLIGHT_EPHEMERAL_DISK";

    /// What images, the files of versions and uploads may take together on disk, MiB; what was used longest ago leaves, what
    /// is in use stays. Default a quarter of the disk. Since 0.1.
    pub(crate) const IMAGE_DISK: &str = "PILOTLIGHT_IMAGE_DISK";

    /// Where HTTP is spoken beside the machine's own ports, by hosts: `80` for every address, `localhost:8080`,
    /// `10.0.0.5:80`. Since 0.1.
    pub(crate) const HTTP_LISTEN: &str = "PILOTLIGHT_HTTP_LISTEN";
    /// Where HTTPS is spoken, likewise. Since 0.1.
    pub(crate) const HTTPS_LISTEN: &str = "PILOTLIGHT_HTTPS_LISTEN";
    /// Files of certificates with their chains, PEM, with commas between. Since 0.1.
    pub(crate) const TLS_CERT: &str = "PILOTLIGHT_TLS_CERT";
    /// The files of their keys, in the same order. Since 0.1.
    pub(crate) const TLS_KEY: &str = "PILOTLIGHT_TLS_KEY";
    /// A domain whose subdomains lead to this machine: every endpoint answers at its label there. Since 0.1.
    pub(crate) const DOMAIN: &str = "PILOTLIGHT_DOMAIN";
    /// IP addresses and networks of proxies whose `X-Forwarded-*` or `Forwarded` are believed, with commas between.
    /// Since 0.1.
    pub(crate) const TRUSTED_PROXIES: &str = "PILOTLIGHT_TRUSTED_PROXIES";
    /// The largest body of a request, MiB. Default 4096. Since 0.1.
    pub(crate) const BODY_MAX: &str = "PILOTLIGHT_BODY_MAX";
    /// After how many seconds a request without an answer is redirected to where its answer will be: 150, as Modal does.
    /// Default: never. Since 0.1.
    pub(crate) const REDIRECT_AFTER: &str = "PILOTLIGHT_REDIRECT_AFTER";

    /// The value of `PILOTLIGHT_<NAME>`, else of `MODAL_<NAME>`; an empty one counts as none.
    pub(crate) fn setting(name: &str) -> Option<String> {
        let value = |prefix: &str| std::env::var(format!("{prefix}_{name}")).ok();
        value("PILOTLIGHT").or_else(|| value("MODAL")).filter(|value| !value.is_empty())
    }
}

/// The root of all run directories of root: short, because a Unix socket's path has at most 108 bytes (unix(7)).
const RUN_ROOT: &str = "/run/pilotlight";

/// What the run directory of a server inside a command begins with; its process id follows.
const EMBEDDED: &str = "e";

/// The warning of a server that has no sandbox, before all others.
const UNCONFINED: &str = "the sandbox";

/// Resolved settings of this invocation.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Durable state.
    pub(crate) state_dir: PathBuf,
    /// The root of all run directories.
    pub(crate) run_root: PathBuf,
    /// Whether an ordinary user's account gives containers what they have.
    pub(crate) rootless: bool,
    /// First port of the range of 1000.
    pub(crate) port: u16,
    /// What containers of a server that this invocation starts get.
    pub(crate) isolation: Isolation,
    /// What zygotes may take.
    pub(crate) hearth: Budget,
    /// What containers may ask for together.
    pub(crate) room: Share,
    /// Which private networks containers reach.
    pub(crate) private: PrivateNetworks,
    /// How much a container may write whose function does not say it, MiB.
    pub(crate) disk_mib: Option<u64>,
    /// What images may take on disk, MiB; `None` is a quarter of the disk.
    pub(crate) image_disk_mib: Option<u64>,
    /// What the world reaches.
    pub(crate) public: Public,
}

/// How long a zygote is kept that nothing is forked from.
const ZYGOTE_LIFETIME: Duration = Duration::from_hours(1);

/// How many times a processor of the machine may be asked for: a container that waits for requests needs none.
const CPU_OVERCOMMIT: u64 = 16;

/// The machine's memory, in KiB.
fn memory_kib() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(info.mem_unit.into()) / 1024
}

/// What containers may ask for together.
fn room() -> anyhow::Result<Share> {
    let processors = || std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    Ok(Share {
        memory_mib: number(env::MEMORY, "MiB")?.unwrap_or_else(|| memory_kib() / 1024 * 9 / 10),
        cpu_millis: number(env::CPUS, "processors")?.unwrap_or_else(|| processors() * CPU_OVERCOMMIT) * 1000,
    })
}

/// A setting that is a whole number.
fn number(name: &str, unit: &str) -> anyhow::Result<Option<u64>> {
    let Ok(text) = std::env::var(name) else { return Ok(None) };
    // A year of seconds, or a terabyte: no sum of such overflows.
    match text.parse::<u64>() {
        Ok(number) if number <= 1 << 25 => Ok(Some(number)),
        _ => Err(crate::exit::UserError::new(
            format!("`{name}` is not a number of {unit}: `{text}`"),
            format!("give a whole number of {unit}"),
        )
        .into()),
    }
}

/// Which private networks containers reach.
fn private_networks() -> anyhow::Result<PrivateNetworks> {
    let Ok(text) = std::env::var(env::PRIVATE_NETWORKS) else { return Ok(PrivateNetworks::default()) };
    text.parse().map_err(|error| {
        let hint = "give `allow`, `deny`, or what is to be reached: `10.0.3.7,192.168.5.0/24`";
        crate::exit::UserError::new(format!("`{}`: {error}", env::PRIVATE_NETWORKS), hint).into()
    })
}

impl Config {
    /// Settings from the command line and the environment.
    pub(crate) fn load(state_dir: Option<PathBuf>) -> anyhow::Result<Self> {
        let user = rustix::process::geteuid();
        let directory =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let own = |fallback: &str| std::env::home_dir().unwrap_or_else(|| "/".into()).join(fallback);
        let of_environment =
            || std::env::var_os(env::STATE_DIR).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let state_dir = state_dir.or_else(of_environment).unwrap_or_else(|| {
            if user.is_root() {
                return PathBuf::from("/var/lib/pilotlight");
            }
            directory("XDG_STATE_HOME").unwrap_or_else(|| own(".local/state")).join("pilotlight")
        });
        let run_root = if user.is_root() {
            PathBuf::from(RUN_ROOT)
        } else {
            // Whoever has none logged in without a session: su, cron.
            let none = || std::env::temp_dir().join(format!("pilotlight-{}", user.as_raw()));
            directory("XDG_RUNTIME_DIR").map_or_else(none, |run| run.join("pilotlight"))
        };
        let state_dir = std::path::absolute(&state_dir)?;
        let port = match std::env::var(env::PORT) {
            Ok(text) => {
                text.parse::<u16>().ok().filter(|port| (1..=64_535).contains(port)).ok_or_else(|| {
                    crate::exit::UserError::new(
                        format!("`{}` is not a port: `{text}`", env::PORT),
                        "give a number from 1 to 64535; the thousand ports from there are used",
                    )
                })?
            }
            Err(_) => 8000,
        };
        let hearth = Budget {
            kib: number(env::ZYGOTE_MEMORY, "MiB")?.map_or_else(|| memory_kib() / 4, |mib| mib * 1024),
            unused: number(env::ZYGOTE_LIFETIME, "seconds")?.map_or(ZYGOTE_LIFETIME, Duration::from_secs),
        };
        let (rootless, isolation) = (!user.is_root(), Isolation::Sandbox);
        let (room, private, public) = (room()?, private_networks()?, Public::load()?);
        Ok(Self {
            state_dir,
            run_root,
            rootless,
            port,
            isolation,
            hearth,
            room,
            private,
            disk_mib: number(env::EPHEMERAL_DISK, "MiB")?.filter(|mib| *mib > 0),
            image_disk_mib: number(env::IMAGE_DISK, "MiB")?,
            public,
        })
    }

    /// The same with what `--isolation` says, where it says something.
    pub(crate) fn isolated(self, wanted: Option<Isolation>) -> Self {
        Self { isolation: wanted.unwrap_or(self.isolation), ..self }
    }

    /// What a server with this isolation does not give, as its status tells.
    pub(crate) fn weaknesses(&self) -> Vec<MissingPart> {
        if self.isolation == Isolation::Sandbox {
            return if self.rootless { of_users() } else { Vec::new() };
        }
        let root = !self.rootless;
        let who = if root { "root" } else { "you" };
        vec![MissingPart {
            part: UNCONFINED.to_owned(),
            how_to_get: format!(
                "with --isolation=process every program runs on this machine itself, as {who}, and can do whatever \
                 {who} can; cpu, memory and network limits have no effect"
            ),
        }]
    }

    /// Where commands keep what they need on this machine: never a place that a server of another user may write to,
    /// since the user's interpreter imports from there.
    pub(crate) fn user_dir(&self) -> PathBuf {
        if !rustix::process::geteuid().is_root() || self.isolation == Isolation::Process {
            return self.state_dir.clone();
        }
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || std::env::home_dir().unwrap_or_else(|| "/root".into()).join(".cache");
        cache.unwrap_or_else(home).join("pilotlight")
    }

    /// The daemon's run directory: the same for everybody who names the same state directory.
    pub(crate) fn daemon_run_dir(&self) -> PathBuf {
        let name = pilotlight_core::id::short_hash(self.state_dir.as_os_str().as_encoded_bytes());
        self.run_root.join(name)
    }

    /// The run directory of a server inside this process.
    pub(crate) fn embedded_run_dir(&self) -> PathBuf {
        self.run_root.join(format!("{EMBEDDED}{}", std::process::id()))
    }

    /// The run directories of servers inside commands, of all state directories.
    pub(crate) fn embedded_run_dirs(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs_err::read_dir(&self.run_root) else { return Vec::new() };
        let is_embedded = |entry: &fs_err::DirEntry| {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix(EMBEDDED)?.parse::<u32>().ok());
            pid.is_some()
        };
        entries.flatten().filter(is_embedded).map(|entry| entry.path()).collect()
    }
}

/// What containers of an ordinary user lack on this machine.
fn of_users() -> Vec<MissingPart> {
    let findings = doctor::examine(&doctor::facts()).into_iter();
    let weaker = findings.filter(|finding| finding.state == State::Weaker && finding.concerns_isolation());
    let part = |finding: doctor::Finding| {
        let remedy = finding.remedy.map(|remedy| format!(" ({remedy})")).unwrap_or_default();
        MissingPart { part: finding.feature.to_owned(), how_to_get: format!("{}{remedy}", finding.text) }
    };
    weaker.map(part).collect()
}

/// The control socket in a run directory.
pub(crate) fn control_socket(run_dir: &Path) -> PathBuf {
    run_dir.join("control.sock")
}
