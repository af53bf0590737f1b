//! Whether somebody else's packet filter drops what containers send: an accept in our table does not overrule a drop in
//! another, and a policy of drop on the forward hook is what Docker and ufw set.

use super::{HEAD_BYTES, SUBSYSTEM, head, number};
use crate::net::netlink::{Batch, DUMP, Socket, attributes, messages};

/// NFT_MSG_GETCHAIN.
const GET_CHAIN: u16 = SUBSYSTEM | 4;

/// What to tell the user, if there is such a chain. Where the filter cannot be read there is nothing to tell.
pub(crate) fn obstacle() -> Option<String> {
    let mut batch = Batch::default();
    batch.add(GET_CHAIN, DUMP, &head(0, 0), |_| {});
    let answer = Socket::netfilter().and_then(|socket| socket.dump(&batch)).ok()?;
    let chain = messages(&answer).into_iter().find_map(|(_, body)| dropping(body))?;
    Some(format!(
        "the packet filter of this machine ({chain}) drops forwarded packets by default, as Docker and ufw set it: \
         containers reach nothing outside unless `iptables -I FORWARD -i pl+ -j ACCEPT` and \
         `iptables -I FORWARD -o pl+ -j ACCEPT` were run"
    ))
}

/// The name of a chain, "filter FORWARD", if it is on the forward hook and drops by policy.
fn dropping(body: &[u8]) -> Option<String> {
    let attributes_of_chain = attributes(body.get(HEAD_BYTES..)?);
    let find =
        |kind: u16| attributes_of_chain.iter().find(|(found, _)| *found == kind).map(|(_, value)| *value);
    let hook = attributes(find(number::NFTA_CHAIN_HOOK)?);
    let hook = hook.iter().find(|(kind, _)| *kind == number::NFTA_HOOK_HOOKNUM)?.1;
    let policy = find(number::NFTA_CHAIN_POLICY)?;
    let forward = hook == libc::NF_INET_FORWARD.to_be_bytes();
    let drops = policy == libc::NF_DROP.to_be_bytes();
    (forward && drops).then(|| {
        let text = |kind| String::from_utf8_lossy(find(kind).unwrap_or_default()).replace('\0', "");
        format!("{} {}", text(number::NFTA_CHAIN_TABLE), text(number::NFTA_CHAIN_NAME))
    })
}

#[cfg(test)]
mod tests {
    use super::super::{ACK, CREATE, INET, NEW_CHAIN, NEW_TABLE, begin, finish, table};
    use super::*;
    use crate::net::tests::in_a_network_of_its_own;

    /// A chain as the kernel describes it.
    fn chain(hook: libc::c_int, policy: libc::c_int) -> Vec<u8> {
        let mut batch = Batch::default();
        batch.add(GET_CHAIN, 0, &head(2, 0), |attributes| {
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
    fn only_a_drop_on_the_forward_hook_is_in_the_way() {
        let verdict = |hook, policy| {
            let bytes = chain(hook, policy);
            messages(&bytes).into_iter().find_map(|(_, body)| dropping(body))
        };
        let forward = libc::NF_INET_FORWARD;
        assert_eq!(verdict(forward, libc::NF_DROP).as_deref(), Some("filter FORWARD"));
        assert_eq!(verdict(forward, libc::NF_ACCEPT), None);
        assert_eq!(verdict(libc::NF_INET_LOCAL_IN, libc::NF_DROP), None);
    }

    #[test]
    fn the_kernel_is_asked_and_answers() {
        let (before, after) = in_a_network_of_its_own(|| {
            let before = obstacle();
            let mut batch = begin();
            table(&mut batch, NEW_TABLE, "filter");
            batch.add(NEW_CHAIN, ACK | CREATE, &head(INET, 0), |attributes| {
                attributes.text(number::NFTA_CHAIN_TABLE, "filter");
                attributes.text(number::NFTA_CHAIN_NAME, "FORWARD");
                attributes.text(number::NFTA_CHAIN_TYPE, "filter");
                attributes.nest(number::NFTA_CHAIN_HOOK, |attributes| {
                    attributes
                        .network_number(number::NFTA_HOOK_HOOKNUM, libc::NF_INET_FORWARD.cast_unsigned());
                    attributes.network_number(number::NFTA_HOOK_PRIORITY, 0);
                });
                attributes.network_number(number::NFTA_CHAIN_POLICY, libc::NF_DROP.cast_unsigned());
            });
            finish(&mut batch);
            Socket::netfilter().unwrap().send(&batch).unwrap();
            (before, obstacle())
        });
        assert_eq!(before, None);
        assert!(after.as_ref().is_some_and(|text| text.contains("(filter FORWARD)")), "{after:?}");
    }
}
