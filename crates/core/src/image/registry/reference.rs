//! Decides what names an image of a registry: `[host/]repository[:tag][@digest]`.
//!
//! The grammar is that of <https://pkg.go.dev/github.com/distribution/reference>, with Docker Hub as the host that may be
//! left out and `latest` as the tag.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The host that is meant when none is named.
const HUB: &str = "docker.io";
/// Where that one answers.
const HUB_ADDRESS: &str = "registry-1.docker.io";
/// Bytes of a repository with its host, and of a tag.
const NAME_MAX: usize = 255;
const TAG_MAX: usize = 128;

/// Which image of which registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The registry, with its port where one is named: `docker.io`, `localhost:5000`.
    pub host: String,
    /// The repository in it: `library/python`.
    pub repository: String,
    /// The tag; it may be moved to another image at any time.
    pub tag: Option<String>,
    /// The digest, `sha256:` and 64 hex digits; the tag counts for nothing beside it.
    pub digest: Option<String>,
}

/// Why a text names no image.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} names no image of a registry: {reason}")]
pub struct ReferenceError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Reference {
    /// What the registry is asked for: the digest, else the tag.
    pub fn version(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or("latest")
    }

    /// Where the registry answers: a host and perhaps a port.
    pub fn address(&self) -> &str {
        if self.host == HUB { HUB_ADDRESS } else { &self.host }
    }

    /// Whether the registry is on this machine, where nobody listens in.
    pub fn is_loopback(&self) -> bool {
        if self.host.starts_with("[::1]") {
            return true;
        }
        let name = self.host.rsplit_once(':').map_or(self.host.as_str(), |(name, _)| name);
        let numbers: Vec<&str> = name.split('.').collect();
        let address = numbers.len() == 4 && numbers.iter().all(|number| number.parse::<u8>().is_ok());
        name == "localhost" || (address && numbers[0] == "127")
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let refuse = |reason| ReferenceError { text: text.to_owned(), reason };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) if is_sha256(digest) => (rest, Some(digest.to_owned())),
            Some(_) => return Err(refuse("behind @ stands sha256: and 64 hex digits in lower case")),
            None => (text, None),
        };
        let (host, path) = match rest.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (first, path),
            _ => (HUB, rest),
        };
        let host = if host == "index.docker.io" { HUB } else { host };
        if !is_host(host) {
            return Err(refuse("its host is no name, address or port"));
        }
        let (path, tag) = match path.split_once(':') {
            Some((path, tag)) if is_tag(tag) => (path, Some(tag.to_owned())),
            Some(_) => return Err(refuse("a tag has 1 to 128 letters, digits, `_`, `.` and `-`")),
            None => (path, None),
        };
        if !path.split('/').all(is_component) || host.len() + path.len() >= NAME_MAX {
            return Err(refuse("a repository has parts of lower-case letters and digits, joined by `/`"));
        }
        let short = host == HUB && !path.contains('/');
        let repository = if short { format!("library/{path}") } else { path.to_owned() };
        Ok(Self { host: host.to_owned(), repository, tag, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "@{digest}"),
            (None, tag) => write!(f, ":{}", tag.as_deref().unwrap_or("latest")),
        }
    }
}

/// Whether this is a digest as registries name contents by it.
pub fn is_sha256(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            // Whoever connects to it reads it in earnest.
            if !address.contains(':') || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
                return false;
            }
            return rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        }
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_tag(tag: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_MAX
        && tag.bytes().next().is_some_and(plain)
        && tag.bytes().all(|byte| plain(byte) || byte == b'.' || byte == b'-')
}

/// Letters and digits, with `.`, `_`, `__` or any number of `-` between them.
fn is_component(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut separators = part.split(alphanumeric).filter(|between| !between.is_empty());
    let outer = |c: Option<char>| c.is_some_and(alphanumeric);
    outer(part.chars().next())
        && outer(part.chars().next_back())
        && separators
            .all(|between| matches!(between, "." | "_" | "__") || between.bytes().all(|byte| byte == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn read(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_left_out_is_docker_hubs() {
        for (text, whole, version) in [
            ("python", "docker.io/library/python:latest", "latest"),
            ("python:3.11-slim", "docker.io/library/python:3.11-slim", "3.11-slim"),
            ("index.docker.io/nvidia/cuda:12", "docker.io/nvidia/cuda:12", "12"),
            ("ghcr.io/a/b/c", "ghcr.io/a/b/c:latest", "latest"),
            ("localhost/a:b", "localhost/a:b", "b"),
            ("registry:5000/a__b/c---d.e:T_1", "registry:5000/a__b/c---d.e:T_1", "T_1"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "latest"),
        ] {
            let reference = read(text);
            assert_eq!(reference.to_string(), whole);
            assert_eq!(reference.version(), version);
            assert_eq!(read(&reference.to_string()).to_string(), whole);
        }
        assert_eq!(read("python").address(), "registry-1.docker.io");
    }

    #[test]
    fn a_digest_wins_over_a_tag() {
        let reference = read(&format!("python:3.11@{DIGEST}"));
        assert_eq!(reference.version(), DIGEST);
        assert_eq!(reference.to_string(), format!("docker.io/library/python@{DIGEST}"));
    }

    #[test]
    fn what_names_no_image_is_refused() {
        let long = "a".repeat(300);
        for text in [
            "",
            "Python",
            "a b",
            "a//b",
            "/a",
            "a/",
            "a:",
            "a:.b",
            "a:b/c",
            "a@sha256:12",
            "a@md5:00",
            "https://ghcr.io/a",
            "a.b:0/c",
            "a.b:99999/c",
            "a.b:+1/c",
            "-a.b/c",
            "a..b/c",
            "host.x/..",
            "host.x/a/../b",
            "[::g]/a",
            "a_-b",
            "user@host.x/a",
            "host.x/a?b",
            &long,
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
        let error = "Python".parse::<Reference>().unwrap_err().to_string();
        assert!(error.starts_with("\"Python\" names no image of a registry: a repository has"), "{error}");
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"] {
            assert!(read(&format!("{host}/a")).is_loopback(), "{host}");
        }
        for host in ["localhost.example.org", "10.0.0.1:5000", "ghcr.io", "[::2]", "1.127.0.0.1"] {
            assert!(!read(&format!("{host}/a")).is_loopback(), "{host}");
        }
    }
}
