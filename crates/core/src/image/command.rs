//! Decides the command line of each build step. Paths are those inside the image.

use super::{PackageSet, PipInstall, PoetryInstall, PythonVersion, RunFunction, UvSync};

/// Where build steps find uv.
pub const UV: &str = "/opt/pilotlight/bin/uv";
/// Where build steps find uv's cache, shared by all builds of a server.
pub const UV_CACHE: &str = "/var/cache/uv";
/// The prefix of the interpreter; a link to /usr in a Debian base.
pub const PYTHON_HOME: &str = "/opt/python";
/// The virtual environment of the image.
pub const VENV: &str = "/opt/venv";
/// The interpreter that runs the user's code.
pub const VENV_PYTHON: &str = "/opt/venv/bin/python";
/// The search path of build steps and containers.
pub const PATH: &str =
    "/opt/venv/bin:/opt/python/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What apt needs to know in the environment: nobody is there to answer questions.
pub const APT_ENV: (&str, &str) = ("DEBIAN_FRONTEND", "noninteractive");

/// Where the programs of a build are, as its steps see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tools {
    /// uv.
    pub uv: String,
    /// The interpreter to make the virtual environment of.
    pub python: String,
    /// The virtual environment.
    pub venv: String,
    /// Whether the environment is to be moved once it is made.
    pub relocatable: bool,
}

impl Tools {
    /// Those of an image's own build steps.
    pub(super) fn inside(python: PythonVersion) -> Self {
        let python = format!("{PYTHON_HOME}/bin/python{python}");
        Self { uv: UV.to_owned(), python, venv: VENV.to_owned(), relocatable: false }
    }

    fn venv_python(&self) -> String {
        format!("{}/bin/python", self.venv)
    }
}

/// Makes the virtual environment, installs the era's packages and imports them: resolving alone proves little.
pub(super) fn venv(tools: &Tools, set: &PackageSet) -> Vec<String> {
    let Tools { uv, python, venv, relocatable } = tools;
    let mut create = vec![uv.as_str(), "venv", "--quiet", "--no-project", "--python", python];
    create.extend(relocatable.then_some("--relocatable"));
    create.push(venv);
    let mut script = shell_words(create);
    if !set.packages.is_empty() {
        let install = install_prefix(tools).chain(sorted(&set.packages));
        script = format!("{script} && {}", shell_words(install));
    }
    if !set.imports.is_empty() {
        let imports = format!("import {}", set.imports.join(", "));
        let import = [&tools.venv_python(), "-W", "ignore", "-c", &imports];
        script = format!("{script} && {}", shell_words(import));
    }
    shell(&script)
}

/// The same on top of an image that has packages of its own: they are there, and those of the era that it has win.
pub(super) fn venv_above(tools: &Tools, set: &PackageSet) -> Vec<String> {
    let Tools { uv, python, venv, .. } = tools;
    let create = [uv, "venv", "--quiet", "--no-project", "--python", python, "--system-site-packages", venv];
    shell(&format!("{} && {}", shell_words(create), missing(tools, set)))
}

/// The same where there is an environment already: a prefix of conda's is one.
pub(super) fn venv_there(tools: &Tools, set: &PackageSet) -> Vec<String> {
    shell(&missing(tools, set))
}

/// Installs what is missing of a set.
fn missing(tools: &Tools, set: &PackageSet) -> String {
    let look = [tools.venv_python(), "-c".to_owned(), MISSING.to_owned()];
    let look = shell_words(look.into_iter().chain(sorted(&set.packages)));
    let install = shell_words(install_prefix(tools).chain(["-r", WANTED].map(str::to_owned)));
    let pinned = format!("{install} -c {PINS}");
    // Where what the image has and what the era needs cannot be had together, the era's goes in front.
    format!("{look} && {{ {pinned} || {install}; }}")
}

/// Where it says what is missing, and the versions of what is there.
const WANTED: &str = "/tmp/wanted.txt";
const PINS: &str = "/tmp/pins.txt";

/// Run with the era's requirements in an environment that is empty but for what the image has. pip is installed in any
/// case: the image's own would install behind the environment.
const MISSING: &str = r#"
import importlib.metadata, re, sys

def canonical(name):
    return re.sub("[-_.]+", "-", re.match("[A-Za-z0-9._-]+", name).group()).lower()

there = {}
for found in importlib.metadata.distributions():
    if found.metadata["Name"]:
        there.setdefault(canonical(found.metadata["Name"]), found.version)
wanted = [name for name in sys.argv[1:] if canonical(name) == "pip" or canonical(name) not in there]
with open("/tmp/wanted.txt", "w") as file:
    print(*wanted, sep=chr(10), file=file)
with open("/tmp/pins.txt", "w") as file:
    pins = ["==".join(pin) for pin in there.items() if "+" not in pin[1] and pin[0] != "pip"]
    print(*pins, sep=chr(10), file=file)
"#;

/// `uv pip install` with the options of the step.
pub(super) fn pip(tools: &Tools, step: &PipInstall) -> Vec<String> {
    let mut argv: Vec<String> = install_prefix(tools).collect();
    let mut option = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            argv.extend([name.to_owned(), value.clone()]);
        }
    };
    option("--find-links", &step.find_links);
    option("--default-index", &step.index_url);
    option("--index", &step.extra_index_url);
    if step.extra_index_url.is_some() {
        // pip looks at all indexes and takes the best version; uv by default stops at the first that has the name,
        // which breaks programs that name an index of accelerator builds beside the main one.
        argv.extend(["--index-strategy", "unsafe-best-match"].map(str::to_owned));
    }
    if step.pre {
        argv.extend(["--prerelease", "allow"].map(str::to_owned));
    }
    argv.extend(step.options.iter().cloned());
    let requirements = requirements(&step.packages);
    if !requirements.iter().any(|requirement| requirement.contains(HASH)) {
        argv.extend(requirements);
        return argv;
    }
    // Hashes stand in files alone. As with pip, one of them means that every package must have some.
    // <https://pip.pypa.io/en/stable/topics/secure-installs/>
    if !step.options.iter().any(|option| option == REQUIRE_HASHES) {
        argv.push(REQUIRE_HASHES.to_owned());
    }
    argv.extend(["-r", "-"].map(str::to_owned));
    let lines = ["printf", r"%s\n"].map(str::to_owned).into_iter().chain(requirements);
    shell(&format!("{} | {}", shell_words(lines), shell_words(argv)))
}

/// The option by which a package without a hash is refused.
const REQUIRE_HASHES: &str = "--require-hashes";

/// What stands before a hash of a requirement.
const HASH: &str = " --hash=";

/// A requirement without its hashes, for people.
pub(super) fn without_hashes(requirement: &str) -> &str {
    requirement.split(HASH).next().unwrap_or_default()
}

/// Tells git the token for the host that asks for one, and no other. It is asked `Password for 'https://me@github.com': `
/// (gitcredentials(7)).
pub(super) const ASKPASS: &str = r#"#!/bin/sh
case "$1" in
"Password for 'https://"*"@github.com': ") echo "$GITHUB_TOKEN" ;;
"Password for 'https://"*"@gitlab.com': ") echo "$GITLAB_TOKEN" ;;
esac
"#;

/// Where [`ASKPASS`] is put, below [`COPIED`].
pub(super) const ASKPASS_FILE: &str = "/askpass";

/// Variables that make git ask it, in the words that it knows.
pub(super) fn askpass_env() -> Vec<(String, String)> {
    let program = format!("{COPIED}{ASKPASS_FILE}");
    [("GIT_ASKPASS", program.as_str()), ("GIT_TERMINAL_PROMPT", "0"), ("LC_ALL", "C"), ("LANGUAGE", "C")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// Installs git unless it is there.
pub(super) fn git() -> Vec<String> {
    let install = apt(&["git".to_owned()]);
    let install = install.last().expect("a shell has its script");
    let none =
        "there is no git in this image and no apt-get that could install it: add git to the image first";
    shell(&format!(
        "command -v git >/dev/null && exit; command -v apt-get >/dev/null && [ -w /usr/bin ] || {{ echo '{none}' >&2; \
         exit 1; }}; {install}"
    ))
}

/// `uv sync` of the project at [`COPIED`] into the image's environment. The project itself is not installed, and what is
/// there beside its packages stays: the era's own.
pub(super) fn uv_sync(tools: &Tools, step: &UvSync) -> Vec<String> {
    let environment = format!("UV_PROJECT_ENVIRONMENT={}", tools.venv);
    let python = tools.venv_python();
    let mut argv =
        vec!["/usr/bin/env", &environment, &tools.uv, "sync", "--project", COPIED, "--python", &python];
    argv.extend(["--inexact", "--no-install-workspace", "--compile-bytecode"]);
    argv.extend(step.frozen.then_some("--frozen"));
    let named = |name: &'static str, values: &'_ [String]| {
        values.iter().map(|value| format!("{name}={value}")).collect::<Vec<_>>()
    };
    let (groups, extras) = (named("--group", &step.groups), named("--extra", &step.extras));
    let words = argv.into_iter().map(str::to_owned);
    words.chain(groups).chain(extras).chain(step.options.iter().cloned()).collect()
}

/// Installs what the lock file of the Poetry project at [`COPIED`] says. Poetry, which is not in the image afterwards,
/// only reads it; uv installs, from the index that the machine is set to, which Poetry would not ask.
pub(super) fn poetry(tools: &Tools, step: &PoetryInstall) -> Vec<String> {
    const LIST: &str = "/tmp/requirements.txt";
    let version =
        step.version.as_ref().map_or_else(|| "poetry".to_owned(), |version| format!("poetry=={version}"));
    let tool =
        [&tools.uv, "tool", "run", "--quiet", "--from", &version, "--with", "poetry-plugin-export", "poetry"];
    let export = ["--directory", COPIED, "export", "--no-interaction", "--output", LIST];
    let named = [("--with", &step.with), ("--without", &step.without), ("--only", &step.only)];
    let named = named.into_iter().filter(|(_, groups)| !groups.is_empty());
    let named = named.map(|(name, groups)| format!("{name}={}", groups.join(",")));
    let export = shell_words(tool.into_iter().chain(export).map(str::to_owned).chain(named));
    let install = shell_words(install_prefix(tools).chain(["-r", LIST].map(str::to_owned)));
    shell(&format!("{export} && {install}"))
}

/// `apt-get install`, with fresh lists that are not kept.
///
/// apt would switch to its own user for downloads, which a container without capabilities cannot do.
pub(super) fn apt(packages: &[String]) -> Vec<String> {
    let apt = ["apt-get", "-o", "APT::Sandbox::User=root", "-q"];
    let update = shell_words(apt.into_iter().chain(["update"]));
    let names = sorted(packages);
    let install = apt.into_iter().chain(["install", "-y", "--"]).map(str::to_owned).chain(names);
    let install = shell_words(install);
    shell(&format!("{update} && {install} && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin"))
}

/// What runs the command lines of an image that names no shell.
pub(super) const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Where a step finds the files that it is to put into the image, at their places below.
pub const COPIED: &str = "/opt/pilotlight/build/copied";

/// Puts the files below [`COPIED`] into the image. By a program in the image itself, so that links of its own lead where
/// they do there: `/lib` of a Debian is one.
const COPY: &str = "import os, shutil, sys
try:
    for folder, _, names in os.walk(sys.argv[1]):
        at = os.path.normpath('/' + os.path.relpath(folder, sys.argv[1]))
        os.makedirs(at, exist_ok=True)
        for name in names:
            to = os.path.join(at, name)
            if os.path.islink(to):
                os.remove(to)
            shutil.copy(os.path.join(folder, name), to)
except OSError as error:
    sys.exit(f'cannot put a file into the image: {error.filename2 or error.filename}: {error.strerror}')
";

/// Unpacks the archives below [`COPIED`] in a folder, and copies what is none to its place. Their files belong to the image's
/// root; a path that would lead out of the folder begins in it, and devices are left out.
const UNPACK: &str = "import os, shutil, sys, tarfile
copied, to = sys.argv[1:3]
def inside(path):
    return os.path.normpath('/' + path).lstrip('/')
try:
    for remote in sys.argv[3:]:
        if not tarfile.is_tarfile(copied + remote):
            os.makedirs(os.path.dirname(remote), exist_ok=True)
            shutil.copy(copied + remote, remote)
            continue
        os.makedirs(to, exist_ok=True)
        with tarfile.open(copied + remote) as tar:
            tar.extraction_filter = lambda member, path: member
            for member in tar:
                member.name = inside(member.name)
                if member.islnk():
                    member.linkname = inside(member.linkname)
                if member.name and not member.isdev():
                    member.uid, member.gid = os.getuid(), os.getgid()
                    member.uname = member.gname = ''
                    tar.extract(member, to)
except (OSError, EOFError, tarfile.TarError) as error:
    sys.exit(f'cannot unpack {os.path.basename(remote)}: {error}')
";

/// Unpacks archives.
pub(super) fn unpack(to: &str, files: &[super::CopiedFile]) -> Vec<String> {
    let words = [VENV_PYTHON, "-I", "-c", UNPACK, COPIED, to].into_iter();
    words.chain(files.iter().map(|file| file.remote.as_str())).map(str::to_owned).collect()
}

/// Where the user's files are, in containers as well.
pub const HOME: &str = "/root";

/// Runs a function of the user's by the runner, which the step has beside the layers.
pub(super) fn function(step: &RunFunction) -> Vec<String> {
    let words =
        [VENV_PYTHON, "-m", "_pilotlight_runner.build", &step.module, &step.qualname, &step.arguments];
    words.map(str::to_owned).to_vec()
}

/// Copies files into the image.
pub(super) fn copy() -> Vec<String> {
    [VENV_PYTHON, "-I", "-c", COPY, COPIED].map(str::to_owned).to_vec()
}

/// Requirements in the order that decides the key: sorted, unless options among them make the order matter.
pub(super) fn requirements(packages: &[String]) -> Vec<String> {
    if packages.iter().any(|package| package.trim_start().starts_with('-')) {
        return packages.iter().flat_map(|package| option_words(package)).collect();
    }
    sorted(packages)
}

fn option_words(package: &str) -> Vec<String> {
    let package = package.trim();
    if package.starts_with('-') {
        package.split_whitespace().map(str::to_owned).collect()
    } else {
        vec![package.to_owned()]
    }
}

pub(super) fn sorted(packages: &[String]) -> Vec<String> {
    let mut sorted: Vec<String> = packages.iter().map(|package| package.trim().to_owned()).collect();
    sorted.sort();
    sorted.dedup();
    sorted
}

fn install_prefix(tools: &Tools) -> impl Iterator<Item = String> {
    let python = tools.venv_python();
    [&tools.uv, "pip", "install", "--python", &python, "--compile-bytecode"].map(str::to_owned).into_iter()
}

pub(super) fn shell(script: &str) -> Vec<String> {
    SHELL.into_iter().chain([script]).map(str::to_owned).collect()
}

/// Joins words so that a POSIX shell reads them back unchanged.
pub(super) fn shell_words<I>(words: I) -> String
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    words.into_iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
