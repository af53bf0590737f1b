//! ANSWERS: public HTTP.
//!
//! ```text
//!  client ──▶ listen ──▶ connection (guard, hyper) ──▶ exchange ── lease ──▶ pool
//!                                                        │
//!                                                        └── upstream ──▶ the container's Unix socket
//! ```
//!
//! A request is given to at most one container: it is offered again only while no byte of it has been handed over.
//! Bodies are streamed and framed anew in both directions; a connection becomes a tunnel only after 101. The route
//! table is immutable and swapped whole; nothing in a request's way blocks, and no lock is held across an await.

mod accept;
mod activity;
mod body;
mod connection;
mod exchange;
mod forwarded;
mod guard;
mod headers;
mod later;
mod linger;
mod listen;
mod lists;
mod neighbours;
mod respond;
mod routes;
mod shelf;
mod tasks;
mod tls;
mod tunnel;
mod upstream;
mod write;

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper_util::rt::TokioExecutor;
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};

pub use forwarded::Network;
pub use listen::{Error, Listener, Reach};
pub use respond::{Elsewhere, Refusal};
pub use routes::{Addresses, Door, Endpoint, RateLimit, Routes};
pub use tls::{Certificates, Pem, TlsError};

use later::Calls;
use upstream::Upstreams;

/// What the gateway is told once.
#[derive(Debug, Clone)]
pub struct Options {
    /// Proxies in front of it, whose `X-Forwarded-*` or `Forwarded` are believed. Everybody else's are replaced.
    pub trusted_proxies: Vec<Network>,
    /// The ids of the users who may know which endpoints there are.
    pub owners: Vec<u32>,
    /// The largest body of a request, bytes.
    pub body_bytes_max: u64,
    /// How long the head of a request may take from its first byte to its last.
    pub head_timeout: Duration,
    /// After how long a request without an answer is redirected to where its answer will be. Never, if None.
    pub redirect_after: Option<Duration>,
    /// How long an answer is kept for who comes later for it.
    pub result_kept: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            owners: Vec::new(),
            body_bytes_max: 4 << 30,
            head_timeout: Duration::from_mins(1),
            redirect_after: None,
            result_kept: Duration::from_hours(1),
        }
    }
}

/// The public side of a server. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) routes: ArcSwap<Routes>,
    /// Tells those who wait for another route table.
    pub(crate) published: Notify,
    pub(crate) upstreams: Upstreams,
    /// The requests whose answers are kept.
    pub(crate) calls: Calls,
    /// Held by who looks up whose a connection is.
    pub(crate) looking: Semaphore,
    pub(crate) http: auto::Builder<TokioExecutor>,
}

impl Gateway {
    /// A gateway without listeners and routes.
    pub fn new(options: Options) -> Self {
        let shared = Shared {
            http: connection::builder(&options),
            calls: Calls::new(options.redirect_after.is_some()),
            options,
            routes: ArcSwap::default(),
            published: Notify::new(),
            upstreams: Upstreams::default(),
            looking: Semaphore::new(1),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Puts a new route table in place of the old one, for requests from now on and for those whose pool was retired
    /// while they waited. Publish first, then retire the pools that are no longer in it.
    pub fn publish(&self, routes: Routes) {
        if routes.answer_later() {
            self.shared.calls.expect();
        }
        self.shared.routes.store(Arc::new(routes));
        self.shared.published.notify_waiters();
    }

    /// Listens on a port: the own one of an endpoint, or one shared by all, where the `Host` decides; custom domains are
    /// answered on both. Port 0 lets the machine choose. Must be called in a tokio runtime.
    pub async fn listen(&self, port: u16, reach: Reach) -> Result<Listener, Error> {
        Listener::open(Arc::clone(&self.shared), port, reach).await
    }

    /// Listens for containers at one address, where nothing but the `Host` decides, and only by names of inside.
    pub async fn listen_inside(&self, address: SocketAddrV4) -> Result<Listener, Error> {
        Listener::open_inside(Arc::clone(&self.shared), address).await
    }

    /// Answers on sockets that listen already, all at one port, where the `Host` decides and custom domains are answered;
    /// with certificates over TLS. Fails if there are none.
    pub fn listen_on(
        &self,
        listeners: Vec<TcpListener>,
        certificates: Option<Arc<Certificates>>,
    ) -> std::io::Result<Listener> {
        Listener::open_on(Arc::clone(&self.shared), listeners, certificates)
    }

    /// How many idle connections to containers are kept.
    pub fn idle_connections(&self) -> usize {
        self.shared.upstreams.idle()
    }
}
