"""The pilot light: a process that has everything imported, and forks itself into containers made ahead.

The host's helper builds an empty container below this one's namespaces and sends an order, with its
namespaces as descriptors. A child that was forked ahead of the order joins them and forks once more, since
a pid namespace is entered by children only; the grandchild gives up every right and is the container.

No capability is needed here: this process's user owns the user namespaces of the containers below, and so
has, from outside, every capability over them; joining one makes that real for as long as the child keeps it.
Sources: user_namespaces(7), pid_namespaces(7), setns(2), capabilities(7), seccomp(2).
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import gc
import json
import os
import signal
import socket
import sys
from typing import Any, NamedTuple

#: Descriptor 5 of a zygote: its orders.
ORDERS_FD = 5

#: Where a container's process has each of its files.
_PLACES = {"stdout": 1, "stderr": 2, "control": 3, "listener": 4, "orders": ORDERS_FD}
_NAMESPACES = ("user", "pid", "net", "ipc", "uts", "cgroup", "mnt")
#: Above every place.
_FIRST_FREE = 32
_ORDER_BYTES_MAX = 192 << 10
_DESCRIPTORS_MAX = 64

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_SECCOMP = 22
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2
#: Every secure bit but KEEP_CAPS, and the locks of all: root is a user like any other (capabilities(7)).
_SECUREBITS = 0b11101111
_CAPABILITY_VERSION_3 = 0x20080522


class Order(NamedTuple):
    """A container that this process is now."""

    id: str
    environment: dict[str, str]
    directory: str
    #: Whether it is a zygote again, with orders of its own on descriptor 5.
    zygote: bool


class _Capset(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


class Zygote:
    """What is needed to fork into containers, prepared before the first order."""

    def __init__(self, orders: socket.socket) -> None:
        # Elsewhere than the forks of user code expect it: its place is theirs to replace.
        self._orders = socket.socket(fileno=fcntl.fcntl(orders.detach(), fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE))
        self._libc = ctypes.CDLL(None, use_errno=True)

    def serve(self) -> Order:
        """Fork for each order. Returns in the containers' processes only; ends with the host's helper."""
        own = _name()
        # For `ps` and `top`, which tell a zygote from a container by it.
        self._prctl(_PR_SET_NAME, b"pl-zygote")
        gc.collect()
        gc.freeze()
        while True:
            for stream in (sys.stdout, sys.stderr):
                # The user's code may have put something else there, or nothing.
                with contextlib.suppress(AttributeError, OSError, ValueError):
                    stream.flush()
            child = os.fork()
            if child == 0:
                order = self._await_and_join()
                if order is not None:
                    self._prctl(_PR_SET_NAME, own)
                    return order
                os._exit(0)
            _, status = os.waitpid(child, 0)
            if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _HOST_IS_GONE:
                os._exit(0)

    def _await_and_join(self) -> Order | None:
        """In the child that was forked ahead: the order in its child, the container's process; else None."""
        # Without the zygote nobody would notice the end of the next one.
        self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        message, descriptors = _receive(self._orders)
        order = json.loads(message)
        self._orders.close()
        # Out of the way of the places: a descriptor may have come at the number of another's.
        files = [(name, _up(descriptor)) for name, descriptor in zip(order["fds"], descriptors)]
        joined = socket.socket(fileno=dict(files)["joined"])
        try:
            self._join(dict(files))
            if os.fork() != 0:
                return None
            self._settle(files, order["filter"])
        except BaseException as error:
            joined.send(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
            os._exit(1)
        joined.send(b'{"error": null}')
        # The host looks at this process before it goes on, and closes the channel if it does not like it.
        if not joined.recv(16):
            os._exit(1)
        joined.close()
        return Order(order["id"], dict(order["env"]), order["cwd"], order["filter"] is None)

    def _join(self, descriptors: dict[str, int]) -> None:
        for kind in _NAMESPACES:
            self._check(self._libc.setns(descriptors[kind], 0), f"join the {kind} namespace")

    def _settle(self, files: list[tuple[str, int]], program: str | None) -> None:
        """Become the container's process: its cgroup, its user without rights, its files and no other."""
        for name, descriptor in files:
            if name == "cgroup.procs":
                os.write(descriptor, b"0")
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        os.setsid()
        self._arrange(files)
        self._give_up_rights()
        # The change of ids hid this process from itself: its own /proc/self would be nobody's.
        self._prctl(_PR_SET_DUMPABLE, 1)
        if program is not None:
            self._install(bytes.fromhex(program))

    def _arrange(self, files: list[tuple[str, int]]) -> None:
        given = dict(files)
        null = _up(os.open(os.devnull, os.O_RDWR))
        for name, place in _PLACES.items():
            if name in given:
                os.dup2(given[name], place, inheritable=place < 3)
            else:
                os.dup2(null, place, inheritable=False)
        os.close(null)
        for name, descriptor in files:
            if name != "joined":
                os.close(descriptor)

    def _give_up_rights(self) -> None:
        self._check(self._prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL), "clear the ambient capabilities")
        self._check(self._prctl(_PR_SET_SECUREBITS, _SECUREBITS), "lock the secure bits")
        capability = 0
        while self._prctl(_PR_CAPBSET_READ, capability) >= 0:
            self._check(self._prctl(_PR_CAPBSET_DROP, capability), "drop a capability")
            capability += 1
        header = _Capset(_CAPABILITY_VERSION_3, 0)
        none = (ctypes.c_uint32 * 6)()
        self._check(self._libc.capset(ctypes.byref(header), ctypes.byref(none)), "drop all capabilities")

    def _install(self, program: bytes) -> None:
        filter = _Filter(len(program) // 8, program)
        result = self._prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filter))
        self._check(result, "install the system call filter")

    def _prctl(self, option: int, *arguments: Any) -> int:
        given = [*arguments, 0, 0, 0, 0][:4]
        wide = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in given]
        return int(self._libc.prctl(option, *wide))

    def _check(self, result: int, what: str) -> None:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"cannot {what}: {os.strerror(number)}")


#: The exit code of a child whose orders ended.
_HOST_IS_GONE = 3


def _receive(orders: socket.socket) -> tuple[bytes, array.array[int]]:
    descriptors = array.array("i")
    size = socket.CMSG_SPACE(_DESCRIPTORS_MAX * descriptors.itemsize)
    message, ancillary, _, _ = orders.recvmsg(_ORDER_BYTES_MAX, size, socket.MSG_CMSG_CLOEXEC)
    if not message:
        os._exit(_HOST_IS_GONE)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return message, descriptors


def _name() -> bytes:
    with open("/proc/self/comm", "rb") as file:
        return file.read().rstrip()


def _up(descriptor: int) -> int:
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    os.close(descriptor)
    return moved
