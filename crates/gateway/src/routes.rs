//! The route table: immutable, swapped whole. A request path never sees half of a change.
//!
//! On a public listener a custom domain decides first, whatever the port: who points a domain at this machine, at the
//! port of an endpoint or at the shared one, gets the endpoint that declares it. Then the port's own endpoint answers,
//! whatever the host, and on the shared port the host's. On the listener for containers only names of inside count.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pilotlight_core::rate::{Meter, Rate};
use pilotlight_core::route::host_key;
use pilotlight_pool::Pool;

use crate::respond::Elsewhere;

/// One web endpoint as the gateway knows it.
#[derive(Clone)]
pub struct Endpoint {
    /// The function's id (`fu-…`), for traces.
    pub id: String,
    /// The app's name, for traces and the sentences of errors.
    pub app: String,
    /// The function's name, for traces and the sentences of errors.
    pub function: String,
    /// Where its containers come from.
    pub pool: Pool,
    /// How long a request may wait for a container.
    pub start_timeout: Duration,
    /// How long an exchange may go without a byte in either direction. Not a total.
    pub timeout: Duration,
    /// How long a request may be with a container in all, whatever passes; tunnels excepted. `None` is for ever.
    pub total_timeout: Option<Duration>,
    /// Whether a connection to a container is for many requests. Not to a server of the user's, who closes idle ones when
    /// it likes, under a request perhaps.
    pub keep_alive: bool,
    /// Whether a client waits for the answer. Otherwise it is told where the answer will be.
    pub wait_for_response: bool,
    /// How often it may be asked, if that is bounded.
    pub rate: Option<Arc<RateLimit>>,
}

/// The bound of how often an endpoint is asked, by everybody together.
#[derive(Debug)]
pub struct RateLimit(Mutex<Meter>);

impl RateLimit {
    /// Nobody has asked yet.
    pub fn new(rate: Rate) -> Self {
        Self(Mutex::new(Meter::new(rate, Instant::now())))
    }

    /// Counts a request, or says after how long there is room for one.
    pub(crate) fn take(&self) -> Result<(), Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now())
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("id", &self.id)
            .field("app", &self.app)
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}

/// Where an endpoint answers. Hosts are without port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The port on which it answers whatever the host, custom domains of others aside.
    pub port: Option<u16>,
    /// The hosts under which it answers on a port that is nobody's own.
    pub hosts: Vec<String>,
    /// The hosts under which it answers on every public listener. `*.example.com` is each host with one label more than
    /// `example.com`, unless that is declared itself.
    pub domains: Vec<String>,
    /// The hosts under which containers reach it.
    pub inside: Vec<String>,
}

/// The listener on which a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A public one, at this port.
    Port(u16),
    /// The one for containers.
    Inside,
}

/// Every endpoint that answers, by all its addresses.
#[derive(Debug, Default)]
pub struct Routes {
    hosts: HashMap<String, Arc<Endpoint>>,
    ports: HashMap<u16, Arc<Endpoint>>,
    domains: HashMap<String, Arc<Endpoint>>,
    /// By what follows `*.`.
    wildcards: HashMap<String, Arc<Endpoint>>,
    inside: HashMap<String, Arc<Endpoint>>,
    /// Whether there is an endpoint for whose answer no client waits.
    answer_later: bool,
}

impl Routes {
    /// The table of these endpoints. Where two claim the same host or port, the first keeps it, so the caller lists
    /// deployed endpoints before ephemeral ones.
    pub fn new(endpoints: impl IntoIterator<Item = (Arc<Endpoint>, Addresses)>) -> Self {
        let mut routes = Self::default();
        for (endpoint, addresses) in endpoints {
            routes.answer_later |= !endpoint.wait_for_response;
            let enter = |table: &mut HashMap<String, Arc<Endpoint>>, host: &str| {
                table.entry(host_key(host).into_owned()).or_insert_with(|| Arc::clone(&endpoint));
            };
            for host in &addresses.hosts {
                enter(&mut routes.hosts, host);
            }
            for domain in &addresses.domains {
                match domain.strip_prefix("*.") {
                    Some(parent) => enter(&mut routes.wildcards, parent),
                    None => enter(&mut routes.domains, domain),
                }
            }
            for host in &addresses.inside {
                enter(&mut routes.inside, host);
            }
            if let Some(port) = addresses.port {
                routes.ports.entry(port).or_insert(endpoint);
            }
        }
        routes
    }

    /// The endpoint of a request that came in at `door` for `host`.
    pub fn find(&self, door: Door, host: &str) -> Option<&Arc<Endpoint>> {
        let key = host_key(host);
        match door {
            Door::Inside => self.inside.get(key.as_ref()),
            Door::Port(port) => self
                .find_domain(&key)
                .or_else(|| self.ports.get(&port))
                .or_else(|| self.hosts.get(key.as_ref())),
        }
    }

    pub(crate) fn answer_later(&self) -> bool {
        self.answer_later
    }

    /// The endpoints that have a port, in order, as those of this machine reach them.
    pub(crate) fn at_ports(&self) -> Vec<Elsewhere> {
        let elsewhere = |(port, endpoint): (&u16, &Arc<Endpoint>)| Elsewhere {
            app: endpoint.app.clone(),
            function: endpoint.function.clone(),
            url: format!("http://localhost:{port}"),
        };
        let mut all: Vec<_> = self.ports.iter().map(elsewhere).collect();
        all.sort_unstable();
        all
    }

    fn find_domain(&self, host: &str) -> Option<&Arc<Endpoint>> {
        self.domains.get(host).or_else(|| {
            let (label, parent) = host.split_once('.')?;
            self.wildcards.get(parent).filter(|_| !label.is_empty())
        })
    }
}
