"""A container traces no process and takes nothing out of one: not even of its own.

Held by: the system call filter; for pid 1, which has the helper's memory as it was, also by not being
dumpable; and Landlock where the kernel has it, for processes beyond the container.
"""

from __future__ import annotations

CALLS = """
    import ctypes, os, signal
    victim = os.fork()
    if victim == 0:
        signal.pause()
        os._exit(0)
    word = ctypes.create_string_buffer(8)

    class Range(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    mine = Range(ctypes.addressof(word), 8)
    both = [ctypes.byref(mine), 1, ctypes.byref(mine), 1, 0]
    handle = os.pidfd_open(victim)
    result = {
        "seize": syscall("ptrace", 0x4206, victim, 0, 0),
        "process_vm_readv": syscall("process_vm_readv", victim, *both),
        "process_vm_writev": syscall("process_vm_writev", victim, *both),
        "pidfd_getfd": syscall("pidfd_getfd", handle, 0, 0),
        "kcmp": syscall("kcmp", os.getpid(), victim, 0, 0, 0),
        "traceme": forked(lambda: syscall("ptrace", 0, 0, 0, 0)),
    }
    os.kill(victim, signal.SIGKILL)
    os.waitpid(victim, 0)
    # Whatever number it is, the call was made.
    result = {name: value if isinstance(value, str) else "done" for name, value in result.items()}
"""


def test_tracing_is_refused(inside, outside) -> None:
    done = outside(CALLS)
    # A kernel without CONFIG_KCMP refuses that one to everybody.
    assert set(done.values()) <= {"done", "ENOSYS"} and done["kcmp"] in ("done", "ENOSYS")
    assert done["seize"] == done["pidfd_getfd"] == "done"
    assert set(inside(CALLS).values()) == {"EPERM"}


MEMORY = """
    import os
    result = [outcome(lambda: os.open(f"/proc/{pid}/mem", os.O_RDWR)) for pid in (1, os.getpid())]
    result = [value if isinstance(value, str) else "opened" for value in result]
"""


def test_the_memory_of_pid_1_is_closed(inside, outside) -> None:
    assert outside(MEMORY) == ["opened", "opened"]
    assert inside(MEMORY) == ["EACCES", "opened"]
    assert inside(MEMORY, own=True)[0] == "EACCES"
