//! Whose the files of a state directory are, and which ids on disk an image's own become.
//!
//! A server of its own uid owns what it writes, and an image's root is that uid on disk: so nothing has to be given to
//! anybody, and no program of an image is one of the machine's root, set-user-id or not. The image's other ids follow in
//! a range that is nobody else's. Containers get them back by an idmapped mount. `docs/design/0011-who-holds-what.md`

use serde::{Deserialize, Serialize};

use crate::slots::IDS;

/// The first id of the range in which images lie on disk; as an id itself it is the server's where the machine has no
/// user for it. Right below the ranges of containers.
pub const IMAGE_IDS: u32 = 0x6fff_0000;

/// The user and group that the server runs as, and that own the state directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Owner {
    /// The user of this process.
    pub fn this_process() -> Owner {
        Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
    }

    /// Whether the server has the helper's own rights: ids on disk are then the image's.
    pub(crate) fn is_helpers(self) -> bool {
        self.uid == rustix::process::geteuid().as_raw()
    }

    /// The user id on disk of an image's.
    pub(crate) fn user_on_disk(self, id: u32) -> u32 {
        if self.is_helpers() { id } else { on_disk(id, self.uid) }
    }

    /// The group id on disk of an image's.
    pub(crate) fn group_on_disk(self, id: u32) -> u32 {
        if self.is_helpers() { id } else { on_disk(id, self.gid) }
    }

    /// The maps of a user namespace in which what is on disk becomes a container's: user ids, then group ids. `None`:
    /// the container's own namespace does.
    pub(crate) fn maps(self, first: u32) -> Option<[String; 2]> {
        let map = |own: u32| format!("{own} {first} 1\n{} {} {}\n", IMAGE_IDS + 1, first + 1, IDS - 1);
        (!self.is_helpers()).then(|| [map(self.uid), map(self.gid)])
    }
}

fn on_disk(id: u32, root: u32) -> u32 {
    match id {
        0 => root,
        id if id < IDS => IMAGE_IDS + id,
        id => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_root_is_the_server_and_its_users_nobody_else() {
        let owner = Owner { uid: 998, gid: 997 };
        assert_eq!([0, 1, 65_535].map(|id| owner.user_on_disk(id)), [998, 0x6fff_0001, 0x6fff_ffff]);
        assert_eq!(owner.group_on_disk(0), 997);
        assert_eq!(owner.user_on_disk(70_000), 70_000);
        let [users, groups] = owner.maps(0x7000_0000).unwrap();
        assert_eq!(users, "998 1879048192 1\n1878982657 1879048193 65535\n");
        assert!(groups.starts_with("997 "));
    }

    #[test]
    fn with_the_helpers_own_rights_nothing_is_shifted() {
        let owner = Owner::this_process();
        assert_eq!((owner.user_on_disk(33), owner.maps(1)), (33, None));
    }
}
