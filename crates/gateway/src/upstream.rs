//! Connections to containers: opened when needed, kept while idle, closed when their container goes.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use pilotlight_pool::Address;
use tokio::net::UnixStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::body::RequestBody;
use crate::tasks;
use crate::write::{Container, Leaving};

/// Idle connections kept per container. More than that are closed when their exchange ends.
const IDLE_MAX: usize = 512;

/// How long a container's socket may have no room for another connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long to wait between two tries. A full Unix backlog is reported at once and offers nothing to wait on.
const CONNECT_PAUSE: Duration = Duration::from_millis(2);

/// A connection to a container. Dropping it closes it, with whatever exchange is on it.
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<RequestBody>,
    driver: AbortHandle,
    pub(crate) leaving: Arc<Leaving>,
    /// Whether it has carried an exchange before.
    pub(crate) reused: bool,
}

impl Connection {
    /// Tells the container's server that the client of the exchange on it has left, and leaves the rest to that server.
    pub(crate) fn leave(&self) {
        self.leaving.say();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The idle connections of every container. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Upstreams(Arc<Idle>);

#[derive(Default)]
struct Idle(Mutex<HashMap<Address, Vec<Connection>>>);

impl Idle {
    /// The lock is held for a few instructions and never across an await.
    fn lock(&self) -> MutexGuard<'_, HashMap<Address, Vec<Connection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the connections of a container that have ended.
    fn forget_closed(&self, address: &Address) {
        let mut idle = self.lock();
        if let Some(connections) = idle.get_mut(address) {
            connections.retain(|connection| !connection.sender.is_closed());
            if connections.is_empty() {
                idle.remove(address);
            }
        }
    }
}

impl Upstreams {
    /// An idle connection to the container, else a new one.
    pub(crate) async fn connect(&self, address: &Address) -> io::Result<Connection> {
        match self.take_idle(address) {
            Some(connection) => Ok(connection),
            None => self.open(address).await,
        }
    }

    /// Keeps a connection whose exchange is complete.
    pub(crate) fn give_back(&self, address: &Address, mut connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        connection.reused = true;
        let mut idle = self.0.lock();
        let connections = idle.entry(address.clone()).or_default();
        if connections.len() < IDLE_MAX {
            connections.push(connection);
        }
    }

    fn take_idle(&self, address: &Address) -> Option<Connection> {
        let mut idle = self.0.lock();
        let connections = idle.get_mut(address)?;
        connections.retain(|connection| !connection.sender.is_closed());
        // The last one used is the least likely to be closed. One that still finishes its exchange is not ready yet.
        let at = connections.iter().rposition(|connection| connection.sender.is_ready())?;
        Some(connections.swap_remove(at))
    }

    async fn open(&self, address: &Address) -> io::Result<Connection> {
        let (stream, leaving) = (connect(address).await?, Arc::default());
        let (sender, driver) = http1::handshake(TokioIo::new(Container::new(stream, Arc::clone(&leaving))))
            .await
            .map_err(io::Error::other)?;
        let idle: Weak<Idle> = Arc::downgrade(&self.0);
        let address = address.clone();
        let driver = tasks::spawn(async move {
            if let Err(error) = driver.with_upgrades().await {
                tracing::debug!(%error, "connection to a container ended");
            }
            if let Some(idle) = idle.upgrade() {
                idle.forget_closed(&address);
            }
        });
        Ok(Connection { sender, driver: driver.abort_handle(), leaving, reused: false })
    }

    /// How many idle connections there are, to all containers.
    pub(crate) fn idle(&self) -> usize {
        self.0.lock().values().map(Vec::len).sum()
    }
}

async fn connect(address: &Address) -> io::Result<UnixStream> {
    let deadline = Instant::now() + CONNECT_MAX;
    loop {
        let tried = timeout_at(deadline, UnixStream::connect(address.path())).await;
        match tried.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                sleep(CONNECT_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}
