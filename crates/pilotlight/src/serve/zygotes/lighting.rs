//! Lighting one zygote, and following it until it is out.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use pilotlight_api::progress::Stream;
use pilotlight_core::id::{AppId, ContainerId};
use pilotlight_image::Pins;
use pilotlight_pool::{Stage, StartFailure};
use pilotlight_sandbox::runner::{FromRunner, Phase, Role, Sequence, ToRunner};
use pilotlight_sandbox::{Door, Signal, Spec};

use super::written::Written;
use super::{Fate, Hold, State, Why, Zygote, Zygotes};
use crate::serve::containers::Containers;
use crate::serve::launcher::Configure;
use crate::serve::logs::AppLog;
use crate::serve::runner::{self, Messages, Process, Voice, send, stage_of};

/// What a zygote is to become.
pub(super) struct Wanted {
    pub(super) spec: Spec,
    /// What of this machine's loopback the user's code reaches while it is imported.
    pub(super) doors: Vec<Door>,
    /// Keeps the zygote that it is forked from.
    pub(super) from: Option<Hold>,
    pub(super) configure: Configure,
    pub(super) role: Role,
    pub(super) function: Arc<str>,
    pub(super) log: Option<AppLog>,
    /// Modules were imported before the user's that it may be about to change.
    pub(super) ahead: bool,
    pub(super) within: Duration,
    /// Keep its layers on disk.
    pub(super) _pins: Vec<Pins>,
}

/// The life of one zygote, as a task.
pub(super) async fn burn(zygotes: Zygotes, wanted: Wanted, id: ContainerId, own: Weak<Zygote>, fate: Fate) {
    let containers = zygotes.0.containers.clone();
    // What it is forked from is busy until it is there.
    let hold = wanted.from;
    let log = wanted.log.clone().unwrap_or_else(|| AppLog::new(AppId::from_entropy(0), None));
    let say = |line: String| log.push(&wanted.function, Some(&id), Stream::System, line);
    let voice = Voice { log: &log, function: &wanted.function, container: &id };
    let ahead = wanted.ahead;
    let lowers = wanted.spec.lowers.clone();
    let started = match runner::start(&containers, wanted.spec, None, &wanted.doors, None, voice).await {
        Ok(process) => containers.look(id.as_str()).await.map(|seen| (process, Written::new(seen))),
        Err(error) => Err(error),
    };
    let (process, written) = match started {
        Ok(started) => started,
        Err(error) => {
            tracing::warn!(function = &*wanted.function, "cannot light a zygote: {error:#}");
            fate.settle(State::Failed(StartFailure::new(Stage::Sandbox, format!("{error:#}"))));
            return;
        }
    };
    drop(hold);
    let Process { mut control, mut ended, doors: _doors, .. } = process;
    let Configure { app, era, function } = wanted.configure;
    let asked_for = function.get("snapshot") == Some(&serde_json::Value::Bool(true));
    let configure = ToRunner::Configure { app, era, function, container: id.to_string(), role: wanted.role };
    // A runner that cannot be told anything ends by itself, which is heard below.
    _ = send(&mut control, &configure).await;
    let mut messages = Messages::new(control);
    let lit = tokio::time::timeout(wanted.within, lighting(&mut messages)).await;
    let next = match lit {
        Ok(Ok((_, true))) if ahead => State::Failed(StartFailure::new(
            Stage::Sandbox,
            "its import changes what was imported ahead".to_owned(),
        )),
        Ok(Ok((mut obstacles, _))) => {
            if obstacles.is_empty() {
                obstacles.extend(missed(&containers, &id, written, lowers).await);
            }
            if obstacles.is_empty() {
                State::Lit
            } else {
                let obstacles = obstacles.join(" and ");
                say(if asked_for {
                    format!(
                        "no snapshot is taken of the program's memory, since a fork would break {obstacles}; each \
                         container imports it and runs its snap hooks by itself"
                    )
                } else {
                    format!(
                        "each container imports the program by itself, since a fork would break {obstacles}"
                    )
                });
                State::Unfit
            }
        }
        Ok(Err(failure)) => State::Failed(failure),
        Err(_) => {
            let seconds = wanted.within.as_secs();
            State::Failed(StartFailure::new(Stage::Timeout, format!("importing took more than {seconds} s")))
        }
    };
    let lit = matches!(next, State::Lit);
    // Whoever let go of it before may not have been heard: there was no process yet, or the user's code took the signal.
    if !fate.settle(next) || !lit || own.strong_count() == 0 {
        containers.signal(id.as_str(), Signal::Kill);
        return;
    }
    zygotes.0.lit.notify_one();
    // Its pid 1 goes on with what is below it. The process itself shows its end here.
    tokio::select! {
        _ = &mut ended => {}
        () = silence(&mut messages) => {}
    }
    fate.settle(State::Out(Why::Ended));
    zygotes.0.shells.without(&id);
}

/// Waits until nobody is at the other end any more.
async fn silence<R: tokio::io::AsyncRead + Unpin>(messages: &mut Messages<R>) {
    while let Ok(Some(_)) = messages.next().await {}
}

/// What of a zygote's files a fork of it would miss, as words for the log.
async fn missed(
    containers: &Containers,
    id: &ContainerId,
    written: Written,
    lowers: Vec<PathBuf>,
) -> Option<String> {
    let found = async {
        let seen = containers.look(id.as_str()).await?;
        anyhow::Ok(tokio::task::spawn_blocking(move || written.since(seen, &lowers)).await?)
    };
    match found.await {
        Ok(path) => path.map(|path| format!("the use of {}, which it has written", path.display())),
        Err(error) => Some(format!("what cannot be told: {error:#}")),
    }
}

/// Hears a zygote until it is lit; what a fork of it would break, and whether it changes what imports see.
async fn lighting<R: tokio::io::AsyncRead + Unpin>(
    messages: &mut Messages<R>,
) -> Result<(Vec<String>, bool), StartFailure> {
    let broken = |text: String| StartFailure::new(Stage::Sandbox, text);
    let mut sequence = Sequence::new();
    loop {
        let message = match messages.next().await {
            Ok(Some(message)) => message,
            Ok(None) => {
                let users = sequence.phase() == Phase::Greeted;
                let stage = if users { Stage::Exited } else { Stage::Sandbox };
                return Err(StartFailure::new(stage, "it ended before it was lit"));
            }
            Err(error) => return Err(broken(error.to_string())),
        };
        sequence.accept(&message).map_err(|error| broken(error.to_string()))?;
        match message {
            FromRunner::Lit { obstacles, changes, .. } => return Ok((obstacles, changes)),
            FromRunner::Failed { stage, summary, traceback } => {
                return Err(StartFailure { stage: stage_of(stage), summary, traceback: Some(traceback) });
            }
            _ => {}
        }
    }
}
