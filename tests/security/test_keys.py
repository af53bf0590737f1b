"""A container has nothing to do with the kernel's key rings, which belong to users and not to containers.

Held by: the system call filter.
"""

from __future__ import annotations

KEYS = """
    result = {
        "add_key": syscall("add_key", b"user", b"attempt", b"hush", 4, -2),
        "request_key": syscall("request_key", b"user", b"attempt", None, 0),
        "session": syscall("keyctl", 0, -3, 1),
        "join": syscall("keyctl", 1, None),
        "search": syscall("keyctl", 10, -4, b"user", b"attempt", 0),
    }
    result = {name: value if isinstance(value, str) else "done" for name, value in result.items()}
"""


def test_the_key_rings_are_out_of_reach(inside, outside) -> None:
    done = outside(KEYS)
    assert done["add_key"] == done["request_key"] == done["session"] == done["join"] == "done"
    assert set(inside(KEYS).values()) == {"EPERM"}
    assert set(inside(KEYS, own=True).values()) == {"EPERM"}
