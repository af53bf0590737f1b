//! Whether somebody else's packet filter drops what containers send: an accept in our table does not overrule a drop in
//! another. A policy of drop on the forward hook is what Docker and ufw set, one on the input hook what ufw sets.

use std::fs;
use std::process::Command;

use super::{HEAD_BYTES, SUBSYSTEM, head, number};
use crate::doctor::program;
use crate::net::netlink::{Batch, DUMP, Socket, attributes, messages};

/// NFT_MSG_GETCHAIN.
const GET_CHAIN: u16 = SUBSYSTEM | 4;

/// A place where a machine may drop what containers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hook {
    /// To what is outside.
    Forward,
    /// To the machine itself, where a server answers containers for their own app's endpoints.
    Input,
}

impl Hook {
    fn of(number: &[u8]) -> Option<Self> {
        let is = |hook: libc::c_int| number == hook.to_be_bytes();
        if is(libc::NF_INET_FORWARD) {
            Some(Self::Forward)
        } else {
            is(libc::NF_INET_LOCAL_IN).then_some(Self::Input)
        }
    }

    /// What to tell the user of `chain`, which is of the filter that `iptables` changes.
    fn told(self, chain: &str, iptables: &str) -> String {
        match self {
            Self::Forward => format!(
                "the packet filter of this machine ({chain}) drops forwarded packets by default, as Docker and ufw set \
                 it: containers reach nothing outside unless `{iptables} -I FORWARD -i pl+ -j ACCEPT` and \
                 `{iptables} -I FORWARD -o pl+ -j ACCEPT` were run"
            ),
            Self::Input => format!(
                "the packet filter of this machine ({chain}) drops packets to the machine by default, as ufw sets it: \
                 containers do not reach the endpoints of their own app unless \
                 `{iptables} -I INPUT -i pl+ -d 10.213.255.0/24 -p tcp --dport 10213 -j ACCEPT` was run"
            ),
        }
    }
}

/// What to tell the user, if there are such chains. Where the filter cannot be read there is nothing to tell.
pub(crate) fn obstacle() -> Option<String> {
    let mut batch = Batch::default();
    batch.add(GET_CHAIN, DUMP, &head(0, 0), |_| {});
    let answer = Socket::netfilter().and_then(|socket| socket.dump(&batch)).unwrap_or_default();
    let tables = messages(&answer).into_iter().filter_map(|(_, body)| dropping(body));
    let mut found: Vec<_> = tables.map(|(hook, chain)| (hook, chain, "iptables")).collect();
    found.extend(legacy().into_iter().map(|(hook, chain)| (hook, chain, "iptables-legacy")));
    // One of a kind is enough to tell.
    let told = [Hook::Forward, Hook::Input].into_iter().filter_map(|hook| {
        let (_, chain, iptables) = found.iter().find(|(of, ..)| *of == hook)?;
        Some(hook.told(chain, iptables))
    });
    let told: Vec<_> = told.collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// Where a chain stands and its name, "filter FORWARD", if it drops IPv4 packets by policy.
fn dropping(body: &[u8]) -> Option<(Hook, String)> {
    let family = i32::from(*body.first()?);
    let attributes_of_chain = attributes(body.get(HEAD_BYTES..)?);
    let find =
        |kind: u16| attributes_of_chain.iter().find(|(found, _)| *found == kind).map(|(_, value)| *value);
    let hook = attributes(find(number::NFTA_CHAIN_HOOK)?);
    let hook = Hook::of(hook.iter().find(|(kind, _)| *kind == number::NFTA_HOOK_HOOKNUM)?.1)?;
    let drops = find(number::NFTA_CHAIN_POLICY)? == libc::NF_DROP.to_be_bytes();
    ([libc::NFPROTO_IPV4, libc::NFPROTO_INET].contains(&family) && drops).then(|| {
        let text = |kind| String::from_utf8_lossy(find(kind).unwrap_or_default()).replace('\0', "");
        (hook, format!("{} {}", text(number::NFTA_CHAIN_TABLE), text(number::NFTA_CHAIN_NAME)))
    })
}

/// The same of the packet filter before nf_tables, which has tables of its own. They exist once somebody has used them:
/// asking for one that does not would make it.
fn legacy() -> Vec<(Hook, String)> {
    let used = fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
    if !used.lines().any(|table| table == "filter") {
        return Vec::new();
    }
    let saved = program("iptables-legacy-save")
        .and_then(|save| Command::new(save).args(["-t", "filter"]).output().ok());
    saved.map_or_else(Vec::new, |saved| policies(&String::from_utf8_lossy(&saved.stdout)))
}

/// The chains of `iptables-legacy-save` that drop: `:FORWARD DROP [0:0]`.
fn policies(saved: &str) -> Vec<(Hook, String)> {
    let drops = saved.lines().filter_map(|line| line.strip_prefix(':')?.split_once(" DROP "));
    let hooks = drops.filter_map(|(chain, _)| match chain {
        "FORWARD" => Some((Hook::Forward, format!("legacy filter {chain}"))),
        "INPUT" => Some((Hook::Input, format!("legacy filter {chain}"))),
        _ => None,
    });
    hooks.collect()
}

#[cfg(test)]
mod tests {
    use super::super::{ACK, CREATE, INET, NEW_CHAIN, NEW_TABLE, begin, finish, table};
    use super::*;
    use crate::net::tests::in_a_network_of_its_own;

    /// A chain as the kernel describes it.
    fn chain(family: u8, hook: libc::c_int, policy: libc::c_int) -> Vec<u8> {
        let mut batch = Batch::default();
        batch.add(GET_CHAIN, 0, &head(family, 0), |attributes| {
            attributes.text(number::NFTA_CHAIN_TABLE, "filter");
            attributes.text(number::NFTA_CHAIN_NAME, "FORWARD");
            attributes.nest(number::NFTA_CHAIN_HOOK, |attributes| {
                attributes.network_number(number::NFTA_HOOK_HOOKNUM, hook.cast_unsigned());
            });
            attributes.network_number(number::NFTA_CHAIN_POLICY, policy.cast_unsigned());
        });
        batch.bytes().to_vec()
    }

    #[test]
    fn only_a_drop_of_ipv4_on_the_two_hooks_is_in_the_way() {
        let verdict = |family, hook, policy| {
            let bytes = chain(family, hook, policy);
            messages(&bytes).into_iter().find_map(|(_, body)| dropping(body))
        };
        let (forward, input) = (libc::NF_INET_FORWARD, libc::NF_INET_LOCAL_IN);
        let named = |hook| Some((hook, "filter FORWARD".to_owned()));
        assert_eq!(verdict(2, forward, libc::NF_DROP), named(Hook::Forward));
        assert_eq!(verdict(INET, input, libc::NF_DROP), named(Hook::Input));
        assert_eq!(verdict(2, forward, libc::NF_ACCEPT), None);
        assert_eq!(verdict(2, libc::NF_INET_LOCAL_OUT, libc::NF_DROP), None);
        // Containers have no IPv6.
        assert_eq!(verdict(10, forward, libc::NF_DROP), None);
    }

    #[test]
    fn the_kernel_is_asked_and_answers() {
        for (hook, says) in
            [(libc::NF_INET_FORWARD, "reach nothing outside"), (libc::NF_INET_LOCAL_IN, "10213")]
        {
            let (before, after) = in_a_network_of_its_own(|| {
                let before = obstacle();
                let mut batch = begin();
                table(&mut batch, NEW_TABLE, "filter");
                batch.add(NEW_CHAIN, ACK | CREATE, &head(INET, 0), |attributes| {
                    attributes.text(number::NFTA_CHAIN_TABLE, "filter");
                    attributes.text(number::NFTA_CHAIN_NAME, "mine");
                    attributes.text(number::NFTA_CHAIN_TYPE, "filter");
                    attributes.nest(number::NFTA_CHAIN_HOOK, |attributes| {
                        attributes.network_number(number::NFTA_HOOK_HOOKNUM, hook.cast_unsigned());
                        attributes.network_number(number::NFTA_HOOK_PRIORITY, 0);
                    });
                    attributes.network_number(number::NFTA_CHAIN_POLICY, libc::NF_DROP.cast_unsigned());
                });
                finish(&mut batch);
                Socket::netfilter().unwrap().send(&batch).unwrap();
                (before, obstacle())
            });
            assert_eq!(before, None);
            assert!(after.as_ref().is_some_and(|text| text.contains("(filter mine)")), "{after:?}");
            assert!(after.as_ref().is_some_and(|text| text.contains(says)), "{after:?}");
        }
    }

    #[test]
    fn the_filter_before_nf_tables_is_asked_too() {
        let told = in_a_network_of_its_own(|| {
            let set = |chain| Command::new("iptables-legacy").args(["-P", chain, "DROP"]).status().unwrap();
            assert!(set("FORWARD").success() && set("INPUT").success());
            obstacle().unwrap()
        });
        assert!(told.contains("(legacy filter FORWARD)") && told.contains("(legacy filter INPUT)"), "{told}");
        assert!(told.contains("`iptables-legacy -I FORWARD"), "{told}");
    }
}
