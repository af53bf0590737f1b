//! Slots: numbers that are one container's on the whole machine, from which its user ids and addresses follow.
//!
//! A slot is held by an exclusive flock on `/run/pilotlight/slots/<n>`, so that it falls free with its holder, however
//! that ends.

use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use fs_err as fs;
use rustix::fs::FlockOperation;

use crate::error::{Doing, Failure};

/// Machine-wide, whatever the server's own run directory is: ids and addresses are the machine's.
pub(crate) const DIRECTORY: &str = "/run/pilotlight/slots";

/// How many there are. The last range ends at 2^31, where ids would become negative for some tools.
pub(crate) const COUNT: u32 = 4096;

/// The first user id of slot 0, far above what accounts, systemd's dynamic users and subuid ranges use.
const FIRST_ID: u32 = 0x7000_0000;

/// User and group ids per container.
pub(crate) const IDS: u32 = 65_536;

/// A number that is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) number: u32,
    _lock: OwnedFd,
}

impl Slot {
    /// The host's user and group id of this slot's root.
    pub(crate) fn first_id(&self) -> u32 {
        FIRST_ID + self.number * IDS
    }
}

/// The id maps of a container: its own range as 0 to 65535. A zygote's has all other slots besides, under their own
/// numbers, so that maps of the containers below it can be written in terms of it. `outer` are the slots that the
/// containers around it have, whose ranges are not there to be mapped. user_namespaces(7)
pub(crate) fn map(own: u32, zygote: bool, outer: &[u32]) -> String {
    let first = |slot: u32| FIRST_ID + slot * IDS;
    let mut map = format!("0 {} {IDS}\n", first(own));
    if !zygote {
        return map;
    }
    let mut taken: Vec<u32> = outer.iter().copied().chain([own]).collect();
    taken.sort_unstable();
    let mut from = 0;
    for slot in taken.into_iter().chain([COUNT]) {
        if slot > from {
            // Writing to a string cannot fail.
            let _ = writeln!(map, "{0} {0} {1}", first(from), (slot - from) * IDS);
        }
        from = slot + 1;
    }
    map
}

/// Takes the first free slot from `from` on, around the end. Start elsewhere each time: the kernel takes the link of a
/// dead container away some time after the container's slot is free.
pub(crate) fn take(directory: &Path, from: u32) -> Result<Slot, Failure> {
    for number in (0..COUNT).map(|step| (from + step) % COUNT) {
        let path = directory.join(number.to_string());
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.doing_at("open the slot", &path)?.into_file();
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Slot { number, _lock: file.into() }),
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error).doing_at("lock the slot", &path),
        }
    }
    Err(Failure::NoSlot { slots: COUNT })
}

/// Whether some process holds the slot.
pub(crate) fn taken(directory: &Path, number: u32) -> bool {
    let Ok(file) = fs::File::open(directory.join(number.to_string())) else { return false };
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_holders_never_share_and_a_dropped_slot_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let one = take(directory.path(), 7).unwrap();
        let two = take(directory.path(), 7).unwrap();
        assert_eq!((one.number, two.number), (7, 8));
        assert!(taken(directory.path(), 7));
        drop(one);
        assert!(!taken(directory.path(), 7));
        assert_eq!(take(directory.path(), 7).unwrap().number, 7);
    }

    #[test]
    fn a_plain_container_has_its_own_ids_and_no_other() {
        assert_eq!(map(2, false, &[]), "0 1879179264 65536\n");
    }

    #[test]
    fn a_zygote_has_every_id_but_those_of_the_containers_around_it() {
        let lines: Vec<Vec<u32>> = map(0, true, &[3])
            .lines()
            .map(|line| line.split(' ').map(|number| number.parse().unwrap()).collect())
            .collect();
        let first = |slot| FIRST_ID + slot * IDS;
        let rest = (COUNT - 4) * IDS;
        let expected =
            [vec![0, first(0), IDS], vec![first(1), first(1), 2 * IDS], vec![first(4), first(4), rest]];
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_search_goes_around_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let last = take(directory.path(), COUNT - 1).unwrap();
        assert_eq!(take(directory.path(), COUNT - 1).unwrap().number, 0);
        assert_eq!(u64::from(last.first_id()) + u64::from(IDS), 1 << 31);
    }
}
