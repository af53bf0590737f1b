//! The table of a server that denies private networks to its containers. It stands for the setting, not for the server:
//! servers of one setting share it, and those of others are not concerned, since it knows its links by another group.
//!
//! ```text
//! table inet pilotlight-2-<setting> {
//!   chain forward { type filter hook forward priority 0;
//!     iifgroup <setting> ip daddr <resolver> udp dport 53 accept      # and tcp: of the machine's resolv.conf
//!     iifgroup <setting> ip daddr <exception> accept
//!     iifgroup <setting> ip daddr 10.0.0.0/8 drop }                   # and the other ranges
//! }
//! ```

use std::io;
use std::net::Ipv4Addr;

use fs_err as fs;

use super::rule::{Match, Rule, Verdict};
use super::{Chain, DNS, HEAD_BYTES, SUBSYSTEM, TABLE, head, number};
use crate::net::netlink::{Batch, DUMP, Socket, attributes, messages};
use crate::net::private::{PrivateNetworks, RANGES};

/// NFT_MSG_GETTABLE.
const GET_TABLE: u16 = SUBSYSTEM | 1;

/// Where the machine's name servers stand: its own file, and what systemd-resolved asks in its turn.
const RESOLVERS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// The table's name and chain, if the setting needs one.
pub(super) fn table(setting: &PrivateNetworks, resolvers: &[Ipv4Addr]) -> Option<(String, Chain)> {
    let PrivateNetworks::Deny(except) = setting else { return None };
    let rule = |more: Vec<Match>, verdict| {
        let matches = [Match::InGroup(setting.group()), Match::Ipv4].into_iter().chain(more).collect();
        Rule { matches, verdict }
    };
    let within = |(address, mask)| Match::DestinationIn { address, mask };
    let names = resolvers.iter().flat_map(|resolver| {
        let to = || Match::DestinationAddress(resolver.octets());
        [vec![to(), Match::UdpTo(DNS)], vec![to(), Match::TcpTo(DNS)]]
    });
    let except = except.iter().map(|prefix| vec![within(prefix.parts())]);
    let allowed = names.chain(except).map(|more| rule(more, Verdict::Accept));
    let denied = RANGES.into_iter().map(|prefix| rule(vec![within(prefix.parts())], Verdict::Drop));
    let chain = Chain {
        name: "forward",
        kind: "filter",
        hook: libc::NF_INET_FORWARD,
        priority: 0,
        rules: allowed.chain(denied).collect(),
    };
    Some((format!("{TABLE}-{:08x}", setting.hash()), chain))
}

/// The machine's name servers.
pub(super) fn resolvers() -> Vec<Ipv4Addr> {
    let texts = RESOLVERS.iter().filter_map(|path| fs::read_to_string(path).ok());
    texts.flat_map(|text| named(&text)).collect()
}

fn named(text: &str) -> Vec<Ipv4Addr> {
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.filter_map(|rest| rest.trim().parse().ok()).collect()
}

/// The names of such tables that are there.
pub(super) fn tables() -> io::Result<Vec<String>> {
    let mut batch = Batch::default();
    batch.add(GET_TABLE, DUMP, &head(super::INET, 0), |_| {});
    let answer = Socket::netfilter()?.dump(&batch)?;
    let names = messages(&answer).into_iter().filter_map(|(_, body)| {
        let attributes = attributes(body.get(HEAD_BYTES..)?);
        let name = attributes.iter().find(|(kind, _)| *kind == number::NFTA_TABLE_NAME)?.1;
        let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
        let rest = name.strip_prefix(TABLE)?.strip_prefix('-')?;
        let ours = rest.len() == 8 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
        ours.then_some(name)
    });
    Ok(names.collect())
}

#[cfg(test)]
mod tests {
    use super::super::{remove, set_up};
    use super::*;
    use crate::net::tests::in_a_network_of_its_own;

    #[test]
    fn name_servers_are_read_without_those_that_are_not_ipv4() {
        let text =
            "# nameserver 9.9.9.9\nnameserver 10.0.0.53\n nameserver\t192.168.1.1 \nnameserver fd00::1\n";
        assert_eq!(named(text), [Ipv4Addr::new(10, 0, 0, 53), Ipv4Addr::new(192, 168, 1, 1)]);
    }

    #[test]
    fn each_setting_has_its_table_and_all_go_together() {
        let (both, none) = in_a_network_of_its_own(|| {
            for text in ["allow", "deny", "deny", "10.1.2.0/24,10.9.0.1"] {
                set_up(None, &text.parse().unwrap()).unwrap();
            }
            let both = tables().unwrap();
            remove().unwrap();
            (both, tables().unwrap())
        });
        assert_eq!(both.len(), 2, "{both:?}");
        assert_eq!(none, Vec::<String>::new());
    }
}
