//! systemd-networkd, where it manages this machine's network: it is told to leave the links of containers alone.
//!
//! It configures every link that a `.network` file of the machine matches, and takes away addresses that the file does
//! not name. `[Match] Type=ether`, as some distributions and cloud images have it, matches our host ends too.
//! systemd.network(5), `Unmanaged=`.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use fs_err as fs;

/// Made by networkd when it starts.
const RUNNING: &str = "/run/systemd/netif";

/// Read before any file that a machine's owner is likely to have: the first that matches decides.
const FILE: &str = "/run/systemd/network/00-pilotlight.network";

const CONTENT: &str = "# Written by pilotlight: the links of its containers are its own.\n\
    [Match]\nName=pl*h\nKind=veth\n\n[Link]\nUnmanaged=yes\n";

/// Puts the file there and lets networkd read it, unless it is there already.
pub(super) fn set_up() -> io::Result<()> {
    let file = Path::new(FILE);
    if !Path::new(RUNNING).exists() || fs::read_to_string(file).is_ok_and(|found| found == CONTENT) {
        return Ok(());
    }
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(file, CONTENT)?;
    reload()
}

/// Takes it away, if there.
pub(super) fn remove() -> io::Result<()> {
    match fs::remove_file(FILE) {
        Ok(()) => {
            // One that does not run any more has nothing to forget.
            if let Err(error) = reload() {
                tracing::debug!(%error, "systemd-networkd was not told that the links of containers are gone");
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// networkd's only door for this is D-Bus, and its own command the shortest way there.
fn reload() -> io::Result<()> {
    let mut networkctl = Command::new("networkctl");
    networkctl.arg("reload").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if networkctl.status()?.success() { Ok(()) } else { Err(io::Error::other("`networkctl reload` failed")) }
}
