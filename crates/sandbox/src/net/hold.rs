//! Who uses the machine's packet filter and routes: every helper, for as long as it lives. The last one takes them away.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;

use fs_err as fs;
use rustix::fs::FlockOperation;

use super::netlink::Socket;
use super::private::PrivateNetworks;
use super::{inside, nat, networkd};
use crate::sweep::is_any_live;

/// Machine-wide, as what it stands for.
const LOCK: &str = "/run/pilotlight/network.lock";

/// The use of the network. A shared lock, which a helper that is killed lets go of as well; the sweep then does what
/// [`release`](Self::release) would have done.
#[derive(Debug)]
pub(crate) struct Hold {
    /// None in a network namespace of the helper's own, which ends with it.
    lock: Option<OwnedFd>,
}

impl Hold {
    /// Sets up the packet filter, and where the machine allows it the addresses of inside. Waits for one who is just
    /// taking both away.
    pub(crate) fn new(private: &PrivateNetworks) -> io::Result<Hold> {
        if let Some(directory) = Path::new(LOCK).parent() {
            fs::create_dir_all(directory)?;
        }
        let lock = open()?;
        rustix::fs::flock(&lock, FlockOperation::LockShared)?;
        // Before the first link is there.
        if let Err(error) = networkd::set_up() {
            tracing::warn!(%error, "systemd-networkd was not told to leave the links of containers alone");
        }
        set_up(None, private)?;
        Ok(Hold { lock: Some(lock) })
    }

    /// Sets up both in the network namespace that is this helper's alone. `machine`: see [`nat::set_up`].
    pub(crate) fn alone(machine: &[Ipv4Addr], private: &PrivateNetworks) -> io::Result<Hold> {
        set_up(Some(machine), private)?;
        Ok(Hold { lock: None })
    }

    /// Takes everything away, unless another server is there. `run_dir` is this one's.
    pub(crate) fn release(self, run_dir: &Path) -> io::Result<()> {
        self.lock.map_or(Ok(()), |lock| remove_unused(&lock, Some(run_dir)))
    }
}

fn set_up(machine: Option<&[Ipv4Addr]>, private: &PrivateNetworks) -> io::Result<()> {
    nat::set_up(machine, private)?;
    // Without them containers cannot call endpoints by their names, and that is all.
    if let Err(error) = Socket::route().and_then(|socket| inside::set_up(&socket)) {
        tracing::warn!(%error, "containers cannot call this server's endpoints");
    }
    Ok(())
}

/// Takes away what dead helpers left, unless a server is there.
pub(crate) fn sweep() -> io::Result<()> {
    remove_unused(&open()?, None)
}

fn remove_unused(lock: &OwnedFd, own: Option<&Path>) -> io::Result<()> {
    match rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(()),
        result => result?,
    }
    // A server of an older version has no such lock, but its run directory's.
    if let Some(run_root) = Path::new(LOCK).parent()
        && is_any_live(run_root, own)?
    {
        return Ok(());
    }
    inside::remove(&Socket::route()?)?;
    nat::remove()?;
    networkd::remove()
}

fn open() -> io::Result<OwnedFd> {
    let mut options = fs::OpenOptions::new();
    Ok(options.create(true).truncate(false).write(true).open(LOCK)?.into_file().into())
}
