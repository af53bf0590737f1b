"""The pilot light: a process that has everything imported, and forks itself into containers made ahead.

The host's helper builds an empty container below this one's namespaces and sends an order, with its
namespaces as descriptors. A child joins them and forks once more, since a pid namespace is entered by
children only; the grandchild gives up every right and is the container. Between two orders there is no child.

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
import struct
import sys
from typing import Any, Callable, NamedTuple, NoReturn

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

#: Landlock's system calls have these numbers on every machine.
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_ADD_RULE = 445
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_VERSION = 1
_LANDLOCK_PATH_BENEATH = 1
#: No device is made, and a file is moved to another folder below the root alone; no signal and no abstract
#: socket goes out of the container (landlock(7)).
_LANDLOCK_MOVE = 1 << 13
_LANDLOCK_FILES = 1 << 6 | 1 << 11 | _LANDLOCK_MOVE
_LANDLOCK_SCOPES = 0b11


class Order(NamedTuple):
    """A container that this process is now."""

    id: str
    environment: dict[str, str]
    directory: str
    #: Whether it is a zygote again, with orders of its own on descriptor 5.
    zygote: bool
    #: Where the host says that it has looked at this process.
    joined: socket.socket

    def confirm(self) -> None:
        """Wait until the host has looked at this process, which ends if the host does not like it.

        Nothing of the user's may run before.
        """
        if not self.joined.recv(16):
            os._exit(1)
        self.joined.close()


class _Capset(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


class Zygote:
    """What is needed to fork into containers, prepared before the first order."""

    def __init__(self, orders: socket.socket) -> None:
        # Elsewhere than the forks of user code expect it: its place is theirs to replace.
        self._orders = socket.socket(fileno=fcntl.fcntl(orders.detach(), fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE))
        # A `PyDLL` keeps the interpreter's lock: nothing of the interpreter moves while its `fork` runs.
        self._libc = ctypes.PyDLL(None, use_errno=True)
        self._libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
        self._capabilities = 0
        while self._prctl(_PR_CAPBSET_READ, self._capabilities) >= 0:
            self._capabilities += 1
        self._landlock = int(self._libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION))

    def serve(self) -> Order:
        """Fork for each order. Returns in the containers' processes only; ends with the host's helper."""
        own = self._begin()
        while True:
            asked = self._next()
            # Not `os.fork`, which makes the child ready to run anything: this one joins, forks and ends.
            child = self._libc.fork()
            if child == 0:
                if self._join_and_fork(asked):
                    self._prctl_name(own)
                    return asked.order
                os._exit(0)
            asked.close()
            if child > 0:
                os.waitpid(child, 0)

    def serve_through(self, run: Callable[..., Any], live: Callable[[Order], int]) -> NoReturn:
        """As `serve`, by a process between that has no memory of its own; see `between.run`.

        The containers' processes cannot return from there. They end with the value of `live`.
        """
        own = self._begin()
        while True:
            asked = self._next()

            def be(asked: _Asked = asked) -> int:
                self._prctl_name(own)
                return live(asked.order)

            run(lambda asked=asked: self._join_and_fork(asked), be)
            # A change of rights hides a process from itself, and the memory was this one's.
            self._prctl(_PR_SET_DUMPABLE, 1)
            asked.close()

    def _begin(self) -> bytes:
        own = _name()
        # For `ps` and `top`, which tell a zygote from a container by it.
        self._prctl_name(b"pl-zygote")
        gc.collect()
        gc.freeze()
        return own

    def _next(self) -> _Asked:
        # All that does not have to be done in the fork: there each page that is touched is copied first.
        asked = _Asked(*_receive(self._orders))
        for stream in (sys.stdout, sys.stderr):
            # The user's code may have put something else there, or nothing.
            with contextlib.suppress(AttributeError, OSError, ValueError):
                stream.flush()
        return asked

    def _join_and_fork(self, asked: _Asked) -> bool:
        """In a child of the zygote: join, and fork; whether this is the container's process."""
        # Without the zygote nobody would notice the end of the next one.
        self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        inside = False
        try:
            self._join(asked.places)
            inside = os.fork() == 0
            if not inside:
                return False
            self._orders.close()
            self._settle(asked)
        except BaseException as error:
            asked.joined.send(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
            if not inside:
                return False
            os._exit(1)
        asked.joined.send(b'{"error": null}')
        return True

    def _join(self, descriptors: dict[str, int]) -> None:
        for kind in _NAMESPACES:
            self._check(self._libc.setns(descriptors[kind], 0), f"join the {kind} namespace")

    def _settle(self, asked: _Asked) -> None:
        """Become the container's process: its cgroup, its user without rights, its files and no other."""
        for name, descriptor in asked.files:
            if name == "cgroup.procs":
                os.write(descriptor, b"0")
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        os.setsid()
        self._arrange(asked.files)
        self._give_up_rights()
        # The change of ids hid this process from itself: its own /proc/self would be nobody's.
        self._prctl(_PR_SET_DUMPABLE, 1)
        if asked.program is not None:
            self._enclose()
            self._install(asked.program)

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
        for capability in range(self._capabilities):
            self._check(self._prctl(_PR_CAPBSET_DROP, capability), "drop a capability")
        header = _Capset(_CAPABILITY_VERSION_3, 0)
        none = (ctypes.c_uint32 * 6)()
        self._check(self._libc.capset(ctypes.byref(header), ctypes.byref(none)), "drop all capabilities")

    def _install(self, program: _Filter) -> None:
        result = self._prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))
        self._check(result, "install the system call filter")

    def _enclose(self) -> None:
        """The second wall, which other containers have from their pid 1: see the sandbox's `enclose.rs`."""
        # The first version refuses every move to another folder.
        if self._landlock < 2:
            return
        scopes = _LANDLOCK_SCOPES if self._landlock >= 6 else 0
        attributes = struct.pack("QQQ", _LANDLOCK_FILES, 0, scopes)
        rules = self._libc.syscall(_LANDLOCK_CREATE_RULESET, attributes, 24 if scopes else 8, 0)
        self._check(rules, "make Landlock's rules")
        root = os.open("/", os.O_PATH)
        rule = struct.pack("=Qi", _LANDLOCK_MOVE, root)
        added = self._libc.syscall(_LANDLOCK_ADD_RULE, rules, _LANDLOCK_PATH_BENEATH, rule, 0)
        self._check(added, "allow moves below the root")
        self._check(self._libc.syscall(_LANDLOCK_RESTRICT_SELF, rules, 0), "put Landlock's wall up")
        os.close(root)
        os.close(rules)

    def _prctl(self, option: int, first: int = 0, second: int = 0) -> int:
        return int(self._libc.prctl(option, first, second, 0, 0))

    def _prctl_name(self, name: bytes) -> None:
        text = ctypes.create_string_buffer(name)
        self._prctl(_PR_SET_NAME, ctypes.addressof(text))

    def _check(self, result: int, what: str) -> None:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"cannot {what}: {os.strerror(number)}")


class _Asked:
    """An order as it came, read."""

    def __init__(self, message: bytes, descriptors: array.array[int]) -> None:
        read = json.loads(message)
        # Out of the way of the places: a descriptor may have come at the number of another's.
        self.files = [(name, _up(descriptor)) for name, descriptor in zip(read["fds"], descriptors)]
        self.places = dict(self.files)
        self.joined = socket.socket(fileno=self.places["joined"])
        program = read["filter"]
        self.order = Order(read["id"], dict(read["env"]), read["cwd"], program is None, self.joined)
        self.program = None if program is None else _filter(bytes.fromhex(program))

    def close(self) -> None:
        """Let go of the container's files: they are the fork's."""
        self.joined.detach()
        for _, descriptor in self.files:
            os.close(descriptor)


def _filter(program: bytes) -> _Filter:
    return _Filter(len(program) // 8, program)


def _receive(orders: socket.socket) -> tuple[bytes, array.array[int]]:
    descriptors = array.array("i")
    size = socket.CMSG_SPACE(_DESCRIPTORS_MAX * descriptors.itemsize)
    message, ancillary, _, _ = orders.recvmsg(_ORDER_BYTES_MAX, size, socket.MSG_CMSG_CLOEXEC)
    if not message:
        os._exit(0)
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
