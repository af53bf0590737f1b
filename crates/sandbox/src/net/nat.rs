//! The packet filter around all containers of a machine: one nf_tables table, written over netlink.
//!
//! In the notation of nft(8):
//!
//! ```text
//! table inet pilotlight-2 {
//!   chain postrouting { type nat hook postrouting priority 100;
//!     meta nfproto ipv4 oifgroup != pl ip saddr 10.213.0.0/16 masquerade }
//!   chain prerouting { type filter hook prerouting priority -300;
//!     iifgroup pl fib saddr . iif oif missing drop }     # under no other container's address
//!   chain forward { type filter hook forward priority 0;
//!     iifgroup pl oifgroup pl drop                       # containers do not reach each other
//!     iifgroup pl ip daddr 10.213.0.0/16 drop            # whoever has such addresses outside is somebody else
//!     iifgroup pl meta nfproto ipv6 drop                 # they have no such address
//!     iifgroup pl ip saddr & 255.255.0.0 != 10.213.0.0 drop
//!     iifgroup pl ip daddr 169.254.0.0/16 udp dport 53 accept
//!     iifgroup pl ip daddr 169.254.0.0/16 tcp dport 53 accept
//!     iifgroup pl ip daddr 169.254.0.0/16 drop }         # a cloud's metadata service gives out the machine's rights
//!   chain input { type filter hook input priority 0;
//!     iifgroup pl ct state established,related accept    # answers to the host
//!     iifgroup pl ip daddr 10.213.255.0/24 tcp dport 10213 accept    # the servers, for their endpoints
//!     iifgroup pl drop                                   # and nothing else of the host
//!     iif != lo ip daddr 10.213.255.0/24 drop }          # which nobody else reaches through this machine
//! }
//! ```
//!
//! Host ends are known by their interface group (`pl` is short for its first two bytes), which a container cannot change
//! and no other interface has by accident. What [`private`] decides stands in tables of its own. <https://wiki.nftables.org/wiki-nftables/index.php/Main_Page>

mod number;
pub(crate) mod obstacle;
mod private;
mod rule;

use std::io;
use std::net::Ipv4Addr;

use fs_err as fs;

use super::netlink::{ACK, Attributes, Batch, CREATE, Socket, short};
use super::private::PrivateNetworks;
use super::{LOOPBACK_INDEX, NETWORK, inside};
use rule::{Match, Rule, Verdict};

/// The number goes up when the rules know containers by something else than before: servers of two versions may run side
/// by side, and none may take away the rules that keep the other's containers apart.
const TABLE: &str = "pilotlight-2";

/// NFPROTO_INET of `<linux/netfilter.h>`: IPv4 and IPv6 in one table.
const INET: u8 = 1;

/// Message types of `<linux/netfilter/nf_tables.h>`, below the subsystem's number; and what encloses a transaction.
const SUBSYSTEM: u16 = short(libc::NFNL_SUBSYS_NFTABLES) << 8;
const NEW_TABLE: u16 = SUBSYSTEM;
const DELETE_TABLE: u16 = SUBSYSTEM | 2;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const BATCH_BEGIN: u16 = short(libc::NFNL_MSG_BATCH_BEGIN);
const BATCH_END: u16 = short(libc::NFNL_MSG_BATCH_END);

/// The length of struct nfgenmsg.
const HEAD_BYTES: usize = 4;

/// NLM_F_APPEND: rules go to the end of their chain.
const APPEND: u16 = short(libc::NLM_F_APPEND);

/// 169.254.0.0/16, of which a router forwards nothing (RFC 3927, 2.7), but where clouds have their metadata service and
/// some of them the machine's name server.
const LINK_LOCAL: &[u8] = &[169, 254];

/// The port of name servers.
const DNS: u16 = 53;

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// A chain of a table.
struct Chain {
    name: &'static str,
    kind: &'static str,
    hook: libc::c_int,
    priority: i32,
    rules: Vec<Rule>,
}

/// Creates the table, or replaces it by an equal one, in one transaction; and lets the machine forward packets.
///
/// `machine`: in a network namespace that is a helper's alone, the addresses that are the machine's outside of it. They
/// are kept out of reach, and nothing that comes in is for anybody in there.
///
/// Connections survive the replacement: their translation is in the connection table, not in the rules.
pub(crate) fn set_up(machine: Option<&[Ipv4Addr]>, private: &PrivateNetworks) -> io::Result<()> {
    let mut batch = begin();
    replace(&mut batch, TABLE, &chains(machine));
    if let Some((name, chain)) = private::table(private, &private::resolvers()) {
        replace(&mut batch, &name, &[chain]);
    }
    finish(&mut batch);
    Socket::netfilter()?.send(&batch)?;
    if fs::read_to_string(IP_FORWARD)?.trim() != "1" {
        fs::write(IP_FORWARD, "1")?;
    }
    Ok(())
}

/// Removes the tables, if there.
pub(crate) fn remove() -> io::Result<()> {
    let mut batch = begin();
    table(&mut batch, NEW_TABLE, TABLE);
    table(&mut batch, DELETE_TABLE, TABLE);
    for name in private::tables()? {
        table(&mut batch, DELETE_TABLE, &name);
    }
    finish(&mut batch);
    Socket::netfilter()?.send(&batch)
}

/// Makes a table anew. Deleting needs it to exist, creating does not mind that it does.
fn replace(batch: &mut Batch, name: &str, chains: &[Chain]) {
    table(batch, NEW_TABLE, name);
    table(batch, DELETE_TABLE, name);
    table(batch, NEW_TABLE, name);
    for chain in chains {
        add_chain(batch, name, chain);
    }
}

/// Whether this kernel has nf_tables: makes a table and deletes it in one transaction.
pub(crate) fn probe() -> io::Result<()> {
    let mut batch = begin();
    table(&mut batch, NEW_TABLE, "pilotlight-probe");
    table(&mut batch, DELETE_TABLE, "pilotlight-probe");
    finish(&mut batch);
    Socket::netfilter()?.send(&batch)
}

fn chains(machine: Option<&[Ipv4Addr]>) -> [Chain; 4] {
    [
        Chain {
            name: "postrouting",
            kind: "nat",
            hook: libc::NF_INET_POST_ROUTING,
            priority: 100,
            rules: vec![Rule {
                matches: vec![Match::Ipv4, Match::ToContainerNot, Match::SourcePrefix(NETWORK)],
                verdict: Verdict::Masquerade,
            }],
        },
        Chain {
            name: "prerouting",
            kind: "filter",
            hook: libc::NF_INET_PRE_ROUTING,
            // As `raw` in nft(8). Not the interface's `rp_filter`: systemd-sysctl sets that again behind us.
            priority: -300,
            rules: vec![Rule {
                matches: vec![Match::FromContainer, Match::SourceElsewhere],
                verdict: Verdict::Drop,
            }],
        },
        Chain {
            name: "forward",
            kind: "filter",
            hook: libc::NF_INET_FORWARD,
            priority: 0,
            rules: forward_rules(machine.unwrap_or_default()),
        },
        Chain {
            name: "input",
            kind: "filter",
            hook: libc::NF_INET_LOCAL_IN,
            priority: 0,
            rules: input_rules(machine.is_some()),
        },
    ]
}

fn input_rules(alone: bool) -> Vec<Rule> {
    let from_container = || Match::FromContainer;
    let to_inside = || Match::DestinationPrefix(&inside::INSIDE);
    let mut rules = vec![
        Rule { matches: vec![from_container(), Match::Established], verdict: Verdict::Accept },
        Rule {
            matches: vec![from_container(), Match::Ipv4, to_inside(), Match::TcpTo(inside::PORT)],
            verdict: Verdict::Accept,
        },
        Rule { matches: vec![from_container()], verdict: Verdict::Drop },
        Rule {
            matches: vec![Match::InInterfaceNot(LOOPBACK_INDEX), Match::Ipv4, to_inside()],
            verdict: Verdict::Drop,
        },
    ];
    if alone {
        // Answers to containers pass through the other chain. What does not, pasta's odd segments without any flag among
        // it, would be answered here by a reset that ends the connection of a container.
        // Errands are not containers, and ask for packages from in here.
        let outer = || Match::InInterfaceNot(LOOPBACK_INDEX);
        rules.push(Rule { matches: vec![outer(), Match::Established], verdict: Verdict::Accept });
        rules.push(Rule { matches: vec![outer()], verdict: Verdict::Drop });
    }
    rules
}

fn forward_rules(machine: &[Ipv4Addr]) -> Vec<Rule> {
    let from_container = || Match::FromContainer;
    let link_local = |more: Option<Match>, verdict| {
        let matches = [from_container(), Match::Ipv4, Match::DestinationPrefix(LINK_LOCAL)];
        Rule { matches: matches.into_iter().chain(more).collect(), verdict }
    };
    let mut rules = vec![
        Rule { matches: vec![from_container(), Match::ToContainer], verdict: Verdict::Drop },
        Rule {
            matches: vec![from_container(), Match::Ipv4, Match::DestinationPrefix(&NETWORK)],
            verdict: Verdict::Drop,
        },
        Rule { matches: vec![from_container(), Match::Ipv6], verdict: Verdict::Drop },
        Rule {
            matches: vec![from_container(), Match::Ipv4, Match::SourcePrefixNot(NETWORK)],
            verdict: Verdict::Drop,
        },
        link_local(Some(Match::UdpTo(DNS)), Verdict::Accept),
        link_local(Some(Match::TcpTo(DNS)), Verdict::Accept),
        link_local(None, Verdict::Drop),
    ];
    rules.extend(machine.iter().map(|address| Rule {
        matches: vec![from_container(), Match::Ipv4, Match::DestinationAddress(address.octets())],
        verdict: Verdict::Drop,
    }));
    rules
}

/// Neither end of a transaction asks for an acknowledgement: kernels before 6.10 give none.
fn begin() -> Batch {
    let mut batch = Batch::default();
    batch.add(BATCH_BEGIN, 0, &head(0, short(libc::NFNL_SUBSYS_NFTABLES)), |_| {});
    batch
}

fn finish(batch: &mut Batch) {
    batch.add(BATCH_END, 0, &head(0, short(libc::NFNL_SUBSYS_NFTABLES)), |_| {});
}

fn table(batch: &mut Batch, kind: u16, name: &str) {
    let create = if kind == NEW_TABLE { CREATE } else { 0 };
    batch.add(kind, ACK | create, &head(INET, 0), |attributes| {
        attributes.text(number::NFTA_TABLE_NAME, name);
    });
}

fn add_chain(batch: &mut Batch, table: &str, chain: &Chain) {
    batch.add(NEW_CHAIN, ACK | CREATE, &head(INET, 0), |attributes| {
        attributes.text(number::NFTA_CHAIN_TABLE, table);
        attributes.text(number::NFTA_CHAIN_NAME, chain.name);
        attributes.nest(number::NFTA_CHAIN_HOOK, |attributes| {
            attributes.network_number(number::NFTA_HOOK_HOOKNUM, chain.hook.cast_unsigned());
            attributes.network_number(number::NFTA_HOOK_PRIORITY, chain.priority.cast_unsigned());
        });
        attributes.text(number::NFTA_CHAIN_TYPE, chain.kind);
    });
    for rule in &chain.rules {
        batch.add(NEW_RULE, ACK | CREATE | APPEND, &head(INET, 0), |attributes: &mut Attributes<'_>| {
            attributes.text(number::NFTA_RULE_TABLE, table);
            attributes.text(number::NFTA_RULE_CHAIN, chain.name);
            attributes.nest(number::NFTA_RULE_EXPRESSIONS, |list| rule.write(list));
        });
    }
}

/// struct nfgenmsg: family, version 0, resource id in network byte order.
fn head(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}
