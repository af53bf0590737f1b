//! The end of containers, and of the helper: statuses, kept uppers, and leaving nothing behind.

use std::io;
use std::path::Path;
use std::time::Instant;

use fs_err as fs;

use super::container::{Container, Phase};
use super::{Helper, RETRY};
use crate::message::{FromInit, Reply};
use crate::{ExitStatus, Failure, cgroup, keep, shell};

impl Helper {
    /// Buries a container whose pid 1 has ended, and tells the server.
    pub(super) fn bury(&mut self, id: &str) -> io::Result<()> {
        let Some(mut container) = self.containers.remove(id) else { return Ok(()) };
        // Reports that came in the same round as the exit.
        while let Ok(Some((report, _))) = container.shell.channel.try_receive::<FromInit>() {
            if let Some((number, answer)) = container.hear(report) {
                self.answer(number, Ok(answer))?;
            }
        }
        let reaped = container.reap();
        let oom = self.workshop.cgroups.oom_killed(&shell::group(&self.workshop.run_dir, id));
        let status = match container.phase {
            Phase::Running => Ok(reaped),
            Phase::Ended(status) => Ok(status),
            Phase::Failed { number, ref failure } => Err((number, failure.clone())),
            Phase::Starting { number, .. } => Err((number, Failure::Died)),
        };
        let status = status.map(|status| keep_upper(&container, status));
        self.discard(id, &container.scratch);
        match status {
            Ok(status) => self.server.send(&Reply::Exited { id: id.into(), status, oom }, &[]),
            Err((number, failure)) => self.answer(number, Err(failure)),
        }
    }

    /// Removes what a container leaves on the host. The link goes with its network namespace.
    pub(super) fn discard(&mut self, id: &str, scratch: &Path) {
        let group = shell::group(&self.workshop.run_dir, id);
        if !matches!(cgroup::remove(self.workshop.cgroups.as_ref(), &group), Ok(true)) {
            self.leftover_groups.push(group);
        }
        let record = shell::scratch_record(&self.workshop.run_dir, id);
        // Without a record of ours, the directory is not ours either.
        if fs::read_link(&record).is_ok_and(|recorded| recorded == scratch) {
            match fs::remove_dir_all(scratch) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!("a scratch directory is left to the next sweep: {error}");
                }
                _ => drop(fs::remove_file(&record)),
            }
        }
    }

    pub(super) fn remove_leftover_groups(&mut self) {
        let cgroups = self.workshop.cgroups.as_ref();
        self.leftover_groups.retain(|group| matches!(cgroup::remove(cgroups, group), Ok(false)));
    }

    /// The server is gone: so are its containers, and everything of theirs.
    pub(super) fn end(&mut self) {
        for container in self.containers.values() {
            if let Err(error) = container.kill() {
                tracing::warn!("cannot kill a container: {error}");
            }
        }
        let ids: Vec<String> = self.containers.keys().cloned().collect();
        for id in ids {
            // A server that only asked to finish still listens; one that died does not.
            if let Err(error) = self.bury(&id) {
                tracing::debug!("the server does not hear of {id}: {error}");
            }
        }
        let until = Instant::now() + Container::PATIENCE;
        while !self.leftover_groups.is_empty() && Instant::now() < until {
            cgroup::pause(RETRY);
            self.remove_leftover_groups();
        }
        let name = shell::server_name(&self.workshop.run_dir);
        if let Err(error) = cgroup::clear(self.workshop.cgroups.as_ref(), &name) {
            tracing::warn!("a cgroup is left to the next sweep: {error}");
        }
    }
}

/// Moves the upper of a build step that went well to where its owner wants it. A failure to is a failure of the step.
fn keep_upper(container: &Container, status: ExitStatus) -> ExitStatus {
    match (&container.keep_upper, status) {
        (Some(target), ExitStatus::Code(0)) => {
            match keep::keep(&container.scratch.join("upper"), target, container.shell.slot.first_id()) {
                Ok(()) => status,
                Err(error) => {
                    tracing::error!("cannot keep the files of a build step: {error}");
                    ExitStatus::Code(125)
                }
            }
        }
        _ => status,
    }
}
