//! What a builder asks of build steps and keeps of them, with steps that only write down what they were asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use pilotlight_core::image::{Era, Key, PATH, PipInstall, Sets, Step};
use pilotlight_image::base::Choice;
use pilotlight_image::settings::Settings;
use pilotlight_image::step::{Error, Request, Steps};
use pilotlight_image::{Builder, Image, Options, Silent};

use crate::world::{local_python, plan};

/// Leaves the same traces after every step.
#[derive(Default)]
struct Recorder(Mutex<Vec<Request>>);

const TRACES: [&str; 4] = ["root/.cache/pip", "tmp/file", "var/cache/uv/entry", "opt/pilotlight/bin/uv"];

impl Steps for Recorder {
    fn run(&self, request: Request, line: &(dyn Fn(&str) + Sync), _: &AtomicBool) -> Result<(), Error> {
        line("working");
        for trace in TRACES {
            let path = request.upper.join(trace);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "x").unwrap();
        }
        self.0.lock().unwrap().push(request);
        Ok(())
    }

    fn errand(
        &self,
        _: (&str, &str),
        _: &Path,
        _: &(dyn Fn(&str) + Sync),
        _: &AtomicBool,
    ) -> Result<(), Error> {
        Err(Error::HelperDied)
    }

    fn erase(&self, _: &Path) -> Result<(), Error> {
        Err(Error::HelperDied)
    }
}

struct Setting {
    state: tempfile::TempDir,
    recorder: Arc<Recorder>,
    builder: Builder,
}

impl Setting {
    fn new(vars: &[(&str, &str)]) -> Self {
        let state = tempfile::tempdir().unwrap();
        // A program is all it takes to be uv here; the version is the pinned one.
        let pin: serde_json::Value = serde_json::from_str(include_str!("../../locks/uv.json")).unwrap();
        let uv = state.path().join("tools").join(format!("uv-{}", pin["version"].as_str().unwrap()));
        fs_err::create_dir_all(&uv).unwrap();
        fs_err::write(uv.join("uv"), "").unwrap();
        let vars = vars.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let options = Options {
            state_dir: state.path().to_owned(),
            python: local_python(),
            base: Choice::Host,
            sets: Sets::default(),
            settings: Settings::new(&vars, &BTreeMap::new()),
            code: Vec::new(),
            isolation: pilotlight_sandbox::Isolation::Sandbox,
            python_image: String::new(),
        };
        let recorder = Arc::new(Recorder::default());
        let builder = Builder::with_steps(options, Arc::clone(&recorder) as Arc<dyn Steps>).unwrap();
        Self { state, recorder, builder }
    }

    fn build(&self, steps: Vec<Step>) -> Image {
        self.builder.build(&plan(Era::App, steps), &Silent, &AtomicBool::new(false)).unwrap()
    }

    fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.recorder.0.lock().unwrap())
    }

    fn cache_of(&self, request: &Request) -> Option<PathBuf> {
        let bind = request.binds.iter().find(|bind| bind.writable)?;
        Some(bind.source.strip_prefix(self.state.path()).unwrap().to_owned())
    }
}

fn pip() -> Step {
    Step::PipInstall(PipInstall { packages: vec!["six".into()], ..PipInstall::default() })
}

fn run(command: &str) -> Step {
    Step::RunCommands { commands: vec![command.into()] }
}

fn find<'a>(requests: &'a [Request], word: &str) -> &'a Request {
    requests.iter().find(|request| request.argv.join(" ").contains(word)).unwrap()
}

fn value<'a>(request: &'a Request, name: &str) -> Vec<&'a str> {
    request.env.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

#[test]
fn layers_lie_in_the_order_containers_need() {
    let setting = Setting::new(&[]);
    let image = setting.build(vec![pip(), run("echo")]);
    let requests = setting.requests();
    let kept = |request: &Request| {
        let key = request.upper.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let key = key.strip_prefix(".staging-").unwrap().split('-').next().unwrap();
        setting.state.path().join("layers").join(key).join("fs")
    };
    let own = ["echo", "six", "uv venv", "compileall", "runner.txt"].map(|word| kept(find(&requests, word)));
    let [run, pip, venv, code, deps] = own;
    assert_eq!(image.lowers[1..6], [code, deps, run, pip.clone(), venv.clone()]);
    assert!(image.lowers[0].join("etc/resolv.conf").exists());
    assert!(image.lowers[6].join("etc/passwd").exists());
    assert_eq!(image.lowers.len(), 7);
    // A step sees its input, uv, the host's configuration, and what is below it.
    let below = &find(&requests, "echo").lowers;
    assert_eq!((below.len(), &below[3..5]), (6, &[pip, venv][..]));
    assert!(below[1].join("opt/pilotlight/bin/uv").exists());

    let again = setting.build(vec![self::pip(), self::run("echo")]);
    assert!(again.cached && setting.requests().is_empty());
    assert_eq!(again.lowers, image.lowers);
}

#[test]
fn what_installers_leave_goes_and_what_commands_leave_stays() {
    let setting = Setting::new(&[]);
    let image = setting.build(vec![pip(), run("echo")]);
    let present = |layer: &Path| TRACES.map(|trace| layer.join(trace).exists());
    assert_eq!(present(&image.lowers[3]), [true, true, false, false]);
    assert_eq!(present(&image.lowers[4]), [false; 4]);
    assert_eq!(present(&image.lowers[5]), [false; 4]);
}

#[test]
fn code_of_users_packages_cannot_reach_the_cache_of_ours() {
    let setting = Setting::new(&[]);
    setting.build(vec![pip(), run("echo")]);
    let requests = setting.requests();
    let cache = |word| setting.cache_of(find(&requests, word));
    assert_eq!(cache("uv venv"), Some("cache/uv-images".into()));
    assert_eq!(cache("runner.txt"), Some("cache/uv-images".into()));
    assert_eq!(cache("six"), Some("cache/uv-users".into()));
    assert_eq!(cache("echo"), None);
}

#[test]
fn the_images_variables_win_and_each_is_given_once() {
    let setting = Setting::new(&[("PIP_INDEX_URL", "https://index.test/simple")]);
    let vars = vec![("PATH".into(), "/mine".into()), ("PIP_INDEX_URL".into(), "https://other.test".into())];
    let steps = vec![run("before"), Step::Env { vars }, Step::Workdir { path: "/srv".into() }, run("after")];
    let image = setting.build(steps);
    let requests = setting.requests();
    let (before, after) = (find(&requests, "before"), find(&requests, "after"));
    assert_eq!((value(before, "PATH"), value(after, "PATH")), (vec![PATH], vec!["/mine"]));
    assert_eq!(value(before, "PIP_INDEX_URL"), ["https://index.test/simple"]);
    assert_eq!(value(before, "UV_DEFAULT_INDEX"), ["https://index.test/simple"]);
    assert_eq!(value(after, "PIP_INDEX_URL"), ["https://other.test"]);
    assert_eq!((before.cwd.to_str(), after.cwd.to_str()), (Some("/"), Some("/srv")));
    assert_eq!(image.workdir.as_deref(), Some("/srv"));
    assert_eq!(image.env.last().unwrap().0, "PIP_INDEX_URL");
}

#[test]
fn the_machines_settings_are_no_part_of_an_images_name() {
    let (one, two) = (Setting::new(&[]), Setting::new(&[("PIP_INDEX_URL", "https://me:secret@index.test")]));
    let (one, two) = (one.build(vec![pip()]), two.build(vec![pip()]));
    assert_eq!(one.key, two.key);
    assert!(two.env.iter().all(|(_, value)| !value.contains("secret")));
    assert_eq!(one.key.len(), "im-".len() + Key::of("any", ["thing"]).short().len());
}
