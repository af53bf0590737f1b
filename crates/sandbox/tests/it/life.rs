//! Ends: of containers, of helpers, of servers; and that nothing is left.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use pilotlight_sandbox::{Error, Event, ExitStatus, Helper, Network, sweep};

use crate::world::{SOON, World, options, unique, until};

/// Every cgroup directory of a server, in any hierarchy.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let roots = fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
    let homes = roots.chain([PathBuf::from("/sys/fs/cgroup")]).map(|root| root.join("pilotlight").join(name));
    homes.filter(|home| home.exists()).collect()
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn alive(pid: i32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// The helper of a world: the parent of its containers.
fn helper_of(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap()
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn link_of(pid: i32) -> String {
    let links = fs::read_to_string(format!("/proc/{pid}/net/fib_trie")).unwrap();
    let own =
        links.lines().find_map(|line| line.trim().strip_prefix("|-- 10.213.").map(str::to_owned)).unwrap();
    let mut bytes = own.split('.').map(|byte| byte.parse::<u32>().unwrap());
    format!("pl{}h", (bytes.next().unwrap() * 256 + bytes.next().unwrap()) / 4)
}

#[test]
fn the_hosts_end_of_a_link_has_no_address() {
    let mut world = World::new();
    let mut spec = world.spec(&["sleep", "1000"]);
    spec.network = Network::Outbound;
    let (started, _pipes) = world.start(&spec);
    let link = link_of(started.pid);
    let state = || fs::read_to_string(Path::new("/sys/class/net").join(&link).join("operstate")).unwrap();
    // From here on an address of IPv6 would be the kernel's to give.
    until("the link is up", || state() == "up\n");
    let routes = fs::read_to_string("/proc/net/route").unwrap();
    let to_it: Vec<&str> = routes.lines().filter(|line| line.starts_with(&format!("{link}\t"))).collect();
    assert_eq!(to_it.len(), 1, "{to_it:?}");
    assert!(to_it[0].contains("\tFFFFFFFF\t"), "{to_it:?}");
    let ipv6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    assert!(!ipv6.lines().any(|line| line.ends_with(&format!(" {link}"))), "{ipv6}");
    world.shutdown();
}

#[test]
fn a_shutdown_ends_everything_and_leaves_nothing() {
    let mut world = World::new();
    let mut spec = world.spec(&["sleep", "1000"]);
    spec.network = Network::Outbound;
    let (started, _pipes) = world.start(&spec);
    let link = link_of(started.pid);
    assert!(Path::new("/sys/class/net").join(&link).exists());
    assert!(!cgroups(name(&world.run_dir)).is_empty());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let ours = [name(&world.run_dir), world.state.path().to_str().unwrap(), "t/l0"];
    assert!(!ours.iter().any(|text| mounts.contains(text)), "{mounts}");

    world.shutdown();
    let end = world.events.recv_timeout(SOON).unwrap();
    assert_eq!(end, Event::Exited { id: spec.id, status: ExitStatus::Signal(9), oom: false });
    assert!(world.events.recv_timeout(SOON).is_err(), "a shutdown that was asked for is no death");
    assert!(!alive(started.pid));
    assert_eq!(cgroups(name(&world.run_dir)), Vec::<PathBuf>::new());
    assert!(!spec.scratch.exists());
    until("the link is gone", || !Path::new("/sys/class/net").join(&link).exists());
}

#[test]
fn the_last_handle_dropped_ends_the_helper() {
    let mut world = World::new();
    let (started, _pipes) = world.start(&world.spec(&["sleep", "1000"]));
    drop(world.helper.take());
    until("the container is dead", || !alive(started.pid));
    until("its group is gone", || cgroups(name(&world.run_dir)).is_empty());
}

#[test]
fn a_killed_helper_takes_its_containers_along_and_a_sweep_removes_the_rest() {
    // A root of its own, so that the sweep has nothing to do with the other tests' servers.
    let root = Path::new("/run").join(format!("pilotlight-{}", unique()));
    let mut world = World::at(&root.join(unique()));
    let mut spec = world.spec(&["sh", "-c", "touch /x; sleep 1000 & sleep 1000"]);
    spec.network = Network::Outbound;
    let (started, _pipes) = world.start(&spec);
    assert_eq!(sweep(&root).unwrap().live, 1);
    assert!(spec.scratch.exists(), "a sweep touches nothing of a live server");

    kill(helper_of(started.pid));
    assert_eq!(world.events.recv_timeout(SOON).unwrap(), Event::HelperDied);
    until("the container is dead", || !alive(started.pid));
    let refused = world.helper().start(&spec, crate::world::pipes().0).unwrap_err();
    assert!(matches!(refused, Error::HelperDied), "{refused}");
    world.shutdown();

    assert!(spec.scratch.exists() && !cgroups(name(&world.run_dir)).is_empty());
    let report = sweep(&root).unwrap();
    assert_eq!((report.servers, report.containers, report.scratch, report.live), (1, 1, 1, 0), "{report:?}");
    assert!(!spec.scratch.exists() && !world.run_dir.exists());
    assert_eq!(cgroups(name(&world.run_dir)), Vec::<PathBuf>::new());
    assert_eq!(sweep(&root).unwrap(), pilotlight_sandbox::SweepReport::default());
    fs::remove_dir_all(&root).unwrap();
}

#[test]
fn a_run_directory_has_one_server_and_is_free_after_it() {
    let mut world = World::new();
    let state = tempfile::tempdir().unwrap();
    let options = options(&world.run_dir, state.path());
    std::thread::scope(|scope| {
        // It waits a little for the other to go, which it does.
        let second = scope.spawn(|| Helper::spawn(&options).map(drop));
        world.shutdown();
        second.join().unwrap().unwrap();
    });
}

#[test]
fn what_a_dead_server_left_in_the_same_run_directory_is_cleared_by_the_next() {
    let mut world = World::new();
    let spec = world.spec(&["sleep", "1000"]);
    let (started, _pipes) = world.start(&spec);
    kill(helper_of(started.pid));
    assert_eq!(world.events.recv_timeout(SOON).unwrap(), Event::HelperDied);
    world.shutdown();
    let (next, _events) = Helper::spawn(&options(&world.run_dir, world.state.path())).unwrap();
    assert!(!spec.scratch.exists());
    next.start(&spec, crate::world::pipes().0).unwrap();
    next.shutdown(Duration::from_secs(10));
}

#[test]
fn a_helper_keeps_nothing_open_of_containers_that_are_gone() {
    let mut world = World::new();
    let spec = world.spec(&["sleep", "1000"]);
    let (started, _pipes) = world.start(&spec);
    let helper = helper_of(started.pid);
    let open = || fs::read_dir(format!("/proc/{helper}/fd")).unwrap().count();
    let before = open();
    for number in 0..20 {
        let argv: &[&str] = if number % 4 == 0 { &["no-such-program"] } else { &["true"] };
        let spec = world.spec(argv);
        if world.helper().start(&spec, crate::world::pipes().0).is_ok() {
            world.ended(&spec.id);
        }
    }
    until("the same files are open", || open() == before);
}

#[test]
fn a_helper_shows_its_role_in_ps() {
    let world = World::new();
    let (started, _pipes) = world.start(&world.spec(&["sleep", "1000"]));
    let title = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(title(helper_of(started.pid)).starts_with("pilotlight: helper"));
    assert!(title(started.pid).starts_with("pilotlight: co-"));
}

#[test]
fn this_machine_lacks_nothing() {
    assert_eq!(pilotlight_sandbox::check(), []);
}
