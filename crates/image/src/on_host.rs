//! Images without a sandbox: a virtual environment of the host's own Python, and the runner beside it.
//!
//! There is no root file system to build on, so what a step would do to one (`apt_install`, `run_commands`) is refused:
//! it would be done to the machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pilotlight_core::image::{Base, Key, Plan, Step, Tools, on_host};

use crate::base::{self, Bases, Choice};
use crate::builder::{BaseUsed, Error, Image, Options, Places};
use crate::host::HostPython;
use crate::output::Tail;
use crate::process;
use crate::progress::Progress;
use crate::runner::{self, INPUT};
use crate::store::{Meta, Pins, Store};
use crate::tools::{self, Cache, Uv};

/// A step that takes longer is ended: it hangs.
const LIMIT: Duration = Duration::from_hours(1);

/// What all builds without a sandbox share.
pub(crate) struct OnHost<'a> {
    pub(crate) options: &'a Options,
    pub(crate) bases: &'a Bases,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancel: &'a AtomicBool,
}

impl OnHost<'_> {
    /// Builds what is missing of `plan`.
    pub(crate) fn build(&self, plan: &Plan) -> Result<Image, Error> {
        let Options { state_dir, settings, base, .. } = self.options;
        let python = match &plan.base {
            Base::DebianSlim { python } => python.supported().map_err(base::Error::from)?,
            Base::Conda { python } => {
                return Err(Error::NeedsSandbox { step: format!("micromamba(python_version=\"{python}\")") });
            }
            Base::Registry(registry) => {
                let step = format!("from_registry({:?})", registry.reference.to_string());
                return Err(Error::NeedsSandbox { step });
            }
        };
        if *base == Choice::Debian {
            let reason =
                "without the sandbox an image is this machine's own userland; leave PILOTLIGHT_BASE out";
            return Err(base::Error::NoDebian { python, reason: reason.to_owned() }.into());
        }
        let interpreter = self.bases.interpreter(python)?;
        let uv = tools::ensure(state_dir, &self.options.python, settings, self.progress, self.cancel)?;
        let store = Store::open_at(state_dir.join("process"), true)?;
        let (deps, code) = self.runner(&store, &uv, &interpreter)?;
        let (venv, key, made) = self.venv(&store, &uv, &interpreter, plan)?;
        let text = |path: &Path| path.display().to_string();
        let mut env = vec![
            ("PILOTLIGHT_DEPS".to_owned(), text(&deps)),
            ("PILOTLIGHT_SDK".to_owned(), text(&code.join("sdk"))),
            ("VIRTUAL_ENV".to_owned(), text(&venv)),
        ];
        let mut workdir = None;
        for step in &plan.steps {
            match step {
                Step::Env { vars } => env.extend(vars.iter().cloned()),
                Step::Workdir { path } => workdir = Some(path.clone()),
                _ => {}
            }
        }
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
        Ok(Image {
            key: format!("im-{}", key.short()),
            base: BaseUsed {
                text: format!("this machine itself, Python {}", interpreter.full_version()),
                made: false,
            },
            cached: !made,
            lowers: Vec::new(),
            binds: Vec::new(),
            env,
            doors: Vec::new(),
            workdir,
            entrypoint: Vec::new(),
            warnings: Vec::new(),
            places: Places {
                python: text(&venv.join("bin/python")),
                path: format!("{}:{path}", text(&venv.join("bin"))),
                lib: text(&code.join("lib")),
            },
            pins: Pins::default(),
        })
    }

    /// The virtual environment of the plan.
    fn venv(
        &self,
        store: &Store,
        uv: &Uv,
        interpreter: &HostPython,
        plan: &Plan,
    ) -> Result<(PathBuf, Key, bool), Error> {
        let tools = |venv: &Path| Tools {
            uv: uv.path.display().to_string(),
            python: interpreter.executable.display().to_string(),
            venv: venv.display().to_string(),
            relocatable: true,
        };
        let commands = |venv: &Path| {
            on_host(plan, &self.options.sets, &tools(venv)).map_err(|step| Error::NeedsSandbox { step })
        };
        // Which interpreter it is counts, and what is installed; not where the two lie.
        let fields = commands(Path::new("venv"))?.into_iter().flatten();
        let version = interpreter.full_version();
        let key = Key::of("pilotlight process 1", fields.chain([version.clone()]));
        let id = key.short().to_owned();
        let step = format!("Python {version} of this machine with the image's packages");
        let waiting = || self.progress.line(&id, "waiting for another server that builds it");
        let (path, made) = store.make(&key, self.cancel, waiting, |staging, cancel| {
            let start = Instant::now();
            self.progress.step_started(&id, &step);
            let commands = commands(&staging.join("fs"))?;
            for argv in &commands {
                self.run(&id, &step, argv, cancel)?;
            }
            let seconds = start.elapsed().as_secs_f64();
            self.progress.done(&id, &step, false, seconds);
            let command = commands.into_iter().flatten().collect();
            Ok::<_, Error>(Meta { text: step.clone(), parent: None, command, seconds })
        })?;
        if !made {
            self.progress.done(&id, &step, true, 0.0);
        }
        Ok((path, key, made))
    }

    /// The runner's dependencies, and its code beside the SDK.
    fn runner(&self, store: &Store, uv: &Uv, interpreter: &HostPython) -> Result<(PathBuf, PathBuf), Error> {
        let python = interpreter.python();
        let lock = runner::lock(python).expect("bases refuse versions without a runner");
        let program = interpreter.executable.display().to_string();
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let make = |key: &Key, text: &str, fill: &dyn Fn(&Path) -> Result<Vec<String>, Error>| {
            let id = key.short().to_owned();
            let (path, _) = store.make(
                key,
                self.cancel,
                || {},
                |staging, cancel| {
                    let start = Instant::now();
                    self.progress.step_started(&id, text);
                    let command = fill(staging)?;
                    self.run(&id, text, &command, cancel)?;
                    let seconds = start.elapsed().as_secs_f64();
                    self.progress.done(&id, text, false, seconds);
                    Ok::<_, Error>(Meta { text: text.to_owned(), parent: None, command, seconds })
                },
            )?;
            Ok::<_, Error>(path)
        };
        let deps =
            make(&runner::deps_key(python, "glibc", lock), "the web server of containers", &|staging| {
                let (list, target) = (staging.join("runner.txt"), staging.join("fs"));
                fs_err::write(&list, lock)?;
                let (list, target) = (list.display().to_string(), target.display().to_string());
                let uv = uv.path.display().to_string();
                let mut argv = words(&[&uv, "pip", "install", "--python", &program, "--target", &target]);
                argv.extend(words(&["--require-hashes", "--only-binary", ":all:", "--no-deps"]));
                argv.extend(words(&["--compile-bytecode", "-r", &list]));
                Ok(argv)
            })?;
        let files = &self.options.code;
        let code = make(&runner::code_key(python, files), "the runner", &|staging| {
            runner::write_code(staging, files)?;
            let to = staging.join("fs");
            fs_err::rename(staging.join(INPUT.trim_start_matches('/')).join("code"), &to)?;
            let to = to.display().to_string();
            let compile = ["-I", "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"];
            Ok(words(&[&[program.as_str()], &compile[..], &[to.as_str()]].concat()))
        })?;
        Ok((deps, code))
    }

    fn run(&self, id: &str, text: &str, argv: &[String], cancel: &AtomicBool) -> Result<(), Error> {
        let (program, arguments) = argv.split_first().expect("every step has a program");
        let tail = Tail::default();
        let line = |line: &str| {
            tail.push(line);
            self.progress.line(id, line);
        };
        let mut command = Command::new(program);
        command.args(arguments).current_dir("/");
        command.env("UV_CACHE_DIR", tools::cache(&self.options.state_dir, Cache::Process)?);
        // User code can write to what is installed, and must not reach the cache through it.
        command.env("UV_LINK_MODE", "copy").env("UV_PYTHON_DOWNLOADS", "never").env("UV_NO_PROGRESS", "1");
        command.envs(self.options.settings.env_on_host()).env_remove("VIRTUAL_ENV").env_remove("PYTHONPATH");
        process::run(&mut command, b"", LIMIT, cancel, &line).map(drop).map_err(|source| {
            if !matches!(source, process::Error::Cancelled) {
                self.progress.failed(id, text, &tail.take());
            }
            Error::OnHost { text: text.to_owned(), source }
        })
    }
}
