"""A container has six harmless devices and can make no other.

Held by: no CAP_MKNOD over the namespace that owns devices, `nodev` on what is its to write, the system call
filter, and Landlock where the kernel has it.
"""

from __future__ import annotations

MAKE = """
    import os, stat, tempfile
    folders = [tempfile.mkdtemp(dir=place) for place in ("/tmp", "/dev/shm", os.path.expanduser("~"))]
    kinds = {"character": stat.S_IFCHR, "block": stat.S_IFBLK}
    # /dev/mem, and a disk.
    numbers = {"character": os.makedev(1, 1), "block": os.stat("/").st_dev}
    result = []
    for folder in folders:
        for kind, bits in kinds.items():
            result.append(outcome(os.mknod, f"{folder}/{kind}", bits | 0o666, numbers[kind]))
        for entry in os.listdir(folder):
            os.unlink(f"{folder}/{entry}")
        os.rmdir(folder)
"""


def test_no_device_can_be_made(inside, outside) -> None:
    assert outside(MAKE) == [None] * 6
    assert inside(MAKE) == ["EPERM"] * 6


def test_a_queue_in_the_file_system_can(inside, outside) -> None:
    code = """
        import os, stat, tempfile
        folder = tempfile.mkdtemp()
        os.mkfifo(folder + "/fifo")
        result = stat.S_ISFIFO(os.stat(folder + "/fifo").st_mode)
    """
    assert outside(code)
    assert inside(code)


LOOK = """
    import os, stat
    result = []
    for folder, names, files in os.walk("/dev"):
        for name in names + files:
            about = os.lstat(os.path.join(folder, name))
            if stat.S_ISCHR(about.st_mode) or stat.S_ISBLK(about.st_mode):
                result.append(os.path.join(folder, name))
"""


def test_there_are_no_devices_of_the_machines(inside, outside) -> None:
    everyones = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")}
    assert {"/dev/mem", "/dev/kmsg"} & set(outside(LOOK))
    found = set(inside(LOOK))
    assert {name for name in found - everyones if not name.startswith("/dev/pts/")} == set()


def test_the_devices_that_are_there_stay_as_they_are(inside, outside) -> None:
    code = """
        import os
        about = os.stat("/dev/null")
        result = outcome(os.chmod, "/dev/null", about.st_mode & 0o7777)
    """
    assert outside(code) is None
    assert inside(code) in ("EPERM", "EROFS")
