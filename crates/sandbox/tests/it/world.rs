//! A server in miniature: directories of its own, a helper, a small root file system with the host's programs.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use fs_err as fs;
use pilotlight_sandbox::{
    Bind, Command, Event, ExitStatus, Fds, Helper, Limits, Network, Options, Owner, Spec, Started,
};

/// How long anything here may take.
pub(crate) const SOON: Duration = Duration::from_secs(20);

static NUMBER: AtomicU32 = AtomicU32::new(0);

pub(crate) struct World {
    pub(crate) helper: Option<Helper>,
    pub(crate) events: Receiver<Event>,
    pub(crate) run_dir: PathBuf,
    pub(crate) state: tempfile::TempDir,
    ended: BTreeMap<String, (ExitStatus, bool)>,
}

/// What a container that ran to its end left.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) oom: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Pipes from a running container.
pub(crate) struct Pipes {
    pub(crate) stdout: std::io::PipeReader,
    pub(crate) stderr: std::io::PipeReader,
}

pub(crate) fn options(run_dir: &Path, state: &Path) -> Options {
    let program = Some(PathBuf::from(env!("CARGO_BIN_EXE_sandbox-helper")));
    Options { program, ..Options::new(run_dir, state) }
}

pub(crate) fn unique() -> String {
    format!("t{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

impl World {
    pub(crate) fn new() -> World {
        let run_dir = Path::new("/run/pilotlight").join(unique());
        World::at(&run_dir)
    }

    pub(crate) fn at(run_dir: &Path) -> World {
        World::with(run_dir, |_| {})
    }

    /// A world whose helper has other options than usual.
    pub(crate) fn with(run_dir: &Path, change: impl FnOnce(&mut Options)) -> World {
        let run_dir = run_dir.to_owned();
        // On a real disk: the build's own directory.
        let state = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        make_base(&state.path().join("base"));
        fs::create_dir(state.path().join("scratch")).unwrap();
        let mut options = options(&run_dir, state.path());
        change(&mut options);
        let (helper, events) = Helper::spawn(&options).unwrap();
        World { helper: Some(helper), events, run_dir, state, ended: BTreeMap::new() }
    }

    /// Another helper, for a server of this user, who is given the state directory.
    pub(crate) fn start_over(&mut self, owner: Owner) {
        self.shutdown();
        let given = std::process::Command::new("chown")
            .args(["-hR", &format!("{}:{}", owner.uid, owner.gid)])
            .arg(self.state.path().join("base"))
            .arg(self.state.path().join("scratch"))
            .status();
        assert!(given.unwrap().success());
        let options = Options { owner, ..options(&self.run_dir, self.state.path()) };
        let (helper, events) = Helper::spawn(&options).unwrap();
        (self.helper, self.events) = (Some(helper), events);
    }

    pub(crate) fn helper(&self) -> &Helper {
        self.helper.as_ref().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.state.path().join(name)
    }

    /// A container of the base with the host's /usr that runs a program.
    pub(crate) fn spec(&self, argv: &[&str]) -> Spec {
        let id = format!("co-{}", unique());
        Spec {
            hostname: id.clone(),
            scratch: self.path("scratch").join(&id),
            id,
            lowers: vec![self.path("base")],
            binds: vec![Bind { source: "/usr".into(), target: "/usr".into(), writable: false }],
            network: Network::None,
            limits: Limits::default(),
            command: Command {
                argv: argv.iter().map(ToString::to_string).collect(),
                env: vec![("PATH".into(), "/usr/sbin:/usr/bin".into())],
                cwd: "/root".into(),
            },
            keep_upper: None,
            zygote: false,
            from: None,
        }
    }

    pub(crate) fn start(&self, spec: &Spec) -> (Started, Pipes) {
        let (fds, pipes) = pipes();
        (self.helper().start(spec, fds).unwrap(), pipes)
    }

    /// Runs a container to its end.
    pub(crate) fn run(&mut self, spec: &Spec) -> Output {
        let (_, pipes) = self.start(spec);
        let (stdout, stderr) = pipes.read();
        let (status, oom) = self.ended(&spec.id);
        Output { status, oom, stdout, stderr }
    }

    /// Runs a shell script to its end and expects it to succeed; its output.
    pub(crate) fn script(&mut self, script: &str) -> String {
        let spec = self.spec(&["sh", "-ec", script]);
        let output = self.run(&spec);
        assert_eq!(output.status, ExitStatus::Code(0), "{output:?}");
        output.stdout
    }

    /// Waits for the end of a container.
    pub(crate) fn ended(&mut self, id: &str) -> (ExitStatus, bool) {
        loop {
            if let Some(end) = self.ended.remove(id) {
                return end;
            }
            match self.events.recv_timeout(SOON).unwrap() {
                Event::Exited { id, status, oom } => drop(self.ended.insert(id, (status, oom))),
                Event::HelperDied => panic!("the helper died"),
            }
        }
    }

    pub(crate) fn shutdown(&mut self) {
        self.helper.take().unwrap().shutdown(SOON);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(helper) = self.helper.take() {
            helper.shutdown(SOON);
        }
        let _ = fs::remove_dir_all(&self.run_dir);
    }
}

impl Pipes {
    pub(crate) fn read(mut self) -> (String, String) {
        // Scripts write little to stderr: it fits into its pipe while stdout is read.
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut stderr).unwrap();
        (stdout, stderr)
    }
}

pub(crate) fn pipes() -> (Fds, Pipes) {
    let (stdout, out) = std::io::pipe().unwrap();
    let (stderr, err) = std::io::pipe().unwrap();
    let fds = Fds { control: None, listener: None, stdout: OwnedFd::from(out), stderr: OwnedFd::from(err) };
    (fds, Pipes { stdout, stderr })
}

/// An image's root as of a host base: the usual links, and files of root.
fn make_base(base: &Path) {
    for directory in ["usr", "etc", "root", "var", "proc", "dev"] {
        fs::create_dir_all(base.join(directory)).unwrap();
    }
    fs::set_permissions(base.join("root"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    fs::write(base.join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
    fs::write(base.join("root/secret"), "of root\n").unwrap();
    fs::set_permissions(base.join("root/secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    for link in ["bin", "sbin", "lib", "lib64"] {
        if Path::new("/usr").join(link).exists() {
            std::os::unix::fs::symlink(format!("usr/{link}"), base.join(link)).unwrap();
        }
    }
}

/// Waits until something holds, looking again every few milliseconds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + SOON;
    let (_sender, never) = std::sync::mpsc::channel::<()>();
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "{what} did not come true");
        let _ = never.recv_timeout(Duration::from_millis(5));
    }
}
