//! The end of containers, and of the helper: statuses, and leaving nothing behind.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use super::container::{Container, Phase};
use super::janitor::{Keep, Outcome, Tell, Work};
use super::{Helper, Leaving, RETRY, TOLD_WITHIN, errand};
use crate::error::Doing;
use crate::message::{Answer, FromInit, Reply};
use crate::shell::Workshop;
use crate::{ExitStatus, Failure, cgroup, shell};

/// How long the end of the helper waits for the kernel to take the last processes down.
const PATIENCE: Duration = Duration::from_secs(1);

/// The code of a build step whose command went well but whose files could not be kept.
const NOT_KEPT: i32 = 125;

impl Helper {
    /// The pid 1 of a container has ended. Below a zygote it is buried once its parent has taken it off the process table
    /// and told how it ended: until then its group is not empty.
    pub(super) fn exited(&mut self, id: &str) -> io::Result<()> {
        let Some(container) = self.containers.get(id) else { return Ok(()) };
        let parent = container.from.as_ref().and_then(|zygote| self.containers.get(zygote));
        let waits = container.is_told_of() && parent.is_some_and(|parent| parent.gone.is_none());
        if !waits {
            return self.bury(id);
        }
        if let Some(container) = self.containers.get_mut(id) {
            container.gone = Some(Instant::now());
        }
        self.bury_below(id)
    }

    /// Buries those of whose end nobody tells.
    pub(super) fn bury_untold(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let overdue = |container: &Container| container.gone.is_some_and(|gone| now >= gone + TOLD_WITHIN);
        self.bury_all(|container| overdue(container))
    }

    /// Buries those that have ended below a zygote whose own pid 1, which would tell of them, has.
    fn bury_below(&mut self, zygote: &str) -> io::Result<()> {
        self.bury_all(|container| container.gone.is_some() && container.from.as_deref() == Some(zygote))
    }

    fn bury_all(&mut self, which: impl Fn(&Container) -> bool) -> io::Result<()> {
        let found = self.containers.iter().filter(|(_, container)| which(container));
        for id in found.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.bury(&id)?;
        }
        Ok(())
    }

    /// Buries a container whose pid 1 has ended. The server is told when the janitor is done.
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
        let tell = match &container.phase {
            Phase::Running => Tell::Exited { status: reaped, oom },
            Phase::Ended(status) => Tell::Exited { status: *status, oom },
            Phase::Failed { number, failure } => Tell::Failed { number: *number, failure: failure.clone() },
            Phase::Making { number, .. } | Phase::Starting { number, .. } => {
                Tell::Failed { number: *number, failure: Failure::Died }
            }
            Phase::Parked { .. } => Tell::Nobody,
        };
        let keep = match tell {
            Tell::Exited { status: ExitStatus::Code(0), .. } => to_keep(&mut container, &self.workshop),
            _ => None,
        };
        let from = container.from.take();
        self.leave(id, keep, tell)?;
        if let Some(zygote) = from {
            self.release(&zygote);
        }
        self.bury_below(id)
    }

    /// Removes what a container leaves on the host, then tells the server. The link goes with its namespace.
    pub(super) fn leave(&mut self, id: &str, keep: Option<Keep>, tell: Tell) -> io::Result<()> {
        let group = shell::group(&self.workshop.run_dir, id);
        if !matches!(cgroup::remove(self.workshop.cgroups.as_ref(), &group), Ok(true)) {
            self.leftover_groups.push(group);
        }
        let record = shell::scratch_record(&self.workshop.run_dir, id);
        self.clear_up(id, &Work::Container { record, keep }, tell)
    }

    /// Removes something that the server itself may not remove.
    pub(super) fn erase(&mut self, number: u64, path: &Path) -> io::Result<()> {
        match self.workshop.stage.places.entry(path).doing_at("find", path) {
            Ok(entry) => self.clear_up(&format!("er-{number}"), &Work::Erase(entry), Tell::Erased { number }),
            Err(failure) => self.answer(number, Err(failure)),
        }
    }

    /// Lists what a container has written, to where the server reads.
    pub(super) fn look(&mut self, number: u64, id: &str, fds: Vec<OwnedFd>) -> io::Result<()> {
        let record = shell::scratch_record(&self.workshop.run_dir, id);
        match fds.into_iter().next().filter(|_| self.containers.contains_key(id)) {
            Some(to) => {
                self.clear_up(&format!("lo-{number}"), &Work::Look { record, to }, Tell::Looked { number })
            }
            None => self.answer(number, Err(Failure::Unknown { id: id.into() })),
        }
    }

    fn clear_up(&mut self, id: &str, work: &Work, tell: Tell) -> io::Result<()> {
        match work.start(self.workshop.title) {
            Ok(janitor) => {
                self.leaving.insert(id.into(), Leaving { janitor, tell });
                Ok(())
            }
            Err(outcome) => self.tell(id, tell, outcome),
        }
    }

    /// A janitor is done.
    pub(super) fn left(&mut self, id: &str) -> io::Result<()> {
        let Some(Leaving { janitor, tell }) = self.leaving.remove(id) else { return Ok(()) };
        self.tell(id, tell, janitor.reap())
    }

    fn tell(&self, id: &str, tell: Tell, outcome: Outcome) -> io::Result<()> {
        if outcome == Outcome::Left {
            tracing::warn!("files of {id} are left to the next sweep");
        }
        match tell {
            Tell::Exited { status, oom } => {
                let status = if outcome == Outcome::NotKept { ExitStatus::Code(NOT_KEPT) } else { status };
                self.server.send(&Reply::Exited { id: id.into(), status, oom }, &[])
            }
            Tell::Failed { number, failure } => self.answer(number, Err(failure)),
            Tell::Erased { number } if outcome == Outcome::Done => self.answer(number, Ok(Answer::Erased)),
            Tell::Looked { number } => self.answer(number, Ok(Answer::Looked)),
            Tell::Erased { number } => {
                let cause = "some of it is still there".into();
                self.answer(number, Err(Failure::Step { step: "remove a tree".into(), path: None, cause }))
            }
            Tell::Nobody => Ok(()),
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
        for pidfd in self.errands.values() {
            let _ = errand::end(pidfd);
        }
        let mut unheard = 0;
        for id in self.errands.keys().cloned().collect::<Vec<_>>() {
            unheard += usize::from(self.returned(&id).is_err());
        }
        // A server that only asked to finish still listens; one that died does not.
        for id in self.containers.keys().cloned().collect::<Vec<_>>() {
            unheard += usize::from(self.bury(&id).is_err());
        }
        for id in self.leaving.keys().cloned().collect::<Vec<_>>() {
            unheard += usize::from(self.left(&id).is_err());
        }
        if unheard > 0 {
            tracing::debug!("the server did not hear of the end of {unheard} containers");
        }
        let until = Instant::now() + PATIENCE;
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

fn to_keep(container: &mut Container, workshop: &Workshop) -> Option<Keep> {
    let target = container.keep_upper.take()?;
    let first = workshop.authority.first_id(&container.shell.slot);
    let shift = workshop.shift(first);
    Some(Keep { target, shift, stderr: container.stderr.take() })
}
