//! Turns what a manifest says on the wire into what the rooms understand.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pilotlight_api::manifest::{self, Manifest};
use pilotlight_api::wire::Scaling;
use pilotlight_core::image::dockerfile::{self, Dockerfile, Scope, Whole};
use pilotlight_core::image::registry::Login;
use pilotlight_core::image::{
    Base, CondaInstall, Content, CopiedFile, Era, PipInstall, Plan, PoetryInstall, PythonVersion, Registry,
    RunFunction, Secret, Step, UvSync,
};
use pilotlight_core::rate::Rate;
use pilotlight_image::registry::document::architecture;
use pilotlight_image::{Image, Places, Surroundings, Tree};
use pilotlight_pool::{Pace, Settings, Share};
use pilotlight_sandbox::{Command, Limits, Network, Spec};

use super::launcher::{Configure, Template, TemplateImage};

/// Requests that may wait for one function's containers.
const QUEUE_MAX: usize = 1000;

/// What a container counts for whose function asks for nothing: about what a small app takes in a fork, and Modal's
/// eighth of a processor (<https://modal.com/docs/guide/resources>).
const SHARE: Share = Share { memory_mib: 64, cpu_millis: 125 };

/// A start that takes longer than this does not hold up the next one.
const SLOW_START: Duration = Duration::from_secs(2);

/// Where the user's files are.
const HOME: &str = "/root";

/// Where the packages of `create_package_mounts` are.
pub(crate) const PACKAGES: &str = "/pkg";

/// Processes and threads in one container.
const PIDS_MAX: u64 = 4096;

/// The era as the core names it.
pub(crate) fn era(manifest: &Manifest) -> Era {
    match manifest.era {
        manifest::Era::Stub => Era::Stub,
        manifest::Era::App => Era::App,
    }
}

/// What one of the manifest's images begins with.
pub(crate) fn base(manifest: &Manifest, image: &manifest::Image) -> Result<Base, String> {
    let version = |text: &str| text.parse::<PythonVersion>().map_err(|error| format!("{error}"));
    let registry = |reference: &str, add_python: &Option<String>, login: &Option<manifest::Login>| {
        let login = login.as_ref().map(|login| Login {
            username: login.username.clone(),
            password: login.password.expose().to_owned(),
        });
        Ok(Base::Registry(Registry {
            reference: reference.parse().map_err(|error| format!("{error}"))?,
            add_python: add_python.as_deref().map(version).transpose()?,
            login,
        }))
    };
    let python = |asked: &Option<String>| version(asked.as_deref().unwrap_or(&manifest.python.version));
    match &image.base {
        manifest::Base::DebianSlim { python_version } => {
            Ok(Base::DebianSlim { python: python(python_version)? })
        }
        manifest::Base::Conda { python_version } => Ok(Base::Conda { python: python(python_version)? }),
        manifest::Base::Registry { reference, add_python, login } => registry(reference, add_python, login),
        manifest::Base::Dockerfile { add_python, login } => {
            let lines = image.steps.first().and_then(manifest::Step::dockerfile_lines);
            let (lines, build_args) = lines.ok_or("from_dockerfile: there are no lines")?;
            let whole = Whole::parse(&lines.join("\n"), build_args);
            let whole = whole.map_err(|error| format!("from_dockerfile: {error}"))?;
            let told = |message: String| format!("from_dockerfile: line {}: {message}", whole.line);
            let here = format!("linux/{}", architecture());
            match whole
                .platform
                .filter(|platform| *platform != here && !platform.starts_with(&format!("{here}/")))
            {
                Some(other) => Err(told(format!("it asks for {other}, and this machine is {here}"))),
                None => registry(&whole.from, add_python, login).map_err(told),
            }
        }
    }
}

/// What to build for one of the manifest's images on its base, whose variables and directory are `around`.
pub(crate) fn image(
    manifest: &Manifest,
    image: &manifest::Image,
    base: Base,
    around: Surroundings,
) -> Result<Plan, String> {
    let mut scope = Scope { env: around.env, workdir: around.workdir, ..Scope::default() };
    let begins = matches!(image.base, manifest::Base::Dockerfile { .. });
    let mut steps = Vec::new();
    for (index, described) in image.steps.iter().enumerate() {
        if image.force_build == Some(index) {
            steps.push(Step::ForceBuild { build: manifest.build.clone() });
        }
        steps.extend(step(described, &mut scope, begins && index == 0)?);
    }
    Ok(Plan { base, era: era(manifest), steps })
}

/// What is to be built for a step; `scope` is what Dockerfile lines see of those before. One that `begins` an image has
/// its `FROM`.
fn step(step: &manifest::Step, scope: &mut Scope, begins: bool) -> Result<Vec<Step>, String> {
    Ok(vec![match step.clone() {
        manifest::Step::PipInstall {
            packages,
            find_links,
            index_url,
            extra_index_url,
            pre,
            options,
            git,
        } => {
            let pip = PipInstall { packages, index_url, extra_index_url, find_links, pre, options };
            if git { Step::PrivateRepos(pip) } else { Step::PipInstall(pip) }
        }
        manifest::Step::UvSync { files, groups, extras, frozen, options } => {
            Step::UvSync(UvSync { files: copied(&files), groups, extras, frozen, options })
        }
        manifest::Step::PoetryInstall { files, with, without, only, version } => {
            Step::PoetryInstall(PoetryInstall { files: copied(&files), with, without, only, version })
        }
        manifest::Step::CondaInstall { packages, channels, files, exclude_newer } => {
            Step::CondaInstall(CondaInstall { packages, channels, files: copied(&files), exclude_newer })
        }
        manifest::Step::AptInstall { packages } => Step::AptInstall { packages },
        manifest::Step::RunCommands { commands } => Step::RunCommands { commands },
        manifest::Step::Env { vars } => {
            scope.env.extend(vars.clone());
            Step::Env { vars: vars.into_iter().collect() }
        }
        manifest::Step::Workdir { path } => {
            scope.workdir.clone_from(&path);
            Step::Workdir { path }
        }
        manifest::Step::Shell { command } => Step::Shell { command },
        manifest::Step::Entrypoint { command } => Step::Entrypoint { command },
        manifest::Step::RunFunction { module, qualname, source, arguments, files } => {
            Step::RunFunction(RunFunction { module, qualname, source, arguments, files: copied(&files) })
        }
        manifest::Step::CopyFiles { files } => Step::CopyFiles { files: copied(&files) },
        manifest::Step::DockerfileCommands { commands, context, build_args } => {
            scope.build_args = build_args;
            let method = if begins { "from_dockerfile" } else { "dockerfile_commands" };
            let told = |error| format!("{method}: {error}");
            let text = commands.join("\n");
            let read = if begins {
                Whole::parse(&text, &scope.build_args).map_err(told)?.rest
            } else {
                Dockerfile::parse(&text).map_err(told)?
            };
            return dockerfile::steps(&read, &copied(&context), scope).map_err(told);
        }
        manifest::Step::With { env, secrets, step: inner } => {
            let env: Vec<_> = env.into_iter().collect();
            let value = |value: &manifest::Hidden| value.expose().to_owned();
            let secrets =
                secrets.iter().map(|(name, hidden)| Secret { name: name.clone(), value: value(hidden) });
            let secrets: Vec<_> = secrets.collect();
            let with = |step| Step::with(env.clone(), secrets.clone(), step);
            return Ok(self::step(&inner, scope, begins)?.into_iter().map(with).collect());
        }
    }])
}

/// Local files as the image has them; the manifest's check has seen that each has its digest.
fn copied(files: &[manifest::File]) -> Vec<CopiedFile> {
    let copied = |file: &manifest::File| {
        let content = Content::Blob(file.digest.clone()?);
        Some(CopiedFile { remote: file.remote.clone(), mode: file.mode, content })
    };
    files.iter().filter_map(copied).collect()
}

/// The pool's knobs of a function.
pub(crate) fn settings(function: &manifest::Function) -> Settings {
    Settings {
        buffer_containers: function.buffer_containers as usize,
        idle: seconds(function.scaledown_window),
        max_containers: function.max_containers.map(|max| max as usize),
        max_inputs: function.max_inputs as usize,
        pace: Some(pace()),
        min_containers: function.min_containers as usize,
        queue_max: QUEUE_MAX,
        single_use: function.single_use,
        startup_timeout: start_timeout(function),
        target_inputs: function.target_inputs.map(|target| target as usize),
        ..Settings::default()
    }
}

/// What each container of a function asks the machine for.
pub(crate) fn share(function: &manifest::Function) -> Share {
    Share {
        memory_mib: function.memory.unwrap_or(SHARE.memory_mib),
        cpu_millis: function.cpu.map_or(SHARE.cpu_millis, millis),
    }
}

/// Starts side by side: twice as many as there are processors, since a part of each is waiting.
fn pace() -> Pace {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Pace { starts: 2 * processors, slow: SLOW_START }
}

/// How long a container of the function may take to become ready.
pub(crate) fn start_timeout(function: &manifest::Function) -> Duration {
    seconds(function.startup_timeout.unwrap_or(function.timeout))
}

/// Changes what `scaling` names. An error, a sentence, leaves the settings to be thrown away.
pub(crate) fn scaled(settings: &mut Settings, scaling: Scaling) -> Result<(), String> {
    let count = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    if let Some(least) = scaling.min_containers {
        settings.min_containers = count(least);
    }
    if let Some(most) = scaling.max_containers {
        settings.max_containers = Some(count(most));
    }
    if let Some(spare) = scaling.buffer_containers {
        settings.buffer_containers = count(spare);
    }
    if let Some(window) = scaling.scaledown_window {
        settings.idle = seconds(window);
    }
    match settings.max_containers {
        Some(most) if settings.min_containers > most => {
            Err(format!("min_containers ({}) is more than max_containers ({most})", settings.min_containers))
        }
        _ => Ok(()),
    }
}

/// How often an endpoint may be asked, as the gateway counts it.
pub(crate) fn rate(rate: manifest::RateLimit) -> Rate {
    Rate { count: rate.requests, period: Duration::from_secs(rate.seconds.into()) }
}

/// Seconds of the wire as a duration; the manifest's check has refused what is none.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_mins(5))
}

/// What every container of a function has in common.
pub(crate) fn template(
    app: &str,
    manifest: &Manifest,
    function: &manifest::Function,
    image: &Image,
    tree: Tree,
) -> Template {
    let mut lowers = vec![tree.path];
    lowers.extend(image.lowers.iter().cloned());
    let mut env = environment(&image.places);
    env.extend(image.env.iter().cloned());
    env.extend(function.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())));
    // After the user's, which cannot make the SDK take itself for another function.
    env.extend(function.context.clone().map(|context| ("PILOTLIGHT_CONTEXT".to_owned(), context)));
    env.push(("MODAL_IMAGE_ID".to_owned(), image.key.clone()));
    env.push(("PYTHONPATH".to_owned(), python_path(&image.places, &env)));
    let runner = [&image.places.python, "-m", "_pilotlight_runner"].map(String::from);
    let argv = image.entrypoint.iter().cloned().chain(runner).collect();
    let image_env = {
        let mut env = environment(&image.places);
        env.extend(image.env.iter().cloned());
        env.push(("PYTHONPATH".to_owned(), python_path(&image.places, &env)));
        env
    };
    let pickle = function.pickled.as_ref().and_then(|name| manifest.pickles.get(name));
    let never_forked = if image.entrypoint.is_empty() {
        is_read_at_exec(&env, &image_env).then_some(
            "one of its variables is read at the start of an interpreter (PYTHON…, LD_…, LC_…, LANG, MALLOC_…)",
        )
    } else {
        Some("each of its containers begins with its image's entrypoint")
    };
    let cwd = image.workdir.clone().unwrap_or_else(|| "/root".into());
    Template {
        function: Arc::from(function.name.as_str()),
        spec: Spec {
            id: String::new(),
            hostname: String::new(),
            scratch: PathBuf::new(),
            lowers,
            binds: image.binds.clone(),
            network: if function.block_network { Network::None } else { Network::Outbound },
            limits: Limits {
                memory_mib: function.memory,
                cpu_millis: function.cpu.map(millis),
                pids: PIDS_MAX,
                disk_mib: function.ephemeral_disk,
            },
            command: Command { argv, env, cwd: cwd.into() },
            keep_upper: None,
            zygote: false,
            from: None,
        },
        start_timeout: start_timeout(function),
        doors: if function.block_network { Vec::new() } else { image.doors.clone() },
        snapshot: function.snapshot,
        configure: Configure {
            app: app.to_owned(),
            era: era(manifest).as_str().to_owned(),
            function: serde_json::json!({
                "name": function.name,
                "module": function.module,
                "qualname": function.qualname,
                "cls": function.cls,
                "pickle": pickle.map(manifest::Hidden::expose),
                "python": manifest.python.version,
                "web": function.web,
                "max_inputs": function.max_inputs,
                "snapshot": function.snapshot,
            }),
        },
        never_forked,
        entrypoint: image.entrypoint.clone(),
        pins: vec![image.pins.clone(), tree.pins],
        image: TemplateImage { key: image.key.clone(), env: image_env },
        imports: manifest
            .files
            .iter()
            .filter(|file| file.is_for(&function.name))
            .all(|file| std::path::Path::new(&file.remote).starts_with(HOME))
            .then(|| manifest.imports.clone()),
    }
}

/// Whether variables that only the start of a program reads are among those that the image itself does not set.
fn is_read_at_exec(env: &[(String, String)], image: &[(String, String)]) -> bool {
    const PREFIXES: [&str; 5] = ["PYTHON", "LD_", "LC_", "MALLOC_", "GLIBC_"];
    let read = |name: &str| {
        name == "LANG" || (name != "PYTHONPATH" && PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
    };
    env.iter().any(|variable| read(&variable.0) && !image.contains(variable))
}

/// What every container's environment begins with; the image's and the function's variables come after and win.
fn environment(places: &Places) -> Vec<(String, String)> {
    [
        ("PATH", places.path.as_str()),
        ("HOME", "/root"),
        ("LANG", "C.UTF-8"),
        ("PYTHONUNBUFFERED", "1"),
        ("MODAL_IS_REMOTE", "1"),
        ("MODAL_ENVIRONMENT", "main"),
        ("PILOTLIGHT_IS_REMOTE", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// The runner's place on the module path and that of packages, before those that the image or the function name.
fn python_path(places: &Places, env: &[(String, String)]) -> String {
    let own = env.iter().rev().find(|(name, value)| name == "PYTHONPATH" && !value.is_empty());
    let own = own.map_or_else(String::new, |(_, own)| format!(":{own}"));
    format!("{}:{PACKAGES}{own}", places.lib)
}

/// Cores as thousandths of one; the manifest's check has refused what is not positive.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
fn millis(cores: f64) -> u64 {
    (cores * 1000.0).ceil() as u64
}
