//! Runs a program on the host: output line by line, cancellation, a deadline. Nothing outlives the call.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::output::{Tail, each_line};

/// How often cancellation is looked at.
const TICK: Duration = Duration::from_millis(50);

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
    let stopped = std::thread::scope(|scope| {
        let (done, ended) = channel::<()>();
        let other = done.clone();
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
        loop {
            match ended.recv_timeout(TICK) {
                Err(RecvTimeoutError::Disconnected) => return None,
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            }
            let stop = if cancel.load(Ordering::Relaxed) {
                Some(Error::Cancelled)
            } else if start.elapsed() > limit {
                Some(Error::Deadline { program: program.clone(), limit })
            } else {
                None
            };
            if stop.is_some() {
                kill_group(&child);
                return stop;
            }
        }
    });
    let status = child.wait().map_err(io)?;
    match stopped {
        Some(error) => Err(error),
        None if status.success() => Ok(printed.take()),
        None => Err(Error::Failed { program, status, tail: all.take() }),
    }
}

fn kill_group(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
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
}
