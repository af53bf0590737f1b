//! Listeners: one port on both families, its connections, and its graceful end.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use crate::tls::Certificates;
use crate::{Door, Shared, connection, tasks};

/// How long to wait after the machine ran out of descriptors or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that one listener has at a time. The next ones wait in the kernel's queue until another ends.
const CONNECTIONS_MAX: usize = 10_000;

/// How many free ports of one family are tried for one that is free in both.
const FREE_PORT_TRIES: u32 = 16;

/// From where a listener can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// From this machine only: 127.0.0.1 and ::1.
    Loopback,
    /// From anywhere: every address of the machine.
    Any,
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another program has the port.
    #[error("port {port} is in use by another program: stop it, or choose another port")]
    PortInUse {
        /// The port that was asked for.
        port: u16,
        /// The machine's own words.
        #[source]
        source: io::Error,
    },
    /// The port needs a privilege that this process does not have.
    #[error("not allowed to listen on port {port}: choose one above 1023")]
    NotAllowed {
        /// The port that was asked for.
        port: u16,
        /// The machine's own words.
        #[source]
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot listen on port {port}")]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// The machine's own words.
        #[source]
        source: io::Error,
    },
}

impl Error {
    fn of(port: u16, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::PortInUse { port, source },
            io::ErrorKind::PermissionDenied => Self::NotAllowed { port, source },
            _ => Self::Listen { port, source },
        }
    }
}

/// A port that answers. Dropping it stops accepting and ends its connections at once.
#[derive(Debug)]
pub struct Listener {
    port: u16,
    stop: oneshot::Sender<Duration>,
    task: JoinHandle<()>,
}

impl Listener {
    /// The port; the one that the machine chose if 0 was asked for.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops accepting, lets what is in flight finish for at most `grace`, and ends the rest.
    pub async fn close(self, grace: Duration) {
        // The task ends only by this word or with the runtime.
        let _ = self.stop.send(grace);
        let _ = self.task.await;
    }

    pub(crate) async fn open(shared: Arc<Shared>, port: u16, reach: Reach) -> Result<Self, Error> {
        let (listeners, port) = bind(port, reach).await?;
        Ok(Self::start(shared, listeners, port, Door::Port(port), None))
    }

    pub(crate) async fn open_inside(shared: Arc<Shared>, address: SocketAddrV4) -> Result<Self, Error> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let port = listener.local_addr()?.port();
            Ok((listener, port))
        };
        let (listener, port) = bound.await.map_err(|source| Error::of(address.port(), source))?;
        Ok(Self::start(shared, vec![listener], port, Door::Inside, None))
    }

    pub(crate) fn open_on(
        shared: Arc<Shared>,
        listeners: Vec<TcpListener>,
        certificates: Option<Arc<Certificates>>,
    ) -> io::Result<Self> {
        let first = listeners.first().ok_or(io::ErrorKind::InvalidInput)?;
        let port = first.local_addr()?.port();
        Ok(Self::start(shared, listeners, port, Door::Port(port), certificates))
    }

    fn start(
        shared: Arc<Shared>,
        listeners: Vec<TcpListener>,
        port: u16,
        door: Door,
        certificates: Option<Arc<Certificates>>,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tasks::spawn(accept(shared, listeners, door, certificates, stopped));
        Self { port, stop, task }
    }
}

/// The sockets of one port. A machine without one of the families has one socket only.
async fn bind(port: u16, reach: Reach) -> Result<(Vec<TcpListener>, u16), Error> {
    let mut tries = FREE_PORT_TRIES;
    loop {
        match bind_once(port, reach).await {
            // The port that was free for IPv4 was not for IPv6.
            Err(error) if port == 0 && tries > 0 && error.kind() == io::ErrorKind::AddrInUse => tries -= 1,
            Err(source) => return Err(Error::of(port, source)),
            Ok(bound) => return Ok(bound),
        }
    }
}

async fn bind_once(port: u16, reach: Reach) -> io::Result<(Vec<TcpListener>, u16)> {
    let mut listeners = Vec::with_capacity(2);
    let mut port = port;
    let addresses: [SocketAddr; 2] = match reach {
        Reach::Loopback => [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()],
        // The IPv6 wildcard takes IPv4 too (ipv6(7), IPV6_V6ONLY), unless the machine has no IPv6.
        Reach::Any => [(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()],
    };
    for mut address in addresses {
        address.set_port(port);
        match TcpListener::bind(address).await {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                listeners.push(listener);
                if reach == Reach::Any {
                    break;
                }
            }
            Err(error) if is_family_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    Ok((listeners, port))
}

fn is_family_missing(error: &io::Error) -> bool {
    // EAFNOSUPPORT has no kind of its own.
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.kind() == io::ErrorKind::Unsupported
        || error.raw_os_error() == Some(97)
}

async fn accept(
    shared: Arc<Shared>,
    listeners: Vec<TcpListener>,
    door: Door,
    certificates: Option<Arc<Certificates>>,
    mut stopped: oneshot::Receiver<Duration>,
) {
    let graceful = GracefulShutdown::new();
    let closing = watch::Sender::new(false);
    let mut connections = JoinSet::new();
    let grace = loop {
        tokio::select! {
            grace = &mut stopped => break grace.unwrap_or_default(),
            accepted = next(&listeners), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, address)) => {
                    let watcher = graceful.watcher();
                    let client = connection::Accepted { stream, address, door, certificates: certificates.clone() };
                    let serve = connection::serve(Arc::clone(&shared), client, watcher, closing.subscribe());
                    connections.spawn(serve);
                }
                Err(error) => {
                    tracing::debug!(%error, ?door, "cannot accept");
                    if !is_of_one_connection(&error) {
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            },
            Some(ended) = connections.join_next(), if !connections.is_empty() => report(ended),
        }
    };
    drop(listeners);
    closing.send_replace(true);
    let deadline = Instant::now() + grace;
    let drained = async {
        graceful.shutdown().await;
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if timeout_at(deadline, drained).await.is_err() {
        tracing::debug!(?door, "connections outlived the grace");
    }
    connections.shutdown().await;
}

/// The next connection of either family.
async fn next(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    std::future::poll_fn(|cx| {
        for listener in listeners {
            let poll = listener.poll_accept(cx);
            if poll.is_ready() {
                return poll;
            }
        }
        std::task::Poll::Pending
    })
    .await
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}
