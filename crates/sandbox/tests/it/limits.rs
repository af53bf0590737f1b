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

#[test]
fn a_disk_of_its_own_is_full_for_its_owner_alone_and_gone_with_it() {
    let mut world = World::new();
    let script = "\
        import errno, os\n\
        def fill(at):\n    \
            written = 0\n    \
            try:\n        \
                with open(at, 'wb', 0) as f:\n            \
                    while written < 256: written += f.write(b'x' * 1048576) // 1048576\n    \
            except OSError as e: return errno.errorcode[e.errno], written > 40\n    \
            return 'written', written\n\
        first = fill('/tmp/a')\n\
        os.unlink('/tmp/a')\n\
        made = 0\n\
        try:\n    \
            while made < 20000:\n        \
                open(f'/tmp/{made}', 'w').close(); made += 1\n\
        except OSError as e: print(*first, errno.errorcode[e.errno], made > 1000)\n";
    let mut spec = world.spec(&["python3", "-c", script]);
    spec.limits = Limits { disk_mib: Some(64), ..Limits::default() };
    let output = world.run(&spec);
    assert_eq!(output.stdout, "ENOSPC True ENOSPC True\n", "{output:?}");
    // Without a bound of its own there is the server's disk.
    let unbounded = world.spec(&["python3", "-c", script]);
    assert!(world.run(&unbounded).stdout.is_empty());
    // The device's file has no name; the device lets go of it once the last mount is gone.
    world.shutdown();
    let state = world.path("");
    crate::world::until("the loop device is free", || loop_files(&state).is_empty());
}

/// What loop devices have below a directory, as the kernel names it.
fn loop_files(below: &std::path::Path) -> Vec<String> {
    let devices = fs_err::read_dir("/sys/block")
        .unwrap()
        .filter_map(|entry| fs_err::read_to_string(entry.unwrap().path().join("loop/backing_file")).ok());
    let below = below.to_string_lossy().into_owned();
    devices.filter(|file| file.contains(&below)).collect()
}
