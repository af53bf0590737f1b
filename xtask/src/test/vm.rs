//! `cargo xtask test --vm`: Debian's cloud kernel with systemd in a virtual machine, and in it the suites that depend
//! on the machine: unified cgroups, an older kernel, an ordinary account.
//!
//! Root's file system is made once by mmdebstrap and never written to; what is tested comes on a second disk. The guest
//! tells how it went on its serial line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fs_err as fs;

use crate::packages;
use crate::run::{check, command, output, say, watched};
use crate::tree::Tree;
use crate::venv::{Venv, index_settings};

use super::cargo;
use super::count::{self, Count};

/// Matches every link but those of the tests, as some distributions' files do: ours have to defend themselves.
const NETWORK: &str = "[Match]\nType=ether\nName=!tn*\n[Network]\nDHCP=yes\n";

/// What `systemctl enable` and `mask` would link below `/etc/systemd/system`.
const UNITS: &[(&str, &str)] = &[
    ("default.target.wants/pilotlight-tests.service", "../pilotlight-tests.service"),
    ("multi-user.target.wants/systemd-networkd.service", "/lib/systemd/system/systemd-networkd.service"),
    ("serial-getty@ttyS0.service", "/dev/null"),
];

/// What can run in the guest; `cargo xtask test --vm [SUITE]...` chooses.
pub(super) const SUITES: &[&str] = &["doctor", "sandbox", "security", "containers", "rootless"];

/// Debian's release of the guest: its Python decides which packages the tests get.
const RELEASE: &str = "bookworm";
const PYTHON: &str = "3.11";

const PACKAGES: &[&str] = &[
    "apparmor",
    "ca-certificates",
    "curl",
    "dbus",
    "dbus-user-session",
    "gcc",
    "initramfs-tools",
    "iproute2",
    "iptables",
    "kmod",
    "libc6-dev",
    "libpam-systemd",
    "linux-image-cloud-amd64",
    "login",
    "mmdebstrap",
    "nftables",
    "passt",
    "passwd",
    "procps",
    "python3",
    "python3-venv",
    "slirp4netns",
    "systemd",
    "systemd-sysv",
    "udev",
    "uidmap",
    "util-linux",
];

/// The suites that were asked for, by name; all of them when none was.
pub(super) fn chosen(names: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = names.iter().find(|name| !SUITES.contains(&name.as_str())) {
        bail!("no suite `{unknown}` in the virtual machine: there are {}", SUITES.join(", "));
    }
    let all = || SUITES.iter().map(|&name| name.to_owned()).collect();
    Ok(if names.is_empty() { all() } else { names.to_vec() })
}

/// Builds, makes the disks, boots, and fails when a suite in the guest failed or the guest did not get to its end.
pub(super) fn run(tree: &Tree, suites: &[String]) -> Result<()> {
    packages::install_for_vm()?;
    check(cargo(tree).args(["build", "--package", "pilotlight", "--locked"]))?;
    let folder = tree.target.join("vm");
    fs::create_dir_all(&folder)?;
    let guest = Guest::make(tree, &folder)?;
    let payload = payload(tree, &folder, suites)?;

    let mut count = Count::default();
    let mut ended = None;
    let status = watched(&mut guest.boot(&payload), |line| {
        let line = line.trim_end();
        count = count + count::libtest_line(line) + count::pytest_line(line);
        if let Some(code) = line.strip_prefix("== all: ends with ") {
            ended = Some(code == "0");
        }
    })?;
    say(&format!(
        "in the guest: {} passed, {} failed, {} skipped",
        count.passed, count.failed, count.skipped
    ));
    match ended {
        None => bail!("the guest did not get to the end of its suites (qemu: {status})"),
        Some(false) => bail!("a suite failed in the guest"),
        Some(true) => Ok(()),
    }
}

/// The guest's system: kernel, first file system, disk.
struct Guest {
    folder: PathBuf,
}

impl Guest {
    /// Makes it with mmdebstrap, unless it is there with the same packages and unit.
    fn make(tree: &Tree, folder: &Path) -> Result<Self> {
        let guest = Self { folder: folder.to_owned() };
        let unit = tree.root.join("tests/vm/pilotlight-tests.service");
        let wanted = format!(
            "{RELEASE}\n{}\n{UNITS:?}\n{NETWORK}\n{}",
            PACKAGES.join("\n"),
            fs::read_to_string(&unit)?
        );
        let stamp = folder.join("made-of");
        if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(guest);
        }
        let root = folder.join("root");
        remove(&root)?;
        check(
            command("mmdebstrap")
                .arg("--variant=minbase")
                .arg(format!("--include={}", PACKAGES.join(",")))
                .args([RELEASE.as_ref(), root.as_os_str()]),
        )?;
        fs::copy(&unit, root.join("etc/systemd/system/pilotlight-tests.service"))?;
        fs::write(
            root.join("etc/fstab"),
            "/dev/vda / ext4 defaults 0 1\n/dev/vdb /payload ext4 defaults 0 2\n",
        )?;
        fs::write(root.join("etc/hostname"), "guest\n")?;
        fs::write(root.join("etc/hosts"), "127.0.0.1 localhost guest\n")?;
        fs::write(root.join("etc/systemd/network/guest.network"), NETWORK)?;
        fs::create_dir_all(root.join("payload"))?;
        fs::remove_file(root.join("etc/resolv.conf")).ok();
        // QEMU's own resolver, as its user network has it.
        fs::write(root.join("etc/resolv.conf"), "nameserver 10.0.2.3\n")?;
        for (link, unit) in UNITS {
            let link = root.join("etc/systemd/system").join(link);
            fs::create_dir_all(link.parent().context("a unit has a folder")?)?;
            fs::os::unix::fs::symlink(unit, link)?;
        }
        for (name, place) in [("vmlinuz", "kernel"), ("initrd.img", "initrd")] {
            fs::copy(only(&root.join("boot"), name)?, folder.join(place))?;
        }
        disk(&root, &folder.join("root.ext4"), 8)?;
        remove(&root)?;
        fs::write(&stamp, wanted)?;
        Ok(guest)
    }

    fn boot(&self, payload: &Path) -> std::process::Command {
        let mut qemu = command("qemu-system-x86_64");
        // A guest under another guest's emulated KVM does not come up: only where the processor really has it.
        if virtualizes() {
            qemu.args(["-accel", "kvm", "-cpu", "host"]);
        } else {
            qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max"]);
        }
        qemu.args(["-smp", "2", "-m", "3072", "-display", "none", "-monitor", "none", "-serial", "stdio"]);
        qemu.args(["-no-reboot", "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net"]);
        qemu.args(["-device", "virtio-rng-pci"]);
        qemu.arg("-kernel").arg(self.folder.join("kernel")).arg("-initrd").arg(self.folder.join("initrd"));
        qemu.args(["-append", "root=/dev/vda rw console=ttyS0 quiet loglevel=3 systemd.show_status=no"]);
        for disk in [&self.folder.join("root.ext4"), payload] {
            // Snapshots: nothing that the guest writes is kept.
            qemu.arg("-drive").arg(format!("file={},if=virtio,format=raw,snapshot=on", disk.display()));
        }
        qemu
    }
}

/// The disk with what is tested: binaries, tests, their packages, and how to reach the package index.
fn payload(tree: &Tree, folder: &Path, suites: &[String]) -> Result<PathBuf> {
    let stage = folder.join("payload");
    remove(&stage)?;
    fs::create_dir_all(stage.join("bin"))?;
    let binary = tree.binary("debug");
    for (number, test) in sandbox_tests(tree)?.iter().enumerate() {
        fs::copy(test, stage.join(format!("bin/test-{number}")))?;
    }
    for program in [&binary, &tree.target.join("debug/sandbox-helper")] {
        fs::copy(program, stage.join("bin").join(program.file_name().context("a program has a name")?))?;
    }
    for part in ["tests", "examples", "python"] {
        check(command("cp").arg("-R").arg(tree.root.join(part)).arg(stage.join(part)))?;
    }
    // Test programs find the tree's files by way of their crate.
    fs::create_dir_all(stage.join("crates/sandbox"))?;
    let venv = Venv::prepare(tree, &binary)?;
    venv.install_beside(&stage.join("site"), PYTHON, &tree.root.join("tests/requirements.txt"))?;

    let mut settings: Vec<(String, String)> = index_settings()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_string_lossy().into_owned()))
        .chain(std::env::vars().filter(|(name, _)| name.starts_with("PIP_")))
        .filter(|(_, value)| !value.starts_with('/'))
        .collect();
    // Compiled into the test programs: where they work, and find each other.
    for (name, place) in [("CARGO_TARGET_DIR", &tree.target), ("TREE", &tree.root)] {
        settings.push((name.to_owned(), place.to_string_lossy().into_owned()));
    }
    if let Some(bundle) = authorities() {
        fs::copy(bundle, stage.join("authorities.pem"))?;
        for name in ["SSL_CERT_FILE", "PIP_CERT"] {
            settings.push((name.to_owned(), "/payload/authorities.pem".to_owned()));
        }
    }
    let lines: Vec<String> =
        settings.iter().map(|(name, value)| format!("export {name}='{value}'")).collect();
    fs::write(stage.join("environment"), lines.join("\n"))?;
    let names: BTreeSet<&str> = settings.iter().map(|(name, _)| name.as_str()).collect();
    fs::write(stage.join("names"), Vec::from_iter(names).join("\n"))?;
    fs::write(stage.join("suites"), suites.join("\n"))?;

    let image = folder.join("payload.ext4");
    disk(&stage, &image, 4)?;
    remove(&stage)?;
    Ok(image)
}

/// The sandbox crate's test programs, unit tests and integration tests.
fn sandbox_tests(tree: &Tree) -> Result<Vec<PathBuf>> {
    let mut build = cargo(tree);
    build.args(["test", "--package", "pilotlight-sandbox", "--locked", "--no-run", "--message-format=json"]);
    let told = output(&mut build)?;
    let programs: Vec<PathBuf> = told
        .lines()
        .filter_map(|line| line.split("\"executable\":\"").nth(1)?.split('"').next())
        .map(PathBuf::from)
        .filter(|path| path.starts_with(tree.target.join("debug/deps")))
        .collect();
    if programs.is_empty() {
        bail!("cargo named no test program of the sandbox crate");
    }
    Ok(programs)
}

/// The machine's list of certificate authorities: it knows the machine's proxy.
fn authorities() -> Option<&'static Path> {
    let bundle = Path::new("/etc/ssl/certs/ca-certificates.crt");
    bundle.exists().then_some(bundle)
}

fn virtualizes() -> bool {
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    flags.split_whitespace().any(|flag| flag == "svm" || flag == "vmx") && Path::new("/dev/kvm").exists()
}

/// The one file of a folder whose name begins so.
fn only(folder: &Path, name: &str) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&format!("{name}-")) {
            found.push(entry.path());
        }
    }
    found.pop().with_context(|| format!("no {name} in {}", folder.display()))
}

/// An ext4 file system with a folder's content, in a sparse file.
fn disk(content: &Path, image: &Path, gibibytes: u32) -> Result<()> {
    fs::remove_file(image).ok();
    check(
        command("mke2fs")
            .args(["-q", "-t", "ext4", "-d"])
            .arg(content)
            .arg(image)
            .arg(format!("{gibibytes}G")),
    )
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}
