//! The rules of a manifest that its types cannot hold. Every broken one is told, in a sentence.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pilotlight_core::id::AppId;
use pilotlight_core::image::PythonVersion;
use pilotlight_core::image::registry::Reference;
use pilotlight_core::name::{check_app, check_dns_label};

use super::{Base, Era, FORMAT, File, Function, Hidden, Image, Manifest, Step, Web};

mod domain;

/// Seconds in a day: the longest time an input may take.
const TIMEOUT_MAX: f64 = 86_400.0;

/// The longest idle time of a container, seconds: an hour, as Modal's client has it.
const SCALEDOWN_MAX: f64 = 3_600.0;

/// The most containers of one function.
const CONTAINERS_MAX: u32 = 10_000;

/// The most inputs that one container handles at a time.
const INPUTS_MAX: u32 = 1_000;

/// The most files of one app.
const FILES_MAX: usize = 100_000;

/// The longest context of a function, bytes: it becomes one environment variable (execve(2) takes 128 KiB).
const CONTEXT_MAX: usize = 64 * 1024;

/// The most a function's environment may take, bytes: it travels to its container in one message.
const ENV_BYTES_MAX: usize = 128 * 1024;

/// The most that the pickles of an app may take in base64, bytes: with them a manifest is one request still.
const PICKLES_BYTES_MAX: usize = 48 * 1024 * 1024;

/// The longest arguments of a function that is run in a build, bytes: they are one word of a command line, of which
/// execve(2) takes 128 KiB.
const ARGUMENTS_MAX: usize = 96 * 1024;

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `functions.f.timeout`.
    pub path: String,
    /// What is wrong, as a sentence without a period.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Collects problems under a path.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn require(&mut self, holds: bool, path: &str, message: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Problem { path: path.to_owned(), message: message() });
        }
    }
}

impl Manifest {
    /// Checks every rule; the list is never empty when it fails.
    pub fn check(&self) -> Result<(), Vec<Problem>> {
        let mut problems = Problems::default();
        problems.require(self.manifest == FORMAT, "manifest", || {
            format!(
                "this is format {}, and only format {FORMAT} is understood: update pilotlight",
                self.manifest
            )
        });
        if let Some(name) = &self.app.name {
            match self.era {
                Era::App => check_app_name(name, "app.name", &mut problems),
                // In 2022 any text could name a stub; only a deploy insisted on a good name.
                Era::Stub => problems.require(name.len() <= 256 && is_one_line(name), "app.name", || {
                    "the name is longer than 256 bytes or has more than one line".to_owned()
                }),
            }
        }
        for (key, image) in &self.images {
            check_image(image, &format!("images.{key}"), &mut problems);
        }
        let named = self.build.len() <= 64 && self.build.bytes().all(|byte| byte.is_ascii_alphanumeric());
        problems.require(named, "build", || "a build has a name of at most 64 letters and digits".to_owned());
        check_files(self, &mut problems);
        let size: usize = self.pickles.values().map(|pickle| pickle.expose().len()).sum();
        problems.require(size <= PICKLES_BYTES_MAX, "pickles", || {
            let (size, max) = (size / 1024 / 1024, PICKLES_BYTES_MAX / 1024 / 1024);
            format!(
                "functions with serialized=True take {size} MiB together, and at most {max} MiB can be sent"
            )
        });
        let mut names = BTreeSet::new();
        let mut labels = BTreeSet::new();
        let mut domains = BTreeSet::new();
        for function in &self.functions {
            let path = format!("functions.{}", function.name);
            problems
                .require(names.insert(&function.name), &path, || "two functions have this name".to_owned());
            if let Some(label) = &function.label {
                problems
                    .require(labels.insert(label), &path, || format!("the label `{label}` is used twice"));
            }
            problems.require(self.images.contains_key(&function.image), &path, || {
                format!("its image `{}` is not in the manifest", function.image)
            });
            for domain in &function.custom_domains {
                problems.require(domains.insert(domain), &path, || {
                    format!("the custom domain `{domain}` is used twice")
                });
            }
            if let Some(pickled) = &function.pickled {
                problems.require(self.pickles.contains_key(pickled), &path, || {
                    format!("its pickle `{pickled}` is not in the manifest")
                });
            }
            check_function(function, &path, &mut problems);
        }
        if problems.0.is_empty() { Ok(()) } else { Err(problems.0) }
    }

    /// [`check`](Self::check), and that every file says which content it has: what a server needs.
    pub fn check_sent(&self) -> Result<(), Vec<Problem>> {
        let mut problems = self.check().err().unwrap_or_default();
        for file in self.all_files() {
            if file.digest.is_none() || file.size.is_none() {
                let message = "the digest and size of its content are missing".to_owned();
                problems.push(Problem { path: format!("files.{}", file.remote), message });
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// Says why `name` cannot name an app; `None` if it can.
pub(crate) fn app_name_problem(name: &str) -> Option<Problem> {
    let mut problems = Problems::default();
    check_app_name(name, "name", &mut problems);
    problems.0.pop()
}

/// Whether `text` is a SHA-256 digest in lower-case hex.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The rule of `core::name`; beside it, a name that looks like an id could not be told from one in `app stop`.
fn check_app_name(name: &str, path: &str, problems: &mut Problems) {
    if let Err(error) = check_app(name) {
        problems.require(false, path, || error.to_string());
    }
    let like_id = name.len() == 19 && AppId::parse(name).is_some();
    problems.require(!like_id, path, || {
        format!("`{name}` looks like an app id: choose a name that does not begin with `ap-`")
    });
}

fn check_image(image: &Image, path: &str, problems: &mut Problems) {
    let forced = image.force_build.is_none_or(|step| step <= image.steps.len());
    problems.require(forced, path, || "it has no such step to build anew".to_owned());
    let version = match &image.base {
        Base::DebianSlim { python_version } | Base::Conda { python_version } => python_version,
        Base::Registry { reference, add_python, .. } => {
            if let Err(error) = reference.parse::<Reference>() {
                problems.require(false, path, || error.to_string());
            }
            add_python
        }
        Base::Dockerfile { add_python, .. } => {
            let lines = image.steps.first().and_then(Step::dockerfile_lines);
            problems
                .require(lines.is_some(), path, || "its first step has no lines of a Dockerfile".to_owned());
            add_python
        }
    };
    let name = image.base.login().map(|login| login.username.as_str());
    let ok = name.is_none_or(|name| !name.is_empty() && !name.contains(':'));
    problems.require(ok, path, || "a login's name is not empty and has no `:`".to_owned());
    if let Some(version) = version {
        let supported = version.parse::<PythonVersion>().and_then(PythonVersion::supported);
        if let Err(error) = supported {
            problems.require(false, path, || error.to_string());
        }
    }
    let conda = matches!(image.base, Base::Conda { .. });
    for (index, step) in image.steps.iter().enumerate() {
        problems.require(conda || !step.is_of_conda(), path, || {
            "packages of conda need an image that begins with Image.micromamba() or Image.conda()".to_owned()
        });
        check_step(step, &format!("{path}.steps.{index}"), problems);
    }
}

fn check_step(step: &Step, path: &str, problems: &mut Problems) {
    match step {
        Step::PipInstall { packages, .. } | Step::AptInstall { packages } => {
            if let Step::PipInstall { options, .. } = step {
                check_options(options, path, problems);
            }
            for package in packages {
                // One that begins with a dash would be read as an option by the installer.
                let name = package.trim();
                let ok = !name.is_empty() && !name.starts_with('-') && is_one_line(package);
                problems.require(ok, path, || format!("`{package}` is no package"));
            }
        }
        Step::RunCommands { commands } => {
            for command in commands {
                problems.require(!command.contains('\0'), path, || "a command contains a NUL".to_owned());
            }
        }
        Step::Env { vars } => {
            check_env(vars.iter().map(|(name, value)| (name, value.as_str())), path, problems);
        }
        Step::Workdir { path: directory } => check_remote(directory, path, problems),
        Step::Shell { command } => {
            let ok = !command.is_empty() && command.iter().all(|word| !word.contains('\0'));
            problems.require(ok, path, || "this is no shell".to_owned());
        }
        Step::Entrypoint { command } => {
            let ok = command.iter().all(|word| !word.contains('\0'));
            problems.require(ok, path, || "this is no program".to_owned());
        }
        Step::UvSync { files, groups, extras, options, .. } => {
            check_options(options, path, problems);
            check_words(groups.iter().chain(extras), path, problems);
            for file in files {
                check_file(file, &format!("{path}.{}", file.remote), problems);
            }
        }
        Step::PoetryInstall { files, with, without, only, version } => {
            check_words(with.iter().chain(without).chain(only).chain(version), path, problems);
            for file in files {
                check_file(file, &format!("{path}.{}", file.remote), problems);
            }
        }
        Step::CondaInstall { packages, channels, files, exclude_newer } => {
            for word in packages.iter().chain(channels).chain(exclude_newer) {
                let ok = !word.trim().is_empty() && !word.starts_with('-') && is_one_line(word);
                problems.require(ok, path, || format!("`{word}` is no package and no channel of conda's"));
            }
            problems.require(files.len() <= 1, path, || "it has more than one environment file".to_owned());
            for file in files {
                check_file(file, &format!("{path}.{}", file.remote), problems);
            }
        }
        Step::RunFunction { module, qualname, source, arguments, files } => {
            problems.require(importable(module), path, || format!("`{module}` is no module name"));
            problems.require(dotted(qualname), path, || format!("`{qualname}` is no function path"));
            problems.require(is_one_line(source) && is_one_line(arguments), path, || {
                "its source or arguments have more than one line".to_owned()
            });
            problems.require(arguments.len() <= ARGUMENTS_MAX, path, || {
                format!("its arguments take more than {} KiB: let it read a file", ARGUMENTS_MAX / 1024)
            });
            for file in files {
                check_file(file, &format!("{path}.{}", file.remote), problems);
            }
        }
        Step::CopyFiles { files } => {
            for file in files {
                check_file(file, &format!("{path}.{}", file.remote), problems);
            }
        }
        Step::DockerfileCommands { commands, context, build_args } => {
            for command in commands {
                problems.require(!command.contains('\0'), path, || "a line contains a NUL".to_owned());
            }
            for file in context {
                // Its place counts from the root of the context.
                let rooted = File { remote: format!("/{}", file.remote), ..file.clone() };
                check_file(&rooted, &format!("{path}.{}", file.remote), problems);
            }
            check_env(build_args.iter().map(|(name, value)| (name, value.as_str())), path, problems);
        }
        Step::With { env, secrets, step } => {
            check_env(env.iter().map(|(name, value)| (name, value.as_str())), path, problems);
            check_env(secrets.iter().map(|(name, value)| (name, value.expose())), path, problems);
            let plain = !matches!(**step, Step::With { .. });
            problems.require(plain, path, || "a step has its variables once".to_owned());
            if plain {
                check_step(step, path, problems);
            }
        }
    }
}

/// Options are words of their own: one without a dash in front would be taken for a package.
fn check_options(options: &[String], path: &str, problems: &mut Problems) {
    for option in options {
        let ok = option.starts_with("--") && is_one_line(option);
        problems.require(ok, path, || format!("`{option}` is no option"));
    }
}

/// Names of groups and versions.
fn check_words<'a>(words: impl Iterator<Item = &'a String>, path: &str, problems: &mut Problems) {
    for word in words {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.+!".contains(letter);
        let ok = word.chars().all(plain) && word.starts_with(|first: char| first.is_ascii_alphanumeric());
        problems.require(ok, path, || format!("`{word}` is no name of a group, and no version"));
    }
}

fn check_env<'a>(vars: impl Iterator<Item = (&'a String, &'a str)>, path: &str, problems: &mut Problems) {
    for (name, value) in vars {
        let ok = !name.is_empty() && !name.contains(['=', '\0']);
        problems.require(ok, path, || format!("`{name}` is no name for an environment variable"));
        problems.require(!value.contains('\0'), path, || format!("the value of `{name}` contains a NUL"));
    }
}

fn check_files(manifest: &Manifest, problems: &mut Problems) {
    let count = manifest.all_files().count();
    problems.require(count <= FILES_MAX, "files", || {
        format!("{count} files are more than the {FILES_MAX} that an app may have")
    });
    let functions: BTreeSet<&String> = manifest.functions.iter().map(|function| &function.name).collect();
    let mut places: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
    for file in &manifest.files {
        let path = format!("files.{}", file.remote);
        check_file(file, &path, problems);
        // Each function has one file at a path.
        let others = places.entry(&file.remote).or_default();
        let meets =
            |other: &&File| file.functions.is_empty() || file.functions.iter().any(|name| other.is_for(name));
        problems.require(!others.iter().any(meets), &path, || "two files have this path".to_owned());
        others.push(file);
        for name in file.functions.iter().filter(|name| !functions.contains(name)) {
            problems.require(false, &path, || format!("it is for `{name}`, which is no function"));
        }
    }
}

/// What holds of every local file, wherever it goes.
fn check_file(file: &File, path: &str, problems: &mut Problems) {
    check_remote(&file.remote, path, problems);
    let named = file.remote != "/" && !file.remote.ends_with('/');
    problems.require(named, path, || "this is no file".to_owned());
    problems.require(file.local.is_absolute(), path, || {
        format!("`{}` is no absolute path", file.local.display())
    });
    problems.require(file.mode <= 0o777, path, || format!("{} are no permission bits", file.mode));
    if let Some(digest) = &file.digest {
        problems.require(is_digest(digest), path, || format!("`{digest}` is no SHA-256 digest"));
    }
}

/// A path in a container: absolute, and one that stays where it says.
fn check_remote(remote: &str, path: &str, problems: &mut Problems) {
    let inside = !remote.split('/').any(|part| part == ".." || part == ".");
    problems.require(remote.starts_with('/') && inside && !remote.contains('\0'), path, || {
        format!("`{remote}` must be an absolute path without `.` and `..`")
    });
}

/// Whether `import_module` could take it: `my-program` and `01_hello` are no identifiers, but file names it finds.
fn importable(module: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && !part.contains(|c: char| c == '/' || c.is_control());
    module.len() <= 256 && module.split('.').all(plain)
}

/// Names with dots between them.
fn dotted(text: &str) -> bool {
    text.len() <= 256
        && text.split('.').all(|part| {
            !part.is_empty()
                && !part.starts_with(|first: char| first.is_ascii_digit())
                && part.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
        })
}

fn check_function(function: &Function, path: &str, problems: &mut Problems) {
    let name = &function.name;
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) || !byte.is_ascii();
    problems.require(!name.is_empty() && name.len() <= 256 && name.bytes().all(letters), path, || {
        format!("`{name}` is no function name: use letters, digits, `-`, `_` and `.`")
    });
    problems
        .require(importable(&function.module), path, || format!("`{}` is no module name", function.module));
    // One that was pickled is not looked up: it may stand in another function, `make.<locals>.f`.
    let named = dotted(&function.qualname) || function.pickled.is_some() && is_one_line(&function.qualname);
    problems.require(named, path, || format!("`{}` is no function path", function.qualname));
    if let Some(label) = &function.label {
        let fault = check_dns_label(label).err();
        problems.require(fault.is_none(), path, || {
            let fault = fault.map_or_else(String::new, |fault| fault.to_string());
            format!("the label `{label}` cannot be part of a URL: {fault}")
        });
    }
    if let Some(Web::Endpoint { method, .. }) = &function.web {
        let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"];
        problems.require(known.contains(&method.as_str()), path, || {
            format!("`{method}` is no HTTP method: use one of {}", known.join(", "))
        });
    }
    if let Some(Web::WebServer { port, startup_timeout }) = &function.web {
        let ok = *port > 0 && *startup_timeout > 0.0 && *startup_timeout <= TIMEOUT_MAX;
        problems.require(ok, path, || format!("port {port} within {startup_timeout} s is no web server"));
    }
    if let Some(cls) = &function.cls {
        let inside = function.qualname.strip_prefix(cls.as_str()).and_then(|rest| rest.strip_prefix('.'));
        problems.require(inside.is_some_and(|method| !method.contains('.')), path, || {
            format!("`{}` is no method of the class `{cls}`", function.qualname)
        });
    }
    for domain in &function.custom_domains {
        if let Err(fault) = domain::check(domain) {
            problems.require(false, path, || format!("`{domain}` is no custom domain: {fault}"));
        }
    }
    let context = function.context.as_deref().unwrap_or_default();
    problems.require(context.len() <= CONTEXT_MAX && !context.contains('\0'), path, || {
        format!("its context is longer than {CONTEXT_MAX} bytes or contains a NUL")
    });
    check_limits(function, path, problems);
    let size: usize = function.env.iter().map(|(name, value)| name.len() + value.expose().len() + 2).sum();
    problems.require(size <= ENV_BYTES_MAX, path, || {
        let (size, max) = (size / 1024, ENV_BYTES_MAX / 1024);
        format!("its environment variables and secrets take {size} KiB, and at most {max} KiB fit")
    });
    check_env(function.env.iter().map(|(name, value)| (name, Hidden::expose(value))), path, problems);
}

fn check_limits(function: &Function, path: &str, problems: &mut Problems) {
    let field = |name: &str| format!("{path}.{name}");
    let min = function.min_containers;
    let max = function.max_containers.unwrap_or(CONTAINERS_MAX);
    problems.require((1..=CONTAINERS_MAX).contains(&max), &field("max_containers"), || {
        format!("{max} is not between 1 and {CONTAINERS_MAX}")
    });
    problems.require(min <= max, &field("min_containers"), || {
        format!("{min} is more than max_containers, {max}")
    });
    let buffer = function.buffer_containers;
    problems.require(buffer <= CONTAINERS_MAX, &field("buffer_containers"), || {
        format!("{buffer} is more than {CONTAINERS_MAX}")
    });
    problems.require(!function.single_use || function.max_inputs == 1, &field("single_use"), || {
        format!("a container for a single use handles one input at a time, not {}", function.max_inputs)
    });
    problems.require((1..=INPUTS_MAX).contains(&function.max_inputs), &field("max_inputs"), || {
        format!("{} is not between 1 and {INPUTS_MAX}", function.max_inputs)
    });
    if let Some(target) = function.target_inputs {
        problems.require((1..=function.max_inputs).contains(&target), &field("target_inputs"), || {
            format!("{target} is not between 1 and max_inputs, {}", function.max_inputs)
        });
    }
    let mut seconds = |name: &str, value: f64, limit: f64| {
        problems.require(value > 0.0 && value <= limit, &field(name), || {
            format!("{value} s is not between 0 (exclusive) and {limit} s")
        });
    };
    seconds("scaledown_window", function.scaledown_window, SCALEDOWN_MAX);
    seconds("timeout", function.timeout, TIMEOUT_MAX);
    if let Some(total) = function.total_timeout {
        seconds("total_timeout", total, TIMEOUT_MAX);
    }
    if let Some(startup) = function.startup_timeout {
        seconds("startup_timeout", startup, TIMEOUT_MAX);
    }
    if let Some(cpu) = function.cpu {
        problems.require(cpu > 0.0 && cpu <= 1_024.0, &field("cpu"), || {
            format!("{cpu} cores are not between 0 (exclusive) and 1024")
        });
    }
    if let Some(memory) = function.memory {
        let max = 16 * 1024 * 1024;
        problems.require((1..=max).contains(&memory), &field("memory"), || {
            format!("{memory} MiB are not between 1 and {max}")
        });
    }
    if let Some(rate) = function.rate_limit {
        let is_one = rate.requests > 0 && (1..=86_400).contains(&rate.seconds);
        problems.require(is_one, &field("rate_limit"), || {
            format!("{} requests in {} s are no rate", rate.requests, rate.seconds)
        });
    }
    if let Some(disk) = function.ephemeral_disk {
        // Modal's own bound, 3 TiB.
        let max = 3 * 1024 * 1024;
        problems.require((1..=max).contains(&disk), &field("ephemeral_disk"), || {
            format!("{disk} MiB are not between 1 and {max}")
        });
    }
}

fn is_one_line(text: &str) -> bool {
    !text.contains(['\n', '\r', '\0'])
}

#[cfg(test)]
mod tests;
