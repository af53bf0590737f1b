//! The layer that makes the host's network usable inside: name resolution and certificates.
//!
//! It lies above the image's own layers, so that a container resolves and trusts what the host does, whatever the
//! image was built on. Keyed by content: when the host's configuration changes, new containers get a new layer.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use pilotlight_core::image::Key;
use pilotlight_sandbox::{Door, Protocol};

use crate::settings::CA_INSIDE;
use crate::store::{Error, Meta, Store};

/// Of DNS, over UDP and over TCP. RFC 1035, section 4.2
const DNS_PORT: u16 = 53;

/// More are not asked. resolv.conf(5), MAXNS
const SERVERS_MAX: usize = 3;

/// Used when the host names no resolver at all: two public services.
const PUBLIC: &str = "nameserver 1.1.1.1\nnameserver 9.9.9.9\n";

/// What the host has, read from its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostConf {
    /// `/etc/resolv.conf` for containers.
    pub resolv: String,
    /// `/etc/hosts` for containers.
    pub hosts: String,
    /// The bundle of certificates, PEM; empty if the host has none.
    pub certificates: Vec<u8>,
    /// Where on this machine's own loopback its name server listens, if containers have no other.
    pub doors: Vec<Door>,
    /// Something the user should know.
    pub warning: Option<String>,
}

impl HostConf {
    /// Reads this machine's configuration; `ca_file` is its bundle of certificates.
    pub fn of_this_machine(ca_file: Option<&Path>) -> Self {
        let text = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
        let certificates = ca_file.and_then(|path| fs_err::read(path).ok()).unwrap_or_default();
        let (main, upstream) = (text("/etc/resolv.conf"), text("/run/systemd/resolve/resolv.conf"));
        Self::new(&main, &upstream, &text("/etc/hosts"), certificates)
    }

    /// Decides what containers get from the host's `resolv.conf`, systemd-resolved's list of real servers, and hosts.
    pub fn new(resolv: &str, upstream: &str, hosts: &str, certificates: Vec<u8>) -> Self {
        let mut doors = Vec::new();
        let usable = [resolv, upstream].into_iter().find_map(|text| kept(text, |ip| !ip.is_loopback()));
        let resolv = usable.or_else(|| {
            // Inside it listens at the same address.
            let own = kept(resolv, |ip| ip.is_loopback() && ip.is_ipv4())?;
            doors = doors_to(&own);
            Some(own)
        });
        let warning = resolv.is_none().then(|| {
            "this machine names no server for its names that containers could ask; they ask public ones"
                .to_owned()
        });
        let resolv = resolv.unwrap_or_else(|| PUBLIC.to_owned());
        Self { resolv, hosts: container_hosts(hosts), certificates, doors, warning }
    }

    /// The layer's key.
    pub fn key(&self) -> Key {
        let fields = [self.resolv.as_bytes(), self.hosts.as_bytes(), &self.certificates];
        Key::of("pilotlight hostconf 1", fields)
    }

    /// The layer's `fs` directory, made if it is not there.
    pub fn layer(&self, store: &Store) -> Result<PathBuf, Error> {
        let (path, _) = store.make(
            &self.key(),
            &AtomicBool::new(false),
            || {},
            |staging, _| {
                self.write(&staging.join("fs"))?;
                Ok::<_, Error>(Meta {
                    text: "name resolution and certificates of the host".to_owned(),
                    parent: None,
                    command: Vec::new(),
                    seconds: 0.0,
                })
            },
        )?;
        Ok(path)
    }

    fn write(&self, fs: &Path) -> Result<(), Error> {
        let ca = fs.join(CA_INSIDE.trim_start_matches('/'));
        fs_err::create_dir_all(ca.parent().expect("the bundle is in a directory"))?;
        fs_err::write(fs.join("etc/resolv.conf"), &self.resolv)?;
        fs_err::write(fs.join("etc/hosts"), &self.hosts)?;
        if !self.certificates.is_empty() {
            fs_err::write(ca, &self.certificates)?;
        }
        Ok(())
    }
}

/// The doors to the name servers of a file.
fn doors_to(resolv: &str) -> Vec<Door> {
    // What stands behind the address is passed over, as the C library does.
    let address = |line: &str| line.strip_prefix("nameserver")?.split_whitespace().next()?.parse().ok();
    let servers = resolv.lines().filter_map(address);
    let doors = servers.take(SERVERS_MAX).flat_map(|ip| {
        let address = SocketAddrV4::new(ip, DNS_PORT);
        [Protocol::Udp, Protocol::Tcp].map(|protocol| Door { protocol, address })
    });
    doors.collect()
}

/// The file with those name servers alone that are `wanted`; `None` if none is left.
fn kept(resolv: &str, wanted: impl Fn(IpAddr) -> bool) -> Option<String> {
    let mut servers = 0;
    let mut kept = String::new();
    for line in resolv.lines().map(str::trim) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                let address = words.next().and_then(|text| text.split('%').next()).unwrap_or_default();
                if address.parse().is_ok_and(|ip: IpAddr| wanted(ip) && !ip.is_unspecified()) {
                    servers += 1;
                    let _ = writeln!(kept, "{line}");
                }
            }
            Some("search" | "domain" | "options" | "sortlist") => {
                let _ = writeln!(kept, "{line}");
            }
            _ => {}
        }
    }
    (servers > 0).then_some(kept)
}

/// The container's own loopback, and the names the host gave to addresses elsewhere (a private package index).
fn container_hosts(hosts: &str) -> String {
    let mut out = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned();
    for line in hosts.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let address = line.split_whitespace().next().and_then(|text| text.parse::<IpAddr>().ok());
        if address.is_some_and(|ip| !ip.is_loopback() && !ip.is_multicast() && !ip.is_unspecified()) {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_resolvers_are_replaced_by_the_real_ones() {
        let stub = "# systemd\nnameserver 127.0.0.53\noptions edns0\nsearch lan\n";
        let conf = HostConf::new(stub, "nameserver 192.0.2.1\n", "", vec![]);
        assert_eq!((conf.resolv.as_str(), conf.warning), ("nameserver 192.0.2.1\n", None));
        let conf = HostConf::new("nameserver 127.0.0.1\nnameserver 192.0.2.2\nsearch lan\n", "", "", vec![]);
        assert_eq!(conf.resolv, "nameserver 192.0.2.2\nsearch lan\n");
    }

    #[test]
    fn without_any_resolver_public_ones_are_used_and_it_is_said() {
        let conf = HostConf::new("nameserver ::1\n", "", "", vec![]);
        assert_eq!(conf.resolv, PUBLIC);
        assert!(conf.warning.is_some());
    }

    #[test]
    fn a_server_on_the_machine_alone_is_reached_through_doors() {
        let conf = HostConf::new("nameserver 127.0.0.1\nnameserver ::1\nsearch lan\n", "", "", vec![]);
        let told = HostConf::new("nameserver 127.0.0.1 # dnsmasq\n", "", "", vec![]);
        assert_eq!((conf.resolv.as_str(), conf.warning), ("nameserver 127.0.0.1\nsearch lan\n", None));
        let address = "127.0.0.1:53".parse().unwrap();
        let door = |protocol| Door { protocol, address };
        assert_eq!(conf.doors, [door(Protocol::Udp), door(Protocol::Tcp)]);
        assert_eq!(told.doors, conf.doors);
        assert!(HostConf::new("nameserver 192.0.2.1\n", "", "", vec![]).doors.is_empty());
    }

    #[test]
    fn hosts_keeps_only_names_of_elsewhere() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1 me\n::1 me\nff02::1 all\n192.0.2.7 index.lan # ours\n";
        let conf = HostConf::new("", "", hosts, vec![]);
        assert!(conf.hosts.ends_with("192.0.2.7 index.lan\n"), "{}", conf.hosts);
        assert!(!conf.hosts.contains("me") && !conf.hosts.contains("all"));
    }

    #[test]
    fn the_layer_is_keyed_by_content() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), None).unwrap();
        let conf = HostConf::new("nameserver 192.0.2.1", "", "", b"PEM".to_vec());
        let layer = conf.layer(&store).unwrap();
        assert_eq!(conf.layer(&store).unwrap(), layer);
        assert_eq!(fs_err::read(layer.join("etc/ssl/certs/ca-certificates.crt")).unwrap(), b"PEM");
        let other = HostConf { certificates: b"PEM2".to_vec(), ..conf };
        assert_ne!(other.layer(&store).unwrap(), layer);
    }
}
