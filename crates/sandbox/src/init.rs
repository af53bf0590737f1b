//! Pid 1 of a container: a fork of the helper that furnishes its namespaces, gives up every right, and then is an init.
//!
//! It is never an exec of our executable, since inside the image there is none. Being single threaded (as the helper is)
//! it runs ordinary Rust after the fork; the helper's values are still in its memory, so it leaves by `exit_now` only,
//! lest their destructors close descriptors that are not theirs here.

pub(crate) mod command;
mod enclose;
mod furnish;
pub(crate) mod lockdown;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, WaitOptions};

use crate::channel::Channel;
use crate::error::Doing;
use crate::message::{FromInit, Make, Role, ToInit};
use crate::{ExitStatus, Failure, cgroup, sys, title};

/// The exit code of pid 1 when it, not the command, failed.
const FAILED: i32 = 125;

/// The life of pid 1, from the instant of the clone on.
pub(crate) fn run(channel: &Channel, entry: &cgroup::Entry, area: Option<title::Area>) -> ! {
    let code = match live(channel, entry, area) {
        Ok(code) => code,
        Err(failure) => {
            // If nobody listens any more, the helper is dead and the exit code is all there is to say.
            let _ = channel.send(&FromInit::Failed(failure), &[]);
            FAILED
        }
    };
    sys::process::exit_now(code)
}

fn live(channel: &Channel, entry: &cgroup::Entry, area: Option<title::Area>) -> Result<i32, Failure> {
    entry.join().doing("enter the container's cgroup")?;
    sys::signal::reset();
    let Some((ToInit::Make(order), fds)) = receive(channel)? else { return Ok(0) };
    let clock = Instant::now();
    make(channel, &order, fds, area)?;
    say(channel, &FromInit::Made { took: clock.elapsed() })?;

    let events = sys::signal::child_events().doing("watch for ended processes")?;
    let child = match receive(channel)? {
        Some((ToInit::Run { command, given }, fds)) => {
            let child = command::spawn(&command, given, fds)?;
            say(channel, &FromInit::Running)?;
            Some(child)
        }
        Some((ToInit::Host, _)) => None,
        _ => return Ok(0),
    };
    attend(channel, &events, Init { child, lingers: order.role == Role::Zygote })
}

/// Furnishes the container and locks this process down. Idle afterwards.
fn make(
    channel: &Channel,
    order: &Make,
    fds: Vec<OwnedFd>,
    area: Option<title::Area>,
) -> Result<(), Failure> {
    sys::process::unshare_cgroups().doing("make a cgroup namespace")?;
    title::set(area, &order.title, &format!("pilotlight: {}", order.title));
    lockdown::become_root()?;
    furnish::furnish(order, &fds)?;
    drop(fds);
    sys::fd::close_all_but(&[channel.as_fd().as_raw_fd()]).doing("close the helper's files")?;
    lockdown::give_up_rights(order.role, order.limits)
}

/// Whose init this is.
pub(crate) struct Init {
    /// The command's process.
    pub(crate) child: Option<i32>,
    /// Whether it goes on when the command has ended: a zygote's pid 1 has the namespaces of others below its own, who
    /// would end with it.
    pub(crate) lingers: bool,
}

/// The loop of an init: passes signals on, buries the dead, and ends with the command or with the helper.
pub(crate) fn attend(channel: &Channel, events: &OwnedFd, mut init: Init) -> Result<i32, Failure> {
    loop {
        let mut fds = [PollFd::new(channel, PollFlags::IN), PollFd::new(events, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).doing("wait for orders"),
        }
        let [orders, deaths] = fds.map(|fd| !fd.revents().is_empty());
        if deaths {
            // One read takes all pending instances of the signal.
            let _ = rustix::io::read(events, &mut [0_u8; 128][..]);
            if let Some(status) = bury(channel, &init)? {
                // Before exiting, so that the helper has it when it learns of the exit.
                say(channel, &FromInit::Ended(status))?;
                init.child = None;
                if init.lingers {
                    continue;
                }
                return Ok(match status {
                    ExitStatus::Code(code) => code,
                    ExitStatus::Signal(signal) => 128 + signal,
                });
            }
        }
        if orders {
            match receive(channel)? {
                Some((ToInit::Terminate, _)) => terminate(init.child),
                Some(_) => {}
                None => return Ok(FAILED),
            }
        }
    }
}

/// Reaps whatever has ended; the status of the command, if it is among them. A zygote's pid 1 tells of the others: one
/// that was forked from it and joined another container is still its child.
fn bury(channel: &Channel, init: &Init) -> Result<Option<ExitStatus>, Failure> {
    let mut ended = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                let signal = status.terminating_signal().map(ExitStatus::Signal);
                let status = signal.or(status.exit_status().map(ExitStatus::Code));
                let pid = pid.as_raw_nonzero().get();
                if Some(pid) == init.child {
                    ended = status;
                } else if let (true, Some(status)) = (init.lingers, status) {
                    say(channel, &FromInit::Reaped { pid, status })?;
                }
            }
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(ended),
            Err(error) => return Err(error).doing("reap processes"),
        }
    }
}

fn terminate(child: Option<i32>) {
    if let Some(child) = child.and_then(rustix::process::Pid::from_raw) {
        // It can only have ended already, which the loop is about to notice.
        let _ = rustix::process::kill_process(child, Signal::TERM);
    }
}

fn receive(channel: &Channel) -> Result<Option<(ToInit, Vec<OwnedFd>)>, Failure> {
    channel.receive().doing("read orders")
}

/// Reports to the helper.
pub(crate) fn say(channel: &Channel, message: &FromInit) -> Result<(), Failure> {
    channel.send(message, &[]).doing("report to the helper")
}
