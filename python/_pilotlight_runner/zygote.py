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
import functools
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
#: A file that puts whoever writes to it into the container's cgroup; one for each hierarchy.
_DOOR = "cgroup.procs"
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

#: Whether the fork that is being made is a container's process: its descriptors are its own already.
forking = False


class Order(NamedTuple):
    """A container that this process is now."""

    id: str
    #: What its environment has other than the zygote's, with None for what it does not have.
    environment: dict[str, str | None]
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

    def __init__(self, orders: socket.socket, through: bool = False) -> None:
        #: Whether its forks can be made through `between`.
        self.through = through
        # Elsewhere than the forks of user code expect it: its place is theirs to replace.
        self._orders = socket.socket(fileno=fcntl.fcntl(orders.detach(), fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE))
        # A `PyDLL` keeps the interpreter's lock: nothing of the interpreter moves while its `fork` runs.
        self._libc = ctypes.PyDLL(None, use_errno=True)
        self._libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
        self._capabilities = 0
        while self._prctl(_PR_CAPBSET_READ, self._capabilities) >= 0:
            self._capabilities += 1
        self._environment: dict[str, str] = {}
        self._landlock = int(self._libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION))

    def serve(self) -> Order:
        """Fork for each order. Returns in the containers' processes only; ends with the host's helper."""
        own = self._begin()
        while True:
            asked = self._next()
            # Not `os.fork`, which makes the child ready to run anything: this one joins, forks and ends.
            child = self._libc.fork()
            if child == 0:
                if self._join_and_fork(asked, own):
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
            run(functools.partial(self._join_and_fork, asked, own), functools.partial(live, asked.order))
            # A change of rights hides a process from itself, and the memory was this one's.
            self._prctl(_PR_SET_DUMPABLE, 1)
            asked.close()

    def _begin(self) -> bytes:
        own = _name()
        # For `ps` and `top`, which tell a zygote from a container by it.
        self._prctl_name(b"pl-zygote")
        # What every order is compared with. Nothing changes it between two of them.
        self._environment = dict(os.environ)
        gc.collect()
        gc.freeze()
        return own

    def _next(self) -> _Asked:
        # All that does not have to be done in the fork: there each page that is touched is copied first.
        asked = _Asked(*_receive(self._orders), self._environment)
        for stream in (sys.stdout, sys.stderr):
            # The user's code may have put something else there, or nothing.
            with contextlib.suppress(AttributeError, OSError, ValueError):
                stream.flush()
        return asked

    def _join_and_fork(self, asked: _Asked, name: bytes) -> bool:
        """In a child of the zygote: join, and fork; whether this is the container's process.

        What the fork inherits is done before it, where no page has to be copied for it.
        """
        global forking
        inside = False
        try:
            self._join(asked.places)
            self._settle(asked)
            self._prctl_name(name)
            forking = True
            inside = os.fork() == 0
            forking = False
            if not inside:
                return False
            os.setsid()
            self._orders.close()
            self._enroll(asked.doors)
        except BaseException as error:
            forking = False
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
        """Have what the container's process has: its user without rights, its files and no other."""
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        self._arrange(asked)
        self._give_up_rights()
        # The change of ids hid this process from itself: its own /proc/self would be nobody's.
        self._prctl(_PR_SET_DUMPABLE, 1)
        # Without the zygote nobody would notice the end of the container. A change of rights forgets it.
        self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if asked.program is not None:
            self._enclose()
            self._install(asked.program)

    def _enroll(self, doors: list[int]) -> None:
        """Enter the container's cgroup, as only its own process does: the kernel may end who is there."""
        for door in doors:
            os.write(door, b"0")
            os.close(door)

    def _arrange(self, asked: _Asked) -> None:
        given = asked.places
        null = _up(os.open(os.devnull, os.O_RDWR))
        for name, place in _PLACES.items():
            if name in given:
                os.dup2(given[name], place, inheritable=place < 3)
            else:
                os.dup2(null, place, inheritable=False)
        os.close(null)
        for name, descriptor in asked.files:
            if name not in ("joined", _DOOR):
                os.close(descriptor)

    def _give_up_rights(self) -> None:
        self._check(self._prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL), "clear the ambient capabilities")
        self._check(self._prctl(_PR_SET_SECUREBITS, _SECUREBITS), "lock the secure bits")
        prctl = self._libc.prctl
        for capability in range(self._capabilities):
            if prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
                self._check(-1, "drop a capability")
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

    def __init__(self, message: bytes, descriptors: array.array[int], environment: dict[str, str]) -> None:
        read = json.loads(message)
        # Out of the way of the places: a descriptor may have come at the number of another's.
        self.files = [(name, _up(descriptor)) for name, descriptor in zip(read["fds"], descriptors)]
        self.places = dict(self.files)
        self.doors = [descriptor for name, descriptor in self.files if name == _DOOR]
        self.joined = socket.socket(fileno=self.places["joined"])
        program = read["filter"]
        changes = _changes(environment, dict(read["env"]))
        self.order = Order(read["id"], changes, read["cwd"], program is None, self.joined)
        self.program = None if program is None else _filter(bytes.fromhex(program))

    def close(self) -> None:
        """Let go of the container's files: they are the fork's."""
        self.joined.detach()
        for _, descriptor in self.files:
            os.close(descriptor)


def _changes(before: dict[str, str], after: dict[str, str]) -> dict[str, str | None]:
    changes: dict[str, str | None] = dict.fromkeys(before.keys() - after.keys())
    changes.update((name, value) for name, value in after.items() if before.get(name) != value)
    return changes


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
