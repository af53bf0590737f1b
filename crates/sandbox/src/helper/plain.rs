//! The helper without a sandbox, for machines that can have none: each container is a process of the host, below a
//! *keeper* of ours. It has the rights of whoever started the server, and so does the user's code.
//!
//! What stays is that nothing outlives its container, nor a container its server: see `keeper`.

mod keeper;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitId, WaitIdOptions};

use super::janitor::{Outcome, Tell, Work};
use super::{Leaving, START_WITHIN};
use crate::channel::Channel;
use crate::error::Doing;
use crate::message::{Answer, FromInit, Given, Reply, Request, ToInit};
use crate::order::{self, Verdict};
use crate::sys::process::Forked;
use crate::{ExitStatus, Failure, Phases, Signal, Spec, shell, sys, title};

/// How long a keeper may take to end what is below it before it is killed itself.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Serves the server until it is gone.
pub(super) fn serve(
    server: Channel,
    run_dir: PathBuf,
    lock: Vec<OwnedFd>,
    area: Option<title::Area>,
) -> io::Result<()> {
    fs::create_dir_all(run_dir.join("scratch"))?;
    server.send(&Reply::Ready(Ok(())), &[])?;
    let (containers, leaving) = (BTreeMap::new(), BTreeMap::new());
    let mut helper = Plain { server, run_dir, area, containers, leaving, _lock: lock };
    let result = helper.attend();
    helper.end();
    result
}

struct Plain {
    server: Channel,
    run_dir: PathBuf,
    area: Option<title::Area>,
    containers: BTreeMap<String, Kept>,
    leaving: BTreeMap<String, Leaving>,
    _lock: Vec<OwnedFd>,
}

/// A container: its keeper, and how far it is.
struct Kept {
    pid: i32,
    pidfd: OwnedFd,
    /// Closed, the keeper ends everything below it.
    channel: Option<Channel>,
    phase: Phase,
    /// When its keeper is killed, of one that was told to end.
    until: Option<Instant>,
}

enum Phase {
    Starting { number: u64, since: Instant },
    Running,
    Ended(ExitStatus),
    Failed { number: u64, failure: Failure },
}

enum Ready {
    Server,
    Report(String),
    Exit(String),
    Left(String),
}

impl Plain {
    fn attend(&mut self) -> io::Result<()> {
        loop {
            for ready in self.wait(true)? {
                match ready {
                    Ready::Server => match self.server.receive()? {
                        Some((request, fds)) => self.serve(request, fds)?,
                        None => return Ok(()),
                    },
                    ready => self.attend_to(ready)?,
                }
            }
            self.overdue();
        }
    }

    fn attend_to(&mut self, ready: Ready) -> io::Result<()> {
        match ready {
            Ready::Server => Ok(()),
            Ready::Report(id) => self.hear(&id),
            Ready::Exit(id) => self.bury(&id),
            Ready::Left(id) => match self.leaving.remove(&id) {
                Some(Leaving { janitor, tell }) => self.tell(&id, tell, janitor.reap()),
                None => Ok(()),
            },
        }
    }

    fn wait(&self, server: bool) -> io::Result<Vec<Ready>> {
        let (mut fds, mut meanings) = (Vec::new(), Vec::new());
        if server {
            fds.push(PollFd::new(&self.server, PollFlags::IN));
            meanings.push(Ready::Server);
        }
        for (id, kept) in &self.containers {
            // Reports before exits: a last report is read before its sender is buried.
            if let Some(channel) = &kept.channel {
                fds.push(PollFd::new(channel, PollFlags::IN));
                meanings.push(Ready::Report(id.clone()));
            }
            fds.push(PollFd::new(&kept.pidfd, PollFlags::IN));
            meanings.push(Ready::Exit(id.clone()));
        }
        for (id, leaving) in &self.leaving {
            fds.push(PollFd::new(&leaving.janitor.pidfd, PollFlags::IN));
            meanings.push(Ready::Left(id.clone()));
        }
        let next = self.containers.values().filter_map(Kept::deadline).min();
        let timeout = next.map(|at| at.saturating_duration_since(Instant::now())).map(|left| Timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let happened: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let found = meanings.into_iter().zip(happened);
        Ok(found.filter_map(|(ready, happened)| happened.then_some(ready)).collect())
    }

    fn serve(&mut self, request: Request, fds: Vec<OwnedFd>) -> io::Result<()> {
        match order::shape(&request, fds.len(), true) {
            Ok(()) | Err(Verdict::Act) => {}
            Err(Verdict::Refuse(failure)) => return self.answer(request.number(), Err(failure)),
            Err(Verdict::End) => return Err(io::Error::other("the server is out of order")),
        }
        match request {
            Request::Start { number, spec, given } => {
                let id = spec.id.clone();
                match self.start(number, &spec, given, fds) {
                    Ok(()) => Ok(()),
                    Err((failure, None)) => self.answer(number, Err(failure)),
                    Err((failure, Some(()))) => self.leave(&id, Tell::Failed { number, failure }),
                }
            }
            Request::Signal { number, id, signal } => {
                let result = self.signal(&id, signal).map(|()| Answer::Signalled);
                self.answer(number, result)
            }
            Request::Prepare { number, spec } => {
                let what = "without the sandbox nothing is made ahead".to_owned();
                self.answer(number, Err(Failure::Invalid { id: spec.id, what }))
            }
            // Its network is the machine's.
            Request::Open { number, .. } => self.answer(number, Ok(Answer::Opened)),
            Request::Errand { number, .. } | Request::Erase { number, .. } | Request::Look { number, .. } => {
                let what = "without the sandbox the helper has no rights that the server has not".to_owned();
                self.answer(number, Err(Failure::Refused { what }))
            }
            Request::Hello(_) => Ok(()),
        }
    }

    /// Forks the keeper of a container. A failure with something leaves a scratch directory to be removed.
    fn start(
        &mut self,
        number: u64,
        spec: &Spec,
        given: Given,
        fds: Vec<OwnedFd>,
    ) -> Result<(), (Failure, Option<()>)> {
        let id = spec.id.clone();
        spec.check().map_err(|failure| (failure, None))?;
        if self.containers.contains_key(&id) || self.leaving.contains_key(&id) {
            return Err((Failure::Exists { id }, None));
        }
        if spec.keep_upper.is_some() || spec.zygote || spec.from.is_some() {
            let what = "without the sandbox there are neither layers nor zygotes".to_owned();
            return Err((Failure::Invalid { id, what }, None));
        }
        let since = Instant::now();
        let scratch = spec.scratch.clone();
        record_scratch(&self.run_dir, &id, &scratch).map_err(|failure| (failure, None))?;
        let forked = (|| {
            let (ours, theirs) = Channel::pair().doing("make a channel for the keeper")?;
            match sys::process::fork().doing("fork the keeper")? {
                Forked::Child => {
                    title::set(self.area, "pl-keeper", &format!("pilotlight: {id}"));
                    let mut keep: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
                    keep.push(theirs.as_fd().as_raw_fd());
                    // Above all the channel to the server, which must see its end when the helper ends.
                    let closed = sys::fd::close_all_but(&keep);
                    let code = if closed.is_ok() { keeper::live(&theirs, spec, given, fds) } else { 1 };
                    sys::process::exit_now(code)
                }
                Forked::Parent { pid, pidfd } => Ok((pid, pidfd, ours)),
            }
        })();
        let (pid, pidfd, channel) = forked.map_err(|failure| (failure, Some(())))?;
        let phase = Phase::Starting { number, since };
        let kept = Kept { pid, pidfd, channel: Some(channel), phase, until: None };
        self.containers.insert(id, kept);
        Ok(())
    }

    fn signal(&mut self, id: &str, signal: Signal) -> Result<(), Failure> {
        let kept = self.containers.get_mut(id).ok_or_else(|| Failure::Unknown { id: id.into() })?;
        match (signal, &kept.channel) {
            (Signal::Terminate, Some(channel)) => {
                channel.send(&ToInit::Terminate, &[]).doing("signal the container")
            }
            (Signal::Kill, _) => {
                kept.end();
                Ok(())
            }
            // It is being ended already.
            (Signal::Terminate, None) => Ok(()),
        }
    }

    /// Reads one report of a keeper.
    fn hear(&mut self, id: &str) -> io::Result<()> {
        let Some(kept) = self.containers.get_mut(id) else { return Ok(()) };
        match kept.report() {
            Some(report) => match kept.hear(report) {
                Some((number, answer)) => self.answer(number, Ok(answer)),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Ends the starts that took too long, and keepers that do not come to an end.
    fn overdue(&mut self) {
        let now = Instant::now();
        for kept in self.containers.values_mut() {
            if kept.deadline().is_none_or(|at| at > now) {
                continue;
            }
            if let Phase::Starting { number, .. } = kept.phase {
                kept.phase =
                    Phase::Failed { number, failure: Failure::Slow { seconds: START_WITHIN.as_secs() } };
                kept.end();
            } else {
                let _ = rustix::process::pidfd_send_signal(&kept.pidfd, rustix::process::Signal::KILL);
                kept.until = Some(now + END_WITHIN);
            }
        }
    }

    /// Buries a keeper, and with it the container.
    fn bury(&mut self, id: &str) -> io::Result<()> {
        let Some(mut kept) = self.containers.remove(id) else { return Ok(()) };
        while let Some(report) = kept.report() {
            if let Some((number, answer)) = kept.hear(report) {
                self.answer(number, Ok(answer))?;
            }
        }
        let ended = rustix::process::waitid(WaitId::PidFd(kept.pidfd.as_fd()), WaitIdOptions::EXITED);
        let signal = ended.ok().flatten().and_then(|status| status.terminating_signal());
        self.end_strays();
        let tell = match kept.phase {
            Phase::Running => {
                let status = ExitStatus::Signal(signal.unwrap_or(libc::SIGKILL));
                Tell::Exited { status, oom: false }
            }
            Phase::Ended(status) => Tell::Exited { status, oom: false },
            Phase::Failed { number, failure } => Tell::Failed { number, failure },
            Phase::Starting { number, .. } => Tell::Failed { number, failure: Failure::Died },
        };
        self.leave(id, tell)
    }

    /// Ends the children that are nobody's: what was below a keeper that user code killed is now below this process.
    fn end_strays(&self) {
        keeper::end_children(|child| {
            let kept = self.containers.values().any(|kept| kept.pid == child);
            let janitor = self.leaving.values().any(|leaving| leaving.janitor.pid == child);
            !kept && !janitor
        });
    }

    fn leave(&mut self, id: &str, tell: Tell) -> io::Result<()> {
        let record = shell::scratch_record(&self.run_dir, id);
        match (Work::Container { record, keep: None }).start(self.area) {
            Ok(janitor) => {
                self.leaving.insert(id.into(), Leaving { janitor, tell });
                Ok(())
            }
            Err(outcome) => self.tell(id, tell, outcome),
        }
    }

    fn tell(&self, id: &str, tell: Tell, outcome: Outcome) -> io::Result<()> {
        if outcome != Outcome::Done {
            tracing::warn!("files of {id} are left to the next sweep");
        }
        match tell {
            Tell::Exited { status, oom } => {
                self.server.send(&Reply::Exited { id: id.into(), status, oom }, &[])
            }
            Tell::Failed { number, failure } => self.answer(number, Err(failure)),
            Tell::Erased { .. } | Tell::Looked { .. } | Tell::Nobody => Ok(()),
        }
    }

    fn answer(&self, number: u64, result: Result<Answer, Failure>) -> io::Result<()> {
        self.server.send(&Reply::Done { number, result }, &[])
    }

    /// The server is gone: so are its containers.
    fn end(&mut self) {
        for kept in self.containers.values_mut() {
            kept.end();
        }
        while !self.containers.is_empty() || !self.leaving.is_empty() {
            let Ok(happened) = self.wait(false) else { return };
            for ready in happened {
                // A server that only asked to finish still listens; one that died does not.
                let _ = self.attend_to(ready);
            }
            self.overdue();
        }
    }
}

/// Makes the scratch directory of a container, and records in the run directory that it is ours.
fn record_scratch(run_dir: &Path, id: &str, scratch: &Path) -> Result<(), Failure> {
    let record = shell::scratch_record(run_dir, id);
    // The record comes first: a crash between the two leaves a record without directory, never the reverse. By its true
    // path, as sweeps want it.
    let parent = scratch.parent().unwrap_or(Path::new("/"));
    let true_path = fs::canonicalize(parent).doing_at("find", parent)?;
    let true_path = true_path.join(scratch.file_name().unwrap_or_default());
    fs::os::unix::fs::symlink(&true_path, &record).doing_at("record the scratch directory", &record)?;
    let made = fs::create_dir(scratch)
        .and_then(|()| Ok(rustix::fs::chmod(scratch, rustix::fs::Mode::from_raw_mode(0o700))?));
    if let Err(error) = made {
        // It may be there already and somebody else's: without a record nothing of ours removes it.
        let _ = fs::remove_file(&record);
        return Err(error).doing_at("make the scratch directory", scratch);
    }
    Ok(())
}

impl Kept {
    /// When something is to be done about it.
    fn deadline(&self) -> Option<Instant> {
        match (&self.phase, self.until) {
            (_, Some(until)) => Some(until),
            (Phase::Starting { since, .. }, None) => Some(*since + START_WITHIN),
            _ => None,
        }
    }

    /// Tells the keeper to end everything.
    fn end(&mut self) {
        self.channel = None;
        self.until.get_or_insert_with(|| Instant::now() + END_WITHIN);
    }

    /// The next report of the keeper, if there is one.
    fn report(&mut self) -> Option<FromInit> {
        match self.channel.as_ref()?.try_receive::<FromInit>() {
            Ok(Some((report, _))) => Some(report),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            // Its exit is on the way.
            Ok(None) | Err(_) => {
                self.channel = None;
                None
            }
        }
    }

    /// Moves on by a report. What to answer to which request, if something.
    fn hear(&mut self, report: FromInit) -> Option<(u64, Answer)> {
        match (report, &self.phase) {
            (FromInit::Running, Phase::Starting { number, since }) => {
                let (number, setup) = (*number, since.elapsed());
                self.phase = Phase::Running;
                let phases = Phases { process: setup, ..Phases::default() };
                Some((number, Answer::Started { pid: self.pid, setup, phases, notes: Vec::new() }))
            }
            (FromInit::Ended(status), Phase::Running) => {
                self.phase = Phase::Ended(status);
                None
            }
            (FromInit::Failed(failure), Phase::Starting { number, .. }) => {
                self.phase = Phase::Failed { number: *number, failure };
                None
            }
            _ => None,
        }
    }
}
