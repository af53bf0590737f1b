//! What the world reaches: listeners beyond this machine, their certificates, and how URLs there begin.
//!
//! Settings are read and checked before a command runs. Sockets are bound and files read before the server gives up its
//! rights, since ports below 1024 and private keys are root's.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fs_err as fs;
use pilotlight_gateway::{Certificates, Gateway, Listener, Network, Pem};
use serde::{Deserialize, Serialize};

use crate::config::env;
use crate::exit::UserError;

/// How often certificates are looked at: a renewed one is used at most this much later.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The largest body of a request, bytes, unless a setting says otherwise.
const BODY_BYTES_MAX: u64 = 4 << 30;

/// Settings of the public side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Public {
    /// Where HTTP is spoken beside the machine's own ports.
    http: Option<Place>,
    /// Where HTTPS is.
    https: Option<Place>,
    certificates: Vec<Pair>,
    /// The domain under which every endpoint has a host.
    pub(crate) domain: Option<String>,
    pub(crate) trusted_proxies: Vec<Network>,
    /// The largest body of a request, bytes.
    pub(crate) body_bytes_max: u64,
    /// After how long a request without an answer is redirected to where its answer will be.
    pub(crate) redirect_after: Option<Duration>,
}

/// The files of a certificate with its chain, and of its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pair {
    chain: PathBuf,
    key: PathBuf,
}

/// Where to listen: `443` for every address of the machine, `localhost:8443` or `10.0.0.5:443`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    hosts: Hosts,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Hosts {
    Every,
    Loopback,
    One(IpAddr),
}

impl Public {
    /// What the environment says. Errors name the variable and what it takes.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let variables = [
            env::HTTP_LISTEN,
            env::HTTPS_LISTEN,
            env::TLS_CERT,
            env::TLS_KEY,
            env::DOMAIN,
            env::TRUSTED_PROXIES,
            env::BODY_MAX,
            env::REDIRECT_AFTER,
        ];
        let value = |name: &'static str| std::env::var(name).ok().map(|value| (name, value));
        Ok(Self::read(&variables.into_iter().filter_map(value).collect())?)
    }

    fn read(given: &BTreeMap<&str, String>) -> Result<Self, UserError> {
        let text = |name: &str| given.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let place = |name: &str| {
            text(name).map(|value| value.parse().map_err(|()| no_place(name, value))).transpose()
        };
        let list = |name| text(name).into_iter().flat_map(|value| value.split(',')).map(str::trim);
        let chains = list(env::TLS_CERT).map(PathBuf::from);
        let keys = list(env::TLS_KEY).map(PathBuf::from);
        let (chains, keys): (Vec<_>, Vec<_>) = (chains.collect(), keys.collect());
        if let Some(file) = chains.iter().chain(&keys).find(|file| !file.is_absolute()) {
            let message = format!("`{}` is not a whole path", file.display());
            return Err(UserError::new(message, "begin the paths of certificates and keys with `/`"));
        }
        if chains.len() != keys.len() {
            let message = format!("`{}` and `{}` do not name as many files", env::TLS_CERT, env::TLS_KEY);
            return Err(UserError::new(message, "give each certificate its key, with commas between"));
        }
        let certificates: Vec<_> =
            chains.into_iter().zip(keys).map(|(chain, key)| Pair { chain, key }).collect();
        let https: Option<Place> = place(env::HTTPS_LISTEN)?;
        if https.is_some() == certificates.is_empty() {
            let (message, hint) = if https.is_some() {
                (
                    format!("`{}` needs a certificate", env::HTTPS_LISTEN),
                    format!("name the files with `{}` and `{}`", env::TLS_CERT, env::TLS_KEY),
                )
            } else {
                (
                    format!("`{}` is set, and nothing listens for HTTPS", env::TLS_CERT),
                    format!("say where, for example `{}=443`", env::HTTPS_LISTEN),
                )
            };
            return Err(UserError::new(message, hint));
        }
        let trusted_proxies = list(env::TRUSTED_PROXIES).map(str::parse).collect::<Result<_, _>>();
        let trusted_proxies = trusted_proxies.map_err(|error: String| {
            let hint = "give addresses or networks, with commas between: `127.0.0.1,10.0.0.0/8`";
            UserError::new(format!("`{}`: {error}", env::TRUSTED_PROXIES), hint)
        })?;
        let domain = text(env::DOMAIN).map(|domain| domain.trim_matches('.').to_ascii_lowercase());
        if let Some(domain) = domain.as_ref().filter(|domain| !is_domain(domain)) {
            let message = format!("`{}` is not a domain: `{domain}`", env::DOMAIN);
            return Err(UserError::new(
                message,
                "give one like `example.com`, whose subdomains lead to this machine",
            ));
        }
        let body_bytes_max = match text(env::BODY_MAX) {
            None => BODY_BYTES_MAX,
            Some(mib) => mib
                .parse::<u64>()
                .ok()
                .filter(|mib| (1..=1 << 30).contains(mib))
                .map(|mib| mib << 20)
                .ok_or_else(|| {
                    UserError::new(
                        format!("`{}` is not a number of MiB: `{mib}`", env::BODY_MAX),
                        "give 1 or more",
                    )
                })?,
        };
        let redirect_after = text(env::REDIRECT_AFTER).map(|seconds| {
            let number = seconds.parse().ok().filter(|seconds| (1..=24 * 60 * 60).contains(seconds));
            number.map(Duration::from_secs).ok_or_else(|| {
                let message = format!("`{}` is not a number of seconds: `{seconds}`", env::REDIRECT_AFTER);
                UserError::new(message, "give a whole one from 1 to 86400; Modal's is 150")
            })
        });
        Ok(Self {
            http: place(env::HTTP_LISTEN)?,
            https,
            certificates,
            domain,
            trusted_proxies,
            body_bytes_max,
            redirect_after: redirect_after.transpose()?,
        })
    }

    /// How URLs begin that the world uses, if it reaches this server.
    pub(crate) fn origin(&self) -> Option<Origin> {
        let secure = self.https.as_ref().map(|place| Origin { scheme: "https", port: place.port });
        secure.or_else(|| self.http.as_ref().map(|place| Origin { scheme: "http", port: place.port }))
    }

    /// Binds and reads everything. With the rights of whoever started the server.
    pub(crate) fn open(&self) -> anyhow::Result<Opened> {
        let bind = |place: &Option<Place>| place.as_ref().map(Place::bind).transpose();
        let certificates = if self.certificates.is_empty() {
            None
        } else {
            let pems = self.read_certificates()?;
            let made = Certificates::new(&pems).map_err(|error| {
                let hint = format!("check `{}` and `{}`", env::TLS_CERT, env::TLS_KEY);
                UserError::new(error.to_string(), hint)
            })?;
            Some(Arc::new(made))
        };
        Ok(Opened {
            http: bind(&self.http)?.unwrap_or_default(),
            https: bind(&self.https)?.unwrap_or_default(),
            certificates,
        })
    }

    fn read_certificates(&self) -> Result<Vec<Pem>, UserError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error| {
                UserError::new(error.to_string(), format!("check `{}` and `{}`", env::TLS_CERT, env::TLS_KEY))
            })
        };
        let pem = |pair: &Pair| {
            Ok(Pem {
                chain_name: pair.chain.display().to_string(),
                chain: read(&pair.chain)?,
                key_name: pair.key.display().to_string(),
                key: read(&pair.key)?,
            })
        };
        self.certificates.iter().map(pem).collect()
    }

    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.certificates.iter().flat_map(|pair| [&pair.chain, &pair.key])
    }

    /// The folders of the files of certificates and keys, in which renewed ones appear.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<_> = self.files().filter_map(|file| Some(file.parent()?.to_owned())).collect();
        folders.sort();
        folders.dedup();
        folders
    }

    /// When the files of certificates were written, as far as they can be looked at.
    fn written(&self) -> Vec<Option<SystemTime>> {
        self.files().map(|file| fs::metadata(file).ok()?.modified().ok()).collect()
    }

    /// Uses renewed certificates for as long as the server lives. Does nothing without TLS.
    pub(crate) async fn follow(self, certificates: Option<Arc<Certificates>>) {
        let Some(certificates) = certificates else { return };
        let mut seen = self.written();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.written();
            if now == seen {
                continue;
            }
            seen = now;
            let replaced = self.read_certificates().map_err(|error| error.message);
            let replaced =
                replaced.and_then(|pems| certificates.replace(&pems).map_err(|error| error.to_string()));
            match replaced {
                Ok(()) => tracing::info!("the certificates were renewed"),
                Err(error) => {
                    tracing::error!(%error, "renewed certificates are not used; those of before still are");
                }
            }
        }
    }

    /// What the user should know: a renewed key that only root can read takes a restart.
    pub(crate) fn warning(&self) -> Option<String> {
        let hidden = self.certificates.iter().find(|pair| fs::File::open(&pair.key).is_err())?;
        Some(format!(
            "the key `{}` is not readable for the server's own user: after it is renewed, start the server again",
            hidden.key.display()
        ))
    }
}

/// What was opened before rights were given up.
pub(crate) struct Opened {
    http: Vec<TcpListener>,
    https: Vec<TcpListener>,
    pub(crate) certificates: Option<Arc<Certificates>>,
}

impl Opened {
    /// Nothing.
    pub(crate) fn none() -> Self {
        Self { http: Vec::new(), https: Vec::new(), certificates: None }
    }

    /// Begins to answer. In a runtime.
    pub(crate) fn listen(self, gateway: &Gateway) -> std::io::Result<Vec<Listener>> {
        let asynchronous = |listener: TcpListener| {
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener)
        };
        let mut listening = Vec::new();
        for (listeners, certificates) in [(self.http, None), (self.https, self.certificates)] {
            if !listeners.is_empty() {
                let listeners = listeners.into_iter().map(asynchronous).collect::<Result<_, _>>()?;
                listening.push(gateway.listen_on(listeners, certificates)?);
            }
        }
        Ok(listening)
    }
}

/// How a URL begins and what follows its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) scheme: &'static str,
    pub(crate) port: u16,
}

impl Origin {
    /// Of HTTP at a port.
    pub(crate) fn http(port: u16) -> Self {
        Self { scheme: "http", port }
    }

    /// The URL of a host. The scheme's own port goes without saying (RFC 9110 §4.2).
    pub(crate) fn url(self, host: &str) -> String {
        match (self.scheme, self.port) {
            ("http", 80) | ("https", 443) => format!("{}://{host}", self.scheme),
            (scheme, port) => format!("{scheme}://{host}:{port}"),
        }
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (hosts, port) = match text.rsplit_once(':') {
            None => (Hosts::Every, text),
            Some(("localhost", port)) => (Hosts::Loopback, port),
            Some((host, port)) => {
                let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
                (Hosts::One(bare.parse().map_err(|_| ())?), port)
            }
        };
        Ok(Self { hosts, port: port.parse().ok().filter(|port| *port > 0).ok_or(())? })
    }
}

impl Place {
    fn bind(&self) -> anyhow::Result<Vec<TcpListener>> {
        let (any, local): ([IpAddr; 2], [IpAddr; 2]) = (
            [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()],
            [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        );
        let bound = match &self.hosts {
            Hosts::One(host) => TcpListener::bind((*host, self.port)).map(|bound| vec![bound]),
            // The IPv6 wildcard takes IPv4 too (ipv6(7)); a machine may lack IPv6.
            Hosts::Every => TcpListener::bind(any.map(|host| SocketAddr::from((host, self.port))).as_slice())
                .map(|bound| vec![bound]),
            Hosts::Loopback => {
                let first = TcpListener::bind((local[0], self.port));
                first.map(|first| {
                    std::iter::once(first).chain(TcpListener::bind((local[1], self.port))).collect()
                })
            }
        };
        bound.map_err(|error| {
            let message = format!("cannot listen at port {}: {error}", self.port);
            let hint = "end the program that holds the port, or choose another";
            UserError::new(message, hint).into()
        })
    }
}

fn no_place(name: &str, value: &str) -> UserError {
    let hint =
        "give a port (`443`), or an address and a port (`localhost:8443`, `10.0.0.5:443`, `[::1]:443`)";
    UserError::new(format!("`{name}` says no place to listen: `{value}`"), hint)
}

/// Whether `name` is one that can have subdomains (RFC 1123 §2.1).
fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        let inner =
            label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        (1..=63).contains(&label.len()) && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    // A label of an endpoint of up to 63 characters and a dot come before it.
    name.len() <= 253 - 64 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[(&'static str, &str)]) -> Result<Public, String> {
        let given = given.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Public::read(&given).map_err(|error| error.message)
    }

    #[test]
    fn nothing_is_public_unless_told() {
        let public = read(&[]).unwrap();
        assert_eq!((public.origin(), public.body_bytes_max, public.redirect_after), (None, 4 << 30, None));
        let opened = public.open().unwrap();
        assert!(opened.http.is_empty() && opened.https.is_empty() && opened.certificates.is_none());
    }

    #[test]
    fn places_are_ports_and_addresses() {
        let place = |hosts, port| Ok(Place { hosts, port });
        assert_eq!("443".parse(), place(Hosts::Every, 443));
        assert_eq!("localhost:8443".parse(), place(Hosts::Loopback, 8443));
        assert_eq!("10.0.0.5:80".parse(), place(Hosts::One("10.0.0.5".parse().unwrap()), 80));
        assert_eq!("[::1]:80".parse(), place(Hosts::One("::1".parse().unwrap()), 80));
        for wrong in ["", "0", "http", "example.com:80", "65536", "localhost:", ":80"] {
            assert_eq!(wrong.parse::<Place>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn urls_leave_out_what_goes_without_saying() {
        let public = read(&[
            (env::HTTP_LISTEN, "80"),
            (env::HTTPS_LISTEN, "443"),
            (env::TLS_CERT, "/a.pem, /b.pem"),
            (env::TLS_KEY, "/a.key,/b.key"),
            (env::DOMAIN, "Example.com."),
        ]);
        let public = public.unwrap();
        assert_eq!(public.origin().unwrap().url("a"), "https://a");
        assert_eq!(public.domain.as_deref(), Some("example.com"));
        assert_eq!(public.certificates.len(), 2);
        assert_eq!(Origin { scheme: "https", port: 8443 }.url("a"), "https://a:8443");
        assert_eq!(Origin::http(80).url("a"), "http://a");
    }

    #[test]
    fn mistakes_name_the_setting() {
        let table: [(&[(&'static str, &str)], &str); 9] = [
            (&[(env::HTTPS_LISTEN, "443")], "`PILOTLIGHT_HTTPS_LISTEN` needs a certificate"),
            (&[(env::TLS_CERT, "/a"), (env::TLS_KEY, "/b")], "nothing listens for HTTPS"),
            (&[(env::TLS_CERT, "/a")], "do not name as many files"),
            (&[(env::TLS_CERT, "a"), (env::TLS_KEY, "/b")], "`a` is not a whole path"),
            (&[(env::HTTP_LISTEN, "www")], "`PILOTLIGHT_HTTP_LISTEN` says no place to listen: `www`"),
            (&[(env::TRUSTED_PROXIES, "10.0.0.1, proxy")], "`proxy` is neither an IP address"),
            (&[(env::DOMAIN, "https://example.com")], "`PILOTLIGHT_DOMAIN` is not a domain"),
            (&[(env::BODY_MAX, "4GB")], "`PILOTLIGHT_BODY_MAX` is not a number of MiB: `4GB`"),
            (&[(env::REDIRECT_AFTER, "0")], "`PILOTLIGHT_REDIRECT_AFTER` is not a number of seconds: `0`"),
        ];
        for (given, words) in table {
            let message = read(given).unwrap_err();
            assert!(message.contains(words), "{message}");
        }
    }
}
