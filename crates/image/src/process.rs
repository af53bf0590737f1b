//! Runs a program on the host: output line by line, cancellation, a deadline. Nothing of its process group outlives a
//! call that was cancelled or took too long.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use thiserror::Error;

use crate::output::{Stoppable, Tail, each_line};

/// How often cancellation is looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long a killed program may take to be gone before the call is over without it.
const KILL_LIMIT: Duration = Duration::from_secs(1);

/// Why a program on the host did not do its work.
#[derive(Debug, Error)]
pub enum Error {
    /// It could not be started or waited for.
    #[error("cannot run {program}")]
    Io {
        /// The program.
        program: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// It ended with a failure.
    #[error("{program} failed ({status}){}", last(tail))]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// Its last lines of output.
        tail: Vec<String>,
    },
    /// It took too long and was killed.
    #[error("{program} did not end within {} s", limit.as_secs())]
    Deadline {
        /// The program.
        program: String,
        /// How long it had.
        limit: Duration,
    },
    /// The build was cancelled.
    #[error("cancelled")]
    Cancelled,
}

fn last(tail: &[String]) -> String {
    tail.last().map(|line| format!(": {line}")).unwrap_or_default()
}

/// Runs `command` with `input` on its standard input; hands over the lines of stdout and stderr as they come.
///
/// Returns the lines of stdout that were not longer than the tail kept.
pub(crate) fn run(
    command: &mut Command,
    input: &[u8],
    limit: Duration,
    cancel: &AtomicBool,
    line: &(dyn Fn(&str) + Sync),
) -> Result<Vec<String>, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let io = |source| Error::Io { program: program.clone(), source };
    // A group of its own, so that killing it takes what it started along.
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(io)?;
    let mut stdin = child.stdin.take().expect("was asked to be a pipe");
    let stdout = child.stdout.take().expect("was asked to be a pipe");
    let stderr = child.stderr.take().expect("was asked to be a pipe");
    let (all, printed) = (Tail::default(), Tail::default());
    let start = Instant::now();
    let why_stop = || {
        if cancel.load(Ordering::Relaxed) {
            Some(Error::Cancelled)
        } else if start.elapsed() > limit {
            Some(Error::Deadline { program: program.clone(), limit })
        } else {
            None
        }
    };
    // For what left the group and holds the pipes open.
    let stop = AtomicBool::new(false);
    let stopped = std::thread::scope(|scope| {
        let (done, ended) = channel::<()>();
        let other = done.clone();
        let (stdout, stderr) = (Stoppable::new(stdout, &stop), Stoppable::new(stderr, &stop));
        scope.spawn(|| {
            each_line(stdout, |text| {
                printed.push(text);
                all.push(text);
                line(text);
            });
            drop(done);
        });
        scope.spawn(|| {
            each_line(stderr, |text| {
                all.push(text);
                line(text);
            });
            drop(other);
        });
        // The inputs are far smaller than a pipe's buffer; a program that does not read them fails by itself.
        let _ = stdin.write_all(input);
        drop(stdin);
        while !matches!(ended.recv_timeout(TICK), Err(RecvTimeoutError::Disconnected)) {
            if let Some(error) = why_stop() {
                stop.store(true, Ordering::Release);
                kill_group(&child);
                return Some(error);
            }
        }
        None
    });
    // It may have closed its output and work on.
    let stopped = match stopped {
        None => loop {
            if ended_within(&child, TICK).map_err(io)? {
                break None;
            }
            if let Some(error) = why_stop() {
                kill_group(&child);
                break Some(error);
            }
        },
        stopped => stopped,
    };
    if let Some(error) = stopped {
        // One that even a kill does not end waits for a device; it is not waited for.
        if ended_within(&child, KILL_LIMIT).map_err(io)? {
            child.wait().map_err(io)?;
        }
        return Err(error);
    }
    let status = child.wait().map_err(io)?;
    if status.success() {
        Ok(printed.take())
    } else {
        Err(Error::Failed { program, status, tail: all.take() })
    }
}

/// Waits until the child has ended and can be reaped at once, but no longer than `limit`.
fn ended_within(child: &Child, limit: Duration) -> io::Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn kill_group(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // The child is not reaped yet, so the number is still its own.
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration, cancel: bool) -> Result<Vec<String>, Error> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(&mut command, b"in\n", limit, &AtomicBool::new(cancel), &|_| {})
    }

    #[test]
    fn output_and_input_pass() {
        let lines = sh("cat; echo out; echo err >&2", Duration::from_secs(10), false).unwrap();
        assert_eq!(lines, ["in", "out"]);
    }

    #[test]
    fn a_failure_carries_the_last_lines() {
        let error = sh("echo why >&2; exit 3", Duration::from_secs(10), false).unwrap_err();
        assert_eq!(error.to_string(), "/bin/sh failed (exit status: 3): why");
    }

    #[test]
    fn deadline_and_cancellation_end_the_whole_group() {
        let start = Instant::now();
        let late = sh("sleep 30 & wait", Duration::from_millis(10), false);
        assert!(matches!(late, Err(Error::Deadline { .. })));
        let cancelled = sh("sleep 30 & wait", Duration::from_secs(30), true);
        assert!(matches!(cancelled, Err(Error::Cancelled)));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn who_left_the_group_with_the_output_does_not_keep_the_call() {
        let start = Instant::now();
        let late = sh("setsid sleep 6 & wait", Duration::from_millis(300), false);
        assert!(matches!(late, Err(Error::Deadline { .. })));
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn the_deadline_holds_for_a_program_that_closed_its_output() {
        let start = Instant::now();
        let late = sh("exec >&- 2>&-; sleep 20", Duration::from_millis(300), false);
        assert!(matches!(late, Err(Error::Deadline { .. })));
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
