//! The actor: waits for what happens outside and for the machine's deadline, and does what the machine says.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;

use pilotlight_core::pool::Event;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::desk::{Desk, Errand};
use crate::launcher::{LaunchEvent, Launcher, Sender};

/// What drives one pool.
pub(crate) struct Actor {
    desk: Arc<Desk>,
    launcher: Arc<dyn Launcher>,
    events: mpsc::UnboundedReceiver<LaunchEvent>,
    /// For those that it launches.
    sender: Sender,
}

/// One thing that the actor heard.
enum News {
    Launch(LaunchEvent),
    /// Somebody left something to do.
    Roused,
    Woke,
}

impl Actor {
    pub(crate) fn new(desk: Arc<Desk>, launcher: Arc<dyn Launcher>) -> Self {
        let (sender, events) = Sender::channel();
        Self { desk, launcher, events, sender }
    }

    /// Runs until the pool is retired and its last container is gone.
    pub(crate) async fn run(mut self) {
        let mut alarm = Box::pin(sleep_until(Instant::now()));
        self.desk.happen(Event::Woke);
        loop {
            self.run_errands();
            let Ok(deadline) = self.desk.sleep() else { break };
            if let Some(deadline) = deadline
                && deadline != alarm.deadline()
            {
                alarm.as_mut().reset(deadline);
            }
            let news = self.next(deadline.is_some().then_some(alarm.as_mut())).await;
            self.hear(news);
        }
        tracing::debug!("pool ended");
    }

    /// The next thing to hear.
    async fn next(&mut self, alarm: Option<Pin<&mut Sleep>>) -> News {
        let alarm = async {
            match alarm {
                Some(alarm) => alarm.await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => News::Launch(event),
            () = self.desk.rouse.notified() => News::Roused,
            () = alarm => News::Woke,
        }
    }

    fn hear(&self, news: News) {
        match news {
            News::Launch(LaunchEvent::Exited { container }) => self.desk.gone(&container, None),
            News::Launch(LaunchEvent::Failed { container, failure }) => {
                self.desk.gone(&container, Some(failure));
            }
            News::Launch(LaunchEvent::Ready { container, address, receipt }) => {
                self.desk.ready(&container, address, receipt);
            }
            News::Roused => {}
            News::Woke => self.desk.wake(),
        }
    }

    fn run_errands(&self) {
        for errand in self.desk.errands() {
            match errand {
                Errand::Start(number) => {
                    let at = Instant::now();
                    // What it tells of the container waits in a queue until this is done.
                    let container = self.launcher.launch(self.sender.clone());
                    tracing::debug!(%container, "container starts");
                    self.desk.launched(number, container, at);
                }
                Errand::Stop(number, stop) => {
                    if let Some(container) = self.desk.container(number) {
                        tracing::debug!(%container, ?stop, "container stops");
                        self.launcher.stop(container, stop);
                    }
                }
                Errand::MakeRoom => self.desk.make_room(),
                Errand::Overdue(container, limit) => self.launcher.overdue(&container, limit),
                Errand::Waited(container, receipt) => self.launcher.waited(&container, &receipt),
            }
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.desk.close();
    }
}
