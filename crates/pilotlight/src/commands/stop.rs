//! What ends a command from outside: Ctrl-C, SIGTERM, SIGHUP, a timeout, the end of the script that started it.

use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::config::env;

/// Waits for what ends a command.
pub(super) struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    end: Option<Instant>,
}

impl Stop {
    /// From now on signals do not kill; at `end` it is over as well.
    pub(super) fn new(end: Option<Instant>) -> anyhow::Result<Self> {
        let end = if end_with_parent()? { end } else { Some(Instant::now()) };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            end,
        })
    }

    /// It is over after this long as well, from `began` on.
    pub(super) fn after(&mut self, began: Instant, limit: Duration) {
        let end = began + limit;
        self.end = Some(self.end.map_or(end, |old| old.min(end)));
    }

    /// Resolves when the command should end. Cancel safe.
    pub(super) async fn wait(&mut self) {
        let end = self.end;
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
            () = async { match end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            } } => {}
        }
    }
}

/// Arranges that the script which handed over to this command takes it along when it ends. `false`: it ended already.
fn end_with_parent() -> anyhow::Result<bool> {
    let Some(parent) = std::env::var(env::PARENT).ok().and_then(|pid| pid.parse().ok()) else {
        return Ok(true);
    };
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    Ok(rustix::process::getppid() == Pid::from_raw(parent))
}
