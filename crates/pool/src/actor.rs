//! The actor: waits for what happens, lets the machine decide, does what it says.

use std::collections::HashMap;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pilotlight_core::pool::{
    Action, ContainerNumber, Event, Pool as Machine, Reason, RequestId, Settings, Stats, Stop,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::handle::{Command, Control};
use crate::launcher::{LaunchEvent, Launcher, Sender, Stage, StartFailure};
use crate::lease::{Lease, LeaseError, Notice, Notices, Ticket};
use crate::members::{Members, Ready};

/// The state behind one pool.
pub(crate) struct Actor {
    machine: Machine,
    launcher: Arc<dyn Launcher>,
    members: Members,
    requests: HashMap<RequestId, Request>,
    trials: Vec<oneshot::Sender<Result<(), StartFailure>>>,
    /// The newest reason why a container did not start.
    failure: StartFailure,
    settings: Settings,
    retired: Option<Stop>,
    actions: Vec<Action>,
    queues: Queues,
    events: Sender,
    notices: Notices,
    stats: watch::Sender<Stats>,
}

/// What the actor listens to.
struct Queues {
    /// `None` once every handle is gone.
    commands: Option<mpsc::Receiver<Command>>,
    control: watch::Receiver<Control>,
    events: mpsc::UnboundedReceiver<LaunchEvent>,
    notices: mpsc::UnboundedReceiver<Notice>,
}

/// One thing that the actor heard.
enum News {
    Command(Command),
    Control,
    /// There is no handle left.
    HandlesGone,
    Launch(LaunchEvent),
    Notice(Notice),
    Woke,
}

/// A request that waits.
struct Request {
    arrived: Instant,
    /// Still in the step in which it arrived: if it is assigned now, it did not wait.
    new: bool,
    reply: oneshot::Sender<Result<Lease, LeaseError>>,
}

impl Actor {
    pub(crate) fn new(
        launcher: Arc<dyn Launcher>,
        commands: mpsc::Receiver<Command>,
        control: watch::Receiver<Control>,
        notices: Notices,
        notice_queue: mpsc::UnboundedReceiver<Notice>,
        stats: watch::Sender<Stats>,
    ) -> Self {
        let (events, event_queue) = Sender::channel();
        let settings = control.borrow().settings.clone();
        Self {
            machine: Machine::new(settings.clone()),
            launcher,
            members: Members::default(),
            requests: HashMap::new(),
            trials: Vec::new(),
            failure: StartFailure::new(Stage::Exited, "the container did not start"),
            settings,
            retired: None,
            actions: Vec::new(),
            queues: Queues { commands: Some(commands), control, events: event_queue, notices: notice_queue },
            events,
            notices,
            stats,
        }
    }

    /// Runs until the pool is retired and its last container is gone.
    pub(crate) async fn run(mut self) {
        let mut alarm = Box::pin(sleep_until(Instant::now()));
        self.step(Event::Woke);
        while !self.machine.is_over() {
            let deadline = self.machine.deadline().map(Instant::from_std);
            if let Some(deadline) = deadline
                && deadline != alarm.deadline()
            {
                alarm.as_mut().reset(deadline);
            }
            let news = self.queues.next(deadline.is_some().then_some(alarm.as_mut())).await;
            self.hear(news);
        }
        tracing::debug!("pool ended");
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Command(Command::Lease { request, arrived, reply }) => {
                // Its client may be gone already, and the notice of that read before.
                if !reply.is_closed() {
                    self.requests.insert(request, Request { arrived, new: true, reply });
                    self.step(Event::Arrived(request));
                    if let Some(request) = self.requests.get_mut(&request) {
                        request.new = false;
                    }
                }
            }
            News::Command(Command::Warm(reply)) => {
                self.trials.retain(|trial| !trial.is_closed());
                self.trials.push(reply);
                self.step(Event::Trial);
            }
            News::Control => self.obey(),
            News::HandlesGone => self.retire(Stop::Drain),
            News::Launch(event) => self.launched(event),
            News::Notice(Notice::Abandoned(request)) => {
                self.requests.remove(&request);
                self.step(Event::Abandoned(request));
            }
            News::Notice(Notice::Broken(number)) => self.step(Event::Broken(number)),
            News::Notice(Notice::Finished(number, request)) => self.step(Event::Finished(number, request)),
            News::Notice(Notice::Overdue(number, timeout)) => {
                if let Some(member) = self.members.get(number) {
                    self.launcher.overdue(&member.id, timeout);
                }
            }
            News::Woke => self.step(Event::Woke),
        }
    }

    fn obey(&mut self) {
        let Control { settings, retire } = self.queues.control.borrow_and_update().clone();
        if settings != self.settings {
            self.settings = settings.clone();
            self.step(Event::Configure(settings));
        }
        if let Some(stop) = retire {
            self.retire(stop);
        }
    }

    fn retire(&mut self, stop: Stop) {
        if self.retired < Some(stop) {
            self.retired = Some(stop);
            self.step(Event::Retire(stop));
        }
    }

    fn launched(&mut self, event: LaunchEvent) {
        match event {
            LaunchEvent::Exited { container } => {
                let Some(member) = self.members.remove(&container) else { return };
                tracing::debug!(%container, "container exited");
                if member.ready.is_none() {
                    self.failure =
                        StartFailure::new(Stage::Exited, "the container exited before it was ready");
                }
                self.step(Event::Exited(member.number));
            }
            LaunchEvent::Failed { container, failure } => {
                let Some(member) = self.members.remove(&container) else { return };
                tracing::debug!(%container, stage = %failure.stage, summary = failure.summary, "start failed");
                self.failure = failure;
                self.step(Event::StartFailed(member.number));
            }
            LaunchEvent::Ready { container, address, receipt } => {
                let Some(member) = self.members.find(&container) else { return };
                let ready = member.ready.get_or_insert(Ready { address, at: Instant::now(), receipt });
                tracing::debug!(%container, receipt = ?ready.receipt, "container ready");
                let number = member.number;
                self.step(Event::Started(number));
            }
        }
    }

    fn step(&mut self, event: Event) {
        let now = Instant::now();
        let mut actions = std::mem::take(&mut self.actions);
        self.machine.step(now.into_std(), event, &mut actions);
        for action in actions.drain(..) {
            self.act(now, action);
        }
        self.actions = actions;
        let stats = self.machine.stats();
        self.stats.send_if_modified(|last| std::mem::replace(last, stats) != stats);
    }

    fn act(&mut self, now: Instant, action: Action) {
        match action {
            Action::Assign(request, number) => self.assign(now, request, number),
            Action::Reject(request, reason) => {
                if let Some(request) = self.requests.remove(&request) {
                    let error = self.lease_error(reason);
                    // Nobody listens: nobody needs the error.
                    let _ = request.reply.send(Err(error));
                }
            }
            Action::Start(number) => {
                // What it tells of the container waits in a queue until this is done.
                let container = self.launcher.launch(self.events.clone());
                tracing::debug!(%container, "container starts");
                self.members.add(number, container, now);
            }
            Action::Stop(number, stop) => {
                if let Some(member) = self.members.get(number) {
                    tracing::debug!(container = %member.id, ?stop, "container stops");
                    self.launcher.stop(member.id.clone(), stop);
                }
            }
            Action::TrialFailed(reason) => {
                let failure = match self.lease_error(reason) {
                    LeaseError::Start(failure) => failure,
                    error => StartFailure::new(Stage::Retired, error.to_string()),
                };
                self.end_trials(&Err(failure));
            }
            Action::TrialPassed => self.end_trials(&Ok(())),
        }
    }

    fn assign(&mut self, now: Instant, request: RequestId, number: ContainerNumber) {
        let ticket =
            Ticket { number, request, notices: self.notices.clone(), broken: AtomicBool::new(false) };
        // From here on, whatever happens, dropping the ticket returns the slot.
        let Some(Request { arrived, new, reply }) = self.requests.remove(&request) else { return };
        let Some(member) = self.members.get(number) else { return };
        let Some(ready) = &member.ready else { return };
        let waited = (!new).then(|| member.receipt(arrived, now));
        let lease = Lease::new(ready.address.clone(), member.id.clone(), waited, ticket);
        let container = member.id.clone();
        // A client that left gets its lease dropped, and thereby returned.
        if reply.send(Ok(lease)).is_ok()
            && let Some(receipt) = waited
        {
            self.launcher.waited(&container, &receipt);
        }
    }

    fn end_trials(&mut self, outcome: &Result<(), StartFailure>) {
        for trial in self.trials.drain(..) {
            // Nobody listens: nobody needs the outcome.
            let _ = trial.send(outcome.clone());
        }
    }

    fn lease_error(&self, reason: Reason) -> LeaseError {
        match reason {
            Reason::Full => LeaseError::Full,
            Reason::Retired => LeaseError::Retired,
            Reason::StartFailed => LeaseError::Start(self.failure.clone()),
            Reason::StartTimeout => {
                let summary =
                    format!("the container was not ready within {:?}", self.settings.startup_timeout);
                LeaseError::Start(StartFailure::new(Stage::Timeout, summary))
            }
        }
    }
}

impl Queues {
    /// The next thing to hear: first what frees slots, last what asks for them.
    async fn next(&mut self, alarm: Option<Pin<&mut Sleep>>) -> News {
        let alarm = async {
            match alarm {
                Some(alarm) => alarm.await,
                None => pending().await,
            }
        };
        let command = async {
            match &mut self.commands {
                Some(commands) => commands.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            Ok(()) = self.control.changed() => News::Control,
            Some(event) = self.events.recv() => News::Launch(event),
            Some(notice) = self.notices.recv() => News::Notice(notice),
            () = alarm => News::Woke,
            command = command => {
                if command.is_none() {
                    self.commands = None;
                }
                command.map_or(News::HandlesGone, News::Command)
            }
        }
    }
}
