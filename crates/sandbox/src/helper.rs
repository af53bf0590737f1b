//! The helper: the only process that keeps privileges. Single threaded; one loop over the server's requests, the
//! reports of each pid 1, and their ends.
//!
//! Being single threaded is what lets it fork pid 1s that go on running ordinary Rust (see `init`), and what makes its
//! mount namespace its own. When the server is gone, for whatever reason, every container goes, then the helper.

mod birth;
mod container;
mod errand;
mod finish;
mod janitor;
mod plain;
mod start;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit};

use crate::authority::{self, Entered};
use crate::channel::Channel;
use crate::disk::Disks;
use crate::error::Doing;
use crate::message::{Answer, FromInit, Hello, Reply, Request};
use crate::net::hold::Hold;
use crate::net::{nat, netlink};
use crate::order::{self, Standing, Verdict};
use crate::places::Places;
use crate::shell::{self, Workshop};
use crate::{Door, Errand, Failure, Owner, Signal, door, slots, sweep, sys, title};

use container::{Container, Phase};
use janitor::{Janitor, Tell};
use start::Start;

/// How long a container may take from its start until its command runs.
const START_WITHIN: Duration = Duration::from_secs(20);

/// How long a fork may take. A zygote that takes longer hangs, and another way is to be tried soon.
const FORK_WITHIN: Duration = Duration::from_secs(5);

/// How long a zygote's pid 1 may take to tell of an end that can be seen already.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// The second argument of a helper without a sandbox.
pub(crate) const PLAIN: &str = "process";

/// How soon to try again to remove a cgroup whose processes the kernel is still taking down.
const RETRY: Duration = Duration::from_millis(10);

/// The body of the hidden subcommand `sandbox-helper`: serves the server at the other end of standard input until that
/// closes. Exit code 1 when it could not start. `catalogue` is every errand that the server may ask for.
///
/// Call it first thing in `main`, while the process has a single thread: it forks, and its children go on as Rust.
pub fn helper_main(catalogue: &'static [Errand]) -> ExitCode {
    match serve(catalogue) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the sandbox helper cannot go on: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(catalogue: &'static [Errand]) -> std::io::Result<()> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(std::io::Error::other("it must be run before the process has a second thread"));
    }
    // Each container costs it three descriptors; the usual soft limit of 1024 is there for select(2) only.
    let files = rustix::process::getrlimit(Resource::Nofile);
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files });
    // A server's umask is about its own files.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    // Ctrl-C, a closed terminal and a service manager's SIGTERM go to every process; the server decides what they mean.
    sys::signal::ignore(&[libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE]);
    // No terminal to be had through /dev/tty, neither here nor inside.
    let _ = rustix::process::setsid();
    // The midwives that clone containers below a zygote end at once; their children are then this process's.
    sys::process::adopt_orphans()?;
    // Whether there is a sandbox at all is an argument, since by the first message a helper is where it will work.
    // Before its title, which takes the place of the arguments.
    let is_plain = std::env::args_os().nth(2).is_some_and(|word| word == PLAIN);
    let entered = (!is_plain).then(authority::enter).transpose();
    let area = title::Area::find();
    title::set(area, "pl-helper", "pilotlight: helper");

    let server = Channel::from_fd(rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 3)?);
    let null = fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    drop(null);
    let Some((request, lock)) = server.receive::<Request>()? else { return Ok(()) };
    let verdict = order::judge(&request, lock.len(), false, Standing::Nothing);
    let (Request::Hello(hello), Verdict::Act) = (request, verdict) else {
        return Err(std::io::Error::other("no hello came first"));
    };
    // A failure is no end that a server asks for.
    let failed = |failure: Failure| {
        server.send(&Reply::Ready(Err(failure.clone())), &[])?;
        Err(std::io::Error::other(failure))
    };
    let entered = match entered {
        Ok(Some(entered)) => entered,
        Ok(None) => return plain::serve(server, hello.run_dir, lock, area),
        Err(failure) => return failed(failure),
    };
    let (workshop, hold) = match open_workshop(hello, entered, area) {
        Ok(opened) => opened,
        Err(failure) => return failed(failure),
    };
    server.send(&Reply::Ready(Ok(())), &[])?;
    let mut helper = Helper {
        server,
        workshop,
        containers: BTreeMap::new(),
        leaving: BTreeMap::new(),
        errands: BTreeMap::new(),
        catalogue,
        leftover_groups: Vec::new(),
        _run_dir_lock: lock,
    };
    let result = helper.attend();
    helper.end();
    if let Err(error) = hold.release(&helper.workshop.run_dir) {
        tracing::warn!("the network of containers is left to the next sweep: {error}");
    }
    result
}

fn open_workshop(
    hello: Hello,
    entered: Entered,
    title: Option<title::Area>,
) -> Result<(Workshop, Hold), Failure> {
    let Hello { run_dir, state_dir, shown, owner, private } = hello;
    let cgroups =
        entered.cgroups().ok_or(rustix::io::Errno::NOSYS).doing("find the memory controller of cgroups")?;
    cgroups.prepare(&shell::server_name(&run_dir)).doing("make the cgroup of this server")?;
    let Entered { authority, machine, obstacle, .. } = entered;
    // A user's server is that user, who is root in here.
    let owner = if authority.is_root() { owner } else { Owner::this_process() };
    let slots = if authority.is_root() { PathBuf::from(slots::DIRECTORY) } else { run_dir.join("slots") };
    if !authority.is_root() {
        // Files of the users inside are nobody's to remove but in here.
        sweep::in_namespace(&run_dir);
    }
    for directory in [&slots, &run_dir.join("scratch")] {
        fs::create_dir_all(directory).doing_at("make", directory)?;
    }
    let hold = if authority.is_root() { Hold::new(&private) } else { Hold::alone(&machine, &private) };
    let hold = hold.doing("set up the network of containers (nf_tables)")?;
    let route = netlink::Socket::route().doing("open a netlink socket")?;
    let places = || Places::open(&run_dir, &state_dir, shown, owner);
    let stage = shell::stage::Stage::enter(authority, &run_dir.join("stage"), places)?;
    // Spread over the slots, so that servers seldom try the same one at the same time.
    let next_slot = std::process::id().wrapping_mul(97) % slots::COUNT;
    let obstacle = obstacle.or_else(nat::obstacle::obstacle);
    Ok((
        Workshop {
            authority,
            slots,
            run_dir,
            stage,
            cgroups,
            route,
            next_slot,
            disks: Disks::default(),
            said_boundless: false,
            obstacle,
            group: private.group(),
            title,
        },
        hold,
    ))
}

struct Helper {
    server: Channel,
    workshop: Workshop,
    containers: BTreeMap<String, Container>,
    /// Those that have ended, and what of them is still being removed.
    leaving: BTreeMap<String, Leaving>,
    /// Errands under way.
    errands: BTreeMap<String, OwnedFd>,
    /// Those there are.
    catalogue: &'static [Errand],
    /// Groups that could not be removed yet.
    leftover_groups: Vec<String>,
    /// Held by server and helper alike: the run directory is free when both are gone.
    _run_dir_lock: Vec<OwnedFd>,
}

/// A container that is being cleared up.
struct Leaving {
    janitor: Janitor,
    tell: Tell,
}

/// What the poll found.
enum Ready {
    Server,
    Report(String),
    Joining(String),
    Exit(String),
    Left(String),
    Returned(String),
}

impl Helper {
    /// The loop. Returns when the server is gone.
    fn attend(&mut self) -> std::io::Result<()> {
        loop {
            for ready in self.wait()? {
                match ready {
                    Ready::Server => match self.server.receive()? {
                        Some((request, fds)) => self.serve(request, fds)?,
                        None => return Ok(()),
                    },
                    Ready::Report(id) => self.hear(&id)?,
                    Ready::Joining(id) => self.meet(&id)?,
                    Ready::Exit(id) => self.exited(&id)?,
                    Ready::Left(id) => self.left(&id)?,
                    Ready::Returned(id) => self.returned(&id)?,
                }
            }
            self.give_up_slow_starts();
            self.bury_untold()?;
            self.remove_leftover_groups();
        }
    }

    fn wait(&self) -> std::io::Result<Vec<Ready>> {
        let mut fds = vec![PollFd::new(&self.server, PollFlags::IN)];
        let mut meanings = vec![Ready::Server];
        for (id, container) in &self.containers {
            // Reports before exits: a last report is read before its sender is buried.
            if container.listening {
                fds.push(PollFd::new(&container.shell.channel, PollFlags::IN));
                meanings.push(Ready::Report(id.clone()));
            }
            if let Some(joining) = &container.joining {
                fds.push(PollFd::new(joining, PollFlags::IN));
                meanings.push(Ready::Joining(id.clone()));
            }
            if container.gone.is_none() {
                fds.push(PollFd::new(&container.shell.pidfd, PollFlags::IN));
                meanings.push(Ready::Exit(id.clone()));
            }
        }
        for (id, leaving) in &self.leaving {
            fds.push(PollFd::new(&leaving.janitor.pidfd, PollFlags::IN));
            meanings.push(Ready::Left(id.clone()));
        }
        for (id, pidfd) in &self.errands {
            fds.push(PollFd::new(pidfd, PollFlags::IN));
            meanings.push(Ready::Returned(id.clone()));
        }
        match poll(&mut fds, self.timeout().as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let happened: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        Ok(meanings
            .into_iter()
            .zip(happened)
            .filter_map(|(ready, happened)| happened.then_some(ready))
            .collect())
    }

    /// Until the earliest deadline of a start or the next try at a leftover; `None` is for ever.
    fn timeout(&self) -> Option<Timespec> {
        let starts = self.containers.values().filter_map(Container::deadline);
        let retry = (!self.leftover_groups.is_empty()).then(|| Instant::now() + RETRY);
        let untold = self.containers.values().filter_map(|container| Some(container.gone? + TOLD_WITHIN));
        let next = starts.chain(untold).chain(retry).min()?.saturating_duration_since(Instant::now());
        Some(Timespec { tv_sec: next.as_secs().cast_signed(), tv_nsec: next.subsec_nanos().into() })
    }

    fn serve(&mut self, request: Request, fds: Vec<OwnedFd>) -> std::io::Result<()> {
        match order::judge(&request, fds.len(), true, self.standing(&request)) {
            Verdict::Act => {}
            Verdict::Refuse(failure) => {
                drop(fds);
                return self.answer(request.number(), Err(failure));
            }
            Verdict::End => return Err(std::io::Error::other("the server is out of order")),
        }
        match request {
            Request::Start { number, spec, given } => self.start(&spec, Start { number, given, fds }),
            Request::Prepare { number, spec } => self.prepare(number, &spec),
            Request::Signal { number, id, signal } => {
                let result = self.signal(&id, signal).map(|()| Answer::Signalled);
                self.answer(number, result)
            }
            Request::Errand { number, id, name, argument, target } => {
                self.errand(number, errand::Order { id, name, argument, target, fds })
            }
            Request::Erase { number, path } => self.erase(number, &path),
            Request::Look { number, id } => self.look(number, &id, fds),
            Request::Open { number, id, doors } => {
                let result = self.open(&id, &doors, fds).map(|()| Answer::Opened);
                self.answer(number, result)
            }
            Request::Hello(_) => Ok(()),
        }
    }

    /// What there is of the id that a request names.
    fn standing(&self, request: &Request) -> Standing {
        let Some(id) = order::id(request) else { return Standing::Nothing };
        if self.errands.contains_key(id) {
            return Standing::Errand;
        }
        if let Some(Leaving { tell, .. }) = self.leaving.get(id) {
            return Standing::Leaving { unused: matches!(tell, Tell::Nobody) };
        }
        match (self.containers.get(id).map(|container| &container.phase), request) {
            (None, _) => Standing::Nothing,
            (Some(Phase::Making { .. }), _) => Standing::Making,
            (Some(Phase::Parked { spec, .. }), Request::Start { spec: other, .. }) => {
                Standing::Parked { same: spec.same_shell(other) }
            }
            (Some(Phase::Parked { .. }), _) => Standing::Parked { same: true },
            (Some(_), _) => Standing::UnderWay,
        }
    }

    fn signal(&mut self, id: &str, signal: Signal) -> Result<(), Failure> {
        if let Some(pidfd) = self.errands.get(id) {
            return errand::end(pidfd).doing("kill the errand");
        }
        let container = self.containers.get(id).ok_or_else(|| Failure::Unknown { id: id.into() })?;
        match signal {
            Signal::Kill => container.kill().doing("kill the container"),
            Signal::Terminate => container.terminate().doing("signal the container"),
        }
    }

    fn open(&self, id: &str, doors: &[Door], fds: Vec<OwnedFd>) -> Result<(), Failure> {
        let container = self.containers.get(id).ok_or_else(|| Failure::Unknown { id: id.into() })?;
        let made = door::open(container.shell.pid, doors)?;
        let channel = fds.into_iter().next().map(Channel::from_fd).ok_or(Failure::Died)?;
        let borrowed: Vec<_> = made.iter().map(AsFd::as_fd).collect();
        // It has room for one message: this never waits.
        channel.try_send_with(&(), &borrowed).doing("hand over a container's doors")
    }

    /// Reads one report of a pid 1.
    fn hear(&mut self, id: &str) -> std::io::Result<()> {
        let Some(container) = self.containers.get_mut(id) else { return Ok(()) };
        let report = match container.shell.channel.try_receive::<FromInit>() {
            Ok(Some((report, _))) => report,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            // Its exit is on the way.
            Ok(None) | Err(_) => {
                container.listening = false;
                return Ok(());
            }
        };
        match report {
            FromInit::Made { .. } => {
                container.hear(report);
                self.furnished(id)
            }
            FromInit::Reaped { pid, status } => self.reaped(id, pid, status),
            FromInit::Ended(_) => {
                container.hear(report);
                self.release(id);
                Ok(())
            }
            report => match container.hear(report) {
                Some((number, answer)) => self.answer(number, Ok(answer)),
                None => Ok(()),
            },
        }
    }

    fn give_up_slow_starts(&mut self) {
        let now = Instant::now();
        for container in self.containers.values_mut() {
            if container.deadline().is_some_and(|at| at <= now) {
                let seconds = container.patience().as_secs();
                container.give_up(Failure::Slow { seconds });
            }
        }
    }

    fn answer(&self, number: u64, result: Result<Answer, Failure>) -> std::io::Result<()> {
        self.server.send(&Reply::Done { number, result }, &[])
    }
}
