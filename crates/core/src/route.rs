//! Decides addresses: which port an endpoint gets, and under which key a `Host` header is looked up.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// How long an app lives; its ports come from a range of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lifetime {
    /// As long as its client (`run`, `serve`).
    Ephemeral,
    /// Until it is stopped. Its port is allocated once and stored.
    Deployed,
}

/// The ports that endpoints may get, apart for ephemeral and deployed apps so that neither takes the other's URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRanges {
    ephemeral: RangeInclusive<u16>,
    deployed: RangeInclusive<u16>,
}

/// Why there is no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Every port of the range belongs to an endpoint.
    #[error("every port from {first} to {last} is in use: stop an app or configure a wider range")]
    NoPortFree {
        /// The first port of the range.
        first: u16,
        /// The last port of the range.
        last: u16,
    },
    /// A range that is empty or contains port 0.
    #[error("the port range {first}-{last} is empty or contains port 0")]
    BadRange {
        /// The first port of the range.
        first: u16,
        /// The last port of the range.
        last: u16,
    },
    /// Two ranges with a port in common.
    #[error("the port ranges of ephemeral and deployed apps overlap at {port}")]
    Overlap {
        /// The first port that is in both.
        port: u16,
    },
}

impl Default for PortRanges {
    /// 8001 to 8499 for ephemeral apps, 8500 to 8999 for deployed ones.
    fn default() -> Self {
        Self { ephemeral: 8001..=8499, deployed: 8500..=8999 }
    }
}

impl PortRanges {
    /// Ranges as configured; they must not be empty nor overlap.
    pub fn new(ephemeral: RangeInclusive<u16>, deployed: RangeInclusive<u16>) -> Result<Self, Error> {
        for range in [&ephemeral, &deployed] {
            if range.is_empty() || *range.start() == 0 {
                return Err(Error::BadRange { first: *range.start(), last: *range.end() });
            }
        }
        let port = *ephemeral.start().max(deployed.start());
        if ephemeral.contains(&port) && deployed.contains(&port) {
            return Err(Error::Overlap { port });
        }
        Ok(Self { ephemeral, deployed })
    }

    /// The range for apps of this lifetime.
    pub fn of(&self, lifetime: Lifetime) -> &RangeInclusive<u16> {
        match lifetime {
            Lifetime::Ephemeral => &self.ephemeral,
            Lifetime::Deployed => &self.deployed,
        }
    }

    /// The port for an endpoint: the stored one unless another endpoint has it, else the lowest free one of its range.
    ///
    /// A stored port is kept even when it lies outside the range: a URL that was given away stays, also after the
    /// range was configured anew. Call again with the port added to `taken` when another program turns out to hold it.
    pub fn allocate(
        &self,
        lifetime: Lifetime,
        stored: Option<u16>,
        taken: &BTreeSet<u16>,
    ) -> Result<u16, Error> {
        if let Some(port) = stored.filter(|port| !taken.contains(port)) {
            return Ok(port);
        }
        let range = self.of(lifetime);
        let no_port = Error::NoPortFree { first: *range.start(), last: *range.end() };
        range.clone().find(|port| !taken.contains(port)).ok_or(no_port)
    }
}

/// The key under which a host is looked up: lower-case, without port and trailing dot. `[::1]:80` gives `[::1]`.
pub fn host_key(host: &str) -> Cow<'_, str> {
    let name = match host.rfind(':') {
        Some(colon)
            if host[colon + 1..].bytes().all(|b| b.is_ascii_digit()) && !inside_brackets(host, colon) =>
        {
            &host[..colon]
        }
        _ => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// Whether the colon at `at` belongs to an IPv6 literal rather than to a port.
fn inside_brackets(host: &str, at: usize) -> bool {
    host.starts_with('[') && !host[..at].ends_with(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(ports: &[u16]) -> BTreeSet<u16> {
        ports.iter().copied().collect()
    }

    #[test]
    fn the_lowest_free_port_of_the_own_range_is_given() {
        let ranges = PortRanges::default();
        assert_eq!(ranges.allocate(Lifetime::Ephemeral, None, &taken(&[])), Ok(8001));
        assert_eq!(ranges.allocate(Lifetime::Ephemeral, None, &taken(&[8001, 8003])), Ok(8002));
        assert_eq!(ranges.allocate(Lifetime::Deployed, None, &taken(&[8001])), Ok(8500));
    }

    #[test]
    fn a_stored_port_is_kept() {
        let ranges = PortRanges::default();
        assert_eq!(ranges.allocate(Lifetime::Deployed, Some(8700), &taken(&[8500])), Ok(8700));
        assert_eq!(ranges.allocate(Lifetime::Deployed, Some(9100), &taken(&[])), Ok(9100));
        assert_eq!(ranges.allocate(Lifetime::Deployed, Some(8500), &taken(&[8500])), Ok(8501));
    }

    #[test]
    fn a_full_range_is_said() {
        let ranges = PortRanges::new(8001..=8002, 8003..=8003).unwrap();
        let full = ranges.allocate(Lifetime::Ephemeral, None, &taken(&[8001, 8002]));
        assert_eq!(full, Err(Error::NoPortFree { first: 8001, last: 8002 }));
    }

    #[test]
    fn ranges_are_checked() {
        assert_eq!(PortRanges::new(1..=5, 5..=9), Err(Error::Overlap { port: 5 }));
        assert_eq!(PortRanges::new(3..=9, 1..=4), Err(Error::Overlap { port: 3 }));
        assert_eq!(PortRanges::new(0..=5, 6..=9), Err(Error::BadRange { first: 0, last: 5 }));
        assert!(PortRanges::new(RangeInclusive::new(9, 8), 10..=11).is_err());
    }

    #[test]
    fn host_keys() {
        let table = [
            ("localhost", "localhost"),
            ("Local--Hello-F.LOCALHOST:8000", "local--hello-f.localhost"),
            ("a.example.com.", "a.example.com"),
            ("a.example.com.:443", "a.example.com"),
            ("a:", "a"),
            ("[::1]:8001", "[::1]"),
            ("[::1]", "[::1]"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("a:b", "a:b"),
            ("", ""),
        ];
        for (host, key) in table {
            assert_eq!(host_key(host), key, "{host}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_host_key_is_its_own_key(host in "[a-zA-Z0-9.-]{1,30}(:[0-9]{1,5})?") {
            let key = host_key(&host).into_owned();
            proptest::prop_assume!(!key.ends_with('.'));
            proptest::prop_assert_eq!(host_key(&key).into_owned(), key.clone());
        }
    }
}
