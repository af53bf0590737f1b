"""A container cannot change the machine's clock, which has no namespace.

Held by: the system call filter, and no CAP_SYS_TIME.
"""

from __future__ import annotations

CLOCK = """
    import ctypes, struct, time
    now = time.time_ns()
    seconds = ctypes.create_string_buffer(struct.pack("qq", now // 10**9, now % 10**9 // 1000))
    result = {"settimeofday": syscall("settimeofday", seconds, None)}
    now = time.time_ns()
    precise = ctypes.create_string_buffer(struct.pack("qq", now // 10**9, now % 10**9))
    result["clock_settime"] = syscall("clock_settime", 0, precise)
    # ADJ_TICK, to what it is.
    change = ctypes.create_string_buffer(struct.pack("I", 0x4000) + bytes(252))
    struct.pack_into("q", change, 88, 10_000)
    result["adjtimex"] = syscall("adjtimex", change)
    result["clock_adjtime"] = syscall("clock_adjtime", 0, change)
    result = {name: value if isinstance(value, str) else "done" for name, value in result.items()}
"""


def test_the_clock_goes_on(inside, outside) -> None:
    assert set(outside(CLOCK).values()) == {"done"}
    assert set(inside(CLOCK).values()) == {"EPERM"}
