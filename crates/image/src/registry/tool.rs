//! This executable inside an image, which may have nothing of its own to be unpacked or asked by.
//!
//! The executable, the libraries that it runs with and their loader lie in one directory of a layer that build steps of a
//! registry's image have on top. So what reads somebody else's archive does it in a container, as the root of nobody.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use fs_err::File;
use pilotlight_core::image::registry::Limits;
use pilotlight_core::image::{Key, UV};

use super::unpack::{self, Packing};
use crate::runner::INPUT;
use crate::store;

/// The hidden subcommand.
pub(crate) const NAME: &str = "image-tool";
/// Where a Python that an image lacks is put.
const ADDED: &str = "/opt/pilotlight/python";
/// Below [`INPUT`].
const DIRECTORY: &str = "tool";

/// The executable as containers find it.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    /// The layer that has it.
    pub(crate) layer: PathBuf,
    /// What its command lines begin with.
    pub(crate) argv: Vec<String>,
}

/// The tool, laid out below the state directory if it is not there.
pub(crate) fn ensure(state_dir: &Path) -> std::io::Result<Tool> {
    let program = Path::new("/proc/self/exe");
    let libraries = libraries(&fs_err::read_to_string("/proc/self/maps")?);
    let mut stamps = Vec::new();
    for path in libraries.iter().map(PathBuf::as_path).chain([program]) {
        let meta = fs_err::metadata(path)?;
        stamps.push(format!("{} {} {}", meta.len(), meta.mtime(), meta.mtime_nsec()));
    }
    let tools = state_dir.join("tools");
    let layer = tools.join(format!("image-tool-{}", Key::of("pilotlight image tool 1", stamps).short()));
    let inside = format!("{INPUT}/{DIRECTORY}");
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let names: Vec<String> = libraries.iter().filter_map(|path| name(path)).collect();
    if !layer.exists() {
        fs_err::create_dir_all(&tools)?;
        let staging = tempfile::Builder::new().prefix(".staging-").tempdir_in(&tools)?;
        let directory = staging.path().join(inside.trim_start_matches('/'));
        fs_err::create_dir_all(&directory)?;
        let copies = libraries.iter().map(PathBuf::as_path).zip(names.iter().map(String::as_str));
        for (from, to) in copies.chain([(program, "pilotlight")]) {
            fs_err::copy(from, directory.join(to))?;
            fs_err::set_permissions(directory.join(to), PermissionsExt::from_mode(0o755))?;
        }
        fs_err::set_permissions(staging.path(), PermissionsExt::from_mode(0o755))?;
        let staged = staging.keep();
        // Another build may have been first; its tool is the same.
        if let Err(error) = fs_err::rename(&staged, &layer) {
            store::remove(&staged)?;
            if !layer.exists() {
                return Err(error);
            }
        }
    }
    let loader = names.iter().find(|name| name.starts_with("ld-"));
    let mut argv: Vec<String> = Vec::new();
    if let Some(loader) = loader {
        argv.extend([format!("{inside}/{loader}"), "--library-path".to_owned(), inside.clone()]);
    }
    argv.extend([format!("{inside}/pilotlight"), NAME.to_owned()]);
    Ok(Tool { layer, argv })
}

/// The shared libraries of a process, its loader among them, from its memory map. proc_pid_maps(5)
fn libraries(maps: &str) -> Vec<PathBuf> {
    let paths = maps.lines().filter_map(|line| line.split_once('/').map(|(_, path)| format!("/{path}")));
    let mut found: Vec<PathBuf> = paths
        .filter(|path| {
            path.rsplit('/').next().is_some_and(|name| name.split('.').skip(1).any(|part| part == "so"))
        })
        .map(PathBuf::from)
        .collect();
    found.sort();
    found.dedup();
    found
}

/// What the tool was asked to do, as words of a command line.
pub(crate) fn unpack_words(layer: &str, packing: Packing, diff_id: &str, size: u64) -> [String; 5] {
    let words = ["unpack", layer, packing.word(), diff_id].map(str::to_owned);
    let [a, b, c, d] = words;
    [a, b, c, d, size.to_string()]
}

/// The body of the hidden subcommand: `None` where the command line is not its own. Belongs at the top of `main`.
pub fn tool_main() -> Option<ExitCode> {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let (first, words) = words.split_first()?;
    if first != NAME {
        return None;
    }
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["unpack", layer, packing, diff_id, size] => unpack_here(layer, packing, diff_id, size),
        ["python", path, script] => Err(python_here(path, script)),
        ["add", version, script] => Err(add_here(version, script)),
        _ => Err("this is no command of the image tool".to_owned()),
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever is not there to read it knows by the code.
            let _ = if error.is_empty() { Ok(()) } else { writeln!(std::io::stderr(), "{error}") };
            ExitCode::FAILURE
        }
    })
}

fn unpack_here(layer: &str, packing: &str, diff_id: &str, size: &str) -> Result<(), String> {
    let (Some(packing), Ok(size)) = (Packing::named(packing), size.parse()) else {
        return Err("this is no layer of the image tool".to_owned());
    };
    let told = |error: std::io::Error| error.to_string();
    let file = File::open(layer).map_err(told)?;
    let root = File::open("/").map_err(told)?;
    let limits = Limits::of(size);
    unpack::unpack(file, packing, diff_id, limits, root.file().as_fd()).map_err(|error| error.to_string())?;
    Ok(())
}

/// Becomes the first Python on `path`; returns why not.
fn python_here(path: &str, script: &str) -> String {
    let directories = || path.split(':').filter(|directory| directory.starts_with('/'));
    for name in ["python3", "python"] {
        for directory in directories() {
            let program = Path::new(directory).join(name);
            if program.is_file() {
                let error = Command::new(&program).args(["-I", "-S", "-B", "-c", script]).exec();
                return format!("cannot run {}: {error}", program.display());
            }
        }
    }
    super::NO_PYTHON.to_owned()
}

/// Lets uv install a Python, and becomes it; returns why not.
fn add_here(version: &str, script: &str) -> String {
    let mut uv = Command::new(UV);
    uv.args(["python", "install", version, "--install-dir", ADDED, "--no-bin", "--no-config", "--no-cache"]);
    match uv.status() {
        Ok(status) if status.success() => {}
        // It has said why.
        Ok(_) => return String::new(),
        Err(error) => return format!("cannot run uv: {error}"),
    }
    // Links lead from names without patch releases to the installation.
    let programs = fs_err::read_dir(ADDED).into_iter().flatten().flatten();
    let mut programs = programs.map(|entry| entry.path().join("bin").join(format!("python{version}")));
    let Some(program) = programs.find_map(|program| fs_err::canonicalize(program).ok()) else {
        return format!("uv has put no python{version} below {ADDED}");
    };
    let error = Command::new(&program).args(["-I", "-S", "-B", "-c", script]).exec();
    format!("cannot run {}: {error}", program.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_in_a_map_once_each() {
        let maps = "7f00-7f01 r--p 00000000 fe:00 1 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    7f01-7f02 r-xp 00000000 fe:00 1 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
                    7f02-7f03 r-xp 00000000 fe:00 1 /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2\n\
                    7f04-7f05 r-xp 00000000 fe:00 1 /usr/bin/pilotlight\n\
                    7f06-7f07 rw-p 00000000 00:00 0 [heap]\n";
        let found = libraries(maps);
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["ld-linux-x86-64.so.2", "libc.so.6"]);
    }
}
