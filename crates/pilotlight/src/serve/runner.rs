//! A runner's process: starting one with its sockets and pipes, and speaking with it.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use pilotlight_api::progress::Stream;
use pilotlight_core::id::ContainerId;
use pilotlight_pool::Stage;
use pilotlight_sandbox::runner::{FromRunner, ToRunner};
use pilotlight_sandbox::{Door, Fds, Relay, Spec, Started};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::containers::{Containers, Ended};
use super::logs::AppLog;
use super::tasks::{self, Kind};

/// The longest message a runner may send, bytes: a traceback fits, a flood does not.
const MESSAGE_MAX: u64 = 1024 * 1024;

/// The longest message that certainly fits into an empty socket.
const TOLD_AHEAD_MAX: usize = 32 * 1024;

/// A runner that was started, and what is left open of it.
pub(crate) struct Process {
    pub(crate) control: UnixStream,
    pub(crate) started: Started,
    pub(crate) ended: oneshot::Receiver<Ended>,
    /// Those who copy its output into the log.
    pub(crate) copies: [JoinHandle<()>; 2],
    /// To be kept for as long as it runs.
    pub(crate) doors: Option<Relay>,
}

/// Who the lines of a runner's output are of.
pub(crate) struct Voice<'voice> {
    pub(crate) log: &'voice AppLog,
    pub(crate) function: &'voice Arc<str>,
    pub(crate) container: &'voice ContainerId,
}

/// Starts a runner in a container, its output copied to the log. With `configure` it finds there what it is when it
/// begins, or when its doors are open.
pub(crate) async fn start(
    containers: &Containers,
    spec: Spec,
    listener: Option<OwnedFd>,
    doors: &[Door],
    configure: Option<&ToRunner>,
    voice: Voice<'_>,
) -> anyhow::Result<Process> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let configure = configure.map_or_else(String::new, ToRunner::to_line);
    // What does not fit into the socket is told when somebody reads; and nothing of the user's runs before its doors are
    // open, since a name server that is not there is not asked twice.
    let told = doors.is_empty() && configure.len() <= TOLD_AHEAD_MAX;
    if told {
        (&ours).write_all(configure.as_bytes())?;
    }
    let (stdout_reader, stdout) = std::io::pipe()?;
    let (stderr_reader, stderr) = std::io::pipe()?;
    let fds = Fds { control: Some(theirs.into()), listener, stdout: stdout.into(), stderr: stderr.into() };
    let copy = |output: std::io::PipeReader, stream| -> std::io::Result<JoinHandle<()>> {
        let output = tokio::net::unix::pipe::Receiver::from_owned_fd(output.into())?;
        let function = Arc::clone(voice.function);
        let copy = voice.log.clone().copy(output, function, voice.container.clone(), stream);
        Ok(tasks::spawn(Kind::Logs, copy))
    };
    // The helper is at work while the rest is seen to.
    let begun = containers.begin(spec, fds).await?;
    let copies = [copy(stdout_reader, Stream::Stdout)?, copy(stderr_reader, Stream::Stderr)?];
    let mut control = UnixStream::from_std(ours)?;
    let id = voice.container.to_string();
    let (started, ended) = begun.started().await?;
    let doors = open(containers, id, doors, voice).await;
    if !told {
        // A runner that cannot be told anything ends by itself, which is heard later.
        _ = control.write_all(configure.as_bytes()).await;
    }
    Ok(Process { control, started, ended, copies, doors })
}

/// Opens what of this machine's loopback the container reaches: most have nothing there.
async fn open(containers: &Containers, id: String, doors: &[Door], voice: Voice<'_>) -> Option<Relay> {
    if doors.is_empty() {
        return None;
    }
    let opened = containers.open(&id, doors.to_vec()).await;
    let opened = opened.inspect_err(|error| {
        let line = format!("the machine's name server is out of reach: {error:#}");
        voice.log.push(voice.function, Some(voice.container), Stream::System, line);
    });
    opened.ok()
}

/// The runner's messages: JSON lines of bounded length.
pub(crate) struct Messages<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

impl<R: tokio::io::AsyncRead + Unpin> Messages<R> {
    /// Those that come through `reader`.
    pub(crate) fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new() }
    }

    /// The next message; `None` when the runner closed its end. Cancel safe: a part read stays in the buffer.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<FromRunner>> {
        use tokio::io::AsyncReadExt as _;
        loop {
            let room = MESSAGE_MAX.saturating_sub(self.line.len() as u64);
            if room == 0 {
                return Err(std::io::Error::other("the runner's message is too long"));
            }
            let read = (&mut self.reader).take(room).read_until(b'\n', &mut self.line).await?;
            if self.line.last() == Some(&b'\n') {
                let message = serde_json::from_slice(&self.line).map_err(std::io::Error::other);
                self.line.clear();
                return message.map(Some);
            }
            if read == 0 {
                return Ok(None);
            }
        }
    }
}

/// Says something to a runner.
pub(crate) async fn send<W: tokio::io::AsyncWrite + Unpin>(
    writer: &mut W,
    message: &ToRunner,
) -> std::io::Result<()> {
    writer.write_all(message.to_line().as_bytes()).await
}

/// The runner's word for how far it got, as the pool's.
pub(crate) fn stage_of(stage: pilotlight_sandbox::runner::Stage) -> Stage {
    use pilotlight_sandbox::runner::Stage as Runner;
    match stage {
        Runner::App => Stage::App,
        Runner::Import => Stage::Import,
        Runner::Lifespan => Stage::Lifespan,
    }
}

/// A runner's figure as a duration: never negative, never not a number, whatever the runner says.
pub(crate) fn milliseconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value / 1000.0).unwrap_or_default()
}
