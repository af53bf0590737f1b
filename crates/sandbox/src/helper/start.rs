//! Starts: making a shell, at once or ahead, and giving it something to run.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use super::birth::{Birth, Entrance};
use super::container::{Container, Phase};
use super::janitor::Tell;
use super::{Helper, Leaving};
use crate::channel::Channel;
use crate::error::Doing;
use crate::message::{Answer, Given};
use crate::{Failure, Phases, Spec, shell};

/// What a start brings along.
pub(super) struct Start {
    pub(super) number: u64,
    pub(super) given: Given,
    /// Stdout, stderr, then those `given`.
    pub(super) fds: Vec<OwnedFd>,
}

impl Helper {
    /// Makes a shell ahead. Answered when pid 1 reports that it is furnished.
    pub(super) fn prepare(&mut self, number: u64, spec: &Spec) -> io::Result<()> {
        if let Some(failure) = self.refused(spec) {
            return self.answer(number, Err(failure));
        }
        let copy = Box::new(spec.clone());
        self.make(spec, number, |since, notes| Phase::Making { number, since, spec: copy, notes })
    }

    /// Runs a command in the shell that was made ahead for it, or else in a fresh one. Answered when pid 1 reports that
    /// the command runs, or when everything of a failure is cleared up.
    pub(super) fn start(&mut self, spec: &Spec, start: Start) -> io::Result<()> {
        let number = start.number;
        let phase = |since, notes| Phase::Starting { number, since, ordered: Instant::now(), notes };
        if let Some(container) = self.containers.get_mut(&spec.id)
            && let Phase::Parked { notes, .. } = &mut container.phase
        {
            container.phase = phase(Instant::now(), std::mem::take(notes));
            // What it took to make the shell was somebody else's time.
            container.shell.phases = Phases::default();
        } else if let Some(Leaving { tell: tell @ Tell::Nobody, .. }) = self.leaving.get_mut(&spec.id) {
            // A shell made ahead that ended with its zygote. Once it is cleared up the id can be used again.
            *tell = Tell::Failed { number, failure: Failure::Died };
            return Ok(());
        } else {
            if let Some(failure) = self.refused(spec) {
                return self.answer(number, Err(failure));
            }
            self.make(spec, number, phase)?;
        }
        if let Err(failure) = self.order(spec, start)
            && let Some(container) = self.containers.get_mut(&spec.id)
        {
            container.give_up(failure);
        }
        Ok(())
    }

    fn refused(&self, spec: &Spec) -> Option<Failure> {
        if let Err(failure) = spec.check() {
            return Some(failure);
        }
        let zygote = spec.from.as_ref()?;
        let lit = self.containers.get(zygote).is_some_and(|zygote| zygote.orders.is_some());
        (!lit).then(|| Failure::Unknown { id: zygote.clone() })
    }

    /// Makes a shell and enters the container, in this phase; a failure is answered once it is cleared up.
    fn make(
        &mut self,
        spec: &Spec,
        number: u64,
        phase: impl FnOnce(Instant, Vec<String>) -> Phase,
    ) -> io::Result<()> {
        let since = Instant::now();
        let mut notes = Vec::new();
        let zygote = spec.from.as_ref().and_then(|zygote| self.containers.get(zygote));
        let places = &self.workshop.stage.places;
        let keep = spec.keep_upper.as_ref().map(|path| places.entry(path).doing_at("find", path)).transpose();
        let made = keep.and_then(|keep| {
            let zygote = zygote.map(|zygote| &zygote.shell);
            Ok((shell::make(&mut self.workshop, spec, zygote, &mut notes)?, keep))
        });
        match made {
            Ok((shell, keep)) => {
                let container = Container::new(shell, spec, keep, phase(since, notes));
                self.containers.insert(spec.id.clone(), container);
                Ok(())
            }
            Err(failure) => self.leave(&spec.id, None, Tell::Failed { number, failure }),
        }
    }

    /// Tells pid 1 what to run, or notes what to order from the zygote.
    fn order(&mut self, spec: &Spec, start: Start) -> Result<(), Failure> {
        let Some(container) = self.containers.get_mut(&spec.id) else { return Ok(()) };
        let Start { mut given, mut fds, .. } = start;
        if spec.keep_upper.is_some() {
            container.stderr = fds.get(1).and_then(|fd| fd.try_clone().ok());
        }
        if spec.zygote {
            let (here, there) = Channel::pair().doing("make a channel for the zygote's orders")?;
            container.orders = Some(here);
            given.orders = true;
            fds.push(there.into_fd());
        }
        match &spec.from {
            None => shell::run(&container.shell, &spec.command, given, &fds),
            Some(zygote) => {
                let (zygote, command) = (zygote.clone(), spec.command.clone());
                container.birth = Some(Birth { zygote, command, given, fds });
                if container.furnished { self.conceive(&spec.id) } else { Ok(()) }
            }
        }
    }

    /// Pid 1 has furnished its container.
    pub(super) fn furnished(&mut self, id: &str) -> io::Result<()> {
        let Some(container) = self.containers.get_mut(id) else { return Ok(()) };
        container.furnished = true;
        if container.from.is_some() {
            match Entrance::open(&self.workshop, container, id) {
                Ok(entrance) => container.entrance = Some(entrance),
                Err(failure) => {
                    container.give_up(failure);
                    return Ok(());
                }
            }
        }
        if let Phase::Making { number, spec, notes, .. } = &mut container.phase {
            let (number, spec, notes) = (*number, spec.clone(), std::mem::take(notes));
            container.phase = Phase::Parked { spec, notes };
            let from = container.from.clone();
            self.answer(number, Ok(Answer::Prepared))?;
            // Which may have ended meanwhile.
            if let Some(zygote) = from {
                self.release(&zygote);
            }
            return Ok(());
        }
        if let Err(failure) = self.conceive(id)
            && let Some(container) = self.containers.get_mut(id)
        {
            container.give_up(failure);
        }
        Ok(())
    }
}
