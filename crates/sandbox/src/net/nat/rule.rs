//! Rules as lists of matches, and their form as nf_tables expressions: load into a register, compare, verdict.

use super::number;
use crate::net::netlink::Attributes;
use crate::net::{GROUP, GROUP_MASK};

/// A rule: when all matches hold, the verdict.
pub(super) struct Rule {
    pub(super) matches: Vec<Match>,
    pub(super) verdict: Verdict,
}

/// A condition on a packet.
pub(super) enum Match {
    Ipv4,
    Ipv6,
    /// It came in by a container's link.
    FromContainer,
    /// It came in by an interface of this group.
    InGroup(u32),
    /// It came in by another interface than this one.
    InInterfaceNot(u32),
    /// It goes out by a container's link.
    ToContainer,
    ToContainerNot,
    /// The first two bytes of its IPv4 source address; after `Ipv4` only.
    SourcePrefix([u8; 2]),
    SourcePrefixNot([u8; 2]),
    /// The way back to its source does not lead out by the interface it came in by (RFC 3704, strict reverse path).
    SourceElsewhere,
    /// The first bytes of its IPv4 destination address; after `Ipv4` only.
    DestinationPrefix(&'static [u8]),
    /// Its IPv4 destination address; after `Ipv4` only.
    DestinationAddress([u8; 4]),
    /// The bits of its IPv4 destination address that the mask has; after `Ipv4` only.
    DestinationIn {
        address: [u8; 4],
        mask: [u8; 4],
    },
    /// It goes to this port of UDP, of TCP.
    UdpTo(u16),
    TcpTo(u16),
    /// It belongs to a connection that was let through before, or is an error about one.
    Established,
}

/// What becomes of a packet.
#[derive(Clone, Copy)]
pub(super) enum Verdict {
    Accept,
    Drop,
    Masquerade,
}

/// The register all expressions here use; the verdict's register is 0.
const REGISTER: u32 = libc::NFT_REG_1 as u32;
const VERDICT_REGISTER: u32 = libc::NFT_REG_VERDICT as u32;

/// Where an IPv4 header has the addresses.
const IPV4_SOURCE_AT: u32 = 12;
const IPV4_DESTINATION_AT: u32 = 16;

/// Where the headers of both UDP and TCP have the destination's port.
const PORT_AT: u32 = 2;

/// NF_CT_STATE_BIT of `<linux/netfilter/nf_conntrack_common.h>`: established is bit 1, related bit 2.
const ESTABLISHED_OR_RELATED: u32 = 1 << 1 | 1 << 2;

const EQUAL: u32 = libc::NFT_CMP_EQ as u32;
const NOT_EQUAL: u32 = libc::NFT_CMP_NEQ as u32;

impl Rule {
    /// Writes the rule's list of expressions.
    pub(super) fn write(&self, list: &mut Attributes<'_>) {
        for condition in &self.matches {
            condition.write(list);
        }
        match self.verdict {
            Verdict::Accept => immediate(list, libc::NF_ACCEPT),
            Verdict::Drop => immediate(list, libc::NF_DROP),
            Verdict::Masquerade => expression(list, "masq", |_| {}),
        }
    }
}

impl Match {
    fn write(&self, list: &mut Attributes<'_>) {
        // Groups and indexes of interfaces are in the machine's byte order.
        let group = |list: &mut Attributes<'_>, key: libc::c_int, how, group: u32| {
            meta(list, key);
            compare(list, how, &group.to_ne_bytes());
        };
        match *self {
            Match::Ipv4 => self::protocol(list, libc::NFPROTO_IPV4),
            Match::Ipv6 => self::protocol(list, libc::NFPROTO_IPV6),
            Match::FromContainer => containers(list, libc::NFT_META_IIFGROUP, EQUAL),
            Match::InGroup(number) => group(list, libc::NFT_META_IIFGROUP, EQUAL, number),
            Match::InInterfaceNot(index) => group(list, libc::NFT_META_IIF, NOT_EQUAL, index),
            Match::ToContainer => containers(list, libc::NFT_META_OIFGROUP, EQUAL),
            Match::ToContainerNot => containers(list, libc::NFT_META_OIFGROUP, NOT_EQUAL),
            Match::SourcePrefix(prefix) => prefix_at(list, IPV4_SOURCE_AT, EQUAL, &prefix),
            Match::SourcePrefixNot(prefix) => prefix_at(list, IPV4_SOURCE_AT, NOT_EQUAL, &prefix),
            Match::SourceElsewhere => way_back_is_missing(list),
            Match::DestinationAddress(address) => prefix_at(list, IPV4_DESTINATION_AT, EQUAL, &address),
            Match::DestinationIn { address, mask } => {
                payload(list, libc::NFT_PAYLOAD_NETWORK_HEADER, IPV4_DESTINATION_AT, 4);
                bits(list, mask);
                compare(list, EQUAL, &address);
            }
            Match::DestinationPrefix(prefix) => prefix_at(list, IPV4_DESTINATION_AT, EQUAL, prefix),
            Match::UdpTo(port) => port_of(list, libc::IPPROTO_UDP, port),
            Match::TcpTo(port) => port_of(list, libc::IPPROTO_TCP, port),
            Match::Established => established(list),
        }
    }
}

fn protocol(list: &mut Attributes<'_>, protocol: libc::c_int) {
    meta(list, libc::NFT_META_NFPROTO);
    compare(list, EQUAL, &[u8::try_from(protocol).unwrap_or(0)]);
}

fn prefix_at(list: &mut Attributes<'_>, offset: u32, how: u32, prefix: &[u8]) {
    let length = u32::try_from(prefix.len()).unwrap_or(u32::MAX);
    payload(list, libc::NFT_PAYLOAD_NETWORK_HEADER, offset, length);
    compare(list, how, prefix);
}

fn port_of(list: &mut Attributes<'_>, protocol: libc::c_int, port: u16) {
    meta(list, libc::NFT_META_L4PROTO);
    compare(list, EQUAL, &[u8::try_from(protocol).unwrap_or(0)]);
    payload(list, libc::NFT_PAYLOAD_TRANSPORT_HEADER, PORT_AT, 2);
    compare(list, EQUAL, &port.to_be_bytes());
}

fn payload(list: &mut Attributes<'_>, base: libc::c_int, offset: u32, length: u32) {
    expression(list, "payload", |data| {
        data.network_number(number::NFTA_PAYLOAD_DREG, REGISTER);
        data.network_number(number::NFTA_PAYLOAD_BASE, base.cast_unsigned());
        data.network_number(number::NFTA_PAYLOAD_OFFSET, offset);
        data.network_number(number::NFTA_PAYLOAD_LEN, length);
    });
}

fn established(list: &mut Attributes<'_>) {
    expression(list, "ct", |data| {
        data.network_number(number::NFTA_CT_DREG, REGISTER);
        data.network_number(number::NFTA_CT_KEY, libc::NFT_CT_STATE.cast_unsigned());
    });
    bits(list, ESTABLISHED_OR_RELATED.to_ne_bytes());
    compare(list, NOT_EQUAL, &[0; 4]);
}

/// Whether the group of an interface is one of ours.
fn containers(list: &mut Attributes<'_>, key: libc::c_int, how: u32) {
    meta(list, key);
    bits(list, GROUP_MASK.to_ne_bytes());
    compare(list, how, &GROUP.to_ne_bytes());
}

/// Leaves only these bits of four bytes.
fn bits(list: &mut Attributes<'_>, mask: [u8; 4]) {
    expression(list, "bitwise", |data| {
        data.network_number(number::NFTA_BITWISE_SREG, REGISTER);
        data.network_number(number::NFTA_BITWISE_DREG, REGISTER);
        data.network_number(number::NFTA_BITWISE_LEN, 4);
        data.nest(number::NFTA_BITWISE_MASK, |value| value.put(number::NFTA_DATA_VALUE, &mask));
        data.nest(number::NFTA_BITWISE_XOR, |value| value.put(number::NFTA_DATA_VALUE, &[0; 4]));
    });
}

fn way_back_is_missing(list: &mut Attributes<'_>) {
    expression(list, "fib", |data| {
        data.network_number(number::NFTA_FIB_DREG, REGISTER);
        data.network_number(number::NFTA_FIB_RESULT, number::NFT_FIB_RESULT_OIF);
        data.network_number(number::NFTA_FIB_FLAGS, number::NFTA_FIB_F_SADDR | number::NFTA_FIB_F_IIF);
    });
    // No interface has the number 0.
    compare(list, EQUAL, &0_u32.to_ne_bytes());
}

fn meta(list: &mut Attributes<'_>, key: libc::c_int) {
    expression(list, "meta", |data| {
        data.network_number(number::NFTA_META_DREG, REGISTER);
        data.network_number(number::NFTA_META_KEY, key.cast_unsigned());
    });
}

fn compare(list: &mut Attributes<'_>, how: u32, with: &[u8]) {
    expression(list, "cmp", |data| {
        data.network_number(number::NFTA_CMP_SREG, REGISTER);
        data.network_number(number::NFTA_CMP_OP, how);
        data.nest(number::NFTA_CMP_DATA, |value| value.put(number::NFTA_DATA_VALUE, with));
    });
}

fn immediate(list: &mut Attributes<'_>, verdict: libc::c_int) {
    expression(list, "immediate", |data| {
        data.network_number(number::NFTA_IMMEDIATE_DREG, VERDICT_REGISTER);
        data.nest(number::NFTA_IMMEDIATE_DATA, |value| {
            value.nest(number::NFTA_DATA_VERDICT, |value| {
                value.network_number(number::NFTA_VERDICT_CODE, verdict.cast_unsigned());
            });
        });
    });
}

fn expression(list: &mut Attributes<'_>, name: &str, data: impl FnOnce(&mut Attributes<'_>)) {
    list.nest(number::NFTA_LIST_ELEM, |element| {
        element.text(number::NFTA_EXPR_NAME, name);
        element.nest(number::NFTA_EXPR_DATA, data);
    });
}
