//! The route table: immutable, swapped whole. A request path never sees half of a change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pilotlight_core::route::host_key;
use pilotlight_pool::Pool;

/// One web endpoint as the gateway knows it.
#[derive(Clone)]
pub struct Endpoint {
    /// The function's id (`fu-…`), for traces.
    pub id: String,
    /// The app's name, for traces and the sentences of errors.
    pub app: String,
    /// The function's name, for traces and the sentences of errors.
    pub function: String,
    /// The hosts under which the endpoint answers on every listener, without port.
    pub hosts: Vec<String>,
    /// The port on which the endpoint answers whatever the host.
    pub port: Option<u16>,
    /// Where its containers come from.
    pub pool: Pool,
    /// How long a request may wait for a container.
    pub start_timeout: Duration,
    /// How long an exchange may go without a byte in either direction. Not a total.
    pub timeout: Duration,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("id", &self.id)
            .field("app", &self.app)
            .field("function", &self.function)
            .field("hosts", &self.hosts)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Every endpoint that answers, by host and by port.
#[derive(Debug, Default)]
pub struct Routes {
    by_host: HashMap<String, Arc<Endpoint>>,
    by_port: HashMap<u16, Arc<Endpoint>>,
}

impl Routes {
    /// The table of these endpoints. Where two claim the same host or port, the first keeps it, so the caller lists
    /// deployed endpoints before ephemeral ones.
    pub fn new(endpoints: impl IntoIterator<Item = Arc<Endpoint>>) -> Self {
        let mut routes = Self::default();
        for endpoint in endpoints {
            for host in &endpoint.hosts {
                let key = host_key(host).into_owned();
                routes.by_host.entry(key).or_insert_with(|| Arc::clone(&endpoint));
            }
            if let Some(port) = endpoint.port {
                routes.by_port.entry(port).or_insert(endpoint);
            }
        }
        routes
    }

    /// The endpoint of a request that came in on `port` for `host`: the port's own, else the host's.
    pub fn find(&self, port: u16, host: &str) -> Option<&Arc<Endpoint>> {
        self.by_port.get(&port).or_else(|| self.by_host.get(host_key(host).as_ref()))
    }
}
