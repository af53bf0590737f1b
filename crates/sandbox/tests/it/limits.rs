//! Limits hold, and going over the one for memory is told.

use pilotlight_sandbox::{ExitStatus, Limits};

use crate::world::{World, pipes};

#[test]
fn too_much_memory_is_an_out_of_memory_kill() {
    let mut world = World::new();
    let mut spec = world.spec(&["python3", "-c", "x = b'x' * (200 << 20); print(len(x))"]);
    spec.limits = Limits { memory_mib: Some(64), ..Limits::default() };
    let output = world.run(&spec);
    assert_eq!((output.status, output.oom), (ExitStatus::Signal(9), true), "{output:?}");
}

#[test]
fn enough_memory_is_enough() {
    let mut world = World::new();
    let mut spec = world.spec(&["python3", "-c", "x = b'x' * (20 << 20); print(len(x))"]);
    spec.limits = Limits { memory_mib: Some(64), ..Limits::default() };
    let output = world.run(&spec);
    assert_eq!((output.status, output.oom), (ExitStatus::Code(0), false), "{output:?}");
}

#[test]
fn a_fork_bomb_runs_into_its_limit() {
    let mut world = World::new();
    let script = r"
import os, time
children = 0
try:
    while True:
        if os.fork() == 0: time.sleep(60)
        children += 1
except OSError as error:
    print(children, error.errno)
";
    let mut spec = world.spec(&["python3", "-c", script]);
    spec.limits = Limits { pids: 20, ..Limits::default() };
    // Pid 1 and the program itself count too. 11 is EAGAIN. The children die with pid 1.
    assert_eq!(world.run(&spec).stdout, "18 11\n");
}

#[test]
fn a_hundred_containers_live_side_by_side() {
    let mut world = World::new();
    let specs: Vec<_> = (0..100).map(|_| world.spec(&["sleep", "1000"])).collect();
    for spec in &specs {
        world.helper().start(spec, pipes().0).unwrap();
    }
    let seen = fs_err::read_dir(world.run_dir.join("scratch")).unwrap().count();
    assert_eq!(seen, specs.len());
    world.shutdown();
    assert_eq!(world.events.iter().count(), specs.len());
    assert_eq!(fs_err::read_dir(world.path("scratch")).unwrap().count(), 0);
}

#[test]
fn half_a_processor_is_half_a_processor() {
    let mut world = World::new();
    let script = "import time\nused, end = time.process_time(), time.monotonic() + 1\nwhile time.monotonic() < end: pass\nprint(time.process_time() - used)";
    let mut spec = world.spec(&["python3", "-c", script]);
    spec.limits = Limits { cpu_millis: Some(300), ..Limits::default() };
    let used: f64 = world.run(&spec).stdout.trim().parse().unwrap();
    assert!(used < 0.6, "{used}");
}
