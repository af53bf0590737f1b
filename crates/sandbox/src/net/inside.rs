//! Addresses at which containers reach a server, and nothing else of the host: 10.213.255.0/24, of which each server of
//! the machine takes one. The whole network is local by one route (ip-route(8), type `local`): no address is added to
//! any interface, and whoever may bind needs no right. The packet filter lets containers through to one port there.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::netlink::{ACK, Batch, CREATE, Socket, short};
use super::{LOOPBACK_INDEX, NETWORK};

/// The first three bytes of the addresses. Slots end far below, at 10.213.63.255.
pub(super) const INSIDE: [u8; 3] = [NETWORK[0], NETWORK[1], 255];

/// The one port that containers reach there.
pub(super) const PORT: u16 = 10_213;

/// RTM_NEWROUTE and RTM_DELROUTE take the prefix length as a part of their head.
const PREFIX: u8 = 24;

/// Where a server may listen for its containers: the first of these that is free is its own. None of them can be bound
/// before a [`Helper`](crate::Helper) runs, or where the machine did not allow the route.
pub fn inside_addresses() -> impl Iterator<Item = SocketAddrV4> {
    let [a, b, c] = INSIDE;
    (1..=254).map(move |last| SocketAddrV4::new(Ipv4Addr::new(a, b, c, last), PORT))
}

/// Makes the addresses this machine's own. That they are already is fine.
pub(crate) fn set_up(socket: &Socket) -> io::Result<()> {
    change(socket, libc::RTM_NEWROUTE, CREATE, libc::EEXIST)
}

/// Takes them away again. That they are not there is fine.
pub(crate) fn remove(socket: &Socket) -> io::Result<()> {
    change(socket, libc::RTM_DELROUTE, 0, libc::ESRCH)
}

fn change(socket: &Socket, kind: u16, flags: u16, done_before: i32) -> io::Result<()> {
    let mut batch = Batch::default();
    batch.add(kind, ACK | flags, &local_route(), |attributes| {
        let [a, b, c] = INSIDE;
        attributes.put(libc::RTA_DST, &[a, b, c, 0]);
        attributes.number(libc::RTA_OIF, LOOPBACK_INDEX);
    });
    match socket.send(&batch) {
        Err(error) if error.raw_os_error() == Some(done_before) => Ok(()),
        result => result,
    }
}

/// struct rtmsg: family, lengths of destination and source, tos, table, protocol, scope, type, flags.
fn local_route() -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[0] = short(libc::AF_INET).to_le_bytes()[0];
    bytes[1] = PREFIX;
    bytes[4] = libc::RT_TABLE_LOCAL;
    bytes[5] = libc::RTPROT_STATIC;
    bytes[6] = libc::RT_SCOPE_HOST;
    bytes[7] = libc::RTN_LOCAL;
    bytes
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::link;
    use super::super::tests::in_a_network_of_its_own;
    use super::*;

    #[test]
    fn the_addresses_are_there_from_set_up_to_removal() {
        let (before, during, after) = in_a_network_of_its_own(|| {
            let socket = Socket::route().unwrap();
            link::configure(&socket, None).unwrap();
            let bind = || TcpListener::bind(inside_addresses().next().unwrap()).map(drop);
            let before = bind();
            for _ in 0..2 {
                set_up(&socket).unwrap();
            }
            let during = bind();
            for _ in 0..2 {
                remove(&socket).unwrap();
            }
            (before, during, bind())
        });
        let missing = |result: io::Result<()>| result.unwrap_err().kind() == io::ErrorKind::AddrNotAvailable;
        assert!(missing(before) && during.is_ok() && missing(after));
    }

    #[test]
    fn no_slot_has_such_an_address() {
        let last = super::super::address(crate::slots::COUNT - 1);
        assert!(inside_addresses().all(|address| *address.ip() > last.inside));
        assert_eq!(inside_addresses().count(), 254);
    }
}
