//! Debian packages that the tests need and a fresh machine lacks.

use anyhow::{Result, bail};

use crate::run::{check, command, exists, say};

/// A program that a test runs, and the package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const NEEDS: &[Need] = &[
    Need { program: "mmdebstrap", package: "mmdebstrap", why: "images on a true Debian base" },
    Need { program: "iptables-legacy-save", package: "iptables", why: "the packet filter before nf_tables" },
    Need { program: "docker-registry", package: "docker-registry", why: "images of a registry" },
    Need { program: "git", package: "git", why: "packages of private repositories" },
    Need { program: "newuidmap", package: "uidmap", why: "containers of ordinary users" },
    Need { program: "openssl", package: "openssl", why: "certificates for HTTPS" },
    Need { program: "pasta", package: "passt", why: "the network of ordinary users' containers" },
    Need { program: "slirp4netns", package: "slirp4netns", why: "the same where there is no pasta" },
    Need { program: "zstd", package: "zstd", why: "layers and packages that are packed with it" },
];

const VM_NEEDS: &[Need] = &[
    Need { program: "qemu-system-x86_64", package: "qemu-system-x86", why: "the virtual machine" },
    Need { program: "mmdebstrap", package: "mmdebstrap", why: "its system" },
    Need { program: "mke2fs", package: "e2fsprogs", why: "its disks" },
];

/// Installs what is missing for the tests. Without apt it says what to install and fails.
pub(crate) fn install() -> Result<()> {
    all_of(NEEDS)
}

/// The same for the tests in a virtual machine.
pub(crate) fn install_for_vm() -> Result<()> {
    all_of(VM_NEEDS)
}

fn all_of(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !exists(need.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        say(&format!("{} is missing: {}", need.package, need.why));
    }
    if !exists("apt-get") {
        bail!("this machine has no apt-get: install the packages named above by its own means");
    }
    check(apt().arg("update"))?;
    check(
        apt()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(missing.iter().map(|need| need.package)),
    )
}

fn apt() -> std::process::Command {
    let mut apt = command("apt-get");
    // A fresh machine may be installing something of its own.
    apt.args(["--quiet", "--option", "DPkg::Lock::Timeout=300"]).env("DEBIAN_FRONTEND", "noninteractive");
    apt
}
