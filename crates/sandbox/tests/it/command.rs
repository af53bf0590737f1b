//! Commands: what they print, and how they end.

use pilotlight_sandbox::ExitStatus;

use crate::world::World;

#[test]
fn echo_prints_and_exits_cleanly() {
    let mut world = World::new();
    let spec = world.spec(&["echo", "hello"]);
    let output = world.run(&spec);
    assert_eq!(
        (output.status, output.stdout.as_str(), output.stderr.as_str()),
        (ExitStatus::Code(0), "hello\n", "")
    );
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
