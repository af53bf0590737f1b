//! A process that has imported ahead what the program imports of installed packages: a discovery is a fork of it.
//!
//! The process is the SDK's `_warm`, which says what it may import and when it is not to be used. It ends with the
//! socket to it, and with this value.

use std::collections::HashSet;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::Stdio;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use super::outcome;

/// The longest message, bytes.
const MESSAGE_MAX: u64 = 64 * 1024;

/// What a discovery tells for the next one.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct Notes {
    /// Modules of installed packages that were imported, in this order.
    pub(super) modules: Vec<String>,
    /// What the program's own files name in their imports.
    pub(super) imports: Vec<String>,
    /// The program's import changed what later imports see: it needs them in its own order.
    pub(super) changed: bool,
}

impl Notes {
    /// Whether a fork of a process made by the notes `before` gave these as a process of its own would: what had been
    /// imported ahead, the program still imports.
    pub(super) fn is_served_by(&self, before: &Self) -> bool {
        let top = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let imported: HashSet<String> = before.modules.iter().map(|name| top(name)).collect();
        let now: HashSet<&String> = self.imports.iter().collect();
        let kept = |name: &String| now.contains(name) || !imported.contains(&top(name));
        !self.changed && before.imports.iter().all(kept)
    }

    /// Whether nothing would be new to import.
    pub(super) fn has_modules_of(&self, other: &Self) -> bool {
        let own: HashSet<&String> = self.modules.iter().collect();
        other.modules.iter().all(|name| own.contains(name))
    }
}

/// How it went.
pub(super) enum Outcome {
    /// The fork's exit code, or its signal as a negative number, and what it wrote.
    Ended(i32, Vec<u8>),
    /// The process is not to be used any more; another may be.
    Stale(String),
    /// No process like it is to be used.
    Obstacle(String),
}

/// The process.
pub(super) struct Warm {
    /// What it was made by.
    pub(super) notes: Notes,
    control: BufReader<UnixStream>,
    ready: bool,
    fork: Fork,
    /// After the fork: nobody else ends that one then.
    _process: Child,
}

/// The fork that runs now, which ends with this value.
struct Fork(Option<Pid>);

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Message {
    Ready(bool),
    Obstacle(String),
    Stale(String),
    Child(i32),
    Status(i32),
}

impl Warm {
    /// Starts it with `command`; it imports while nobody waits for it.
    pub(super) async fn start(
        mut command: Command,
        program: Option<&Path>,
        notes: Notes,
    ) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut control = UnixStream::from_std(ours)?;
        // In a group of its own: the terminal's Ctrl-C would end it amid an import, with a traceback that is nobody's.
        command.stdin(Stdio::from(OwnedFd::from(theirs))).kill_on_drop(true).process_group(0);
        let process = command.spawn()?;
        // It holds the socket's other end, which only the process may have.
        drop(command);
        let order = serde_json::json!({ "modules": notes.modules, "program": program });
        control.write_all(format!("{order}\n").as_bytes()).await?;
        Ok(Self {
            notes,
            control: BufReader::new(control),
            ready: false,
            fork: Fork(None),
            _process: process,
        })
    }

    /// A discovery in a fork.
    pub(super) async fn run(&mut self) -> io::Result<Outcome> {
        if !self.ready {
            match self.message().await? {
                Message::Ready(true) => self.ready = true,
                Message::Obstacle(why) => return Ok(Outcome::Obstacle(why)),
                _ => return Err(unexpected()),
            }
        }
        let (sender, receiver) = pipe::pipe()?;
        let sender = sender.into_blocking_fd()?;
        let control = self.control.get_ref();
        control.async_io(Interest::WRITABLE, || send(control, &sender)).await?;
        drop(sender);
        match self.message().await? {
            Message::Stale(why) => return Ok(Outcome::Stale(why)),
            Message::Child(pid) => self.fork = Fork(Pid::from_raw(pid)),
            _ => return Err(unexpected()),
        }
        let (message, text) = outcome(self.message(), receiver).await?;
        let Message::Status(status) = message else { return Err(unexpected()) };
        self.fork = Fork(None);
        Ok(Outcome::Ended(status, text))
    }

    async fn message(&mut self) -> io::Result<Message> {
        let mut line = Vec::new();
        (&mut self.control).take(MESSAGE_MAX).read_until(b'\n', &mut line).await?;
        serde_json::from_slice(&line).map_err(io::Error::other)
    }
}

impl Drop for Fork {
    fn drop(&mut self) {
        // Its number is its own for as long as it is here: the process that made it does not reap it before.
        if let Some(pid) = self.0 {
            _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Hands over the pipe for a manifest.
fn send(control: &UnixStream, pipe: &OwnedFd) -> io::Result<()> {
    let pipes = [pipe.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&pipes));
    sendmsg(control, &[IoSlice::new(b"{}\n")], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn unexpected() -> io::Error {
    io::Error::other("a message out of order")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(modules: &[&str], imports: &[&str], changed: bool) -> Notes {
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Notes { modules: own(modules), imports: own(imports), changed }
    }

    #[test]
    fn what_was_imported_ahead_must_still_be_imported() {
        let before = notes(&["json", "boto3", "boto3.s3"], &["boto3.s3", "json", "part", "modal.App"], false);
        let serves = |imports: &[&str], changed| notes(&[], imports, changed).is_served_by(&before);
        assert!(serves(&["boto3.s3", "json", "part"], false));
        assert!(serves(&["boto3.s3", "json", "csv"], false), "what is the user's own comes and goes");
        assert!(!serves(&["json"], false));
        assert!(!serves(&["boto3", "json"], false));
        assert!(!serves(&["boto3.s3", "json"], true));
    }
}
