//! Containers without a sandbox: processes of the host that end with their helper.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use fs_err as fs;
use pilotlight_sandbox::{Error, Event, ExitStatus, Failure, Isolation, Signal, Spec};

use crate::world::{SOON, World, pipes, unique, until};

/// Detaches a process twice, tells its number, and goes on itself.
const STRAY: &str = "setsid sh -c 'sleep 1000 & echo $!' & wait; sleep 1000";

fn world() -> World {
    let run_dir = Path::new("/run/pilotlight").join(unique());
    World::with(&run_dir, |options| options.isolation = Isolation::Process)
}

fn on_host(world: &World, script: &str) -> Spec {
    let mut spec = world.spec(&["sh", "-ec", script]);
    spec.command.cwd = spec.scratch.join("files/root");
    spec
}

fn alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"))
}

fn parent(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap()
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn its_files_are_copies_and_it_runs_on_the_host() {
    let mut world = world();
    let spec = on_host(&world, "cat secret ../etc/hosts; echo changed > secret; readlink /proc/self/ns/user");
    let output = world.run(&spec);
    assert_eq!(output.status, ExitStatus::Code(0), "{output:?}");
    let own = fs::read_link("/proc/self/ns/user").unwrap().display().to_string();
    assert_eq!(output.stdout, format!("of root\n127.0.0.1 localhost\n{own}\n"));
    assert_eq!(fs::read_to_string(world.path("base/root/secret")).unwrap(), "of root\n");
    assert!(!spec.scratch.exists());
}

#[test]
fn what_it_started_ends_with_it_however_far_away() {
    for way in ["kill", "keeper", "helper"] {
        let mut world = world();
        let spec = on_host(&world, STRAY);
        let (fds, pipes) = pipes();
        let started = world.helper().start(&spec, fds).unwrap();
        let mut line = String::new();
        BufReader::new(pipes.stdout).read_line(&mut line).unwrap();
        let stray: i32 = line.trim().parse().unwrap();
        assert!(alive(stray));
        match way {
            "kill" => world.helper().signal(&spec.id, Signal::Kill).unwrap(),
            "keeper" => kill(started.pid),
            _ => kill(parent(started.pid)),
        }
        until("the end of the stray", || !alive(stray));
        if way == "helper" {
            assert_eq!(world.events.recv_timeout(SOON).unwrap(), Event::HelperDied);
        } else {
            assert_eq!(world.ended(&spec.id).0, ExitStatus::Signal(libc::SIGKILL));
            assert!(!spec.scratch.exists());
        }
    }
}

#[test]
fn a_term_reaches_the_command_and_a_code_comes_back() {
    let mut world = world();
    let spec = on_host(&world, "trap 'exit 7' TERM; echo up; sleep 1000 & wait");
    let (_, pipes) = world.start(&spec);
    BufReader::new(pipes.stdout).read_line(&mut String::new()).unwrap();
    world.helper().signal(&spec.id, Signal::Terminate).unwrap();
    assert_eq!(world.ended(&spec.id).0, ExitStatus::Code(7));
}

#[test]
fn what_cannot_be_run_or_made_is_said_and_leaves_nothing() {
    let world = world();
    let mut spec = on_host(&world, "true");
    spec.command.argv = vec!["/no/such".into()];
    let error = world.helper().start(&spec, pipes().0).unwrap_err();
    assert!(matches!(&error, Error::Failed(Failure::Exec { .. })), "{error}");
    assert!(!spec.scratch.exists());
    for spec in [
        Spec { zygote: true, ..on_host(&world, "true") },
        Spec { keep_upper: Some(world.path("kept")), ..on_host(&world, "true") },
    ] {
        let error = world.helper().start(&spec, pipes().0).unwrap_err();
        assert!(matches!(&error, Error::Failed(Failure::Invalid { .. })), "{error}");
    }
    let error = world.helper().prepare(&on_host(&world, "true")).unwrap_err();
    assert!(matches!(&error, Error::Failed(Failure::Invalid { .. })), "{error}");
}
