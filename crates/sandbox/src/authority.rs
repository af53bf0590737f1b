//! Whose rights the helper has: the machine's root's, or an ordinary user's in a namespace of its own. Decided once, at
//! the helper's start.
//!
//! As an ordinary user the helper lives in a user namespace in which it is root, with a network and mounts of its own, so
//! that the code for links, filters and overlays is the same. What cannot be had there are idmapped mounts: all
//! containers share one range of ids, and layers lie on disk as containers see them, shifted by the start of that range.
//! `docs/design/0010-without-root.md`

mod outside;
mod user;

use serde::{Deserialize, Serialize};

use crate::slots::{self, IDS, Slot};

pub(crate) use user::{Entered, enter};

/// Whose rights the helper has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Authority {
    /// Those of root.
    Root,
    /// Those of a user, who has this range of ids for containers.
    User(Range),
}

/// The ids of an ordinary user's containers, as the helper's namespace has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Range {
    /// The one that is a container's root: 1, or 0 where the user has no others, which is then the user.
    pub(crate) first: u32,
    /// How many.
    pub(crate) count: u32,
}

impl Authority {
    /// Whether it is root's.
    pub(crate) fn is_root(self) -> bool {
        self == Authority::Root
    }

    /// Whether files of several users can be made.
    pub(crate) fn has_ids(self) -> bool {
        !matches!(self, Authority::User(Range { count: 1, .. }))
    }

    /// The id maps of a container in a slot, with zygotes in the slots `outer` around it. See [`slots::map`].
    pub(crate) fn map(self, slot: u32, zygote: bool, outer: &[u32]) -> String {
        match self {
            Authority::Root => slots::map(slot, zygote, outer),
            // Below a zygote the range is the zygote's own already.
            Authority::User(range) => {
                let first = if outer.is_empty() { range.first } else { 0 };
                format!("0 {first} {}\n", range.count)
            }
        }
    }

    /// The id of a container's root, as the helper's namespace has it.
    pub(crate) fn first_id(self, slot: &Slot) -> u32 {
        match self {
            Authority::Root => slot.first_id(),
            Authority::User(range) => range.first,
        }
    }

    /// By how much layers on disk are shifted.
    pub(crate) fn shift(self) -> u32 {
        match self {
            Authority::Root => 0,
            Authority::User(range) => range.first,
        }
    }
}

impl Range {
    /// The user's own id alone.
    const OWN: Range = Range { first: 0, count: 1 };

    /// As much as an image can need of what there is.
    fn of(count: u64) -> Range {
        Range { first: 1, count: u32::try_from(count).unwrap_or(IDS).min(IDS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_containers_share_a_range_that_is_not_the_users() {
        let authority = Authority::User(Range::of(65_536));
        assert_eq!(authority.map(7, true, &[]), "0 1 65536\n");
        assert_eq!(authority.map(8, false, &[7]), "0 0 65536\n");
        assert_eq!(authority.shift(), 1);
        assert_eq!(Range::of(1_000_000).count, IDS);
    }

    #[test]
    fn without_other_ids_there_is_the_users_own() {
        let authority = Authority::User(Range::OWN);
        assert_eq!(authority.map(7, false, &[]), "0 0 1\n");
        assert!(!authority.has_ids() && Authority::User(Range::of(2)).has_ids() && Authority::Root.has_ids());
        assert_eq!(authority.shift(), 0);
    }

    #[test]
    fn root_gives_each_slot_its_own() {
        assert_eq!(Authority::Root.map(2, false, &[]), slots::map(2, false, &[]));
        assert_eq!(Authority::Root.shift(), 0);
    }
}
