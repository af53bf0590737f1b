//! From whom a request comes, and how an app is told: `X-Forwarded-*` and `Forwarded` (RFC 7239). Pure.
//!
//! What the connection shows is certain. What a client says of others is dropped, unless it is a trusted proxy: then
//! [`told`] is what it may be believed.

mod told;

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

pub use told::Network;
use told::{Told, told};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What clients may say of others only when they are trusted. The first four are written anew in any case.
pub(crate) const CLAIMS: [HeaderName; 6] = [
    FORWARDED_FOR,
    FORWARDED_HOST,
    FORWARDED_PROTO,
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
];

/// How a client reached the gateway, or the first proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The client as the connection shows it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: IpAddr,
    /// The same as a header value, made once per connection.
    text: HeaderValue,
    scheme: Scheme,
    /// What its element of `Forwarded` begins with.
    element: String,
    /// Whether it is a proxy that is believed what it says of others.
    trusted: bool,
}

impl Client {
    pub(crate) fn new(address: IpAddr, scheme: Scheme, trusted: &[Network]) -> Self {
        let address = address.to_canonical();
        let text = HeaderValue::try_from(address.to_string()).expect("an address is ASCII");
        let trusted = trusted.iter().any(|network| network.contains(address));
        Self { address, text, scheme, element: element(address, scheme), trusted }
    }
}

/// Tells the app who asks, how, and for which host.
pub(crate) fn tell(headers: &mut HeaderMap, host: &HeaderValue, client: &Client, trusted: &[Network]) {
    if client.trusted {
        return pass_on(headers, host, client, trusted);
    }
    for name in &CLAIMS[4..] {
        headers.remove(name);
    }
    headers.insert(FORWARDED_FOR, client.text.clone());
    headers.insert(FORWARDED_HOST, host.clone());
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(client.scheme.as_str()));
    insert(headers, header::FORWARDED, with_host(client.element.clone(), host));
}

/// How a URL begins that the client reaches this host with: its scheme and host, as far as they are certain or vouched
/// for.
pub(crate) fn origin(headers: &HeaderMap, host: &str, client: &Client, trusted: &[Network]) -> String {
    let told = if client.trusted { told(headers, trusted) } else { Told::default() };
    let scheme = told.scheme.unwrap_or(client.scheme);
    format!("{}://{}", scheme.as_str(), told.host.as_deref().unwrap_or(host))
}

/// Passes on what a proxy may be believed, and adds the proxy. Each field is one line: uvicorn reads the last alone, and
/// in it the first address.
fn pass_on(headers: &mut HeaderMap, host: &HeaderValue, client: &Client, trusted: &[Network]) {
    let Told { mut hops, scheme, host: told } = told(headers, trusted);
    hops.push(client.address);
    let scheme = scheme.unwrap_or(client.scheme);
    let host = told.and_then(|told| HeaderValue::try_from(told).ok()).unwrap_or_else(|| host.clone());
    let texts: Vec<String> = hops.iter().map(ToString::to_string).collect();
    let mut elements = with_host(element(hops[0], scheme), &host);
    for hop in &hops[1..] {
        elements.push_str(", for=");
        elements.push_str(&node(*hop));
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme.as_str()));
    headers.insert(FORWARDED_HOST, host);
    insert(headers, FORWARDED_FOR, texts.join(", "));
    insert(headers, header::FORWARDED, elements);
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: String) {
    match HeaderValue::try_from(text) {
        Ok(value) => headers.insert(name, value),
        Err(_) => headers.remove(name),
    };
}

/// An address in `Forwarded`. IPv6's has colons, and stands in brackets and quotes for them (RFC 7239 §6).
fn node(address: IpAddr) -> String {
    if address.is_ipv6() { format!("\"[{address}]\"") } else { address.to_string() }
}

/// An element of `Forwarded` up to the host (RFC 7239 §4).
fn element(address: IpAddr, scheme: Scheme) -> String {
    format!("for={};proto={}", node(address), scheme.as_str())
}

fn with_host(mut element: String, host: &HeaderValue) -> String {
    if let Ok(host) = host.to_str() {
        element.reserve(host.len() + 8);
        element.push_str(";host=\"");
        for character in host.chars() {
            if matches!(character, '"' | '\\') {
                element.push('\\');
            }
            element.push(character);
        }
        element.push('"');
    }
    element
}

#[cfg(test)]
mod tests;
