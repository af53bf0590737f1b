//! What a command finds around it, and what it may not do.

use fs_err as fs;
use pilotlight_sandbox::{Bind, Error, ExitStatus, Failure, Owner};

use crate::world::World;

#[test]
fn layers_of_root_belong_to_root() {
    let mut world = World::new();
    let output = world.script("stat -c '%u:%g %n' / /root /root/secret /etc/hosts; cat /root/secret");
    assert_eq!(output, "0:0 /\n0:0 /root\n0:0 /root/secret\n0:0 /etc/hosts\nof root\n");
}

#[test]
fn root_writes_where_root_may_and_no_layer_changes() {
    let mut world = World::new();
    let output = world.script(
        "echo more >> /root/secret; cat /root/secret; touch /new; chown 0:0 /new; chmod 600 /new
         mkdir /var/lib; rm /etc/hosts; stat -c %u:%g:%a /new; stat -c %a /tmp",
    );
    assert_eq!(output, "of root\nmore\n0:0:600\n1777\n");
    assert_eq!(fs::read_to_string(world.path("base/root/secret")).unwrap(), "of root\n");
    assert!(world.path("base/etc/hosts").exists());
    assert!(!world.path("base/new").exists());
}

#[test]
fn the_upper_layer_covers_the_lower() {
    let mut world = World::new();
    fs::create_dir_all(world.path("user/root")).unwrap();
    fs::write(world.path("user/root/secret"), "of the user\n").unwrap();
    let mut spec = world.spec(&["cat", "/root/secret", "/etc/hosts"]);
    spec.lowers.insert(0, world.path("user"));
    assert_eq!(world.run(&spec).stdout, "of the user\n127.0.0.1 localhost\n");
}

#[test]
fn there_is_no_capability_and_no_way_to_one() {
    let mut world = World::new();
    let status = world.script("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -d '\\t'");
    let none = "0000000000000000";
    let caps = ["Inh", "Prm", "Eff", "Bnd", "Amb"].map(|set| format!("Cap{set}:{none}\n")).concat();
    assert_eq!(status, format!("{caps}NoNewPrivs:1\nSeccomp:2\n"));
}

#[test]
fn every_namespace_is_its_own() {
    let mut world = World::new();
    let kinds = ["user", "pid", "net", "ipc", "uts", "mnt", "cgroup"];
    let inside = world.script("for n in user pid net ipc uts mnt cgroup; do readlink /proc/self/ns/$n; done");
    for (kind, inside) in kinds.iter().zip(inside.lines()) {
        let outside = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert!(inside.starts_with(kind));
        assert_ne!(outside.to_str(), Some(inside));
    }
    // The roots of the cgroup namespace are the container's own groups.
    let groups = world.script("grep -E ':(memory|cpu|pids)?:' /proc/self/cgroup | cut -d: -f3 | sort -u");
    assert!(groups.lines().any(|group| group == "/") && !groups.contains("pilotlight"), "{groups}");
}

#[test]
fn only_the_given_descriptors_are_open() {
    let mut world = World::new();
    let script = "import os\nfor fd in range(4096):\n try: os.fstat(fd); print(fd)\n except OSError: pass";
    let spec = world.spec(&["python3", "-c", script]);
    assert_eq!(world.run(&spec).stdout, "0\n1\n2\n");
}

#[test]
fn pid_1_is_ours_and_closed_to_the_command() {
    let mut world = World::new();
    let output = world.script(
        "cut -d ' ' -f 2 /proc/1/stat; tr '\\0' ' ' < /proc/1/cmdline; echo
         cat /proc/1/environ 2>&1 || true; head -c 1 /proc/1/mem 2>&1 || true; ls /proc/1/fd 2>&1 || true; ls /proc | grep -c '^[0-9]'",
    );
    let lines: Vec<&str> = output.lines().collect();
    assert!(lines[0].starts_with("(co-t"), "{output}");
    assert!(lines[1].starts_with("pilotlight: co-t"), "{output}");
    assert_eq!(output.matches("Permission denied").count(), 3, "{output}");
    // pid 1, the shell, ls, and grep if it is there already.
    assert!(matches!(lines.last(), Some(&"3" | &"4")), "{output}");
}

#[test]
fn orphans_are_buried_by_pid_1() {
    let mut world = World::new();
    let output = world.script(
        "sh -c '(exit 0) & sleep 0.05 & exit' ; sleep 0.2; cat /proc/[0-9]*/status | grep -c '^State:.Z' || true",
    );
    assert_eq!(output, "0\n");
}

#[test]
fn calls_that_reach_far_are_refused() {
    let mut world = World::new();
    let script = r"
import ctypes, errno, os, platform
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, *args):
    result = getattr(libc, name)(*args)
    print(name, errno.errorcode[ctypes.get_errno()] if result < 0 else result)
attempt('mount', b'none', b'/root', b'tmpfs', 0, None)
attempt('umount2', b'/proc', 2)
attempt('unshare', 0x10000000)
attempt('setns', 0, 0)
attempt('pivot_root', b'.', b'.')
attempt('personality', 0x40000)
attempt('chroot', b'/root')
attempt('sethostname', b'x', 1)
attempt('settimeofday', ctypes.create_string_buffer(16), None)
import socket
for family in (socket.AF_VSOCK, socket.AF_ALG):
    try: socket.socket(family, socket.SOCK_STREAM); print('opened', family)
    except OSError as e: print(errno.errorcode[e.errno])
pid = os.fork()
if pid == 0: os._exit(5)
print('fork', os.waitpid(pid, 0)[1] >> 8)
";
    let spec = world.spec(&["python3", "-c", script]);
    let output = world.run(&spec);
    let names = "mount umount2 unshare setns pivot_root personality chroot sethostname settimeofday";
    let expected = names.replace(' ', " EPERM\n") + " EPERM\n" + "EAFNOSUPPORT\nEAFNOSUPPORT\n";
    assert_eq!(output.stdout, expected + "fork 5\n", "{output:?}");
}

#[test]
fn devices_work_and_no_other_can_be_made() {
    let mut world = World::new();
    let script = r"
import os, pty
print(len(os.urandom(4)), open('/dev/zero', 'rb').read(2), open('/dev/null', 'w').write('x'))
open('/dev/shm/x', 'w').write('x')
master, slave = pty.openpty(); print(os.ttyname(slave))
for path in ['/dev/new', '/dev/vda', '/dev/kmsg', '/dev/tty']:
    try: os.close(os.open(path, os.O_RDWR | os.O_CREAT)); print('opened', path)
    except OSError as e: print(e.errno)
try: os.mknod('/root/sda', 0o600 | 0o060000, os.makedev(8, 0)); print('made')
except OSError as e: print(e.errno)
";
    let spec = world.spec(&["python3", "-c", script]);
    let output = world.run(&spec);
    // EROFS three times, then ENXIO: no controlling terminal.
    assert_eq!(output.stdout, "4 b'\\x00\\x00' 1\n/dev/pts/0\n30\n30\n30\n6\n1\n", "{output:?}");
}

#[test]
fn proc_tells_and_changes_nothing_of_the_host() {
    let mut world = World::new();
    let output = world.script(
        "for f in /proc/sys/kernel/hostname /proc/sys/net/ipv4/ip_forward; do
           (echo 1 > $f) 2>&1 | grep -o 'Read-only file system'
         done
         for f in kcore keys timer_list sysrq-trigger; do
           test ! -e /proc/$f || stat -c '%F' /proc/$f
         done | sort -u; ls -A /sys 2>/dev/null | wc -l",
    );
    let expected = "Read-only file system\nRead-only file system\ncharacter special file\n0\n";
    assert_eq!(output, expected);
}

#[test]
fn binds_are_read_only_unless_asked_and_written_as_the_hosts_root() {
    let mut world = World::new();
    for name in ["shared", "fixed"] {
        fs::create_dir(world.path(name)).unwrap();
    }
    fs::write(world.path("file"), "a file\n").unwrap();
    let mut spec = world.spec(&[
        "sh",
        "-c",
        "echo x > /mnt/shared/x && stat -c %u /mnt/shared/x; touch /mnt/fixed/x 2>&1 | grep -o Read-only; cat /opt/a/file",
    ]);
    let bind = |name: &str, target: &str, writable| Bind {
        source: world.path(name),
        target: target.into(),
        writable,
    };
    spec.binds.push(bind("shared", "/mnt/shared", true));
    spec.binds.push(bind("fixed", "/mnt/fixed", false));
    spec.binds.push(bind("file", "/opt/a/file", false));
    assert_eq!(world.run(&spec).stdout, "0\nRead-only\na file\n");
    let written = fs::metadata(world.path("shared/x")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&written), 0);
}

#[test]
fn a_layer_that_cannot_be_shifted_is_named_with_its_file_system() {
    let mut world = World::new();
    // A link that root puts into the state directory before the helper starts is followed.
    std::os::unix::fs::symlink("/proc/sys", world.path("odd")).unwrap();
    world.start_over(Owner::this_process());
    let mut spec = world.spec(&["true"]);
    spec.lowers.push(world.path("odd"));
    let failed = world.helper().start(&spec, crate::world::pipes().0).unwrap_err();
    let expected = Failure::NotShiftable { path: world.path("odd"), file_system: "proc".into() };
    assert!(matches!(&failed, Error::Failed(failure) if *failure == expected), "{failed}");
}

#[test]
fn a_bind_that_cannot_be_shifted_is_shown_read_only_and_noted_once() {
    let mut world = World::new();
    let mut spec = world.spec(&["cat", "/opt/type"]);
    spec.binds.push(Bind {
        source: "/proc/sys/kernel/ostype".into(),
        target: "/opt/type".into(),
        writable: false,
    });
    let (started, pipes) = world.start(&spec);
    assert_eq!(pipes.read().0, "Linux\n");
    assert_eq!(world.ended(&spec.id).0, ExitStatus::Code(0));
    assert!(
        started.notes[0].starts_with("the file system of /proc/sys/kernel/ostype"),
        "{:?}",
        started.notes
    );
    assert_eq!(world.start(&spec).0.notes, [""; 0]);
}

#[test]
fn links_in_an_image_do_not_lead_out_of_it() {
    let mut world = World::new();
    let outside = world.path("outside");
    fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, world.path("base/escape")).unwrap();
    std::os::unix::fs::symlink("../../../../../..", world.path("base/up")).unwrap();
    let mut spec = world.spec(&["sh", "-c", "ls -A /up | grep -c '^bound$'"]);
    let source = world.path("base/etc");
    let bind = |target: &str| Bind { source: source.clone(), target: target.into(), writable: false };
    spec.binds.push(bind("/up/bound"));
    let output = world.run(&spec);
    assert_eq!((output.status, output.stdout.as_str()), (ExitStatus::Code(0), "1\n"));
    // The link points at a path that does not exist inside, so nothing can be made below it.
    spec.id = format!("{}-2", spec.id);
    spec.binds.push(bind("/escape/made"));
    assert!(world.helper().start(&spec, crate::world::pipes().0).is_err());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}
