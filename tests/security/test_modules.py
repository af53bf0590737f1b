"""A container loads no module into the kernel, takes none out and starts no other kernel.

Held by: the system call filter, and no capability.
"""

from __future__ import annotations

MODULES = """
    import os
    image = os.memfd_create("module")
    os.write(image, b"no module" * 100)
    result = {
        "init_module": syscall("init_module", b"no module" * 100, 900, b""),
        "finit_module": syscall("finit_module", image, b"", 0),
        "delete_module": syscall("delete_module", b"no_such_module", 0),
        "kexec_load": syscall("kexec_load", 0, 0, None, 0),
        "kexec_file_load": syscall("kexec_file_load", -1, -1, 0, None, 0),
    }
"""


def test_the_kernel_stays_as_it_is(inside, outside) -> None:
    # What a kernel says that reads what it is given, and one that was built without.
    read = {"ENOEXEC", "ENOENT", "EBADF", "ENOSYS", 0}
    assert set(outside(MODULES).values()) <= read
    assert set(inside(MODULES).values()) == {"EPERM"}


SOCKETS = """
    import socket
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_RAW)
    result = {}
    for name in ("AF_ALG", "AF_VSOCK", "AF_TIPC", "AF_CAN", "AF_RDS", "AF_KEY", "AF_QIPCRTR"):
        family = getattr(socket, name, 15)
        result[name] = [outcome(lambda: socket.socket(family, kind).close()) for kind in kinds]
"""


def test_no_module_is_loaded_by_asking_for_its_sockets(inside, outside) -> None:
    made = outside(SOCKETS)
    # Some kernels have few of these families; none that has all refuses them.
    assert any(None in answers for answers in made.values()), made
    refused = inside(SOCKETS)
    assert all(answers == ["EAFNOSUPPORT"] * 4 for answers in refused.values()), refused
