//! The keeper of a container without a sandbox: lays out its files, runs its command, and ends all that is below it.
//!
//! Whatever the command starts stays below this process, since it adopts what loses its parent; when the command ends,
//! or the helper does, however that happens, it ends the rest. Only user code that kills the keeper itself escapes it,
//! and is then ended by the helper.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::process::{Pid, Signal, WaitOptions};

use crate::channel::Channel;
use crate::error::Doing;
use crate::init::{self, Init};
use crate::message::{FromInit, Given};
use crate::{Command, Failure, Spec, sys};

/// The directory below a container's scratch directory that holds its layers.
const FILES: &str = "files";

/// How long killed processes may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// How soon to look again.
const RETRY: Duration = Duration::from_millis(2);

/// The life of the keeper, from the instant of the fork on; its exit code.
pub(super) fn live(channel: &Channel, spec: &Spec, given: Given, fds: Vec<OwnedFd>) -> i32 {
    let code = match run(channel, spec, given, fds) {
        Ok(()) => 0,
        Err(failure) => {
            // If nobody listens any more, the helper is dead.
            let _ = channel.send(&FromInit::Failed(failure), &[]);
            1
        }
    };
    end_children(|_| true);
    code
}

fn run(channel: &Channel, spec: &Spec, given: Given, fds: Vec<OwnedFd>) -> Result<(), Failure> {
    sys::process::adopt_orphans().doing("adopt what loses its parent")?;
    sys::signal::reset();
    let _ = rustix::process::setsid();
    let files = spec.scratch.join(FILES);
    for directory in ["tmp", "root"] {
        let path = files.join(directory);
        fs::create_dir_all(&path).doing_at("lay out the container's files", &path)?;
    }
    for lower in spec.lowers.iter().rev() {
        copy(lower, &files).doing_at("lay out the container's files", lower)?;
    }
    let Command { argv, env, cwd } = spec.command.clone();
    fs::create_dir_all(&cwd).doing_at("make the working directory", &cwd)?;
    let events = sys::signal::child_events().doing("watch for ended processes")?;
    let child = init::command::spawn(&Command { argv, env, cwd }, given, fds)?;
    init::say(channel, &FromInit::Running)?;
    // Its own exit code says nothing: the helper has heard the command's.
    init::attend(channel, &events, Init { child: Some(child), lingers: false })?;
    Ok(())
}

/// Kills the children that are `meant`, then those that they leave, until there is none.
pub(super) fn end_children(meant: impl Fn(i32) -> bool) {
    let until = Instant::now() + GONE_WITHIN;
    loop {
        let children: Vec<i32> = children().into_iter().filter(|child| meant(*child)).collect();
        if children.is_empty() || Instant::now() > until {
            return;
        }
        for pid in children.into_iter().filter_map(Pid::from_raw) {
            // Its children become this process's, which is why this is done over and over.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
        crate::cgroup::pause(RETRY);
    }
}

/// The children of this single-threaded process, dead ones included.
fn children() -> Vec<i32> {
    // Only there with CONFIG_PROC_CHILDREN, which distributions have.
    if let Ok(text) = fs::read_to_string("/proc/thread-self/children") {
        return text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    }
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent(*pid) == Some(own)).collect()
}

/// The parent of a process. proc_pid_stat(5): the second field may contain anything up to the last parenthesis.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Copies what is in `from` to the directory `to`: directories, files and links with their modes.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target): (PathBuf, PathBuf) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&source, &target)?;
        } else if kind.is_symlink() {
            fs::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target)?;
        }
    }
    fs::set_permissions(to, fs::metadata(from).map(|meta| owners(meta.permissions().mode()))?)
}

/// The mode of a directory that its owner can fill and remove.
fn owners(mode: u32) -> std::fs::Permissions {
    std::fs::Permissions::from_mode(mode & 0o777 | 0o700)
}
