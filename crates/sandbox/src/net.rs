//! The network of a container: a pair of links, an address from its slot, and NAT to the outside. No command is run;
//! all of it is netlink.

pub(crate) mod hold;
pub(crate) mod inside;
pub(crate) mod link;
pub(crate) mod nat;
pub(crate) mod netlink;
mod networkd;
pub(crate) mod private;

use std::net::Ipv4Addr;

use crate::message::Address;

/// The network that all containers of a machine share: 10.213.0.0/16.
pub(crate) const NETWORK: [u8; 2] = [10, 213];

/// The group numbers of our host ends, by which the packet filter knows them, begin with these two bytes ("pl"). The
/// other two say which private networks are reached: [`private::PrivateNetworks::group`].
pub(crate) const GROUP: u32 = 0x706c_0000;
const GROUP_MASK: u32 = 0xffff_0000;

/// The loopback interface is the first of every namespace.
const LOOPBACK_INDEX: u32 = 1;

/// The addresses of a slot: four each, of which the second is the container's and the first stands for the host's end,
/// which has none itself.
pub(crate) fn address(slot: u32) -> Address {
    let base = u32::from(Ipv4Addr::new(NETWORK[0], NETWORK[1], 0, 0)) + slot * 4;
    Address { gateway: Ipv4Addr::from(base + 1), inside: Ipv4Addr::from(base + 2), prefix: 30 }
}

/// The name of a slot's host end.
pub(crate) fn host_end(slot: u32) -> String {
    format!("pl{slot}h")
}

/// The slot a link name belongs to, if it is one of ours.
pub(crate) fn slot_of(name: &str) -> Option<u32> {
    name.strip_prefix("pl")?.strip_suffix('h')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs something on a thread of its own, in a new network namespace.
    pub(super) fn in_a_network_of_its_own<T: Send>(run: impl FnOnce() -> T + Send) -> T {
        let there = || {
            #[expect(deprecated, reason = "it is unsafe only with the flag for descriptors")]
            rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET).unwrap();
            run()
        };
        std::thread::scope(|scope| scope.spawn(there).join().unwrap())
    }

    #[test]
    fn slots_have_addresses_of_their_own_inside_the_network() {
        assert_eq!(address(0).inside, Ipv4Addr::new(10, 213, 0, 2));
        let last = address(crate::slots::COUNT - 1);
        assert_eq!(last.gateway, Ipv4Addr::new(10, 213, 63, 253));
    }

    #[test]
    fn link_names_lead_back_to_their_slot() {
        assert_eq!(slot_of(&host_end(4095)), Some(4095));
        assert_eq!(slot_of("plan0"), None);
        assert!(host_end(4095).len() < 16);
    }
}
