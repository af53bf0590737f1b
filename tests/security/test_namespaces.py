"""A container makes no namespace and joins none.

A user namespace would give its maker every capability over the namespaces made inside: the way to most of the
kernel's code that was written for root. Held by: the system call filter. A zygote may join, with descriptors
that the helper gives it, and its forks may not any more.
"""

from __future__ import annotations

KINDS = {
    "mount": 0x20000,
    "cgroup": 0x2000000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "time": 0x80,
}

UNSHARE = f"result = {{name: forked(lambda: syscall('unshare', bits)) for name, bits in {KINDS}.items()}}"

# The time namespace shares its bit with the exit signal of clone(2).
CLONE = f"""
    import os, signal
    result = {{}}
    for name, bits in {KINDS}.items():
        if name != "time":
            child = syscall("clone", bits | signal.SIGCHLD, 0, 0, 0, 0)
            if child == 0:
                os._exit(0)
            result[name] = child if isinstance(child, str) else os.waitpid(child, 0)[1]
"""

CLONE3 = f"""
    import ctypes, os, signal, struct
    result = {{}}
    for name, bits in {{**{KINDS}, "nothing": 0}}.items():
        words = [bits, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0]
        arguments = ctypes.create_string_buffer(struct.pack("11Q", *words))
        child = syscall("clone3", arguments, 88)
        if child == 0:
            os._exit(0)
        result[name] = child if isinstance(child, str) else os.waitpid(child, 0)[1]
"""

JOIN = """
    import os
    result = {}
    for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup"):
        descriptor = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY)
        # Nobody joins the user namespace that it is in; that error shows that the kernel looked.
        result[kind] = forked(lambda: syscall("setns", descriptor, 0))
    handle = os.pidfd_open(os.getpid())
    result["all"] = forked(lambda: syscall("setns", handle, 0x4000000))
"""


def test_none_is_made_by_unshare(inside, outside) -> None:
    assert set(outside(UNSHARE).values()) == {0}
    assert set(inside(UNSHARE).values()) == {"EPERM"}
    assert set(inside(UNSHARE, own=True).values()) == {"EPERM"}


def test_none_is_made_by_clone(inside, outside) -> None:
    assert set(outside(CLONE).values()) == {0}
    assert set(inside(CLONE).values()) == {"EPERM"}


def test_the_clone_whose_flags_no_filter_sees_is_not_there(inside, outside) -> None:
    assert set(outside(CLONE3).values()) == {0}
    assert set(inside(CLONE3).values()) == {"ENOSYS"}


def test_none_is_joined(inside, outside) -> None:
    joined = outside(JOIN)
    assert joined.pop("user") == "EINVAL"
    assert set(joined.values()) == {0}
    assert set(inside(JOIN).values()) == {"EPERM"}
