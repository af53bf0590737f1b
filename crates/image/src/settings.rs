//! Reads the machine's package index, proxy and certificate settings, and says them in uv's words.
//!
//! uv does not read pip's variables and files; people who set them expect them to count. uv's own settings win, then
//! pip's variables, then pip's files.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use pilotlight_sandbox::{Door, Protocol};

mod pip_conf;

/// Where certificates are inside containers; [`crate::hostconf`] puts the host's bundle there.
pub const CA_INSIDE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Indexes and proxies at addresses of the machine's own; more than one is rare.
const DOORS_MAX: usize = 12;

/// Host bundles by distribution: Debian and Arch, Fedora, openSUSE, Alpine.
const CA_CANDIDATES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Variables that mean the same inside a build step as on the host, beside those translated below.
const PASSED: &[&str] = &[
    "UV_INDEX_STRATEGY",
    "UV_EXCLUDE_NEWER",
    "UV_OFFLINE",
    "UV_HTTP_RETRIES",
    "UV_PRERELEASE",
    // Where uv finds Pythons that an image lacks.
    "UV_PYTHON_INSTALL_MIRROR",
    "UV_PYTHON_DOWNLOADS_JSON_URL",
    // conda's own: where its channels are, and which are asked.
    "CONDA_CHANNEL_ALIAS",
    "CONDA_CHANNELS",
    "CONDA_OVERRIDE_CUDA",
    "CONDA_OVERRIDE_GLIBC",
];
/// Families of them: credentials of named indexes, and limits on concurrency.
const PASSED_PREFIXES: &[&str] = &["UV_INDEX_", "UV_CONCURRENT_"];
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

/// The settings of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Variables for uv and pip, certificates apart.
    env: BTreeMap<String, String>,
    /// Directories of wheels among the settings; a build step needs to see them.
    local_paths: Vec<PathBuf>,
    /// The host's bundle of certificates.
    ca_file: Option<PathBuf>,
}

impl Settings {
    /// The settings of this process's environment and of pip's files.
    pub fn of_this_machine() -> Self {
        let vars: BTreeMap<String, String> = std::env::vars().collect();
        let conf = pip_conf::read(&vars, std::env::home_dir().as_deref());
        Self::new(&vars, &conf)
    }

    /// The settings given by variables and by the merged options of pip's files.
    pub fn new(vars: &BTreeMap<String, String>, conf: &BTreeMap<String, String>) -> Self {
        let given = |names: &[&str]| {
            names.iter().find_map(|&name| vars.get(name).filter(|value| !value.trim().is_empty()).cloned())
        };
        let or_conf = |names: &[&str], option: &str| given(names).or_else(|| conf.get(option).cloned());
        let mut env = BTreeMap::new();
        let mut local_paths = Vec::new();
        let mut set = |uv: &str, pip: &str, value: Option<String>| {
            if let Some(value) = value {
                env.insert(uv.to_owned(), value.clone());
                env.insert(pip.to_owned(), value);
            }
        };

        let default = or_conf(&["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"], "index-url");
        set("UV_DEFAULT_INDEX", "PIP_INDEX_URL", default);
        let extra =
            or_conf(&["UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"], "extra-index-url").map(|v| one_line(&v));
        // pip takes the best version of all its indexes; who set pip's variables counts on that.
        let as_pip = extra.is_some() && given(&["UV_EXTRA_INDEX_URL", "UV_INDEX_STRATEGY"]).is_none();
        set("UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL", extra);
        let hosts = or_conf(&["UV_INSECURE_HOST", "PIP_TRUSTED_HOST"], "trusted-host").map(|v| one_line(&v));
        set("UV_INSECURE_HOST", "PIP_TRUSTED_HOST", hosts);
        let timeout = or_conf(&["UV_HTTP_TIMEOUT", "PIP_DEFAULT_TIMEOUT", "PIP_TIMEOUT"], "timeout");
        set("UV_HTTP_TIMEOUT", "PIP_DEFAULT_TIMEOUT", timeout);
        if let Some(links) = or_conf(&["UV_FIND_LINKS", "PIP_FIND_LINKS"], "find-links") {
            let links = find_links(&links, &mut local_paths);
            if !links.is_empty() {
                env.insert("UV_FIND_LINKS".to_owned(), links.join(","));
                env.insert("PIP_FIND_LINKS".to_owned(), links.join(" "));
            }
        }
        if or_conf(&["UV_NO_INDEX", "PIP_NO_INDEX"], "no-index").is_some_and(|value| truthy(&value)) {
            // Both are read by our script; uv itself knows only the option, and offline comes nearest.
            env.insert("UV_NO_INDEX".to_owned(), "1".to_owned());
            env.insert("PIP_NO_INDEX".to_owned(), "1".to_owned());
            env.insert("UV_OFFLINE".to_owned(), "1".to_owned());
        }
        if as_pip {
            env.insert("UV_INDEX_STRATEGY".to_owned(), "unsafe-best-match".to_owned());
        }
        pass_on(vars, conf, &mut env);
        let ca_file = ca_file(given(&["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"]), conf);
        Self { env, local_paths, ca_file }
    }

    /// Variables for uv and pip inside a build step, sorted by name.
    pub fn env_inside(&self) -> Vec<(String, String)> {
        self.with_certificates(CA_INSIDE)
    }

    /// Variables for uv on the host itself, sorted by name.
    pub fn env_on_host(&self) -> Vec<(String, String)> {
        match &self.ca_file {
            Some(path) => self.with_certificates(&path.to_string_lossy()),
            None => self.env.clone().into_iter().collect(),
        }
    }

    /// Where on this machine's own loopback an index or a proxy of the settings listens, for build steps: at most 12.
    pub fn doors(&self) -> Vec<Door> {
        let words = self.env.values().flat_map(|value| value.split([' ', ',', '\n']));
        let found: BTreeSet<_> = words.filter_map(on_loopback).collect();
        let doors = found.into_iter().map(|address| Door { protocol: Protocol::Tcp, address });
        doors.take(DOORS_MAX).collect()
    }

    /// Directories of wheels named by the settings that exist.
    pub fn local_paths(&self) -> &[PathBuf] {
        &self.local_paths
    }

    /// The host's bundle of certificates, if there is one.
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// The same with another file as the bundle of certificates: a copy of it, where that one cannot be read.
    #[must_use]
    pub fn with_ca_file(self, path: PathBuf) -> Self {
        Self { ca_file: Some(path), ..self }
    }

    fn with_certificates(&self, path: &str) -> Vec<(String, String)> {
        let mut env = self.env.clone();
        for name in ["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"] {
            env.insert(name.to_owned(), path.to_owned());
        }
        env.into_iter().collect()
    }
}

/// The address of a URL, as `name=URL` too, whose host is the machine's own loopback.
fn on_loopback(word: &str) -> Option<SocketAddrV4> {
    let (scheme, rest) = word.split_once("://")?;
    let usual = match scheme.rsplit('=').next()? {
        "http" => 80,
        "https" => 443,
        _ => 1080,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let place = authority.rsplit('@').next()?;
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (place, usual),
    };
    let ip = if host == "localhost" { Ipv4Addr::LOCALHOST } else { host.parse().ok()? };
    ip.is_loopback().then(|| SocketAddrV4::new(ip, port))
}

/// The local directory a `find_links` value names, absolute; `None` for pages on the network.
pub fn local_directory(link: &str) -> Option<PathBuf> {
    let path = match link.strip_prefix("file://") {
        Some(path) => path.strip_prefix("localhost").unwrap_or(path).to_owned(),
        None if link.contains("://") => return None,
        None => link.to_owned(),
    };
    let path = match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    };
    std::path::absolute(path).ok()
}

fn find_links(value: &str, local_paths: &mut Vec<PathBuf>) -> Vec<String> {
    let words = value.split([',', ' ', '\n', '\t']).filter(|word| !word.is_empty());
    let mut links = Vec::new();
    for word in words {
        match local_directory(word) {
            None => links.push(word.to_owned()),
            // pip passes over what does not exist, uv stops.
            Some(path) if path.exists() => {
                links.push(path.to_string_lossy().into_owned());
                local_paths.push(path);
            }
            Some(_) => {}
        }
    }
    links
}

fn pass_on(
    vars: &BTreeMap<String, String>,
    conf: &BTreeMap<String, String>,
    env: &mut BTreeMap<String, String>,
) {
    for (name, value) in vars {
        let family = PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && name != "UV_INDEX_URL";
        if name == "UV_INDEX" || PASSED.contains(&name.as_str()) || family {
            env.insert(name.clone(), value.clone());
        }
        if PROXIES.contains(&name.to_ascii_uppercase().as_str()) && !value.is_empty() {
            env.insert(name.clone(), value.clone());
        }
    }
    if let Some(proxy) = vars.get("PIP_PROXY").or_else(|| conf.get("proxy")) {
        for name in ["http_proxy", "https_proxy"] {
            if !env.contains_key(name) && !env.contains_key(&name.to_ascii_uppercase()) {
                env.insert(name.to_owned(), proxy.clone());
            }
        }
    }
}

fn ca_file(given: Option<String>, conf: &BTreeMap<String, String>) -> Option<PathBuf> {
    let named = given.or_else(|| conf.get("cert").cloned()).map(PathBuf::from);
    let known = CA_CANDIDATES.iter().map(PathBuf::from);
    named.into_iter().chain(known).find(|path| path.is_file())
}

fn one_line(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn truthy(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on" | "y" | "t")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn inside(vars: &[(&str, &str)], conf: &[(&str, &str)]) -> BTreeMap<String, String> {
        Settings::new(&map(vars), &map(conf)).env_inside().into_iter().collect()
    }

    #[test]
    fn uv_wins_over_pip_and_variables_over_files() {
        let all = [("UV_DEFAULT_INDEX", "https://uv.test"), ("PIP_INDEX_URL", "https://pip.test")];
        let conf = [("index-url", "https://conf.test")];
        assert_eq!(inside(&all, &conf)["UV_DEFAULT_INDEX"], "https://uv.test");
        assert_eq!(inside(&all[1..], &conf)["UV_DEFAULT_INDEX"], "https://pip.test");
        assert_eq!(inside(&[], &conf)["UV_DEFAULT_INDEX"], "https://conf.test");
        assert_eq!(inside(&[], &conf)["PIP_INDEX_URL"], "https://conf.test");
        assert!(!inside(&[], &[]).contains_key("UV_DEFAULT_INDEX"));
    }

    #[test]
    fn indexes_of_pip_are_searched_as_pip_does() {
        let pip = inside(&[], &[("extra-index-url", "\nhttps://a.test\n  https://b.test")]);
        assert_eq!(pip["UV_EXTRA_INDEX_URL"], "https://a.test https://b.test");
        assert_eq!(pip["UV_INDEX_STRATEGY"], "unsafe-best-match");
        let uv = inside(&[("UV_EXTRA_INDEX_URL", "https://a.test")], &[]);
        assert!(!uv.contains_key("UV_INDEX_STRATEGY"));
    }

    #[test]
    fn directories_of_wheels_are_known_and_missing_ones_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let value = format!("file://{path} /does/not/exist https://wheels.test/");
        let settings = Settings::new(&map(&[("PIP_FIND_LINKS", &value)]), &map(&[]));
        assert_eq!(settings.local_paths(), [dir.path()]);
        let env: BTreeMap<_, _> = settings.env_inside().into_iter().collect();
        assert_eq!(env["UV_FIND_LINKS"], format!("{path},https://wheels.test/"));
    }

    #[test]
    fn proxies_credentials_and_certificates_pass() {
        let env = inside(
            &[
                ("https_proxy", "http://proxy.test:3128"),
                ("UV_INDEX_CORP_PASSWORD", "p"),
                ("UV_CACHE_DIR", "/elsewhere"),
                ("UV_PYTHON", "3.9"),
                ("PIP_TRUSTED_HOST", "a.test"),
            ],
            &[("proxy", "http://other.test")],
        );
        assert_eq!(env["https_proxy"], "http://proxy.test:3128");
        assert_eq!(env["http_proxy"], "http://other.test");
        assert_eq!(env["UV_INDEX_CORP_PASSWORD"], "p");
        assert_eq!(env["UV_INSECURE_HOST"], "a.test");
        assert_eq!(env["SSL_CERT_FILE"], CA_INSIDE);
        assert!(!env.contains_key("UV_CACHE_DIR") && !env.contains_key("UV_PYTHON"));
    }

    #[test]
    fn channels_of_conda_pass_and_those_on_loopback_have_a_door() {
        let vars = map(&[
            ("CONDA_CHANNEL_ALIAS", "http://127.0.0.1:8080/conda"),
            ("CONDA_CHANNELS", "mine,http://localhost:81/c"),
            ("CONDA_PREFIX", "/home/me/conda"),
        ]);
        let settings = Settings::new(&vars, &map(&[]));
        let env: BTreeMap<_, _> = settings.env_inside().into_iter().collect();
        assert_eq!(env["CONDA_CHANNEL_ALIAS"], "http://127.0.0.1:8080/conda");
        assert!(!env.contains_key("CONDA_PREFIX"));
        let ports: Vec<_> = settings.doors().iter().map(|door| door.address.port()).collect();
        assert_eq!(ports, [81, 8080]);
    }

    #[test]
    fn the_named_bundle_wins_if_it_exists() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let settings = Settings::new(&map(&[("SSL_CERT_FILE", "/nope"), ("PIP_CERT", path)]), &map(&[]));
        assert_ne!(settings.ca_file(), Some(Path::new("/nope")));
        let settings = Settings::new(&map(&[("PIP_CERT", path)]), &map(&[]));
        assert_eq!(settings.ca_file(), Some(file.path()));
    }
}
