//! The server's side: starting the helper process and asking it for containers, from any thread.

mod late;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::fs::FlockOperation;

use crate::channel::{Channel, MESSAGE_BYTES_MAX, encode};
use crate::helper::PLAIN;
use crate::message::{Answer, Given, Hello, Reply, Request};
use crate::{
    Door, Error, Event, Failure, Fds, Isolation, Owner, PrivateNetworks, Relay, Seen, Signal, Spec, Started,
    Supervisor, look, sweep,
};

use late::Late;

/// How long to wait for the answer to a start; the helper itself gives up after 20 s, but others may be before it.
const START_WITHIN: Duration = Duration::from_mins(1);

/// How long a large tree may take to be removed.
const ERASE_WITHIN: Duration = Duration::from_mins(5);

/// How long to wait for the supervisor's next helper; it pauses up to 30 s between two that did not last.
const DELIVERED_WITHIN: Duration = Duration::from_secs(40);

/// How long to wait for the helper to be up.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How long the helper of a server that just died may take to clean up and let go of the run directory.
const LOCK_WITHIN: Duration = Duration::from_secs(10);

/// Events that may wait for their reader. Beyond it the helper waits too.
const EVENTS_MAX: usize = 4096;

/// The number of a request whose answer nobody waits for.
const NO_ANSWER: u64 = 0;

/// How to run the helper.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's run directory, below `/run/pilotlight`: its name also names its cgroups. Made if missing, locked
    /// as long as server or helper live.
    pub run_dir: PathBuf,
    /// The state directory, below which the layers and scratch directories are.
    pub state_dir: PathBuf,
    /// The helper's executable; `None` is this very one. It is run as `pilotlight sandbox-helper`.
    pub program: Option<PathBuf>,
    /// What containers of this helper get.
    pub isolation: Isolation,
    /// Whose the state directory is.
    pub owner: Owner,
    /// Of the host, what containers may be shown beside the userland and interpreters.
    pub shown: Vec<PathBuf>,
    /// Which private networks containers reach.
    pub private: PrivateNetworks,
    /// Where helpers come from, when this process may not start any.
    pub supervisor: Option<Arc<Supervisor>>,
}

impl Options {
    /// The usual: this executable as its own helper.
    pub fn new(run_dir: impl Into<PathBuf>, state_dir: impl Into<PathBuf>) -> Options {
        Options {
            run_dir: run_dir.into(),
            state_dir: state_dir.into(),
            program: None,
            isolation: Isolation::Sandbox,
            owner: Owner::this_process(),
            shown: Vec::new(),
            private: PrivateNetworks::default(),
            supervisor: None,
        }
    }
}

/// A running helper process. Clones speak to the same one; when the last is dropped, or this process ends, the helper
/// kills every container, cleans up, and ends.
#[derive(Clone, Debug)]
pub struct Helper {
    handle: Arc<Handle>,
}

/// Closes the channel when the last `Helper` is dropped.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.shared.channel.finish();
    }
}

/// What callers and the reading thread share.
#[derive(Debug)]
struct Shared {
    channel: Channel,
    next: AtomicU64,
    closing: AtomicBool,
    waiting: Mutex<Waiting>,
    late: Late,
    /// Rung when the helper is gone.
    gone: Condvar,
    /// Of a helper that this process started itself.
    pid: Option<u32>,
    run_dir: PathBuf,
}

/// The requests without an answer yet.
#[derive(Default)]
struct Waiting {
    answers: BTreeMap<u64, Told>,
    gone: bool,
}

/// Who is told the answer to a request; dropped untold when the helper is gone.
type Told = Box<dyn FnOnce(Result<Answer, Failure>) + Send>;

impl Helper {
    /// Starts a helper process, or takes the next one of the supervisor's, and waits until it is ready. Events arrive at
    /// the receiver in order; read them.
    pub fn spawn(options: &Options) -> Result<(Helper, Receiver<Event>), Error> {
        let failed = |source| Error::Spawn { program: program(options), source };
        let (ours, child) = if let Some(supervisor) = &options.supervisor {
            let helper = supervisor.helper(DELIVERED_WITHIN).map_err(failed)?;
            (helper.ok_or(Error::Deadline { waited: DELIVERED_WITHIN })?, None)
        } else {
            let lock = lock_run_dir(&options.run_dir)?;
            let (ours, child) = launch(options, lock.as_fd())?;
            (ours, Some(child))
        };

        let shared = Arc::new(Shared {
            channel: ours.try_clone().map_err(failed)?,
            next: AtomicU64::new(1),
            closing: AtomicBool::new(false),
            waiting: Mutex::new(Waiting::default()),
            late: Late::default(),
            gone: Condvar::new(),
            pid: child.as_ref().map(Child::id),
            run_dir: options.run_dir.clone(),
        });
        let (ready, is_ready) = sync_channel(1);
        let (events, receiver) = sync_channel(EVENTS_MAX);
        let reader = Reader { channel: ours, child, shared: shared.clone(), events };
        let spawned =
            std::thread::Builder::new().name("sandbox-events".into()).spawn(move || reader.read(&ready));
        spawned.map_err(failed)?;
        let helper = Helper { handle: Arc::new(Handle { shared }) };
        match is_ready.recv_timeout(ANSWER_WITHIN) {
            Ok(result) => result.map(|()| (helper, receiver)).map_err(Error::Failed),
            Err(RecvTimeoutError::Timeout) => Err(Error::Deadline { waited: ANSWER_WITHIN }),
            Err(RecvTimeoutError::Disconnected) => Err(Error::HelperDied),
        }
    }

    /// Makes a container and runs its command; returns when the command has been executed, which is before it has done
    /// anything. `Event::Exited` follows if this succeeds, and only then (but after `Error::Deadline`, when it may).
    /// Blocks for milliseconds; call it from any thread.
    pub fn start(&self, spec: &Spec, fds: Fds) -> Result<Started, Error> {
        spec.check()?;
        let (given, files) = files(fds);
        let borrowed: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        let request = |number| Request::Start { number, spec: Box::new(spec.clone()), given };
        match self.ask(&spec.id, request, &borrowed, START_WITHIN) {
            Ok(answer) => answer.into_started(),
            Err(error @ Error::Deadline { .. }) => {
                // It may still come up, and nobody would know of it. Requests are served in order.
                let _ = self.signal(&spec.id, Signal::Kill);
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// As `start`, for callers that have something else to do: `told` gets the answer on a thread of this crate's, and
    /// is dropped untold when the helper is gone. Who waits for it sets a deadline, and kills what comes after that.
    /// Blocks only while the helper has dozens of requests to read.
    pub fn begin(
        &self,
        spec: &Spec,
        fds: Fds,
        told: impl FnOnce(Result<Started, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        spec.check()?;
        let (given, files) = files(fds);
        let borrowed: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        let request = |number| Request::Start { number, spec: Box::new(spec.clone()), given };
        let told = move |answer: Result<Answer, Failure>| {
            told(answer.map_err(Error::Failed).and_then(Answer::into_started));
        };
        self.send(&spec.id, request, &borrowed, Box::new(told)).map(drop)
    }

    /// Makes everything of a container but its command, so that `start` with the same specification is quicker. Kill it
    /// when it is not needed: until its start nothing is told of it.
    pub fn prepare(&self, spec: &Spec) -> Result<(), Error> {
        spec.check()?;
        let request = |number| Request::Prepare { number, spec: Box::new(spec.clone()) };
        match self.ask(&spec.id, request, &[], START_WITHIN) {
            Ok(_) => Ok(()),
            Err(error @ Error::Deadline { .. }) => {
                let _ = self.signal(&spec.id, Signal::Kill);
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Begins an errand, which makes `fs` in the directory `target`; `Event::Exited` with this id follows if this
    /// succeeds, and only then. `signal` ends it.
    pub fn errand(
        &self,
        id: &str,
        (name, argument): (&str, &str),
        target: &Path,
        [stdout, stderr]: [BorrowedFd<'_>; 2],
    ) -> Result<(), Error> {
        let request = |number| Request::Errand {
            number,
            id: id.to_owned(),
            name: name.to_owned(),
            argument: argument.to_owned(),
            target: target.to_owned(),
        };
        self.ask(id, request, &[stdout, stderr], START_WITHIN).map(drop)
    }

    /// Removes a file or tree of the state directory that has parts of other owners than the server. Blocks until it
    /// is gone; nothing there is fine.
    pub fn erase(&self, path: &Path) -> Result<(), Error> {
        let request = |number| Request::Erase { number, path: path.to_owned() };
        self.ask("", request, &[], ERASE_WITHIN).map(drop)
    }

    /// What a container has written so far, as far as that is a matter of some ten thousand paths.
    pub fn look(&self, id: &str) -> Result<Vec<Seen>, Error> {
        let failed = |source| Error::Spawn { program: "a look".into(), source };
        let (from, to) = io::pipe().map_err(failed)?;
        let reader = std::thread::Builder::new()
            .name("sandbox-look".into())
            .spawn(move || look::read(fs::File::from_parts(OwnedFd::from(from).into(), "a pipe")));
        let reader = reader.map_err(failed)?;
        let request = |number| Request::Look { number, id: id.to_owned() };
        let asked = self.ask(id, request, &[to.as_fd()], START_WITHIN);
        drop(to);
        // Without our own end, and that of a helper that does not answer any more, the pipe ends.
        let seen = reader.join().unwrap_or_else(|_| Ok(Vec::new())).map_err(failed);
        asked.and(seen)
    }

    /// Opens `doors` of a container that was prepared or started, until what this gives is dropped. Nothing is to be done
    /// where containers share the machine's loopback.
    pub fn open(&self, id: &str, doors: &[Door]) -> Result<Relay, Error> {
        let failed = |source| Error::Spawn { program: "a door".into(), source };
        let (here, there) = Channel::pair().map_err(failed)?;
        let there = there.into_fd();
        let request = |number| Request::Open { number, id: id.to_owned(), doors: doors.to_vec() };
        self.ask(id, request, &[there.as_fd()], START_WITHIN)?;
        // Sent before it was answered, if at all.
        drop(there);
        let sockets = here.receive::<()>().map_err(failed)?.map_or_else(Vec::new, |((), sockets)| sockets);
        Relay::new(doors.iter().copied().zip(sockets)).map_err(failed)
    }

    /// What a container takes of memory, in KiB, as its cgroup counts; `None` where nobody counts. Reads files.
    pub fn memory_kib(&self, id: &str) -> Option<u64> {
        crate::cgroup::detect()?.memory_kib(&crate::shell::group(&self.handle.shared.run_dir, id))
    }

    /// Stops a container in one of two ways; `Event::Exited` tells when it has ended. One that has already is no error.
    /// Never blocks, and fails only when the helper is gone.
    pub fn signal(&self, id: &str, signal: Signal) -> Result<(), Error> {
        let shared = &self.handle.shared;
        if shared.lock().gone {
            return Err(Error::HelperDied);
        }
        match shared.channel.try_send(&to_signal(id, signal)) {
            Ok(()) => Ok(()),
            // The helper has much to do.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                late::send_later(shared, id, signal);
                Ok(())
            }
            Err(_) => Err(Error::HelperDied),
        }
    }

    /// Kills every container, whose exits are still reported, and ends the helper; kills the helper itself at the
    /// deadline. Returns when it is gone.
    pub fn shutdown(self, deadline: Duration) {
        let shared = self.handle.shared.clone();
        shared.closing.store(true, Ordering::SeqCst);
        shared.channel.finish();
        let until = Instant::now() + deadline;
        let mut waiting = shared.lock();
        while !waiting.gone {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = shared.gone.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        if !waiting.gone {
            // The reading thread reaps only after it has marked the helper gone, so the number is still the helper's.
            let pid = shared.pid.and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
            let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
        }
    }

    fn ask(
        &self,
        id: &str,
        request: impl FnOnce(u64) -> Request,
        fds: &[BorrowedFd<'_>],
        within: Duration,
    ) -> Result<Answer, Error> {
        let (sender, answer) = sync_channel(1);
        let told = move |result| {
            if sender.send(result).is_err() {
                tracing::warn!("an answer came after its request had been given up");
            }
        };
        let number = self.send(id, request, fds, Box::new(told))?;
        match answer.recv_timeout(within) {
            Ok(result) => result.map_err(Error::Failed),
            Err(RecvTimeoutError::Disconnected) => Err(Error::HelperDied),
            Err(RecvTimeoutError::Timeout) => {
                self.handle.shared.lock().answers.remove(&number);
                Err(Error::Deadline { waited: within })
            }
        }
    }

    /// Sends a request; its number.
    fn send(
        &self,
        id: &str,
        request: impl FnOnce(u64) -> Request,
        fds: &[BorrowedFd<'_>],
        told: Told,
    ) -> Result<u64, Error> {
        let shared = &self.handle.shared;
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let bytes = encode(&request(number));
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(Error::TooLarge { id: id.into(), bytes: bytes.len(), limit: MESSAGE_BYTES_MAX });
        }
        {
            let mut waiting = shared.lock();
            if waiting.gone {
                return Err(Error::HelperDied);
            }
            waiting.answers.insert(number, told);
        }
        if shared.channel.send_bytes(&bytes, fds).is_err() {
            shared.lock().answers.remove(&number);
            return Err(Error::HelperDied);
        }
        Ok(number)
    }
}

/// A command's files, and which of the optional ones are there.
fn files(fds: Fds) -> (Given, Vec<OwnedFd>) {
    let given = Given { control: fds.control.is_some(), listener: fds.listener.is_some(), orders: false };
    let files = [Some(fds.stdout), Some(fds.stderr), fds.control, fds.listener];
    (given, files.into_iter().flatten().collect())
}

impl Answer {
    fn into_started(self) -> Result<Started, Error> {
        match self {
            Answer::Started { pid, setup, phases, notes } => Ok(Started { pid, setup, phases, notes }),
            _ => Err(Error::HelperDied),
        }
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("answers", &self.answers.len()).field("gone", &self.gone).finish()
    }
}

/// The order to signal a container.
fn to_signal(id: &str, signal: Signal) -> Request {
    Request::Signal { number: NO_ANSWER, id: id.to_owned(), signal }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under this lock panics half way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that reads what the helper says, and reaps it.
struct Reader {
    channel: Channel,
    child: Option<Child>,
    shared: Arc<Shared>,
    events: SyncSender<Event>,
}

impl Reader {
    fn read(mut self, ready: &SyncSender<Result<(), Failure>>) {
        loop {
            match self.channel.receive() {
                Ok(Some((Reply::Ready(result), _))) => drop(ready.send(result)),
                Ok(Some((Reply::Done { number, result }, _))) => self.answer(number, result),
                Ok(Some((Reply::Exited { id, status, oom }, _))) => {
                    // Whoever dropped the receiver does not want to know.
                    let _ = self.events.send(Event::Exited { id, status, oom });
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!("cannot read from the sandbox helper: {error}");
                    break;
                }
            }
        }
        let mut waiting = self.shared.lock();
        waiting.gone = true;
        let untold = std::mem::take(&mut waiting.answers);
        drop(waiting);
        // That nobody will answer them tells those who wait.
        drop(untold);
        self.shared.gone.notify_all();
        if !self.shared.closing.load(Ordering::SeqCst) {
            let _ = self.events.send(Event::HelperDied);
        }
        if let Some(Err(error)) = self.child.as_mut().map(Child::wait) {
            tracing::warn!("cannot reap the sandbox helper: {error}");
        }
    }

    fn answer(&self, number: u64, result: Result<Answer, Failure>) {
        if number == NO_ANSWER {
            return match result {
                Err(failure @ Failure::Unknown { .. }) => tracing::debug!("nothing to signal: {failure}"),
                Err(failure) => tracing::warn!("a signal failed: {failure}"),
                Ok(_) => {}
            };
        }
        let told = self.shared.lock().answers.remove(&number);
        match told {
            Some(told) => told(result),
            None if matches!(result, Ok(Answer::Started { .. })) => {
                tracing::warn!("a container came up after its start had been given up");
            }
            None => {}
        }
    }
}

/// Which executable the helper is.
fn program(options: &Options) -> PathBuf {
    options.program.clone().unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
}

/// Starts a helper process and tells it for whom it works: the other end of its channel, and the process.
pub(crate) fn launch(options: &Options, lock: BorrowedFd<'_>) -> Result<(Channel, Child), Error> {
    let cleared = sweep::clear(&options.run_dir, &mut sweep::SweepReport::default());
    let cleared = cleared.or_else(|error| if sweep::is_helpers(&error) { Ok(()) } else { Err(error) });
    cleared.map_err(|source| Error::RunDir { path: options.run_dir.clone(), source })?;
    let failed = |source| Error::Spawn { program: program(options), source };
    let (ours, theirs) = Channel::pair().map_err(failed)?;
    let child = Command::new(program(options))
        .arg0("pilotlight")
        .arg("sandbox-helper")
        .args((options.isolation == Isolation::Process).then_some(PLAIN))
        // The channel is its standard input: passing it needs no unsafe step between fork and exec.
        .stdin(Stdio::from(theirs.into_fd()))
        .stdout(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let hello = Request::Hello(Hello {
        run_dir: options.run_dir.clone(),
        state_dir: options.state_dir.clone(),
        shown: options.shown.clone(),
        owner: options.owner,
        private: options.private.clone(),
    });
    ours.send(&hello, &[lock]).map_err(failed)?;
    Ok((ours, child))
}

/// Makes the run directory and takes its lock, which tells sweeps that its owner lives.
pub(crate) fn lock_run_dir(run_dir: &Path) -> Result<OwnedFd, Error> {
    let until = Instant::now() + LOCK_WITHIN;
    loop {
        let locked = try_lock_run_dir(run_dir);
        match locked.map_err(|source| Error::RunDir { path: run_dir.into(), source })? {
            Some(lock) => return Ok(lock),
            None if Instant::now() < until => crate::cgroup::pause(Duration::from_millis(10)),
            None => return Err(Error::Busy { path: run_dir.into() }),
        }
    }
}

/// `None` when somebody else has it: a server, its helper, or a sweep that is about to remove the directory.
fn try_lock_run_dir(run_dir: &Path) -> io::Result<Option<OwnedFd>> {
    fs::create_dir_all(run_dir)?;
    let path = run_dir.join("lock");
    let file = match fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path) {
        // Removed by a sweep since it was made.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?.into_file(),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let file = OwnedFd::from(file);
    Ok(sweep::is_at(&file, &path).then_some(file))
}
