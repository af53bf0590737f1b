"""A container watches nothing of the kernel's work and holds none of it up.

Counters of the processor tell of neighbours, and userfaultfd stops the kernel in the middle of a copy: the
tool of choice for winning its races. Held by: the system call filter.
"""

from __future__ import annotations

COUNT = """
    import ctypes, struct
    # PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, of this process.
    about = ctypes.create_string_buffer(struct.pack("IIQ", 1, 112, 0) + bytes(112))
    opened = syscall("perf_event_open", about, 0, -1, -1, 0)
    result = opened if isinstance(opened, str) else "opened"
"""

FAULT = """
    # UFFD_USER_MODE_ONLY, which asks for the least.
    tried = [syscall("userfaultfd", flags) for flags in (0, 1)]
    result = [value if isinstance(value, str) else "opened" for value in tried]
"""


def test_nothing_is_counted(inside, outside) -> None:
    assert outside(COUNT) == "opened"
    assert inside(COUNT) == "EPERM"


def test_no_fault_is_handled(inside, outside) -> None:
    assert outside(FAULT) == ["opened", "opened"]
    assert inside(FAULT) == ["EPERM", "EPERM"]
