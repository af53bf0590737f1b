//! Containers that are forked from another's process.

use std::io::{BufRead, BufReader};
use std::path::Path;

use fs_err as fs;
use pilotlight_sandbox::{Bind, ExitStatus, Fds, Signal, Spec};

use crate::world::{Pipes, World, pipes};

/// A zygote that says who it is; its forks run what `PROGRAM` says.
const PROGRAM: &str = "
import os, socket, sys
sys.path.insert(0, '/opt')
from zygote import Zygote
print('lit', flush=True)
order = Zygote(socket.socket(fileno=5)).serve()
order.confirm()
while order.zygote:
    print('lit again', flush=True)
    order = Zygote(socket.socket(fileno=5)).serve()
    order.confirm()
os.chdir(order.directory)
for name, value in order.environment.items():
    os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
exec(order.environment['PROGRAM'])
";

fn runner() -> Bind {
    let runner = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/_pilotlight_runner/zygote.py");
    Bind { source: fs::canonicalize(runner).unwrap(), target: "/opt/zygote.py".into(), writable: false }
}

/// A lit zygote.
pub(crate) fn light(world: &World) -> (Spec, Pipes) {
    light_with(world, "")
}

/// A lit zygote whose program is preceded by `before`, once `Zygote` is there to be tampered with.
fn light_with(world: &World, before: &str) -> (Spec, Pipes) {
    let program = PROGRAM.replace("print('lit'", &format!("{before}\nprint('lit'"));
    let mut spec = world.spec(&["python3", "-B", "-c", &program]);
    spec.binds.push(runner());
    spec.zygote = true;
    let (_, pipes) = world.start(&spec);
    (spec, wait_for(pipes, "lit"))
}

/// Reads up to a line.
fn wait_for(pipes: Pipes, line: &str) -> Pipes {
    let mut stdout = BufReader::with_capacity(1, pipes.stdout);
    let mut read = String::new();
    while read.trim_end() != line {
        read.clear();
        assert_ne!(stdout.read_line(&mut read).unwrap(), 0, "no line {line:?}");
    }
    Pipes { stdout: stdout.into_inner(), stderr: pipes.stderr }
}

pub(crate) fn fork(world: &World, from: &Spec, program: &str) -> Spec {
    let mut spec = world.spec(&["forked"]);
    spec.from = Some(from.id.clone());
    spec.command.env.push(("PROGRAM".into(), program.into()));
    spec
}

#[test]
fn a_fork_is_alone_in_its_container_and_has_no_rights() {
    let mut world = World::new();
    let (zygote, _pipes) = light(&world);
    let look = "
import ctypes, os
status = open('/proc/self/status').read()
print(sorted(int(name) for name in os.listdir('/proc') if name.isdigit()))
print(os.uname().nodename)
print(sorted(os.listdir('/proc/self/fd')))
libc = ctypes.CDLL(None, use_errno=True)
print(libc.setns(0, 0), ctypes.get_errno())
for line in status.splitlines():
    if line.split(':')[0] in ('CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs', 'Uid'): print(*line.split())
";
    let spec = fork(&world, &zygote, look);
    let output = world.run(&spec);
    assert_eq!((output.stderr.as_str(), output.status), ("", ExitStatus::Code(0)));
    let expected = [
        "[1, 2]",
        &spec.hostname,
        // Standard files, the places of the runner's, and the listing's own.
        "['0', '1', '2', '3', '4', '5', '6']",
        // EPERM and not EINVAL, which joining standard input would be without the filter.
        "-1 1",
        "Uid: 0 0 0 0",
        "CapPrm: 0000000000000000",
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
    ];
    assert_eq!(output.stdout.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_end_of_a_fork_is_told_as_it_was() {
    let mut world = World::new();
    let (zygote, _pipes) = light(&world);
    let programs = [
        ("os._exit(7)", ExitStatus::Code(7)),
        ("import signal; os.kill(os.getpid(), signal.SIGKILL)", ExitStatus::Signal(9)),
        ("import ctypes; ctypes.string_at(0)", ExitStatus::Signal(11)),
        ("print('well')", ExitStatus::Code(0)),
    ];
    for (program, status) in programs {
        let spec = fork(&world, &zygote, program);
        assert_eq!(world.run(&spec).status, status, "{program}");
    }
}

#[test]
fn a_fork_is_in_its_own_group_within_its_own_limits() {
    let mut world = World::new();
    let (zygote, _pipes) = light(&world);
    let mut spec = fork(&world, &zygote, "hog = bytearray(256 << 20)");
    spec.limits.memory_mib = Some(64);
    let output = world.run(&spec);
    assert_eq!((output.status, output.oom), (ExitStatus::Signal(9), true));
    // The zygote took no part in it.
    let spec = fork(&world, &zygote, "print('here')");
    assert_eq!(world.run(&spec).stdout, "here\n");
}

#[test]
fn signals_reach_the_fork() {
    let mut world = World::new();
    let (zygote, _pipes) = light(&world);
    let program = "
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print('ready', flush=True)
signal.pause()
";
    for (signal, status) in [(Signal::Terminate, ExitStatus::Code(3)), (Signal::Kill, ExitStatus::Signal(9))]
    {
        let spec = fork(&world, &zygote, program);
        let (_, pipes) = world.start(&spec);
        let _pipes = wait_for(pipes, "ready");
        world.helper().signal(&spec.id, signal).unwrap();
        assert_eq!(world.ended(&spec.id), (status, false));
    }
}

#[test]
fn forks_outlive_the_zygote_and_it_leaves_when_the_last_has() {
    let mut world = World::new();
    let (zygote, light) = light(&world);
    let spec = fork(&world, &zygote, "print('ready', flush=True); print(input())");
    let (control, _keep) = std::os::unix::net::UnixStream::pair().unwrap();
    let (fds, pipes) = pipes();
    world.helper().start(&spec, Fds { control: Some(control.into()), ..fds }).unwrap();
    let pipes = wait_for(pipes, "ready");
    drop(pipes);

    let idle = fork(&world, &zygote, "import signal; print('ready', flush=True); signal.pause()");
    let (_, pipes) = world.start(&idle);
    let _pipes = wait_for(pipes, "ready");
    world.helper().signal(&zygote.id, Signal::Terminate).unwrap();
    // Read to its end, which is the zygote's.
    light.read();
    // Nobody answers orders any more.
    let (fds, _late) = self::pipes();
    let late = fork(&world, &zygote, "print('never')");
    world.helper().start(&late, fds).unwrap_err();
    world.helper().signal(&idle.id, Signal::Kill).unwrap();
    assert_eq!(world.ended(&idle.id).0, ExitStatus::Signal(9));
    assert_eq!(world.ended(&zygote.id).0, ExitStatus::Signal(15));
}

#[test]
fn a_zygote_can_be_forked_from_a_zygote() {
    let mut world = World::new();
    let (image, _pipes) = light(&world);
    let mut function = fork(&world, &image, "");
    function.zygote = true;
    let (_, pipes) = world.start(&function);
    let lit = wait_for(pipes, "lit again");
    let spec = fork(&world, &function, "print(os.getpid(), os.getuid())");
    let output = world.run(&spec);
    assert_eq!((output.stdout.as_str(), output.status), ("2 0\n", ExitStatus::Code(0)), "{output:?}");

    // The same at the second level: what is below goes on, and the shell with it.
    let idle = fork(&world, &function, "import signal; print('ready', flush=True); signal.pause()");
    let (_, pipes) = world.start(&idle);
    let _idle = wait_for(pipes, "ready");
    for spec in [&function, &image] {
        world.helper().signal(&spec.id, Signal::Terminate).unwrap();
    }
    lit.read();
    let (fds, _late) = self::pipes();
    world.helper().start(&fork(&world, &function, "print('never')"), fds).unwrap_err();
    world.helper().signal(&idle.id, Signal::Terminate).unwrap();
    for spec in [&idle, &function, &image] {
        assert_eq!(world.ended(&spec.id).0, ExitStatus::Signal(15), "{}", spec.id);
    }
}

#[test]
fn the_process_id_tells_a_fork_from_its_zygote() {
    let mut world = World::new();
    let (zygote, _pipes) = light_with(&world, "own = os.getpid()");
    let spec = fork(&world, &zygote, "print(own != os.getpid())");
    assert_eq!(world.run(&spec).stdout, "True\n");
}

#[test]
fn a_shell_made_ahead_is_taken_by_its_start_or_leaves_nothing() {
    let mut world = World::new();
    let (zygote, _pipes) = light(&world);
    let used = fork(&world, &zygote, "print('used')");
    let unused = fork(&world, &zygote, "print('unused')");
    let plain = world.spec(&["echo", "plain"]);
    for spec in [&used, &unused, &plain] {
        world.helper().prepare(spec).unwrap();
    }
    assert_eq!(world.run(&used).stdout, "used\n");
    assert_eq!(world.run(&plain).stdout, "plain\n");
    assert!(unused.scratch.exists());
    world.helper().signal(&unused.id, Signal::Kill).unwrap();
    crate::world::until("the scratch directory is gone", || !unused.scratch.exists());
}

#[test]
fn shells_made_ahead_end_with_their_zygote_and_their_ids_can_be_used_again() {
    let mut world = World::new();
    let (zygote, _pipes) = light(&world);
    let shells = ["one", "two"].map(|word| fork(&world, &zygote, &format!("print('{word}')")));
    for spec in &shells {
        world.helper().prepare(spec).unwrap();
    }
    world.helper().signal(&zygote.id, Signal::Terminate).unwrap();
    // Nobody else is below it: it ends with them, although nobody let go of them.
    assert_eq!(world.ended(&zygote.id).0, ExitStatus::Signal(15));
    for spec in &shells {
        let (fds, _none) = self::pipes();
        world.helper().start(spec, fds).unwrap_err();
        let mut alone = world.spec(&["echo", "alone"]);
        alone.id.clone_from(&spec.id);
        alone.scratch.clone_from(&spec.scratch);
        assert_eq!(world.run(&alone).stdout, "alone\n");
    }
}

#[test]
fn a_start_can_be_begun_and_its_answer_be_told() {
    let mut world = World::new();
    let (sender, answer) = std::sync::mpsc::channel();
    let (good, bad) = (world.spec(&["true"]), world.spec(&["no-such-program"]));
    for spec in [&good, &bad] {
        let (fds, sender) = (self::pipes().0, sender.clone());
        world.helper().begin(spec, fds, move |started| sender.send(started.is_ok()).unwrap()).unwrap();
    }
    let mut told = [(); 2].map(|()| answer.recv_timeout(crate::world::SOON).unwrap());
    told.sort_unstable();
    assert_eq!(told, [false, true]);
    assert_eq!(world.ended(&good.id).0, ExitStatus::Code(0));
}

#[test]
fn a_zygote_that_does_not_do_as_told_is_not_believed() {
    let mut world = World::new();
    let tampered = [
        ("Zygote._give_up_rights = lambda self: None", "it kept capabilities"),
        ("Zygote._install = lambda self, program: None", "it did not install the system call filter"),
        (
            "import zygote; zygote._NAMESPACES = ('user', 'pid', 'net', 'ipc', 'cgroup', 'mnt')",
            "it did not join the uts namespace",
        ),
        ("Zygote._join = lambda self, fds: 1 / 0", "ZeroDivisionError"),
        ("Zygote._join_and_fork = lambda self, asked: os._exit(0)", "it ended instead"),
    ];
    for (before, reason) in tampered {
        let (zygote, _pipes) = light_with(&world, before);
        let spec = fork(&world, &zygote, "print('never')");
        let (fds, pipes) = pipes();
        let error = world.helper().start(&spec, fds).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert_eq!(pipes.read().0, "", "{before}");
        world.helper().signal(&zygote.id, Signal::Kill).unwrap();
        world.ended(&zygote.id);
    }
}
