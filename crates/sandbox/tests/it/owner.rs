//! A server of its own uid: what it owns is an image's root inside, and it leads the helper nowhere else.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use fs_err as fs;
use pilotlight_sandbox::{Bind, Error, ExitStatus, Failure, IMAGE_IDS, Owner};

use crate::world::{World, pipes};

const SERVER: Owner = Owner { uid: IMAGE_IDS, gid: IMAGE_IDS };

fn world() -> World {
    let mut world = World::new();
    world.start_over(SERVER);
    world
}

fn bind(source: impl AsRef<Path>, target: &str, writable: bool) -> Bind {
    Bind { source: source.as_ref().into(), target: target.into(), writable }
}

#[test]
fn what_is_the_servers_is_roots_inside() {
    let mut world = world();
    let output = world.script("stat -c '%u:%g %n' / /root /root/secret; cat /root/secret");
    assert_eq!(output, "0:0 /\n0:0 /root\n0:0 /root/secret\nof root\n");
    let output =
        world.script("touch /new && rm /etc/hosts && mv /root/secret /etc/x && stat -c %u /new /etc/x /usr");
    assert_eq!(output, "0\n0\n0\n");
}

#[test]
fn a_layer_belongs_to_the_server_and_to_nobody_of_the_machine() {
    let mut world = world();
    let script = "touch /etc/made; chown 1000:50 /etc/made; cp /usr/bin/true /opt-suid; chmod 4755 /opt-suid
                  rm /etc/hosts; mkdir /var/x; touch /var/x/file";
    let mut spec = world.spec(&["sh", "-ec", script]);
    spec.keep_upper = Some(world.path("scratch/layer"));
    let output = world.run(&spec);
    assert_eq!(output.status, ExitStatus::Code(0), "{output:?}");
    let layer = world.path("scratch/layer");
    let stat = |path: &str| fs::symlink_metadata(layer.join(path)).unwrap();
    for path in ["", "etc", "opt-suid", "etc/hosts", "var/x/file"] {
        assert_eq!((stat(path).uid(), stat(path).gid()), (IMAGE_IDS, IMAGE_IDS), "{path}");
    }
    assert_eq!((stat("etc/made").uid(), stat("etc/made").gid()), (IMAGE_IDS + 1000, IMAGE_IDS + 50));
    assert_eq!(stat("opt-suid").mode() & 0o7777, 0o4755);

    let see = "stat -c %u:%g /etc/made /opt-suid; test ! -e /etc/hosts && echo gone";
    let mut next = world.spec(&["sh", "-c", see]);
    next.lowers.insert(0, layer);
    assert_eq!(world.run(&next).stdout, "1000:50\n0:0\ngone\n");
}

#[test]
fn a_bind_of_the_servers_is_written_to_as_the_server() {
    let mut world = world();
    fs::create_dir(world.path("scratch/cache")).unwrap();
    fs::os::unix::fs::chown(world.path("scratch/cache"), Some(SERVER.uid), Some(SERVER.gid)).unwrap();
    let mut spec = world.spec(&["sh", "-ec", "echo x > /mnt/x; stat -c %u /mnt/x"]);
    spec.binds.push(bind(world.path("scratch/cache"), "/mnt", true));
    assert_eq!(world.run(&spec).stdout, "0\n");
    assert_eq!(fs::metadata(world.path("scratch/cache/x")).unwrap().uid(), SERVER.uid);
}

/// What a server that has been taken over might ask for.
#[test]
fn the_helper_is_led_nowhere_else() {
    let world = world();
    let elsewhere = tempfile::tempdir().unwrap();
    let at = |name: &str| elsewhere.path().join(name);
    for name in ["lower", "target", "co-victim"] {
        fs::create_dir(at(name)).unwrap();
    }
    let link = world.path("scratch/link");
    std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(SERVER.uid), Some(SERVER.gid)).unwrap();
    let refused = |change: &dyn Fn(&mut pilotlight_sandbox::Spec)| {
        let mut spec = world.spec(&["true"]);
        change(&mut spec);
        let result = world.helper().start(&spec, pipes().0);
        assert!(matches!(result, Err(Error::Failed(Failure::Step { .. }))), "{spec:?}: {result:?}");
    };
    for root in [elsewhere.path(), link.as_path()] {
        refused(&|spec| spec.lowers.push(root.join("lower")));
        refused(&|spec| spec.keep_upper = Some(root.join("target/fs")));
        refused(&|spec| spec.scratch = root.join("co-new"));
        refused(&|spec| spec.scratch = root.join("co-victim"));
        refused(&|spec| spec.binds.push(bind(root, "/mnt", true)));
        assert!(world.helper().erase(&root.join("lower")).is_err());
        assert!(world.helper().errand("bu-1", ("none", ""), root, [fd(), fd()]).is_err());
    }
    refused(&|spec| spec.binds.push(bind("/etc", "/mnt", true)));
    refused(&|spec| spec.scratch = world.path("scratch/../../co-new"));
    for name in ["lower", "target", "co-victim"] {
        assert!(at(name).exists(), "{name}");
    }
    assert!(!at("co-new").exists() && fs::read_dir(at("target")).unwrap().next().is_none());
    // The machine's own accounts, as anybody may look at them.
    let mut spec =
        world.spec(&["sh", "-c", "cat /mnt/passwd | head -1; cat /mnt/shadow 2>&1 | grep -c denied"]);
    spec.binds.push(bind("/etc", "/mnt", false));
    let mut world = world;
    assert_eq!(world.run(&spec).stdout, "root:x:0:0:root:/root:/bin/bash\n1\n");
}

fn fd() -> std::os::fd::BorrowedFd<'static> {
    use std::os::fd::AsFd;
    static NULL: std::sync::OnceLock<std::fs::File> = std::sync::OnceLock::new();
    NULL.get_or_init(|| std::fs::File::open("/dev/null").unwrap()).as_fd()
}

#[test]
fn what_the_server_may_not_remove_the_helper_does() {
    let world = world();
    let tree = world.path("scratch/tree");
    fs::create_dir_all(tree.join("theirs/deep")).unwrap();
    fs::write(tree.join("theirs/file"), "").unwrap();
    world.helper().erase(&tree).unwrap();
    assert!(!tree.exists());
    world.helper().erase(&tree).unwrap();
    assert!(world.helper().erase(&world.path("")).is_err(), "the state directory itself stays");
}
