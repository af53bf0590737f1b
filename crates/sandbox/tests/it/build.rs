//! Build steps: a container whose upper becomes a layer.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use fs_err as fs;
use pilotlight_sandbox::ExitStatus;

use crate::world::World;

#[test]
fn the_upper_of_a_good_step_becomes_a_layer() {
    let mut world = World::new();
    let script = "
        echo made > /etc/made; chown 1000:50 /etc/made; mkdir -p /opt/deep/er; chown -R 33:33 /opt/deep
        ln -s /nowhere /opt/link; chown -h 7:7 /opt/link
        cp /usr/bin/true /opt/suid; chown 0:12 /opt/suid; chmod 6755 /opt/suid
        rm /etc/hosts; rm -r /root; mkdir /root; echo new > /root/new";
    let mut spec = world.spec(&["sh", "-ec", script]);
    let layer = world.path("layer");
    spec.keep_upper = Some(layer.clone());
    let output = world.run(&spec);
    assert_eq!(output.status, ExitStatus::Code(0), "{output:?}");

    let owner = |path: &str| {
        let stat = fs::symlink_metadata(layer.join(path)).unwrap();
        (stat.uid(), stat.gid())
    };
    assert_eq!(owner(""), (0, 0));
    assert_eq!(owner("etc/made"), (1000, 50));
    assert_eq!(owner("opt/deep/er"), (33, 33));
    assert_eq!(owner("opt/link"), (7, 7));
    assert_eq!(owner("opt/suid"), (0, 12));
    assert_eq!(fs::metadata(layer.join("opt/suid")).unwrap().mode() & 0o7777, 0o6755);
    assert!(fs::symlink_metadata(layer.join("etc/hosts")).unwrap().file_type().is_char_device());
    assert!(!spec.scratch.exists());

    // As a lower of the next container it does what it says.
    let mut next = world.spec(&[
        "sh",
        "-c",
        "cat /etc/made; ls -A /root; test ! -e /etc/hosts && echo gone; stat -c %u /etc/made",
    ]);
    next.lowers.insert(0, layer);
    assert_eq!(world.run(&next).stdout, "made\nnew\ngone\n1000\n");
}

#[test]
fn a_step_that_fails_leaves_nothing() {
    let mut world = World::new();
    let mut spec = world.spec(&["sh", "-c", "touch /x; exit 4"]);
    spec.keep_upper = Some(world.path("layer"));
    assert_eq!(world.run(&spec).status, ExitStatus::Code(4));
    assert!(!world.path("layer").exists() && !spec.scratch.exists());
}

#[test]
fn a_step_may_become_another_user_as_apt_does() {
    let mut world = World::new();
    let script =
        "import os\nos.setgroups([])\nos.setresgid(5, 5, 5)\nos.setresuid(6, 6, 6)\nprint(os.getresuid())";
    let mut spec = world.spec(&["python3", "-c", script]);
    spec.keep_upper = Some(world.path("layer"));
    assert_eq!(world.run(&spec).stdout, "(6, 6, 6)\n");
}

#[test]
fn a_layer_that_cannot_be_put_in_place_fails_the_step_and_says_so() {
    let mut world = World::new();
    let mut spec = world.spec(&["touch", "/x"]);
    let layer = world.path("layer");
    fs::create_dir_all(layer.join("taken")).unwrap();
    spec.keep_upper = Some(layer);
    let output = world.run(&spec);
    assert_eq!(output.status, ExitStatus::Code(125));
    assert!(output.stderr.starts_with("pilotlight: cannot keep the files of this step: "), "{output:?}");
    assert!(!spec.scratch.exists());
}
