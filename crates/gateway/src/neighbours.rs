//! Who may know which endpoints there are: those who may give the server orders, when they ask from this machine for a
//! host that nobody has.
//!
//! That somebody connects from this machine proves nothing: a proxy does so for the whole world, and a page in a browser
//! for whoever wrote it. So the client's socket has to be one of a user who is allowed to know, nothing may say that
//! somebody else asks, and the host has to be a name of this machine, which no page of another origin has, not even one
//! that had its own name changed to a loopback address (DNS rebinding).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::header::{self, HeaderMap, HeaderName};
use pilotlight_core::route::host_key;

use crate::connection::Peer;
use crate::respond::Elsewhere;
use crate::{Door, Shared, tasks};

/// What says that somebody else asks, or a page.
const GO_BETWEENS: [HeaderName; 5] = [
    header::ORIGIN,
    header::VIA,
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
];

/// Where the kernel lists its connections (proc_net(5)).
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// The state of a connection that is open both ways. The lists give others to root when nobody has them any more.
const ESTABLISHED: &str = "01";

/// The endpoints that there are, if the client may know.
pub(crate) async fn known_to(
    shared: &Shared,
    peer: &Peer,
    headers: &HeaderMap,
    host: &str,
) -> Vec<Elsewhere> {
    let Door::Port(port) = peer.door else { return Vec::new() };
    let asks_itself = !GO_BETWEENS.iter().any(|name| headers.contains_key(name));
    if !asks_itself || !peer.address.ip().to_canonical().is_loopback() || !is_of_this_machine(host) {
        return Vec::new();
    }
    // The kernel's list may be long: it is read for one client at a time.
    let Ok(_permit) = shared.looking.try_acquire() else { return Vec::new() };
    let address = peer.address;
    let users = tasks::blocking(move || {
        let tables = TABLES.iter().filter_map(|table| std::fs::read_to_string(table).ok());
        tables.flat_map(|table| users(&table, address, port)).collect::<Vec<_>>()
    });
    let users = users.await.unwrap_or_default();
    let allowed = |user| shared.options.owners.contains(user);
    if users.is_empty() || !users.iter().all(allowed) {
        return Vec::new();
    }
    shared.routes.load().at_ports()
}

fn is_of_this_machine(host: &str) -> bool {
    let key = host_key(host);
    let address = key.strip_prefix('[').and_then(|key| key.strip_suffix(']')).unwrap_or(&key);
    let is_loopback = |address: IpAddr| address.is_loopback();
    key == "localhost" || key.ends_with(".localhost") || address.parse().is_ok_and(is_loopback)
}

/// The users of the sockets by which `client` is connected with `port`, after a list of the kernel's.
fn users(table: &str, client: SocketAddr, port: u16) -> Vec<u32> {
    let user = |line: &str| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let (local, remote, state) = (columns.next()?, columns.next()?, columns.next()?);
        let ours =
            state == ESTABLISHED && socket(local)? == canonical(client) && socket(remote)?.port() == port;
        if ours { columns.nth(3)?.parse().ok() } else { None }
    };
    table.lines().skip(1).filter_map(user).collect()
}

fn canonical(socket: SocketAddr) -> SocketAddr {
    SocketAddr::new(socket.ip().to_canonical(), socket.port())
}

/// An address and a port, each 32 bits of the address as the machine keeps them.
fn socket(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let bits = u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(bits.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::from(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(canonical(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are() {
        for host in ["localhost", "LOCALHOST:8000", "a.b.localhost", "127.0.0.1:1", "127.9.9.9", "[::1]:80"] {
            assert!(is_of_this_machine(host), "{host}");
        }
        for host in
            ["", "example.com", "localhost.example.com", "xlocalhost", "192.0.2.1", "[2001:db8::1]:80"]
        {
            assert!(!is_of_this_machine(host), "{host}");
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_lists_say_whose_a_connection_is() {
        let four = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 1 1 0 100 0 0 10 0
   1: 0100007F:A001 0100007F:1F40 01 00000000:00000000 00:00000000 00000000  1000        0 2 1 0 20 4 30 10 -1
   2: 0100007F:1F40 0100007F:A001 01 00000000:00000000 00:00000000 00000000  1001        0 3 1 0 20 4 30 10 -1
   3: 0100007F:A002 0100007F:1F40 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0
   4: 0100007F:A001 0100007F:0050 01 00000000:00000000 00:00000000 00000000     7        0 2 1 0 20 4 30 10 -1
   5: nonsense
";
        let six = "\
  sl  local_address                         remote_address                        st tx rx uid
   0: 00000000000000000000000001000000:A003 00000000000000000000000001000000:1F40 01 0:0 0:0 0 33 0 2
   1: 0000000000000000FFFF00000100007F:A004 0000000000000000FFFF00000100007F:1F40 01 0:0 0:0 0 34 0 2
";
        let of = |table, client: &str| users(table, client.parse().unwrap(), 8000);
        assert_eq!(of(four, "127.0.0.1:40961"), [1000]);
        assert_eq!(of(four, "[::ffff:127.0.0.1]:40961"), [1000]);
        // Nobody's any more, although the list says root's.
        assert_eq!(of(four, "127.0.0.1:40962"), [0; 0]);
        assert_eq!(of(four, "127.0.0.2:40961"), [0; 0]);
        assert_eq!(of(six, "[::1]:40963"), [33]);
        assert_eq!(of(six, "127.0.0.1:40964"), [34]);
        assert_eq!(of("", "127.0.0.1:1"), [0; 0]);
    }
}
