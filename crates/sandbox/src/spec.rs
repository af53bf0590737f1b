//! What a caller says about a container: file system, network, limits, command.

use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Failure;

/// What keeps containers apart from the machine and from each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Isolation {
    /// The sandbox: namespaces, limits and filters, as the text of [`crate`] tells.
    #[default]
    Sandbox,
    /// Nothing: a container is a process of the host with the rights of whoever runs the helper. Its layers are copied
    /// below [`Spec::scratch`] and its command starts on the host; binds, limits and network have no effect.
    Process,
}

/// A container to be started. Plain data; the descriptors travel apart, in [`Fds`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// `co-…`; never reused. Letters, digits, `-` and `_` only: it becomes a file name.
    pub id: String,
    /// What `hostname` says inside.
    pub hostname: String,
    /// Directory for the overlay's upper and work directories. Made and removed by the helper; its parent exists.
    pub scratch: PathBuf,
    /// Layers, topmost first. Owners on disk are the image's own ids (0 is root).
    pub lowers: Vec<PathBuf>,
    /// Directories and files of the host to show inside.
    pub binds: Vec<Bind>,
    /// What it can reach.
    pub network: Network,
    /// What it may use.
    pub limits: Limits,
    /// What runs in it.
    pub command: Command,
    /// For build steps: on exit code 0 the upper directory, owners shifted back to the image's ids, is moved here.
    /// Such a container also keeps the capabilities that package managers need (see [`crate`]).
    pub keep_upper: Option<PathBuf>,
    /// Whether others may be forked from its command, which gets descriptor 5 for their orders (see [`Helper::start`]
    /// with `from`) and may join the namespaces of those, and of nobody else.
    ///
    /// [`Helper::start`]: crate::Helper::start
    pub zygote: bool,
    /// The zygote whose process this one is forked from, in place of executing a program.
    pub from: Option<String>,
}

/// One path of the host shown inside a container, always without set-uid bits and devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// On the host.
    pub source: PathBuf,
    /// Inside; made if it does not exist.
    pub target: PathBuf,
    /// Whether the container may write to it.
    pub writable: bool,
}

/// What a container can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// Connections to elsewhere through NAT; neither other containers nor the host itself.
    Outbound,
    /// Only its own loopback.
    None,
}

/// What a container may use; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory in MiB, swap included.
    pub memory_mib: Option<u64>,
    /// Thousandths of one CPU.
    pub cpu_millis: Option<u64>,
    /// Processes and threads.
    pub pids: u64,
    /// What it writes to its files, MiB; at least 16 are given. Not for build steps: theirs become layers.
    pub disk_mib: Option<u64>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory_mib: None, cpu_millis: None, pids: 4096, disk_mib: None }
    }
}

/// A program to run, as root of the container.
#[derive(Clone, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments. A program without `/` is looked up in the `PATH` of `env`.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Directory to start in; must exist inside.
    pub cwd: PathBuf,
}

impl std::fmt::Debug for Command {
    /// Without the values of the environment: some are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Command")
            .field("argv", &self.argv)
            .field("env", &names)
            .field("cwd", &self.cwd)
            .finish()
    }
}

/// The files a command gets: 1 and 2, and 3 and 4 where given. Its standard input is `/dev/null`.
#[derive(Debug)]
pub struct Fds {
    /// Descriptor 3: the runner's protocol.
    pub control: Option<OwnedFd>,
    /// Descriptor 4: the listening socket of the app.
    pub listener: Option<OwnedFd>,
    /// Descriptor 1.
    pub stdout: OwnedFd,
    /// Descriptor 2.
    pub stderr: OwnedFd,
}

impl Spec {
    /// Whether a shell made for the one does for the other: all is the same but the command.
    pub(crate) fn same_shell(&self, other: &Spec) -> bool {
        let Spec {
            id,
            hostname,
            scratch,
            lowers,
            binds,
            network,
            limits,
            command: _,
            keep_upper,
            zygote,
            from,
        } = self;
        (id, hostname, scratch, lowers) == (&other.id, &other.hostname, &other.scratch, &other.lowers)
            && (binds, network, limits) == (&other.binds, &other.network, &other.limits)
            && (keep_upper, zygote, from) == (&other.keep_upper, &other.zygote, &other.from)
    }

    /// Refuses what can be known to be wrong without looking at the machine.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let invalid = |what: &str| Err(Failure::Invalid { id: self.id.clone(), what: what.into() });
        if !is_file_name(&self.id) {
            return invalid("the id is not 1 to 64 letters, digits, - and _");
        }
        if self.hostname.is_empty() || self.hostname.len() > 64 {
            return invalid("the host name is not 1 to 64 bytes long");
        }
        if self.lowers.is_empty() {
            return invalid("there is no layer");
        }
        // The option string of an overlay mount is one page; a lower costs at most 8 bytes of it.
        if self.lowers.len() > 200 {
            return invalid("there are more than 200 layers");
        }
        // One message carries the descriptors of all binds, and the kernel allows 253 (SCM_MAX_FD).
        if self.binds.len() > 200 {
            return invalid("there are more than 200 binds");
        }
        let on_host = self.lowers.iter().chain(self.binds.iter().map(|bind| &bind.source));
        let paths = on_host.chain([&self.scratch]).chain(&self.keep_upper);
        if paths.clone().any(|path| !path.is_absolute()) {
            return invalid("a path of the host is not absolute");
        }
        if self.binds.iter().any(|bind| !is_clean(&bind.target)) || !self.command.cwd.is_absolute() {
            return invalid("a path of the container is not absolute, or has ..");
        }
        // The kernel takes no quota below a hundredth of a CPU; the others leave no room for pid 1 and a program.
        if self.limits.cpu_millis.is_some_and(|millis| millis < 10) {
            return invalid("a limit below 10 thousandths of a CPU");
        }
        if self.limits.memory_mib.is_some_and(|mib| mib < 4) || self.limits.pids < 2 {
            return invalid("a limit below 4 MiB or 2 processes");
        }
        if self.keep_upper.is_some() && (self.zygote || self.from.is_some()) {
            return invalid("a build step is no zygote's business");
        }
        if self.command.argv.is_empty() {
            return invalid("the command is empty");
        }
        let strings = self.command.env.iter().flat_map(|(name, value)| [name, value]);
        if strings.chain(&self.command.argv).any(|text| text.contains('\0')) {
            return invalid("the command or its environment contains a NUL");
        }
        Ok(())
    }
}

pub(crate) fn is_file_name(id: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !id.is_empty() && id.len() <= 64 && id.chars().all(legal)
}

fn is_clean(path: &Path) -> bool {
    let mut parts = path.components();
    parts.next() == Some(Component::RootDir)
        && path != Path::new("/")
        && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// A specification that passes every check, for tests.
#[cfg(test)]
pub(crate) fn example() -> Spec {
    Spec {
        id: "co-1".into(),
        hostname: "h".into(),
        scratch: "/s".into(),
        lowers: vec!["/l".into()],
        binds: vec![],
        network: Network::None,
        limits: Limits::default(),
        command: Command { argv: vec!["true".into()], env: vec![], cwd: "/".into() },
        keep_upper: None,
        zygote: false,
        from: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        example()
    }

    #[test]
    fn a_shell_is_for_one_specification_whatever_it_runs() {
        let other = Spec { command: Command { argv: vec!["false".into()], ..spec().command }, ..spec() };
        assert!(spec().same_shell(&other));
        let bind = Bind { source: "/usr".into(), target: "/usr".into(), writable: false };
        let others = [
            Spec { scratch: "/t".into(), ..spec() },
            Spec { lowers: vec!["/m".into()], ..spec() },
            Spec { binds: vec![bind], ..spec() },
            Spec { network: Network::Outbound, ..spec() },
            Spec { limits: Limits { pids: 9, ..Limits::default() }, ..spec() },
            Spec { keep_upper: Some("/k".into()), ..spec() },
            Spec { zygote: true, ..spec() },
            Spec { from: Some("co-2".into()), ..spec() },
        ];
        assert!(others.iter().all(|other| !spec().same_shell(other)));
    }

    #[test]
    fn a_plain_spec_passes() {
        spec().check().unwrap();
    }

    #[test]
    fn debug_output_leaves_out_values_of_the_environment() {
        let mut spec = spec();
        spec.command.env.push(("TOKEN".into(), "hush".into()));
        let shown = format!("{spec:?}");
        assert!(shown.contains("TOKEN") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn ids_become_file_names_and_must_look_like_it() {
        for id in ["", "..", "a/b", "co 1", &"a".repeat(65)] {
            let spec = Spec { id: id.into(), ..spec() };
            assert!(spec.check().is_err(), "{id:?}");
        }
    }

    #[test]
    fn targets_of_binds_stay_inside() {
        for target in ["/", "usr", "/a/../b", "/a/.."] {
            let bind = Bind { source: "/usr".into(), target: target.into(), writable: false };
            assert!(Spec { binds: vec![bind], ..spec() }.check().is_err(), "{target}");
        }
    }

    #[test]
    fn limits_that_nothing_can_run_in_are_refused() {
        let limits = |memory_mib, cpu_millis, pids| Limits { memory_mib, cpu_millis, pids, disk_mib: None };
        for limits in [limits(Some(3), None, 9), limits(None, Some(9), 9), limits(None, None, 1)] {
            assert!(Spec { limits, ..spec() }.check().is_err(), "{limits:?}");
        }
    }

    #[test]
    fn nul_bytes_are_refused_before_they_reach_exec() {
        let command = Command { argv: vec!["a\0b".into()], env: vec![], cwd: "/".into() };
        assert!(Spec { command, ..spec() }.check().is_err());
    }
}
