"""Where the kernel has Landlock, each container is behind its wall too: the second behind everything else.

What it refuses is refused before by namespaces, ids and the system call filter, so that it cannot be seen by
trying. But the kernel lays at most 16 of them around a process, and so the layers can be counted. Held by:
pid 1 puts it up before the filter, and so does each fork of a zygote.
"""

from __future__ import annotations

COUNT = """
    import ctypes, os, struct

    def stack():
        count = 0
        libc.prctl(38, 1, 0, 0, 0)
        while True:
            # LANDLOCK_ACCESS_FS_MAKE_BLOCK
            rules = syscall(444, ctypes.create_string_buffer(struct.pack("Q", 1 << 11)), 8, 0)
            if isinstance(rules, str):
                return rules
            if syscall(446, rules, 0) != 0:
                return count
            count += 1

    version = syscall(444, None, 0, 1)
    result = version, forked(stack)
"""


def test_a_container_is_behind_it(inside, outside) -> None:
    version, room = outside(COUNT)
    here, left = inside(COUNT)
    assert here == version
    if isinstance(version, str) or version < 2:
        # A kernel without, or whose version would refuse moves: nothing is put up.
        assert left == room
        return
    assert room == 16
    assert left <= 15


def test_files_are_still_moved_between_folders(inside, outside) -> None:
    code = """
        import os
        for name in ("one", "other"):
            os.mkdir(f"{here}/{name}")
        open(here + "/one/file", "w").close()
        os.rename(here + "/one/file", here + "/other/file")
        os.link(here + "/other/file", here + "/one/again")
        result = os.listdir(here + "/one")
    """
    assert outside(code) == ["again"]
    assert inside(code) == ["again"]
    assert inside(code, own=True) == ["again"]
