//! What the helper knows of one container, and how far its start has come.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::birth::{Birth, Entrance, Joined};
use super::{FORK_WITHIN, START_WITHIN};
use crate::channel::Channel;
use crate::message::{Answer, FromInit, ToInit};
use crate::places::Entry;
use crate::shell::Shell;
use crate::{ExitStatus, Failure, Spec};

/// A container from its clone until it is buried.
pub(super) struct Container {
    pub(super) shell: Shell,
    /// Of a build step: where its files go.
    pub(super) keep_upper: Option<Entry>,
    /// Of a build step: where to tell that its files could not be kept.
    pub(super) stderr: Option<OwnedFd>,
    pub(super) phase: Phase,
    /// Of a zygote: where it is told to fork.
    pub(super) orders: Option<Channel>,
    /// The zygote it is forked from.
    pub(super) from: Option<String>,
    /// What to order from that zygote once the shell is furnished.
    pub(super) birth: Option<Birth>,
    /// What that needs, from when the container is furnished until it is there.
    pub(super) entrance: Option<Entrance>,
    /// Where the fork says that it is inside.
    pub(super) joining: Option<Channel>,
    /// The fork, once it is inside.
    pub(super) joined: Option<Joined>,
    /// Of a container below a zygote: the number of its pid 1 there, by which that one's pid 1, its parent, tells of its
    /// end.
    inner: Option<i32>,
    /// Since when pid 1 has ended and its parent has not told so.
    pub(super) gone: Option<Instant>,
    /// How pid 1 ended, where its parent has told.
    pub(super) end: Option<ExitStatus>,
    /// Whether pid 1 has furnished it.
    pub(super) furnished: bool,
    /// Whether its channel may still bring something.
    pub(super) listening: bool,
}

/// How far it is.
pub(super) enum Phase {
    /// It is made ahead of its start; request `number` asked for it.
    Making { number: u64, since: Instant, spec: Box<Spec>, notes: Vec<String> },
    /// Made ahead for this specification, it waits for its start.
    Parked { spec: Box<Spec>, notes: Vec<String> },
    /// The server waits for the answer to request `number`.
    Starting { number: u64, since: Instant, ordered: Instant, notes: Vec<String> },
    /// The command runs; the server will hear of its end.
    Running,
    /// The command ended so; pid 1 is about to.
    Ended(ExitStatus),
    /// The start failed; request `number` is answered once everything of it is gone.
    Failed { number: u64, failure: Failure },
}

impl Container {
    pub(super) fn new(shell: Shell, spec: &Spec, keep_upper: Option<Entry>, phase: Phase) -> Container {
        let inner = spec.from.as_ref().and_then(|_| shell.inner_number());
        Container {
            inner,
            gone: None,
            end: None,
            shell,
            keep_upper,
            stderr: None,
            phase,
            orders: None,
            from: spec.from.clone(),
            birth: None,
            entrance: None,
            joining: None,
            joined: None,
            furnished: false,
            listening: true,
        }
    }

    /// When the start is given up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Making { since, .. } | Phase::Starting { since, .. } => Some(since + self.patience()),
            _ => None,
        }
    }

    /// Whether a zygote's pid 1 means this one's pid 1 by that number.
    pub(super) fn is_inner(&self, number: i32) -> bool {
        self.inner == Some(number)
    }

    /// Whether its parent will tell of the end of its pid 1.
    pub(super) fn is_told_of(&self) -> bool {
        self.inner.is_some()
    }

    /// How long its start may take.
    pub(super) fn patience(&self) -> Duration {
        if self.from.is_some() { FORK_WITHIN } else { START_WITHIN }
    }

    /// Moves on by a report of pid 1. What to answer to which request, if something.
    pub(super) fn hear(&mut self, report: FromInit) -> Option<(u64, Answer)> {
        match report {
            FromInit::Made { took } => {
                self.shell.phases.shell = took;
                None
            }
            FromInit::Running => self.runs(),
            // The helper's own business, with the containers that are forked from this one.
            FromInit::Reaped { .. } => None,
            FromInit::Ended(status) => {
                self.phase = Phase::Ended(status);
                None
            }
            FromInit::Failed(failure) => {
                self.give_up(failure);
                None
            }
        }
    }

    /// The command runs. What to answer to which request.
    pub(super) fn runs(&mut self) -> Option<(u64, Answer)> {
        let Phase::Starting { number, since, ordered, notes } =
            std::mem::replace(&mut self.phase, Phase::Running)
        else {
            return None;
        };
        self.shell.phases.run = ordered.elapsed().saturating_sub(self.shell.phases.shell);
        let (pid, phases, setup) = (self.shell.pid, self.shell.phases, since.elapsed());
        Some((number, Answer::Started { pid, setup, phases, notes }))
    }

    /// SIGTERM for the command.
    pub(super) fn terminate(&self) -> io::Result<()> {
        match &self.joined {
            Some(joined) => match rustix::process::pidfd_send_signal(&joined.pidfd, Signal::TERM) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
                Err(error) => Err(error.into()),
            },
            None => self.shell.channel.send(&ToInit::Terminate, &[]),
        }
    }

    /// Ends a start that failed.
    pub(super) fn give_up(&mut self, failure: Failure) {
        if let Phase::Making { number, .. } | Phase::Starting { number, .. } = self.phase {
            self.phase = Phase::Failed { number, failure };
        } else {
            tracing::warn!("pid 1 failed after its start: {failure}");
        }
        if let Err(error) = self.kill() {
            tracing::warn!("cannot kill pid 1 of a failed start: {error}");
        }
    }

    /// Kills pid 1, and with it all of its namespace.
    pub(super) fn kill(&self) -> io::Result<()> {
        match rustix::process::pidfd_send_signal(&self.shell.pidfd, rustix::process::Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes pid 1 off the process table and says how it ended. Blocks until it has. One below a zygote is that one's to
    /// take; what was told of it counts, or else that whoever ends with a zygote is killed.
    pub(super) fn reap(&self) -> ExitStatus {
        if let Some(end) = self.end {
            return end;
        }
        let id = rustix::process::WaitId::PidFd(self.shell.pidfd.as_fd());
        let ended = rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED).ok().flatten();
        let code = ended.as_ref().and_then(rustix::process::WaitIdStatus::exit_status).map(ExitStatus::Code);
        let signal = || {
            ended.as_ref().and_then(rustix::process::WaitIdStatus::terminating_signal).map(ExitStatus::Signal)
        };
        code.or_else(signal).unwrap_or(ExitStatus::Signal(libc::SIGKILL))
    }
}
