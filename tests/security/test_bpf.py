"""A container loads no program into the kernel and makes no map there.

Held by: the system call filter, and no capability. Filters of a process's own system calls are no such
programs and may be added.
"""

from __future__ import annotations

BPF = """
    import ctypes, struct
    # BPF_MAP_CREATE: an array of four numbers.
    map = ctypes.create_string_buffer(struct.pack("IIIII", 2, 4, 8, 4, 0) + bytes(100))
    made = syscall("bpf", 0, map, 72)
    # BPF_PROG_LOAD of a socket filter: r0 = 0, exit.
    code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"GPL")
    fields = struct.pack("IIQQIIQII", 1, 2, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0, 0)
    loaded = syscall("bpf", 5, ctypes.create_string_buffer(fields + bytes(100)), 72)
    result = ["done" if isinstance(value, int) else value for value in (made, loaded)]
"""


def test_programs_and_maps_are_refused(inside, outside) -> None:
    assert outside(BPF) == ["done", "done"]
    assert inside(BPF) == ["EPERM", "EPERM"]
