//! A process that stays outside of the helper's namespaces, for what can only be done from there: writing maps of
//! subordinate ids, and carrying packets. It becomes the program that carries them, and ends with the helper.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::doctor::program;
use crate::sys;
use crate::sys::process::{Forked, exit_now, fork};

/// How long the way out may take to be there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How often to look whether it is.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// The process outside.
pub(super) struct Outside {
    channel: Channel,
    pidfd: OwnedFd,
}

/// A program that carries packets, and what to tell it; no word has a space in it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Way {
    pub(super) program: PathBuf,
    pub(super) words: String,
}

#[derive(Serialize, Deserialize)]
enum Order {
    /// Run a program of this name to its end.
    Run { program: PathBuf, words: String },
    /// Become one.
    Become(Way),
}

impl Outside {
    /// Forks it. To be called before this process goes anywhere.
    pub(super) fn leave() -> io::Result<Outside> {
        let (ours, theirs) = Channel::pair()?;
        match fork()? {
            Forked::Parent { pidfd, .. } => Ok(Outside { channel: ours, pidfd }),
            Forked::Child => {
                let tied = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
                // Above all the channel to the server, which must see its end when the helper ends.
                let closed = sys::fd::close_all_but(&[theirs.as_fd().as_raw_fd()]);
                sys::signal::reset();
                if tied.is_ok() && closed.is_ok() {
                    serve(&theirs);
                }
                exit_now(0)
            }
        }
    }

    /// Runs a program with these words to its end, outside.
    pub(super) fn run(&self, name: &str, words: &str) -> io::Result<()> {
        let program = program(name).ok_or(io::ErrorKind::NotFound)?;
        self.channel.send(&Order::Run { program, words: words.to_owned() }, &[])?;
        match self.channel.receive::<Result<(), String>>()? {
            Some((result, _)) => result.map_err(|error| io::Error::other(format!("{name}: {error}"))),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Becomes `way`, and waits until packets get out by it. What is in the way of that, in words.
    fn become_way(self, way: Way) -> Result<(), String> {
        let name = way.program.display().to_string();
        if let Err(error) = self.channel.send(&Order::Become(way), &[]) {
            return Err(format!("{name} cannot be run: {error}"));
        }
        let until = Instant::now() + CONNECT_WITHIN;
        while Instant::now() < until {
            if fs::read_to_string("/proc/self/net/route").is_ok_and(|routes| has_default(&routes)) {
                return Ok(());
            }
            let mut ended = [PollFd::new(&self.pidfd, PollFlags::IN)];
            if rustix::event::poll(&mut ended, Some(&LOOK)).is_ok_and(|ended| ended > 0) {
                return Err(format!("{name} ended at once; `pilotlight doctor` may tell why"));
            }
        }
        // Not to be in the way of the next.
        _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        Err(format!("{name} made no route within {} s", CONNECT_WITHIN.as_secs()))
    }
}

/// Lets packets out by the first of `ways` that works, each by a process of its own. What is in the way of that, in words.
pub(super) fn connect(outsides: Vec<Outside>, ways: Vec<Way>) -> Option<String> {
    let mut obstacles = Vec::new();
    for (outside, way) in outsides.into_iter().zip(ways) {
        match outside.become_way(way) {
            Ok(()) => return None,
            Err(obstacle) => obstacles.push(obstacle),
        }
    }
    if obstacles.is_empty() {
        obstacles.push("neither pasta nor slirp4netns is installed".to_owned());
    }
    Some(format!("containers reach nothing outside: {}", obstacles.join("; ")))
}

/// Whether there is a default route in a text of /proc/net/route.
fn has_default(routes: &str) -> bool {
    routes.lines().skip(1).any(|line| line.split_whitespace().nth(1) == Some("00000000"))
}

/// The life of the process outside.
fn serve(channel: &Channel) {
    while let Ok(Some((order, _))) = channel.receive::<Order>() {
        match order {
            Order::Run { program, words } => {
                let done = Command::new(program).args(words.split(' ')).stdin(Stdio::null()).output();
                let result = match done {
                    Ok(output) if output.status.success() => Ok(()),
                    Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
                    Err(error) => Err(error.to_string()),
                };
                if channel.send(&result, &[]).is_err() {
                    return;
                }
            }
            Order::Become(Way { program, words }) => {
                let mut command = Command::new(program);
                command
                    .args(words.split(' '))
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                // Returns only if it fails, which shows by there being no route.
                let _ = command.current_dir("/").exec();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_route_is_told_from_others() {
        let head = "Iface\tDestination\tGateway\n";
        assert!(has_default(&format!("{head}eth0\t00000000\t010200C0\n")));
        assert!(!has_default(&format!("{head}eth0\t000200C0\t00000000\n")) && !has_default(head));
    }
}
