//! Gives endpoints their addresses: a label and custom domains, which are claimed among all apps of the server; a name
//! under which the app's own containers reach each of them; a port.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pilotlight_api::error::{ApiError, Code};
use pilotlight_api::manifest::{Function, Manifest};
use pilotlight_api::wire::Mode;
use pilotlight_core::claim::{self, Choice, Grant, Holder, Hosts, Taken, Ticket, Wish};
use pilotlight_core::name::{DEFAULT_WORKSPACE, DEV_SUFFIX, Ephemeral, Naming};
use pilotlight_core::route::Lifetime;
use pilotlight_gateway::{Addresses, Listener, Reach};

use super::{App, Apps, Shared};
use crate::serve::inside;
use crate::serve::public::Origin;
use crate::serve::stored::stored;

/// The domain under which every endpoint has a host of its own, beside its port.
const DOMAIN: &str = "localhost";

/// What an app wants of its labels beyond their names.
#[derive(Debug, Default)]
pub(crate) struct LabelRules {
    /// What ends the labels of an ephemeral app; `None` is the usual.
    pub(crate) suffix: Option<String>,
    /// Whether its first version takes what other ephemeral apps have.
    pub(crate) take_over: bool,
    /// The labels that its functions had before this server began.
    pub(crate) kept: BTreeMap<String, String>,
}

/// The hosts that all apps of a server have.
pub(crate) type SharedHosts = Arc<Mutex<Hosts>>;

/// A host that is reserved or had. When the last version that has it is dropped it is free again.
pub(super) struct Claim {
    hosts: SharedHosts,
    host: String,
    ticket: Ticket,
}

/// The hosts of one endpoint.
pub(super) struct Names {
    label: Claim,
    domains: Vec<Claim>,
    /// The host under which the app's containers reach it.
    pub(super) inside: String,
    note: Option<String>,
}

/// Where one endpoint answers.
pub(super) struct Address {
    pub(super) names: Names,
    pub(super) listener: Arc<Listener>,
}

impl Claim {
    /// Chooses the label of an endpoint and reserves it, with nobody in between.
    fn label(shared: &SharedHosts, who: &Holder, wish: &Wish<'_>) -> Result<(Self, Choice), ApiError> {
        let mut hosts = lock(shared);
        let choice = hosts.label(who, wish).map_err(|error| refused(&error))?;
        let host = choice.label.as_str().to_owned();
        let ticket = hosts.reserve(who, &host);
        Ok((Self { hosts: Arc::clone(shared), host, ticket }, choice))
    }

    /// Reserves a custom domain; `None` if the endpoint has to go without.
    fn domain(
        shared: &SharedHosts,
        who: &Holder,
        domain: &str,
        take_over: bool,
    ) -> Result<Option<Self>, ApiError> {
        let mut hosts = lock(shared);
        match hosts.domain(who, domain, take_over).map_err(|error| refused(&error))? {
            Grant::Withheld => Ok(None),
            Grant::Given => {
                let ticket = hosts.reserve(who, domain);
                Ok(Some(Self { hosts: Arc::clone(shared), host: domain.to_owned(), ticket }))
            }
        }
    }

    fn is_owned(&self) -> bool {
        lock(&self.hosts).owns(&self.host, self.ticket)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.hosts).release(&self.host, self.ticket);
    }
}

impl Names {
    /// Makes the hosts the endpoint's, now that its version serves. Gives those that were others', with who had them.
    pub(super) fn take(&self) -> Vec<(String, Holder)> {
        let claims = self.domains.iter().chain([&self.label]);
        let taken = claims.filter_map(|claim| match lock(&claim.hosts).take(&claim.host, claim.ticket) {
            Taken::From(before) => Some((claim.host.clone(), before)),
            Taken::Free | Taken::Lost => None,
        });
        taken.collect()
    }

    /// Whether `host` is one of the endpoint's.
    pub(super) fn has(&self, host: &str) -> bool {
        self.domains.iter().chain([&self.label]).any(|claim| claim.host == host)
    }
}

impl Address {
    /// The label of its URL, which no other deployed app has.
    pub(super) fn label(&self) -> &str {
        &self.names.label.host
    }

    /// The custom domains that it has.
    pub(super) fn domains(&self) -> Vec<String> {
        let owned = self.names.domains.iter().filter(|claim| claim.is_owned());
        owned.map(|claim| claim.host.clone()).collect()
    }

    /// What has to be said about it.
    pub(super) fn note(&self) -> Option<&str> {
        self.names.note.as_deref()
    }

    /// The URL that works on this machine as it stands.
    pub(super) fn url(&self) -> String {
        format!("http://localhost:{}", self.listener.port())
    }

    /// The same by its label, beyond this machine if that is reached, else at the port that all endpoints share.
    pub(super) fn host_url(&self, shared: &Shared) -> Option<String> {
        let public = shared.origin.zip(shared.domain.as_deref());
        let own = || shared.common_port.get().map(|port| (Origin::http(*port), DOMAIN));
        let (origin, domain) = public.or_else(own)?;
        self.names.label.is_owned().then(|| origin.url(&format!("{}.{domain}", self.label())))
    }

    /// The URLs of its custom domains.
    pub(super) fn domain_urls(&self, shared: &Shared) -> Vec<String> {
        let port = || shared.common_port.get().copied().unwrap_or(self.listener.port());
        let origin = shared.origin.unwrap_or_else(|| Origin::http(port()));
        self.domains().iter().map(|domain| origin.url(domain)).collect()
    }

    /// Where the gateway answers for it now: what was lost to another app is not among it. `domain` is the server's.
    pub(super) fn addresses(&self, domain: Option<&str>) -> Addresses {
        let label = Some(&self.names.label).filter(|claim| claim.is_owned());
        let hosts = |claim: &Claim| {
            [Some(DOMAIN), domain].map(|domain| domain.map(|it| format!("{}.{it}", claim.host)))
        };
        Addresses {
            port: Some(self.listener.port()),
            hosts: label.into_iter().flat_map(hosts).flatten().collect(),
            domains: self.domains(),
            inside: vec![self.names.inside.clone()],
        }
    }
}

impl App {
    fn holder(&self) -> Holder {
        Holder { app: self.id.clone(), name: self.name.clone(), lifetime: lifetime(self.mode) }
    }

    /// The label of the function in the version that serves, or in the one that served before this server began.
    fn kept_label(&self, function: &str) -> Option<String> {
        let current = self.current();
        let live = current.functions.iter().find(|live| live.endpoint.function == function);
        live.map(|live| live.address.label().to_owned()).or_else(|| self.labels.kept.get(function).cloned())
    }
}

impl Apps {
    /// Chooses and reserves the hosts of every web endpoint of a version.
    pub(super) fn names(&self, app: &App, manifest: &Manifest) -> Result<BTreeMap<String, Names>, ApiError> {
        let web = || manifest.functions.iter().filter(|function| function.web.is_some());
        // Labels that the user gave come first, since others can give way.
        let ordered = web().filter(|it| it.label.is_some()).chain(web().filter(|it| it.label.is_none()));
        let mut siblings = BTreeSet::new();
        let mut names = BTreeMap::new();
        for function in ordered {
            let own = self.names_of(app, function, &siblings)?;
            siblings.insert(own.label.host.clone());
            names.insert(function.name.clone(), own);
        }
        Ok(names)
    }

    fn names_of(
        &self,
        app: &App,
        function: &Function,
        siblings: &BTreeSet<String>,
    ) -> Result<Names, ApiError> {
        let (who, kept) = (app.holder(), app.kept_label(&function.name));
        let take_over = app.labels.take_over && app.version() == 0;
        let suffix = app.labels.suffix.as_deref().unwrap_or(DEV_SUFFIX);
        let wish = Wish {
            naming: Naming {
                workspace: DEFAULT_WORKSPACE,
                app: &app.name,
                function: &function.name,
                label: function.label.as_deref(),
                ephemeral: (app.mode == Mode::Ephemeral).then_some(Ephemeral { suffix, instance: None }),
                ambiguous: false,
            },
            kept: kept.as_deref(),
            take_over,
            siblings,
        };
        let (label, choice) = Claim::label(&self.0.hosts, &who, &wish)?;
        let mut notes: Vec<String> = choice.note.iter().map(ToString::to_string).collect();
        let mut domains = Vec::new();
        for domain in &function.custom_domains {
            match Claim::domain(&self.0.hosts, &who, domain, take_over)? {
                Some(claim) => domains.push(claim),
                None => notes.push(format!("({domain} stays where this app has it already)")),
            }
        }
        let note = (!notes.is_empty()).then(|| notes.join(" "));
        Ok(Names { label, domains, inside: inside::host(&choice.label, &app.secret), note })
    }

    /// The endpoint's port: that of the version before, else one of its own.
    pub(super) async fn port(&self, app: &App, function: &str) -> Result<Arc<Listener>, ApiError> {
        let kept = app.current().functions.iter().find_map(|live| {
            (live.endpoint.function == function).then(|| Arc::clone(&live.address.listener))
        });
        match kept {
            Some(listener) => Ok(listener),
            None => Ok(Arc::new(self.listen(app, function).await?)),
        }
    }

    /// Opens the endpoint's own port: the one a deployed endpoint has for good, else the next that is free.
    async fn listen(&self, app: &App, function: &str) -> Result<Listener, ApiError> {
        if let (Mode::Deploy, Some(store)) = (app.mode, self.0.store.clone()) {
            let (name, function) = (app.name.clone(), function.to_owned());
            let candidates = self.0.ports.of(Lifetime::Deployed).clone().filter(|port| is_free(*port));
            let port = stored(move || store.claim_port(&name, &function, candidates)).await?;
            return self.0.gateway.listen(port, Reach::Loopback).await.map_err(|error| {
                ApiError::new(Code::Conflict, format!("`{}` cannot have its port back: {error}", app.name))
                    .hint(format!(
                        "end the program that holds port {port}; the URL of a deployment never moves"
                    ))
            });
        }
        let mut taken = BTreeSet::new();
        loop {
            let port = self
                .0
                .ports
                .allocate(Lifetime::Ephemeral, None, &taken)
                .map_err(|error| ApiError::new(Code::Unavailable, error.to_string()))?;
            match self.0.gateway.listen(port, Reach::Loopback).await {
                Ok(listener) => return Ok(listener),
                Err(pilotlight_gateway::Error::PortInUse { .. }) => _ = taken.insert(port),
                Err(error) => return Err(ApiError::internal(&error)),
            }
        }
    }
}

fn lifetime(mode: Mode) -> Lifetime {
    match mode {
        Mode::Ephemeral => Lifetime::Ephemeral,
        Mode::Deploy => Lifetime::Deployed,
    }
}

/// Why a host is not to be had, in the words of the API.
fn refused(error: &claim::Error) -> ApiError {
    let code = match error {
        claim::Error::LabelTaken { .. } | claim::Error::DomainTaken { .. } => Code::Conflict,
        claim::Error::Name(_) => Code::Invalid,
    };
    ApiError::new(code, error.to_string())
}

fn lock(hosts: &SharedHosts) -> MutexGuard<'_, Hosts> {
    hosts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a program could listen there now, on both families as the gateway does. A machine may lack one.
fn is_free(port: u16) -> bool {
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    let taken = |address: IpAddr| {
        let bound = std::net::TcpListener::bind((address, port));
        bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
    };
    !loopback.into_iter().any(taken)
}
