//! One client's connection: hyper behind the guard, a request at a time or many (HTTP/2), then perhaps a tunnel.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::activity::Spare;
use crate::forwarded::{Client, Scheme};
use crate::guard::stream::{self, Guarded};
use crate::guard::{self, Wrong};
use crate::tls::{Certificates, Wire};
use crate::tunnel::Tunnel;
use crate::{Door, Options, Shared, exchange};

/// How long a connection may be idle.
const IDLE_MAX: Duration = Duration::from_secs(75);

/// What hyper keeps of a head: more than the guard lets pass.
const BUFFER_BYTES_MAX: usize = 2 * guard::HEAD_BYTES_MAX;

/// Requests that a client may have open at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;

/// The client's side of a connection, as the requests on it need it.
pub(crate) struct Peer {
    pub(crate) client: Client,
    /// The client's end of the connection.
    pub(crate) address: SocketAddr,
    /// Where it connected to.
    pub(crate) door: Door,
    guard: Arc<stream::Shared>,
    requests: AtomicU64,
    tunnel: Mutex<Option<Tunnel>>,
    /// For the exchanges on it.
    pub(crate) timer: Spare,
}

impl Peer {
    /// Counts a request; gives what is wrong with it if the guard refused it.
    pub(crate) fn next_fault(&self) -> Option<Wrong> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        self.guard.fault(number)
    }

    /// Turns the connection into a tunnel once the answer in hand, a 101, is sent.
    pub(crate) fn switch(&self, tunnel: Tunnel) {
        self.guard.pass_through();
        *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
    }

    fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// How hyper serves: HTTP/1.1, and HTTP/2 where the client begins with it.
pub(crate) fn builder(options: &Options) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // hyper closes without a word, and counts from the end of the request before: the guard's clock for heads is first.
    let silent = IDLE_MAX + options.head_timeout;
    builder.http1().timer(TokioTimer::new()).header_read_timeout(silent).max_buf_size(BUFFER_BYTES_MAX);
    let fields = u32::try_from(guard::HEAD_BYTES_MAX).unwrap_or(u32::MAX);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX).max_header_list_size(fields);
    builder
}

/// A connection as the listener accepted it.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    /// Who connected.
    pub(crate) address: SocketAddr,
    /// Where to.
    pub(crate) door: Door,
    /// Of a listener with TLS.
    pub(crate) certificates: Option<Arc<Certificates>>,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    accepted: Accepted,
    watcher: Watcher,
    mut closing: watch::Receiver<bool>,
) {
    let Accepted { stream, address, door, certificates } = accepted;
    // Answers are written whole; waiting for more would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let scheme = if certificates.is_some() { Scheme::Https } else { Scheme::Http };
    let stream = match certificates {
        None => Wire::Plain(stream),
        Some(certificates) => tokio::select! {
            secured = Wire::secure(stream, &certificates) => match secured {
                Ok(secured) => secured,
                Err(error) => return tracing::debug!(%error, "no TLS with a client"),
            },
            _ = closing.wait_for(|closing| *closing) => return,
        },
    };
    let guard = Arc::new(stream::Shared::default());
    let mut stream = Guarded::new(stream, Arc::clone(&guard), shared.options.head_timeout);
    // hyper's own clock starts once it knows the protocol.
    tokio::select! {
        begun = timeout(IDLE_MAX + shared.options.head_timeout, stream.begun()) => match begun {
            Ok(Ok(())) => {}
            _ => return,
        },
        // Nothing is in flight yet.
        _ = closing.wait_for(|closing| *closing) => return,
    }
    let peer = Arc::new(Peer {
        client: Client::new(address.ip(), scheme, &shared.options.trusted_proxies),
        address,
        door,
        guard,
        requests: AtomicU64::new(0),
        tunnel: Mutex::new(None),
        timer: Spare::default(),
    });
    let service = service_fn(|request| {
        let (shared, peer) = (Arc::clone(&shared), Arc::clone(&peer));
        async move { Ok::<_, Infallible>(exchange::answer(&shared, &peer, request).await) }
    });
    let io = TokioIo::new(stream);
    let connection = shared.http.serve_connection_with_upgrades(io, service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a client's connection ended");
        return;
    }
    if let Some(tunnel) = peer.take_tunnel() {
        tunnel.run().await;
    }
}
