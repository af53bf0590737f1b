//! Slots: numbers that are one container's on the whole machine, from which its user ids and addresses follow.
//!
//! A slot is held by an exclusive flock on `/run/pilotlight/slots/<n>`, so that it falls free with its holder, however
//! that ends.

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
    fn the_search_goes_around_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let last = take(directory.path(), COUNT - 1).unwrap();
        assert_eq!(take(directory.path(), COUNT - 1).unwrap().number, 0);
        assert_eq!(u64::from(last.first_id()) + u64::from(IDS), 1 << 31);
    }
}
