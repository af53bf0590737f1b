"""A container cannot change its mounts, by the old calls or the new.

Held by: no capability over any namespace, and the system call filter, which refuses these calls whoever
makes them.
"""

from __future__ import annotations

OLD = """
    import tempfile
    at = tempfile.mkdtemp().encode()
    result = {
        "tmpfs": syscall("mount", b"none", at, b"tmpfs", 0, None),
        "bind": syscall("mount", b"/usr", at, None, 4096, None),
        "writable": syscall("mount", None, b"/proc", None, 32 | 4096, None),
        "unmount": syscall("umount2", at, 2),
        "uncover": syscall("umount2", b"/dev/shm", 2),
    }
"""

NEW = """
    import tempfile
    at = tempfile.mkdtemp().encode()
    context = syscall("fsopen", b"tmpfs", 0)
    given = context if isinstance(context, int) else 0
    made = syscall("fsconfig", given, 6, None, None, 0)
    mount = syscall("fsmount", given, 0, 0)
    tree = syscall("open_tree", -100, b"/usr", 1)
    loose = mount if isinstance(mount, int) else 0
    result = {
        "fsopen": context if isinstance(context, str) else "opened",
        "fsconfig": made,
        "fsmount": mount if isinstance(mount, str) else "made",
        "move_mount": syscall("move_mount", loose, b"", -100, at, 4),
        "open_tree": tree if isinstance(tree, str) else "cloned",
        "mount_setattr": syscall("mount_setattr", -100, b"/", 0, b"\\0" * 32, 32),
    }
"""


def test_the_old_calls_are_refused(inside, outside) -> None:
    assert set(outside(OLD).values()) == {0}
    assert set(inside(OLD).values()) == {"EPERM"}


def test_the_new_calls_are_refused(inside, outside) -> None:
    made = {"fsopen": "opened", "fsconfig": 0, "fsmount": "made", "move_mount": 0, "open_tree": "cloned"}
    assert outside(NEW) == {**made, "mount_setattr": 0}
    assert set(inside(NEW).values()) == {"EPERM"}


ROOT = """
    import os, tempfile
    at = tempfile.mkdtemp()

    def change():
        syscall("mount", b"none", at.encode(), b"tmpfs", 0, None)
        outcome(os.mkdir, at + "/old")
        return syscall("pivot_root", at.encode(), (at + "/old").encode())

    result = {"chroot": forked(lambda: syscall("chroot", at.encode())), "pivot_root": forked(change)}
"""


def test_the_root_stays(inside, outside) -> None:
    # A fork of the snippet shares its mounts: the change of the root is last.
    assert outside(ROOT) == {"chroot": 0, "pivot_root": 0}
    assert inside(ROOT) == {"chroot": "EPERM", "pivot_root": "EPERM"}
