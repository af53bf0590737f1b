//! Finds processes that the tests started and did not end.
//!
//! Everything the suites start inherits a variable with a value of this run, so a process is ours when its
//! environment has it, however it was daemonised. A container's pid 1 is a fork of the helper and keeps the helper's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::run::command;

const MARK: &str = "PILOTLIGHT_TEST_RUN";
/// How long processes that were told to end may take.
const GRACE: Duration = Duration::from_secs(5);

/// The time between the first test and the last.
pub(crate) struct Watch {
    value: String,
    binary: PathBuf,
    before: Vec<u32>,
}

impl Watch {
    /// Remembers what runs already.
    pub(crate) fn begin(binary: &Path) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let value = format!("{}-{}", std::process::id(), now.as_nanos());
        Ok(Self { value, binary: binary.to_path_buf(), before: pids()? })
    }

    /// Marks a suite's process, and through it all that it starts.
    pub(crate) fn mark(&self, suite: &mut Command) {
        suite.env(MARK, &self.value);
    }

    /// Waits for what is ending, ends the rest, and names it.
    pub(crate) fn end(&self) -> Result<Vec<String>> {
        let deadline = Instant::now() + GRACE;
        loop {
            let left = self.left()?;
            if left.is_empty() {
                return Ok(Vec::new());
            }
            if Instant::now() >= deadline {
                for (pid, _) in &left {
                    // It may be gone by now.
                    let _ = command("sh").arg("-c").arg(format!("kill -9 {pid} 2>/dev/null")).status();
                }
                return Ok(left.into_iter().map(|(pid, name)| format!("{pid} {name}")).collect());
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn left(&self) -> Result<Vec<(u32, String)>> {
        let mut left = Vec::new();
        for pid in pids()? {
            if pid == std::process::id() || self.before.contains(&pid) || !self.is_ours(pid) {
                continue;
            }
            let line = fs_err::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            // A zombie has no command line; it waits for its parent, and holds nothing.
            if !line.is_empty() {
                left.push((pid, String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned()));
            }
        }
        Ok(left)
    }

    fn is_ours(&self, pid: u32) -> bool {
        let marked = format!("{MARK}={}", self.value);
        let environment = fs_err::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if environment.split(|&byte| byte == 0).any(|variable| variable == marked.as_bytes()) {
            return true;
        }
        // A helper that cleared its environment, started while the tests ran, from the binary under test, and
        // adopted by init: its server is gone.
        let orphan = fs_err::read_to_string(format!("/proc/{pid}/status"))
            .is_ok_and(|status| status.lines().any(|line| line == "PPid:\t1"));
        orphan && fs_err::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == self.binary)
    }
}

fn pids() -> Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in fs_err::read_dir("/proc")? {
        if let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            pids.push(pid);
        }
    }
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_marked_process_is_found_until_it_ends() {
        let watch = Watch::begin(Path::new("/nowhere/pilotlight")).unwrap();
        let mut sleeper = Command::new("sleep");
        sleeper.arg("60").stdout(Stdio::null()).stderr(Stdio::null());
        watch.mark(&mut sleeper);
        let mut child = sleeper.spawn().unwrap();
        // The kernel lets the parent go on before the child's new arguments and environment can be read.
        let deadline = Instant::now() + GRACE;
        let mut found = watch.left().unwrap();
        while found.is_empty() && Instant::now() < deadline {
            std::thread::yield_now();
            found = watch.left().unwrap();
        }
        // Ended before the verdict: a failed test leaves nothing behind either.
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.iter().map(|(pid, _)| *pid).collect::<Vec<_>>(), [child.id()]);
        assert_eq!(watch.end().unwrap(), Vec::<String>::new());
    }
}
