"""A container has no io_uring, whose operations go past every filter of system calls.

Held by: the system call filter, which says that there is none: libraries then go on without.
"""

from __future__ import annotations

RING = """
    import ctypes
    parameters = ctypes.create_string_buffer(120)
    ring = syscall("io_uring_setup", 4, parameters)
    given = ring if isinstance(ring, int) else -1
    result = {
        "setup": ring if isinstance(ring, str) else "made",
        "enter": syscall("io_uring_enter", given, 0, 0, 0, 0, 0),
        "register": syscall("io_uring_register", given, 8, (ctypes.c_char * 4096)(), 0),
    }
"""


def test_there_is_no_ring(inside, outside) -> None:
    there = outside(RING)
    assert there["setup"] == "made" and there["enter"] == 0 and there["register"] != "ENOSYS"
    assert inside(RING) == {"setup": "ENOSYS", "enter": "ENOSYS", "register": "ENOSYS"}
