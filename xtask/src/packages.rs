//! Debian packages that the tests need and a fresh machine lacks.

use anyhow::{Result, bail};

use crate::run::{check, command, exists, say};

/// A program that a test runs, and the package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const NEEDS: &[Need] =
    &[Need { program: "mmdebstrap", package: "mmdebstrap", why: "images on a true Debian base" }];

/// Installs what is missing. Without apt it says what to install and fails.
pub(crate) fn install() -> Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !exists(need.program)).collect();
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
    apt.arg("--quiet").env("DEBIAN_FRONTEND", "noninteractive");
    apt
}
