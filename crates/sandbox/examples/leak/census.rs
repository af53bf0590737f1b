//! What there is of a server, its helper and their containers on this machine. Shared by the example and a test.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use fs_err as fs;

/// How many there are of each thing.
pub(crate) type Census = BTreeMap<&'static str, usize>;

/// Counts what belongs to a helper, to its descendants and to a run and a state directory.
pub(crate) fn census(helper: u32, run_dir: &Path, state: &Path) -> io::Result<Census> {
    let process = |pid: u32| Path::new("/proc").join(pid.to_string());
    let processes = family(helper)?;
    let mut namespaces = std::collections::BTreeSet::new();
    for pid in &processes {
        for kind in ["user", "pid", "net", "ipc", "uts", "cgroup", "mnt"] {
            namespaces.extend(fs::read_link(process(*pid).join("ns").join(kind)).ok());
        }
    }
    let mounts = |pid: u32| fs::read_to_string(process(pid).join("mountinfo"));
    let own = mounts(std::process::id())?;
    Ok(Census::from([
        ("processes", processes.len()),
        ("namespaces", namespaces.len()),
        ("mounts of the helper", mounts(helper)?.lines().count()),
        ("mounts below the state directory", own.lines().filter(|line| holds(line, state)).count()),
        ("descriptors of the helper", entries(&process(helper).join("fd"))),
        ("files below the state directory", files(state)),
        ("files below the run directory", files(run_dir)),
        ("links without a holder", idle_links()?),
        ("cgroups", groups(run_dir)?),
    ]))
}

/// What two counts differ in/// What two counts differ in, as lines.
pub(crate) fn differences(before: &Census, after: &Census) -> Vec<String> {
    let names = before.keys().chain(after.keys()).collect::<std::collections::BTreeSet<_>>();
    let count = |census: &Census, name: &str| census.get(name).copied().unwrap_or(0);
    let differ = names.into_iter().filter(|name| count(before, name) != count(after, name));
    differ
        .map(|name| format!("{name}: {} before, {} after", count(before, name), count(after, name)))
        .collect()
}

fn holds(line: &str, directory: &Path) -> bool {
    line.split(' ').nth(4).is_some_and(|at| Path::new(at).starts_with(directory))
}

/// A process and all that descend from it.
fn family(first: u32) -> io::Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        if let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            parents.extend(parent(pid).map(|parent| (pid, parent)));
        }
    }
    let mut family = vec![first];
    let mut next = 0;
    while let Some(member) = family.get(next).copied() {
        family.extend(parents.iter().filter(|(_, parent)| *parent == member).map(|(pid, _)| *pid));
        next += 1;
    }
    Ok(family)
}

/// The process that started another.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// How many entries a directory has.
pub(crate) fn entries(directory: &Path) -> usize {
    fs::read_dir(directory).map_or(0, Iterator::count)
}

fn files(top: &Path) -> usize {
    let Ok(found) = fs::read_dir(top) else { return 0 };
    let mut count = 0;
    for entry in found.flatten() {
        let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        count += 1 + if directory { files(&entry.path()) } else { 0 };
    }
    count
}

/// Host ends of links whose slot nobody holds, of any server on this machine.
fn idle_links() -> io::Result<usize> {
    let mut idle = 0;
    for entry in fs::read_dir("/sys/class/net")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let slot = name.strip_prefix("pl").and_then(|name| name.strip_suffix('h'));
        let Some(slot) = slot.and_then(|slot| slot.parse::<u32>().ok()) else { continue };
        let Ok(file) = fs::File::open(format!("/run/pilotlight/slots/{slot}")) else { continue };
        let free = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_ok();
        idle += usize::from(free);
    }
    Ok(idle)
}

/// The groups of a server's containers, in all trees.
fn groups(run_dir: &Path) -> io::Result<usize> {
    let name = run_dir.file_name().unwrap_or_default();
    let mut count = 0;
    for line in fs::read_to_string("/proc/self/mounts")?.lines() {
        let mut fields = line.split(' ').skip(1);
        if let (Some(at), Some("cgroup" | "cgroup2")) = (fields.next(), fields.next()) {
            let group = Path::new(at).join("pilotlight").join(name);
            let inner = fs::read_dir(&group).into_iter().flatten().flatten();
            count += inner.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count();
        }
    }
    Ok(count)
}
