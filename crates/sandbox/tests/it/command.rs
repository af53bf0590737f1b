//! Commands: what they get, what they print, and how they end.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use pilotlight_sandbox::{Command, Error, ExitStatus, Failure, Signal};

use crate::world::{World, pipes};

#[test]
fn echo_prints_and_exits_cleanly() {
    let mut world = World::new();
    let spec = world.spec(&["echo", "hello"]);
    let output = world.run(&spec);
    let seen = (output.status, output.stdout.as_str(), output.stderr.as_str());
    assert_eq!(seen, (ExitStatus::Code(0), "hello\n", ""));
    assert!(!output.oom);
}

#[test]
fn python_runs() {
    let mut world = World::new();
    let spec =
        world.spec(&["python3", "-c", "import os, sys; print(os.getuid(), os.getpid() > 1); sys.exit(3)"]);
    let output = world.run(&spec);
    assert_eq!((output.status, output.stdout.as_str()), (ExitStatus::Code(3), "0 True\n"), "{output:?}");
}

#[test]
fn the_environment_and_directory_are_exactly_those_asked_for() {
    let mut world = World::new();
    let mut spec = world.spec(&["/usr/bin/env"]);
    spec.command.env = vec![("A".into(), "b c".into())];
    assert_eq!(world.run(&spec).stdout, "A=b c\n");
    assert_eq!(world.script("pwd; hostname").lines().next(), Some("/root"));
}

#[test]
fn a_signal_that_kills_the_command_is_its_status() {
    let mut world = World::new();
    let spec = world.spec(&["sh", "-c", "kill -9 $$"]);
    assert_eq!(world.run(&spec).status, ExitStatus::Signal(9));
}

#[test]
fn a_working_directory_that_the_image_lacks_is_made() {
    let mut world = World::new();
    let mut spec = world.spec(&["pwd"]);
    spec.command.cwd = "/srv/app".into();
    assert_eq!(world.run(&spec).stdout, "/srv/app\n");
}

#[test]
fn a_program_that_does_not_exist_is_an_error_of_the_start() {
    let world = World::new();
    let spec = world.spec(&["no-such-program"]);
    let failed = world.helper().start(&spec, pipes().0).unwrap_err();
    let expected = "cannot run no-such-program in the container: No such file or directory (os error 2)";
    assert_eq!(failed.to_string(), expected);
    // The id and its scratch directory are free again.
    assert!(!spec.scratch.exists());
    world.helper().start(&world.spec(&["true"]), pipes().0).unwrap();
}

#[test]
fn a_scratch_directory_of_somebody_else_is_left_alone() {
    let world = World::new();
    let spec = world.spec(&["true"]);
    fs_err::create_dir(&spec.scratch).unwrap();
    fs_err::write(spec.scratch.join("precious"), "").unwrap();
    let failed = world.helper().start(&spec, pipes().0).unwrap_err();
    assert!(failed.to_string().starts_with("cannot make the scratch directory"), "{failed}");
    assert!(spec.scratch.join("precious").exists());
}

#[test]
fn a_missing_layer_is_named() {
    let world = World::new();
    let mut spec = world.spec(&["true"]);
    spec.lowers.push("/nonexistent/layer".into());
    let failed = world.helper().start(&spec, pipes().0).unwrap_err();
    assert!(failed.to_string().contains("open the layer (/nonexistent/layer)"), "{failed}");
}

#[test]
fn ids_are_one_containers_only() {
    let mut world = World::new();
    let spec = world.spec(&["sleep", "60"]);
    let (_, _pipes) = world.start(&spec);
    let failed = world.helper().start(&spec, pipes().0).unwrap_err();
    assert!(matches!(failed, Error::Failed(Failure::Exists { .. })), "{failed}");
    world.helper().signal(&spec.id, Signal::Kill).unwrap();
    assert_eq!(world.ended(&spec.id).0, ExitStatus::Signal(9));
    world.helper().signal(&spec.id, Signal::Kill).expect("nobody waits for what becomes of a signal");
}

#[test]
fn signals_do_not_wait_for_a_helper_that_does_nothing() {
    let mut world = World::new();
    let spec = world.spec(&["sleep", "60"]);
    let (started, _pipes) = world.start(&spec);
    let status = fs_err::read_to_string(format!("/proc/{}/status", started.pid)).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap();
    let helper = rustix::process::Pid::from_raw(parent).unwrap();
    rustix::process::kill_process(helper, rustix::process::Signal::STOP).unwrap();
    let since = std::time::Instant::now();
    // Far more than the channel has room for.
    for number in 0..2000 {
        world.helper().signal(&format!("co-none-{number}"), Signal::Terminate).unwrap();
    }
    world.helper().signal(&spec.id, Signal::Kill).unwrap();
    let took = since.elapsed();
    rustix::process::kill_process(helper, rustix::process::Signal::CONT).unwrap();
    assert!(took < std::time::Duration::from_secs(5), "{took:?}");
    assert_eq!(world.ended(&spec.id).0, ExitStatus::Signal(9));
}

#[test]
fn other_users_cannot_look_into_what_a_container_writes() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let spec = world.spec(&["sleep", "60"]);
    let (_, _pipes) = world.start(&spec);
    let mode = |path: &std::path::Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&spec.scratch), mode(&spec.scratch.join("upper"))), (0o700, 0o755));
}

#[test]
fn terminate_reaches_the_command() {
    let mut world = World::new();
    let spec = world.spec(&["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done"]);
    let (_, mut pipes) = world.start(&spec);
    let mut ready = [0; 6];
    pipes.stdout.read_exact(&mut ready).unwrap();
    world.helper().signal(&spec.id, Signal::Terminate).unwrap();
    assert_eq!(world.ended(&spec.id).0, ExitStatus::Code(7));
}

#[test]
fn control_and_listener_are_3_and_4() {
    let mut world = World::new();
    let script = "import os\ndata = os.read(3, 9)\nos.write(4, data.upper())\nprint(os.read(0, 1))";
    let spec = world.spec(&["python3", "-c", script]);
    let (mut control, theirs) = UnixStream::pair().unwrap();
    let (mut other, listener) = UnixStream::pair().unwrap();
    let (mut fds, pipes) = pipes();
    fds.control = Some(theirs.into());
    fds.listener = Some(listener.into());
    world.helper().start(&spec, fds).unwrap();
    control.write_all(b"configure").unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "CONFIGURE");
    assert_eq!(pipes.read(), ("b''\n".into(), String::new()));
    assert_eq!(world.ended(&spec.id).0, ExitStatus::Code(0));
}

#[test]
fn a_missing_control_leaves_its_number_closed() {
    let mut world = World::new();
    let script = "import os\nos.fstat(4)\ntry: os.fstat(3)\nexcept OSError as e: print(e.errno)";
    let spec = world.spec(&["python3", "-c", script]);
    let (_keep, listener) = UnixStream::pair().unwrap();
    let (mut fds, pipes) = pipes();
    fds.listener = Some(listener.into());
    world.helper().start(&spec, fds).unwrap();
    assert_eq!(pipes.read(), ("9\n".into(), String::new()));
    assert_eq!(world.ended(&spec.id).0, ExitStatus::Code(0));
}

#[test]
fn an_environment_that_no_message_can_carry_is_refused_with_its_size() {
    let world = World::new();
    let mut spec = world.spec(&["true"]);
    spec.command.env.push(("BIG".into(), "x".repeat(200 * 1024)));
    let failed = world.helper().start(&spec, pipes().0).unwrap_err();
    assert!(matches!(failed, Error::TooLarge { bytes, .. } if bytes > 200 * 1024), "{failed}");
}

#[test]
fn many_starts_at_once_all_succeed() {
    let mut world = World::new();
    let specs: Vec<_> = (0..24).map(|n| world.spec(&["sh", "-c", &format!("exit {n}")])).collect();
    std::thread::scope(|scope| {
        for spec in &specs {
            let helper = world.helper().clone();
            scope.spawn(move || helper.start(spec, pipes().0).unwrap());
        }
    });
    for (code, spec) in (0..).zip(&specs) {
        assert_eq!(world.ended(&spec.id).0, ExitStatus::Code(code));
    }
}

#[test]
fn a_wrong_spec_is_refused_before_it_is_sent() {
    let world = World::new();
    let command = Command { argv: vec![], env: vec![], cwd: "/".into() };
    let spec = pilotlight_sandbox::Spec { command, ..world.spec(&["true"]) };
    let failed = world.helper().start(&spec, pipes().0).unwrap_err();
    assert!(failed.to_string().ends_with("is wrong: the command is empty"), "{failed}");
}
