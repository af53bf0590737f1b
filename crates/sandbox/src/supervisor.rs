//! The root of a server's processes: it starts the helper and the server, another helper when one dies, and does nothing
//! else. The server has given up its rights by then and could not.
//!
//! It reads nothing but signals and the ends of its children. A helper is told for whom it works before the server gets
//! the other end of its channel; so the server cannot tell it anything else. `docs/design/0011-who-holds-what.md`

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::client::{self, Options};
use crate::{Error, sweep, sys};

/// The pause before the next helper when one did not last; it doubles each time.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause. A helper that lives longer counts as sound: the next one starts at once.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long the helper may take to end and clear up once its server is gone.
const END_WITHIN: Duration = Duration::from_secs(20);

/// What passes from the supervisor to the server, each with one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Delivery {
    /// The supervisor's own standard input: how whoever started it speaks with the server.
    Life,
    /// The channel of a helper that has just been started.
    Helper,
}

/// The server's end: where its helpers come from.
#[derive(Debug)]
pub struct Supervisor {
    channel: Channel,
}

impl Supervisor {
    /// Of the process that runs as a supervisor's server. Its standard input is empty afterwards.
    pub fn at_stdin() -> std::io::Result<Supervisor> {
        let channel = Channel::from_fd(rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 3)?);
        rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
        Ok(Supervisor { channel })
    }

    /// The other end of what the supervisor got as its standard input. Comes first, and only if the supervisor was told
    /// to pass it on.
    pub fn life(&self) -> std::io::Result<OwnedFd> {
        match self.channel.receive::<Delivery>()? {
            Some((Delivery::Life, mut fds)) => {
                fds.pop().ok_or_else(|| std::io::ErrorKind::InvalidData.into())
            }
            _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Waits for the next helper. `None`: there is none within that time.
    pub(crate) fn helper(&self, within: Duration) -> std::io::Result<Option<Channel>> {
        let limit = Timespec::try_from(within).map_err(std::io::Error::other)?;
        let mut fds = [PollFd::new(&self.channel, PollFlags::IN)];
        if rustix::io::retry_on_intr(|| poll(&mut fds, Some(&limit)))? == 0 {
            return Ok(None);
        }
        match self.channel.receive::<Delivery>()? {
            Some((Delivery::Helper, mut fds)) => Ok(fds.pop().map(Channel::from_fd)),
            _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Runs a server and its helpers until the server ends; its exit code. The calling process must have a single thread.
///
/// `server` is started with a channel as its standard input, for [`Supervisor::at_stdin`]. With `life` it also gets this
/// process's own standard input. SIGTERM, SIGINT and SIGHUP are the server's.
pub fn supervise(options: &Options, mut server: Command, life: bool) -> Result<ExitCode, Error> {
    let failed = |source| Error::Spawn { program: "the server".into(), source };
    let signals = [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP];
    let signals = sys::signal::watch(&signals).map_err(failed)?;
    if let Some(run_root) = options.run_dir.parent() {
        sweep::sweep(run_root)?;
    }
    let lock = client::lock_run_dir(&options.run_dir)?;
    let (deliveries, theirs) = Channel::pair().map_err(failed)?;
    if life {
        deliveries.send(&Delivery::Life, &[std::io::stdin().as_fd()]).map_err(failed)?;
        rustix::stdio::dup2_stdin(fs::File::open("/dev/null").map_err(failed)?)
            .map_err(|error| failed(error.into()))?;
    }
    let child = server.stdin(Stdio::from(theirs.into_fd())).spawn().map_err(failed)?;
    // It holds the other end of the channel, which must end with the server.
    drop(server);
    let mut household =
        Household { options, lock, deliveries, server: child, helper: Kept::None, pause: Duration::ZERO };
    let code = household.attend(&signals);
    household.end(&signals);
    Ok(code)
}

/// The processes below, and what they are made with.
struct Household<'options> {
    options: &'options Options,
    /// Held as long as this process lives: nobody else moves into the run directory, or sweeps it.
    lock: OwnedFd,
    deliveries: Channel,
    server: Child,
    helper: Kept,
    pause: Duration,
}

/// The helper of now.
enum Kept {
    None,
    Running {
        child: Child,
        since: Instant,
    },
    /// It died; the next one starts then.
    Due(Instant),
    /// It ended as it was told, and so will the server.
    Finished {
        clean: bool,
    },
}

impl Household<'_> {
    /// The loop. Returns when the server has ended, with its exit code.
    fn attend(&mut self, signals: &OwnedFd) -> ExitCode {
        self.launch();
        loop {
            let timeout = match self.helper {
                Kept::Due(at) => Some(at.saturating_duration_since(Instant::now())),
                _ => None,
            };
            self.wait(signals, timeout);
            if let Some(code) = self.bury() {
                return code;
            }
            if let Kept::Due(at) = self.helper
                && at <= Instant::now()
            {
                self.launch();
            }
        }
    }

    /// Waits for a signal, and passes on those that are the server's.
    fn wait(&self, signals: &OwnedFd, timeout: Option<Duration>) {
        let timeout = timeout.and_then(|left| Timespec::try_from(left).ok());
        let _ = poll(&mut [PollFd::new(signals, PollFlags::IN)], timeout.as_ref());
        for signal in sys::signal::read(signals) {
            let server = i32::try_from(self.server.id()).ok().and_then(Pid::from_raw);
            if let (Some(signal), Some(server)) = (Signal::from_named_raw(signal), server)
                && signal != Signal::CHILD
            {
                // It is not reaped yet, so the number is its own.
                let _ = rustix::process::kill_process(server, signal);
            }
        }
    }

    /// Takes the ended off the process table; the server's exit code when it is among them.
    fn bury(&mut self) -> Option<ExitCode> {
        let mut ended = None;
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get();
            if u32::try_from(pid).is_ok_and(|pid| pid == self.server.id()) {
                ended = Some(exit_code(status));
            }
            if let Kept::Running { child, since } = &self.helper
                && u32::try_from(pid).is_ok_and(|pid| pid == child.id())
            {
                self.helper = self.after(status, since.elapsed());
            }
        }
        ended
    }

    /// What follows on the end of a helper.
    fn after(&self, status: WaitStatus, lived: Duration) -> Kept {
        if status.exit_status() == Some(0) {
            return Kept::Finished { clean: true };
        }
        let pause = if lived > PAUSE_MAX { Duration::ZERO } else { self.pause };
        Kept::Due(Instant::now() + pause)
    }

    /// Starts a helper, and hands the server its channel.
    fn launch(&mut self) {
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        let launched = client::launch(self.options, self.lock.as_fd());
        let delivered = launched.map(|(channel, child)| {
            let fds: [BorrowedFd<'_>; 1] = [channel.as_fd()];
            // A server that is gone is about to be buried; the helper then finds its channel closed.
            let _ = self.deliveries.try_send_with(&Delivery::Helper, &fds);
            child
        });
        self.helper = match delivered {
            Ok(child) => Kept::Running { child, since: Instant::now() },
            Err(error) => {
                tracing::error!("{error}");
                Kept::Due(Instant::now() + self.pause)
            }
        };
    }

    /// The server is gone: waits for the helper, which ends by itself, and removes the run directory.
    fn end(&mut self, signals: &OwnedFd) {
        let until = Instant::now() + END_WITHIN;
        while let Kept::Running { child, .. } = &mut self.helper {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::warn!("the sandbox helper does not end; what it leaves is swept by the next start");
                let _ = child.kill();
                let _ = child.wait();
                self.helper = Kept::Finished { clean: false };
                break;
            }
            let _ = poll(&mut [PollFd::new(signals, PollFlags::IN)], Timespec::try_from(left).ok().as_ref());
            let _ = sys::signal::read(signals);
            let _ = self.bury();
        }
        // What a helper that died left is recorded there.
        if matches!(self.helper, Kept::Finished { clean: true }) {
            let _ = fs::remove_dir_all(&self.options.run_dir);
        }
    }
}

fn exit_code(status: WaitStatus) -> ExitCode {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
