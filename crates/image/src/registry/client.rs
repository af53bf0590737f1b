//! Asks a registry: the pull half of <https://github.com/opencontainers/distribution-spec>.

use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pilotlight_core::image::registry::{Challenge, Login, Reference};
use serde::Deserialize;
use thiserror::Error;
use ureq::http::Response;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::document::{ACCEPT, DOCUMENT_MAX};
use crate::settings::Settings;

/// Names further registries that are spoken to without encryption, with commas between.
pub(crate) const INSECURE: &str = "PILOTLIGHT_INSECURE_REGISTRIES";

const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// How long a registry may be silent. Nothing of what has come is lost by it.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);
const REDIRECTS_MAX: u32 = 5;

/// Why a registry did not give what it was asked for.
#[derive(Debug, Error)]
pub enum Error {
    /// It wants to know who asks.
    #[error("the registry wants a login{}", if *given { " and did not take the one it got" } else { "; give secret=" })]
    Login {
        /// Whether it was given a name and a password.
        given: bool,
    },
    /// It is not given to who asks.
    #[error("the registry does not give it to this login")]
    Denied,
    /// There is no such thing.
    #[error("the registry has no such image")]
    Missing,
    /// Too many requests.
    #[error("the registry has had too many requests; try again later, or log in with secret=")]
    Busy,
    /// Any other answer.
    #[error("the registry answered with status {status}")]
    Status {
        /// Of HTTP.
        status: u16,
    },
    /// It sends who asks to a place where a password would be in the clear.
    #[error("the registry asks for a login at {realm}, without encryption")]
    Realm {
        /// The place.
        realm: String,
    },
    /// No answer, or a broken one.
    #[error("the registry cannot be reached: {0}")]
    Unreached(#[from] Box<ureq::Error>),
    /// The answer broke off.
    #[error("the registry's answer broke off: {0}")]
    Broken(#[from] std::io::Error),
    /// An answer that is larger than any true one.
    #[error("the registry's answer is larger than {max} bytes")]
    Large {
        /// The bound.
        max: u64,
    },
    /// The certificates of this machine.
    #[error("cannot read the certificates of this machine: {0}")]
    Certificates(#[source] std::io::Error),
}

/// One repository of a registry.
pub(crate) struct Client<'a> {
    agent: Agent,
    reference: &'a Reference,
    login: Option<&'a Login>,
    plain: bool,
    /// What the registry took as an answer to its challenge.
    authorization: Mutex<Option<String>>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(
        reference: &'a Reference,
        login: Option<&'a Login>,
        settings: &Settings,
    ) -> Result<Self, Error> {
        Self::with_silence(reference, login, settings, SILENCE_LIMIT)
    }

    /// The same with another bound on how long the registry may be silent.
    pub(super) fn with_silence(
        reference: &'a Reference,
        login: Option<&'a Login>,
        settings: &Settings,
        silence: Duration,
    ) -> Result<Self, Error> {
        let listed = std::env::var(INSECURE).unwrap_or_default();
        let plain = reference.is_loopback() || listed.split(',').any(|host| host.trim() == reference.host);
        let mut tls = TlsConfig::builder();
        if let Some(path) = settings.ca_file() {
            let pem = fs_err::read(path).map_err(Error::Certificates)?;
            let certificates = parse_pem(&pem).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            let certificates: Vec<_> = certificates.collect();
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(!plain)
            .tls_config(tls.build())
            .max_redirects(REDIRECTS_MAX)
            .user_agent(concat!("pilotlight/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_recv_response(Some(silence))
            .timeout_per_read(Some(silence));
        if reference.is_loopback() {
            // A proxy elsewhere would reach another machine by that name.
            config = config.proxy(None);
        }
        let agent = Agent::new_with_config(config.build());
        Ok(Self { agent, reference, login, plain, authorization: Mutex::default() })
    }

    /// An index or a manifest, by its digest or tag.
    pub(crate) fn document(&self, version: &str) -> Result<Vec<u8>, Error> {
        let answer = self.get(&format!("manifests/{version}"), Some(ACCEPT), 0)?;
        read(answer, DOCUMENT_MAX)
    }

    /// A small content by its digest, not more than `size` bytes.
    pub(crate) fn small(&self, digest: &str, size: u64) -> Result<Vec<u8>, Error> {
        read(self.get(&format!("blobs/{digest}"), None, 0)?, size)
    }

    /// A content from the byte `from` on. The answer may begin at its start nevertheless: status 200 in place of 206.
    pub(crate) fn content(&self, digest: &str, from: u64) -> Result<Response<Body>, Error> {
        self.get(&format!("blobs/{digest}"), None, from)
    }

    fn get(&self, path: &str, accept: Option<&str>, from: u64) -> Result<Response<Body>, Error> {
        let scheme = if self.plain { "http" } else { "https" };
        let Reference { repository, .. } = self.reference;
        let url = format!("{scheme}://{}/v2/{repository}/{path}", self.reference.address());
        for again in [false, true] {
            let mut request = self.agent.get(&url);
            if let Some(accept) = accept {
                request = request.header("accept", accept);
            }
            if from > 0 {
                request = request.header("range", format!("bytes={from}-"));
            }
            let known = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(known) = known {
                // Not sent on to where a redirect leads: the agent's default.
                request = request.header("authorization", known);
            }
            let answer = request.call().map_err(Box::new)?;
            match answer.status().as_u16() {
                200 | 206 => return Ok(answer),
                401 if !again => self.answer_challenge(&answer)?,
                401 => return Err(Error::Login { given: self.login.is_some() }),
                403 => return Err(Error::Denied),
                404 => return Err(Error::Missing),
                429 => return Err(Error::Busy),
                status => return Err(Error::Status { status }),
            }
        }
        Err(Error::Login { given: self.login.is_some() })
    }

    fn answer_challenge(&self, answer: &Response<Body>) -> Result<(), Error> {
        let values = answer.headers().get_all("www-authenticate").iter();
        let values: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
        let login = self.login;
        let basic = |login: &Login| {
            let text = format!("{}:{}", login.username, login.password);
            format!("Basic {}", BASE64_STANDARD.encode(text))
        };
        let authorization = match Challenge::choose(&values.join(", ")) {
            Some(Challenge::Bearer { realm, service, scope }) => {
                let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.reference.repository));
                self.token(&realm, service.as_deref(), &scope, login.map(basic))?
            }
            Some(Challenge::Basic) => basic(login.ok_or(Error::Login { given: false })?),
            None => return Err(Error::Login { given: login.is_some() }),
        };
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(authorization);
        Ok(())
    }

    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        basic: Option<String>,
    ) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        if !realm.starts_with("https://") && !self.plain {
            return Err(Error::Realm { realm: realm.to_owned() });
        }
        let mut request = self.agent.get(realm).query("scope", scope);
        if let Some(service) = service {
            request = request.query("service", service);
        }
        let given = basic.is_some();
        if let Some(basic) = basic {
            request = request.header("authorization", basic);
        }
        let answer = request.call().map_err(Box::new)?;
        match answer.status().as_u16() {
            200 => {}
            401 | 403 => return Err(Error::Login { given }),
            429 => return Err(Error::Busy),
            status => return Err(Error::Status { status }),
        }
        let token: Token =
            serde_json::from_slice(&read(answer, DOCUMENT_MAX)?).map_err(std::io::Error::from)?;
        let token = token.token.or(token.access_token).ok_or(Error::Login { given })?;
        Ok(format!("Bearer {token}"))
    }
}

fn read(answer: Response<Body>, max: u64) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    answer.into_body().into_reader().take(max + 1).read_to_end(&mut text)?;
    if text.len() as u64 > max { Err(Error::Large { max }) } else { Ok(text) }
}
