//! What trusted proxies say of a request.
//!
//! Every proxy adds who asked it, so a list is to be read from its end, and believed up to the first address that is no
//! trusted proxy's: that is the client, and what stands before it is the client's own claim, which nobody vouches for.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::header::{self, HeaderMap};
use serde::{Deserialize, Serialize};

use super::{FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, Scheme};
use crate::lists::unquoted;

/// Nobody has more proxies before a server. Of longer lists the end is read.
const HOPS_MAX: usize = 32;

/// Addresses that begin with the same bits; a single one has all of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// Whether an address is one of them. An IPv4 address in IPv6's clothes (RFC 4291 §2.5.5.2) is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && masked(address, self.length) == masked(self.address, self.length)
    }
}

/// The bits of an address that count, at the upper end.
fn masked(address: IpAddr, length: u8) -> u128 {
    let bits = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, length) =
            text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let wrong = || format!("`{text}` is neither an IP address nor a network like `10.0.0.0/8`");
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(longest), str::parse).ok().filter(|length| *length <= longest);
        let length = length.ok_or_else(wrong)?;
        let all = u128::MAX.checked_shl(128 - u32::from(longest)).unwrap_or(0);
        if masked(address, longest) != masked(address, length) & all {
            return Err(format!("`{text}` has bits beyond its length"));
        }
        Ok(Self { address, length })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// What trusted proxies say of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The client, and after it the proxies that it came through, but for the last, which is the connection's peer. Empty
    /// if the peer does not say who asked it.
    pub(super) hops: Vec<IpAddr>,
    /// How the client asked.
    pub(super) scheme: Option<Scheme>,
    /// The host that the client asked for.
    pub(super) host: Option<String>,
}

/// What the peer, a trusted proxy, says of a request. `X-Forwarded-For` comes before `Forwarded`: of the two a proxy writes
/// the one and may pass on the other as the client sent it, and it is the former that they write.
pub(super) fn told(headers: &HeaderMap, trusted: &[Network]) -> Told {
    if headers.contains_key(FORWARDED_FOR) || !headers.contains_key(header::FORWARDED) {
        by_fields(headers, trusted)
    } else {
        by_elements(headers, trusted).unwrap_or_default()
    }
}

fn by_fields(headers: &HeaderMap, trusted: &[Network]) -> Told {
    let list = |name| -> Vec<&str> {
        let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(',')).map(str::trim).collect()
    };
    let nodes: Vec<Option<IpAddr>> = list(FORWARDED_FOR).into_iter().map(address).collect();
    let client = believed(&nodes, trusted);
    // A proxy may add to these lists as well, or leave one value be.
    let at_client = |name| {
        let values = list(name);
        let value = if values.len() == nodes.len() { client.and_then(|at| values.get(at)) } else { None };
        let only = if let [only] = values.as_slice() { Some(only) } else { None };
        value.or(only).copied()
    };
    Told {
        hops: hops(&nodes, client),
        scheme: at_client(FORWARDED_PROTO).and_then(known_scheme),
        host: at_client(FORWARDED_HOST).filter(|host| !host.is_empty()).map(str::to_owned),
    }
}

/// None where it is not what RFC 7239 says: then nothing in it is beyond doubt.
fn by_elements(headers: &HeaderMap, trusted: &[Network]) -> Option<Told> {
    let mut elements = Vec::new();
    for line in headers.get_all(header::FORWARDED) {
        for element in unquoted(line.to_str().ok()?, ',') {
            elements.push(Element::read(element)?);
        }
    }
    let nodes: Vec<Option<IpAddr>> =
        elements.iter().map(|element| element.node.as_deref().and_then(address)).collect();
    let client = believed(&nodes, trusted);
    // What the peer itself says, if it does not say for whom.
    let said = client.unwrap_or(elements.len().checked_sub(1)?);
    let Element { scheme, host, .. } = elements.swap_remove(said);
    Some(Told { hops: hops(&nodes, client), scheme: scheme.as_deref().and_then(known_scheme), host })
}

/// Where the client stands among those who asked: the last that is no trusted proxy, else the first. None if the last is
/// not known.
fn believed(nodes: &[Option<IpAddr>], trusted: &[Network]) -> Option<usize> {
    let mut client = None;
    for (at, node) in nodes.iter().enumerate().rev().take(HOPS_MAX) {
        let Some(node) = node else { break };
        client = Some(at);
        if !trusted.iter().any(|network| network.contains(*node)) {
            break;
        }
    }
    client
}

fn hops(nodes: &[Option<IpAddr>], client: Option<usize>) -> Vec<IpAddr> {
    client.map(|at| nodes[at..].iter().copied().flatten().collect()).unwrap_or_default()
}

/// An element of `Forwarded`.
#[derive(Debug, Default)]
struct Element {
    node: Option<String>,
    scheme: Option<String>,
    host: Option<String>,
}

impl Element {
    fn read(text: &str) -> Option<Self> {
        let mut element = Self::default();
        for pair in unquoted(text, ';').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=')?;
            let place = match name.to_ascii_lowercase().as_str() {
                "for" => &mut element.node,
                "proto" => &mut element.scheme,
                "host" => &mut element.host,
                _ => continue,
            };
            // Each comes once in an element (RFC 7239 §4).
            if place.replace(unquote(value)?).is_some() {
                return None;
            }
        }
        Some(element)
    }
}

/// The text of a token or a quoted string.
fn unquote(value: &str) -> Option<String> {
    let Some(quoted) = value.strip_prefix('"') else {
        return (!value.is_empty() && !value.contains('"')).then(|| value.to_owned());
    };
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(text),
            '\\' => text.push(characters.next()?),
            character => text.push(character),
        }
    }
}

/// An address as proxies write them: with or without a port, IPv6 in brackets or not. None for `unknown` and the like.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let plain = plain.parse().ok().or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()));
    plain.map(|address: IpAddr| address.to_canonical())
}

/// A browser's WebSocket is asked for over HTTP.
fn known_scheme(scheme: &str) -> Option<Scheme> {
    let is = |known: &str| scheme.eq_ignore_ascii_case(known);
    if is("https") || is("wss") {
        return Some(Scheme::Https);
    }
    (is("http") || is("ws")).then_some(Scheme::Http)
}
