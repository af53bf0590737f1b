"""A warm discovery: it has imported what a program imports of installed packages, and forks for each save.

The command starts it with a socket as standard input. What `serve` returns in is the fork, which then does
what a process of its own would do, with the same arguments, environment, directory and streams. The process
imports nothing of the user's, and answers "stale" where a fork could differ from a process of its own:
packages or the interpreter changed on disk, or a file of the user's has the name of an imported module.

Messages are JSON lines. In: `{"modules": [...], "program": a file or null}`, then for each discovery one line
with the manifest's pipe as a descriptor. Out: `{"ready": true}` or `{"obstacle": ...}`; for each discovery
`{"stale": ...}`, or `{"child": pid}` and in the end `{"status": ...}`, an exit code or below 0 a signal.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from . import _discover, _notes, _sources
from ._neighbours import SDK_DIR

if TYPE_CHECKING:
    from types import FrameType


def serve(control: int) -> int:
    """Follows the socket at the descriptor `control`; returns in forks, the manifest's pipe in its place."""
    server = _Server(socket.socket(fileno=control))
    previous = signal.getsignal(signal.SIGINT)
    # Ctrl-C reaches every process of the terminal. The command ends this one by closing the socket.
    signal.signal(signal.SIGINT, _ignore)
    pipe = server.fork_for_each()
    signal.signal(signal.SIGINT, previous)
    return pipe


def _ignore(number: int, frame: FrameType | None) -> None:
    """Not SIG_IGN, which programs that an imported module starts would inherit."""


class _Server:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._received = b""
        self._pipes: list[int] = []
        self._child: int | None = None
        self._program: str | None = None
        self._tops: frozenset[str] = frozenset()
        self._files: list[str] = []
        self._print: object = None

    def fork_for_each(self) -> int:
        order = self._receive()
        self._program = order["program"]
        obstacle = self._prepare(order["modules"])
        if obstacle is not None:
            self._send({"obstacle": obstacle})
            self._end()
        self._print = _print_of(self._files)
        gc.collect()
        gc.freeze()
        self._send({"ready": True})
        while True:
            self._receive()
            self._reap()
            pipe = self._pipes.pop()
            stale = self._stale()
            if stale is not None:
                os.close(pipe)
                self._send({"stale": stale})
                continue
            child = os.fork()
            if child == 0:
                return self._become(pipe)
            os.close(pipe)
            self._child = child
            self._send({"child": child})
            self._wait(child)

    def _prepare(self, modules: list[str]) -> str | None:
        """Imports `modules`, and says why this process is not to be forked, if it is not."""
        extra = _discover.extra_path()
        is_installed = _notes.Installed(extra)
        known, path, files = set(sys.modules), sys.path[:], _descriptors()
        _notes.base = frozenset(known)
        # Modules of the user's are not found, whoever asks for them.
        own = [entry for entry in path if entry == SDK_DIR or is_installed(os.path.join(entry, "x"))]
        own = [entry for entry in own if entry not in extra]
        here = [*extra, *own] if _discover.is_extra_first() else [*own, *extra]
        sys.path[:] = here
        said, failed = _quietly(lambda: _import_all(modules))
        changed_path = sys.path != here
        sys.path[:] = path
        self._tops = frozenset(name.partition(".")[0] for name in set(sys.modules) - known)
        files_of = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        found = [file for file in files_of if isinstance(file, str)]
        self._files = found + _interpreter(path + extra)
        if failed:
            return failed
        if said:
            return "importing what it imports prints"
        if changed_path:
            return "importing what it imports changes the module path"
        if any(not is_installed(file) and not _is_ours(file) for file in found):
            return "what it imports imports something of the user's"
        if _descriptors() - files:
            return "importing what it imports opens files or sockets"
        return _threads() or _children()

    def _stale(self) -> str | None:
        if _print_of(self._files) != self._print:
            return "the interpreter or what is installed changed"
        shadowed = self._tops & _names_beside(self._program)
        return f"{sorted(shadowed)[0]} is a file beside the program" if shadowed else None

    def _become(self, pipe: int) -> int:
        control = self._control.detach()
        os.dup2(pipe, control, inheritable=False)
        os.close(pipe)
        numpy_random: Any = sys.modules.get("numpy.random")
        if numpy_random is not None:
            numpy_random.seed()
        return control

    def _wait(self, child: int) -> None:
        """Waits for its end, and for the command's, which is the child's too."""
        ended = os.pidfd_open(child)
        try:
            readable, _, _ = select.select([ended, self._control], [], [])
            if ended not in readable:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                self._end()
        finally:
            os.close(ended)
        # It stays a zombie until the next message: until then its number is nobody else's.
        result = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert result is not None
        code = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
        self._send({"status": code})

    def _reap(self) -> None:
        if self._child is not None:
            os.waitpid(self._child, 0)
            self._child = None

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._control.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self._end()

    def _receive(self) -> dict[str, Any]:
        while b"\n" not in self._received:
            try:
                part, pipes, _, _ = socket.recv_fds(self._control, 1 << 16, 4)
            except OSError:
                part, pipes = b"", []
            if not part:
                self._end()
            for pipe in pipes:
                os.set_inheritable(pipe, False)
            self._pipes += pipes
            self._received += part
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _end(self) -> NoReturn:
        # Nothing that an imported module left behind may hold it.
        os._exit(0)


def _import_all(modules: list[str]) -> None:
    for name in modules:
        importlib.import_module(name)


def _quietly(work: Any) -> tuple[bool, str | None]:
    """Whether `work` printed anything, and how it failed."""
    output, kept = os.memfd_create("output"), [os.dup(number) for number in (1, 2)]
    failed = None
    try:
        for number in (1, 2):
            os.dup2(output, number)
        work()
    except BaseException as error:
        failed = f"{type(error).__name__} while importing what it imports"
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, copy in zip((1, 2), kept):
            os.dup2(copy, number)
            os.close(copy)
        said = os.fstat(output).st_size > 0
        os.close(output)
    return said, failed


def _names_beside(program: str | None) -> set[str]:
    """What can be imported from the folders that go before installed packages."""
    folders = {os.getcwd()}
    if program is not None:
        folders |= {_sources.locate(program).root, os.path.dirname(os.path.realpath(program))}
    found: set[str] = set()
    for folder in folders:
        try:
            found |= {name.partition(".")[0] for name in os.listdir(folder)}
        except OSError:
            continue
    return found


def _interpreter(path: list[str]) -> list[str]:
    """Files and folders by which a change of the interpreter or of what is installed shows."""
    prefix = os.path.join(sys.prefix, "pyvenv.cfg")
    return [sys.executable, os.path.realpath(sys.executable), prefix, *path]


def _print_of(files: list[str]) -> list[tuple[int, int, int] | None]:
    found: list[tuple[int, int, int] | None] = []
    for file in files:
        try:
            stat = os.stat(file)
        except OSError:
            found.append(None)
            continue
        found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return found


def _is_ours(file: str) -> bool:
    return file.startswith(os.path.dirname(os.path.abspath(__file__)) + os.sep)


def _descriptors() -> set[str]:
    found: set[str] = set()
    for entry in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{entry} {os.readlink(f'/proc/self/fd/{entry}')}")
        except OSError:
            continue
    return {entry for entry in found if "/proc/" not in entry}


def _threads() -> str | None:
    if len(os.listdir("/proc/self/task")) == 1:
        return None
    # Pools that know of forks (OpenBLAS, MKL) end their threads before one.
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return None if len(os.listdir("/proc/self/task")) == 1 else "importing what it imports starts threads"


def _children() -> str | None:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return "importing what it imports starts processes"
