"""A container does not turn off what protects programs from mistakes, nor change the processor's mode.

Held by: the system call filter. Asking is allowed, and the default.
"""

from __future__ import annotations

CHANGE = """
    import ctypes
    asked = syscall("personality", 0xFFFFFFFF)
    result = {
        "asked": asked,
        "no randomisation": forked(lambda: syscall("personality", 0x40000)),
        "read implies exec": forked(lambda: syscall("personality", 0x400000)),
        "page at zero": forked(lambda: syscall("personality", 0x100000)),
        "segments": forked(lambda: syscall("modify_ldt", 0, ctypes.create_string_buffer(16), 16)),
    }
"""


def test_nothing_is_turned_off(inside, outside) -> None:
    asked = outside(CHANGE)
    assert set(asked.values()) == {0}
    assert inside(CHANGE) == {name: 0 if name == "asked" else "EPERM" for name in asked}


def test_new_programs_begin_with_random_addresses(inside) -> None:
    code = """
        import subprocess, sys
        show = [sys.executable, "-c", "print(id(object()))"]
        result = len({subprocess.check_output(show) for _ in range(3)})
    """
    assert inside(code) > 1
