//! A state directory, a helper and a builder that the tests share, so that uv and the eras' layers are made once.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use pilotlight_core::image::{Base, Era, Plan, PythonVersion, Step};
use pilotlight_image::base::Choice;
use pilotlight_image::runner::CodeFile;
use pilotlight_image::{Builder, Error, HostPython, Image, Options, Progress};
use pilotlight_sandbox::{self as sandbox, Command, Event, ExitStatus, Fds, Helper, Limits, Network, Spec};

/// No test waits longer for a container.
const DEADLINE: Duration = Duration::from_mins(2);

pub(crate) struct World {
    pub(crate) state: PathBuf,
    pub(crate) builder: Builder,
    helper: Helper,
    waiting: Arc<Mutex<HashMap<String, Sender<ExitStatus>>>>,
    number: AtomicU32,
}

/// The world of this process. Its state directory is kept between runs of one user when `PILOTLIGHT_TEST_STATE` names
/// a directory, which makes repeated runs fast.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::new)
}

/// The tests' interpreter.
pub(crate) fn local_python() -> HostPython {
    HostPython::probe(Path::new("python3")).unwrap()
}

/// Its version.
pub(crate) fn python() -> PythonVersion {
    local_python().python()
}

pub(crate) fn plan(era: Era, steps: Vec<Step>) -> Plan {
    Plan { base: Base::DebianSlim { python: python() }, era, steps }
}

impl World {
    fn new() -> Self {
        let state = std::env::var_os("PILOTLIGHT_TEST_STATE").map(PathBuf::from);
        // Statics are not dropped; the directory of the run before goes when the next one starts.
        let state = state.unwrap_or_else(|| {
            let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pilotlight-image");
            let _ = fs_err::remove_dir_all(&state);
            state
        });
        fs_err::create_dir_all(&state).unwrap();
        let program = Some(PathBuf::from(env!("CARGO_BIN_EXE_image-test-helper")));
        let run_dir = PathBuf::from(format!("/run/pilotlight/it{}", std::process::id()));
        let options = sandbox::Options { program, ..sandbox::Options::new(run_dir, state.clone()) };
        let (helper, events) = Helper::spawn(&options).unwrap();
        let builder = Builder::new(Self::options(&state, Choice::Host), helper.clone()).unwrap();
        let waiting: Arc<Mutex<HashMap<String, Sender<ExitStatus>>>> = Arc::default();
        let (exits, ours) = (builder.exits(), Arc::clone(&waiting));
        std::thread::spawn(move || {
            for event in events {
                match event {
                    Event::Exited { id, status, oom } => {
                        if !exits.container_exited(&id, status, oom)
                            && let Some(sender) = ours.lock().unwrap().remove(&id)
                        {
                            sender.send(status).unwrap();
                        }
                    }
                    Event::HelperDied => exits.helper_died(),
                }
            }
        });
        Self { state, builder, helper, waiting, number: AtomicU32::new(0) }
    }

    fn options(state: &Path, base: Choice) -> Options {
        let python = local_python();
        let file = |path: &str, text: &'static str| CodeFile {
            path: path.to_owned(),
            bytes: text.as_bytes().into(),
        };
        let code = vec![
            file("_pilotlight_runner/__init__.py", "WHO = 'the runner'\n"),
            file("modal/__init__.py", "WHO = 'modal'\n"),
        ];
        Options { base, ..Options::new(state.to_owned(), python, code).unwrap() }
    }

    /// A builder beside the first, for another base. Shares the helper and the exits.
    pub(crate) fn builder_on(&self, base: Choice) -> Builder {
        let steps = pilotlight_image::step::Sandboxed::new(self.helper.clone(), self.builder.exits());
        Builder::with_steps(Self::options(&self.state, base), Arc::new(steps)).unwrap()
    }

    pub(crate) fn build(&self, era: Era, steps: Vec<Step>) -> (Result<Image, Error>, Told) {
        let told = Told::default();
        let image = self.builder.build(&plan(era, steps), &told, &AtomicBool::new(false));
        (image, told)
    }

    /// Runs `argv` in a container of `image`; its output, stdout and stderr together.
    pub(crate) fn run(&self, image: &Image, argv: &[&str]) -> (ExitStatus, String) {
        let id = format!("co-it{}-{}", std::process::id(), self.number.fetch_add(1, Ordering::Relaxed));
        let (mut out, stdout) = std::io::pipe().unwrap();
        let stderr = stdout.try_clone().unwrap();
        let mut env = vec![("PATH".to_owned(), pilotlight_core::image::PATH.to_owned())];
        env.extend(image.env.clone());
        let cwd = image.workdir.clone().unwrap_or_else(|| "/root".to_owned()).into();
        let argv = argv.iter().map(|&word| word.to_owned()).collect();
        let spec = Spec {
            id: id.clone(),
            hostname: "test".to_owned(),
            scratch: self.state.join(format!("scratch-{id}")),
            lowers: image.lowers.clone(),
            binds: image.binds.clone(),
            network: Network::Outbound,
            limits: Limits::default(),
            command: Command { argv, env, cwd },
            keep_upper: None,
            zygote: false,
            from: None,
        };
        let (sender, ended) = channel();
        self.waiting.lock().unwrap().insert(id, sender);
        let fds = Fds { control: None, listener: None, stdout: stdout.into(), stderr: stderr.into() };
        self.helper.start(&spec, fds).unwrap();
        let mut output = String::new();
        out.read_to_string(&mut output).unwrap();
        (ended.recv_timeout(DEADLINE).unwrap(), output)
    }

    /// Runs a line of Python in the image and expects it to succeed.
    pub(crate) fn python_says(&self, image: &Image, script: &str) -> String {
        let (status, output) = self.run(image, &["/opt/venv/bin/python", "-c", script]);
        assert_eq!(status, ExitStatus::Code(0), "{output}");
        output.trim().to_owned()
    }

    /// What lies in the store of the layer whose key starts with `id`, whole or not.
    pub(crate) fn traces(&self, id: &str) -> Vec<String> {
        let entries = fs_err::read_dir(self.state.join("layers")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains(id)).collect()
    }
}

/// What a build told.
#[derive(Default)]
pub(crate) struct Told(Mutex<Vec<String>>);

impl Told {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn push(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }
}

impl Progress for Told {
    fn step_started(&self, _: &str, text: &str) {
        self.push(format!("started {text}"));
    }

    fn line(&self, _: &str, line: &str) {
        self.push(format!("line {line}"));
    }

    fn done(&self, _: &str, text: &str, cached: bool, seconds: f64) {
        self.push(format!("{} {text} {seconds:.1}", if cached { "cached" } else { "done" }));
    }

    fn failed(&self, id: &str, text: &str, tail: &[String]) {
        self.push(format!("failed {id} {text} | {}", tail.join(" | ")));
    }
}
