//! Links: the pair between host and container, the container's address and the routes.
//!
//! The host end has no address, of either family: a route leads to the container's, and what the container takes for
//! its gateway is a name for the other end. Programs of the host hear of each new address, and some act upon it: a
//! browser breaks off what it has open over HTTP/2 (Chromium's `ERR_NETWORK_CHANGED`).

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use super::netlink::{ACK, Batch, CREATE, EXCLUSIVE, Socket, short};
use super::{LOOPBACK_INDEX, address, host_end};
use crate::message::Address;

/// The host ends get these numbers plus their slot: known before they exist, so that one batch makes and configures
/// them, and far from what the kernel counts up to by itself.
const FIRST_INDEX: u32 = 0x0070_0000;

/// The container's end is always the second link of its namespace.
const INSIDE_INDEX: u32 = 2;

/// The address family, as the one byte that heads have for it.
const IPV4: u8 = short(libc::AF_INET).to_le_bytes()[0];

/// From `<linux/veth.h>` and `<linux/if_link.h>`; not in `libc`.
const VETH_INFO_PEER: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;

/// Missing where the kernel is without IPv6.
const IPV6: &str = "/proc/sys/net/ipv6";

/// Makes the pair of a slot: `pl<n>h` here, in this group, up and with a route, and `eth0` in the network namespace of `pid`.
pub(crate) fn make(socket: &Socket, slot: u32, pid: i32, group: u32) -> io::Result<()> {
    match try_make(socket, slot, pid, group) {
        // The slot's last container is dead, but the kernel has not taken its link away yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            remove(socket, &host_end(slot))?;
            try_make(socket, slot, pid, group)
        }
        result => result,
    }
}

fn try_make(socket: &Socket, slot: u32, pid: i32, group: u32) -> io::Result<()> {
    let Address { gateway, inside, .. } = address(slot);
    let index = FIRST_INDEX + slot;
    let mut batch = Batch::default();
    batch.add(libc::RTM_NEWLINK, ACK | CREATE | EXCLUSIVE, &link(index, false), |attributes| {
        attributes.put(libc::IFLA_ADDRESS, &hardware(gateway));
        attributes.text(libc::IFLA_IFNAME, &host_end(slot));
        attributes.number(libc::IFLA_GROUP, group);
        attributes.nest(libc::IFLA_LINKINFO, |attributes| {
            attributes.text(libc::IFLA_INFO_KIND, "veth");
            attributes.nest(libc::IFLA_INFO_DATA, |attributes| {
                attributes.nest_with_head(VETH_INFO_PEER, &link(INSIDE_INDEX, false), |attributes| {
                    attributes.text(libc::IFLA_IFNAME, "eth0");
                    attributes.put(libc::IFLA_ADDRESS, &hardware(inside));
                    attributes.number(libc::IFLA_NET_NS_PID, pid.cast_unsigned());
                });
            });
        });
    });
    if Path::new(IPV6).exists() {
        // Not with the two requests around it: one that makes a link ignores this, and one that brings it up is too late.
        batch.add(libc::RTM_NEWLINK, ACK, &link(index, false), |attributes| {
            attributes.nest(libc::IFLA_AF_SPEC, |attributes| {
                attributes.nest(short(libc::AF_INET6), |attributes| {
                    attributes.put(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE]);
                });
            });
        });
    }
    batch.add(libc::RTM_NEWLINK, ACK, &link(index, true), |_| {});
    batch.add(libc::RTM_NEWROUTE, ACK | CREATE, &route(32, libc::RT_SCOPE_LINK), |attributes| {
        attributes.put(libc::RTA_DST, &inside.octets());
        attributes.number(libc::RTA_OIF, index);
    });
    add_neighbour(&mut batch, index, inside);
    socket.send(&batch)
}

/// The hardware address of the end with this address.
///
/// Given and not drawn: udev gives links that drew theirs another one some time later (`MACAddressPolicy=` of
/// systemd.link(5)), and who has asked for the first one by then does not reach the link any more. Each end knows the
/// other's, so that nobody has to ask. Locally administered (IEEE 802, the second bit of the first byte).
fn hardware(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, b'p', a, b, c, d]
}

/// Configures the namespace the caller is in: loopback, and the container's end where it has one.
pub(crate) fn configure(socket: &Socket, own: Option<Address>) -> io::Result<()> {
    let mut batch = Batch::default();
    batch.add(libc::RTM_NEWLINK, ACK, &link(LOOPBACK_INDEX, true), |_| {});
    if let Some(Address { inside, gateway, prefix }) = own {
        add_address(&mut batch, INSIDE_INDEX, inside, prefix);
        batch.add(libc::RTM_NEWLINK, ACK, &link(INSIDE_INDEX, true), |_| {});
        add_neighbour(&mut batch, INSIDE_INDEX, gateway);
        batch.add(libc::RTM_NEWROUTE, ACK | CREATE, &route(0, libc::RT_SCOPE_UNIVERSE), |attributes| {
            attributes.put(libc::RTA_GATEWAY, &gateway.octets());
            attributes.number(libc::RTA_OIF, INSIDE_INDEX);
        });
    }
    socket.send(&batch)
}

/// Removes a link of the caller's namespace. That it does not exist is fine.
pub(crate) fn remove(socket: &Socket, name: &str) -> io::Result<()> {
    let mut batch = Batch::default();
    batch.add(libc::RTM_DELLINK, ACK, &link(0, false), |attributes| attributes.text(libc::IFLA_IFNAME, name));
    match socket.send(&batch) {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        result => result,
    }
}

fn add_address(batch: &mut Batch, index: u32, address: Ipv4Addr, prefix: u8) {
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    let mut head = vec![IPV4, prefix, 0, 0];
    head.extend(index.to_ne_bytes());
    batch.add(libc::RTM_NEWADDR, ACK | CREATE, &head, |attributes| {
        attributes.put(libc::IFA_LOCAL, &address.octets());
        attributes.put(libc::IFA_ADDRESS, &address.octets());
    });
}

/// Where the other end of the link is, for good: no ARP.
fn add_neighbour(batch: &mut Batch, index: u32, address: Ipv4Addr) {
    // struct ndmsg: family, three bytes of padding, interface, state, flags, type.
    let mut head = vec![IPV4, 0, 0, 0];
    head.extend(index.to_ne_bytes());
    head.extend(libc::NUD_PERMANENT.to_ne_bytes());
    head.extend([0, 0]);
    batch.add(libc::RTM_NEWNEIGH, ACK | CREATE, &head, |attributes| {
        attributes.put(libc::NDA_DST, &address.octets());
        attributes.put(libc::NDA_LLADDR, &hardware(address));
    });
}

/// struct ifinfomsg: family, padding, type, index, flags, mask of flags to change.
fn link(index: u32, up: bool) -> [u8; 16] {
    let up = if up { libc::IFF_UP } else { 0 };
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&up.to_ne_bytes());
    bytes[12..16].copy_from_slice(&up.to_ne_bytes());
    bytes
}

/// struct rtmsg: family, lengths of destination and source, tos, table, protocol, scope, type, flags.
fn route(prefix: u8, scope: u8) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[0] = IPV4;
    bytes[1] = prefix;
    bytes[4] = libc::RT_TABLE_MAIN;
    bytes[5] = libc::RTPROT_STATIC;
    bytes[6] = scope;
    bytes[7] = libc::RTN_UNICAST;
    bytes
}
