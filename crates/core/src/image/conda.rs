//! Decides the command lines that bring packages of conda channels. Paths are those inside the image.

use super::command::{COPIED, shell, shell_words, sorted};
use super::{CondaInstall, PythonVersion, UV, VENV, VENV_PYTHON};

/// Where a step finds the interpreter that our own program runs on: that of the prefix may be too old for it, and is what
/// is being changed.
pub const INTERPRETER: &str = "/opt/pilotlight/build/python";
/// The program.
const INSTALL: &str = include_str!("conda/install.py");
/// What it needs: the solver and installer that pixi is made of, which is on PyPI, and a reader of environment files.
const NEEDS: [&str; 2] = ["py-rattler>=0.28,<0.29", "pyyaml>=6"];
/// Where these are while a step runs, and what it leaves to pip.
const LIBRARY: &str = "/tmp/conda";
const PIP: &str = "/tmp/conda-pip.txt";

/// Makes the prefix, with a Python.
pub fn prefix(python: PythonVersion) -> Vec<String> {
    shell(&install(python, &CondaInstall::default()))
}

/// Makes the prefix's Python the image's, and shows that it runs.
pub fn found(python: PythonVersion) -> Vec<String> {
    const LINK: &str = "import os, sys
if os.path.isdir('/opt/python') and not os.path.islink('/opt/python'):
    os.rmdir('/opt/python')
elif os.path.lexists('/opt/python'):
    os.remove('/opt/python')
os.symlink(sys.prefix, '/opt/python')
if not os.path.lexists('/opt/conda'):
    os.symlink(sys.prefix, '/opt/conda')
";
    [&format!("{VENV}/bin/python{python}"), "-I", "-c", LINK].map(str::to_owned).to_vec()
}

/// Variables by which programs of conda's find the prefix.
pub fn env() -> Vec<(String, String)> {
    [("CONDA_PREFIX", VENV), ("CONDA_DEFAULT_ENV", "base")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// Installs what the step names, and what its environment file leaves to pip.
pub(super) fn packages(python: PythonVersion, step: &CondaInstall) -> Vec<String> {
    let pip = [UV, "pip", "install", "--python", VENV_PYTHON, "--compile-bytecode", "-r", PIP];
    let pip = shell_words(pip.into_iter().map(str::to_owned).chain(dated(step)));
    shell(&format!("{} && {{ [ ! -s {PIP} ] || {pip}; }}", install(python, step)))
}

/// The step in a few words.
pub(super) fn text(step: &CondaInstall) -> String {
    let files = step.files.iter().map(|file| file.remote.trim_start_matches('/').to_owned());
    let words: Vec<String> = files.chain(sorted(&step.packages)).collect();
    format!("conda install {}", words.join(" "))
}

fn install(python: PythonVersion, step: &CondaInstall) -> String {
    let interpreter = format!("{INTERPRETER}/bin/python3");
    // Whatever day the user's packages are of, the tools are of today.
    let tools = [
        "/usr/bin/env",
        "-u",
        "UV_EXCLUDE_NEWER",
        UV,
        "pip",
        "install",
        "--quiet",
        "--python",
        &interpreter,
        "--target",
        LIBRARY,
    ];
    let tools = shell_words(tools.into_iter().chain(NEEDS));
    let mut argv =
        [&interpreter, "-I", "-c", INSTALL, "--python", &python.to_string()].map(str::to_owned).to_vec();
    argv.extend(step.channels.iter().map(|channel| format!("--channel={channel}")));
    argv.extend(step.files.iter().map(|file| format!("--file={COPIED}{}", file.remote)));
    argv.extend(dated(step));
    argv.push("--".to_owned());
    argv.extend(sorted(&step.packages));
    format!("{tools} && {}", shell_words(argv))
}

fn dated(step: &CondaInstall) -> Option<String> {
    step.exclude_newer.as_ref().map(|date| format!("--exclude-newer={date}"))
}
