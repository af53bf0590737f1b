"""A process between this one and a fork of it, without memory of its own.

To join another process id namespace takes a process that joins and forks, and then ends. As a fork itself
it would copy what this process has mapped, which takes longer than all else that it does; so it is made as
`posix_spawn` makes processes: in this memory, while this one waits (`CLONE_VM | CLONE_VFORK`, clone(2)).
Unlike there it runs Python, as a call of this process's would: on a part of the stack that nobody uses, and
it returns before it ends, so that the interpreter is left as it was. What it forks has a copy of the memory,
and lives on in that call.
"""

from __future__ import annotations

import ctypes
import functools
import os
import resource
import signal
import sys
from typing import Callable

_CLONE_VM = 0x100
_CLONE_VFORK = 0x4000
#: How far below the top of the stack the process between has its own: neither the environment nor anybody's
#: calls reach there.
_BELOW = 1 << 20
#: How much further down that is in a fork that lives on there itself.
_EACH = 512 << 10
#: What is left below for whatever lives on there.
_LEFT_BYTES_MIN = 4 << 20
#: How long the trial may take, in seconds.
_TRIAL_SECONDS_MAX = 5
_TRIED = 77

#: How many calls of processes between this one lives in.
_depth = 0

_C_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


def run(fork: Callable[[], bool], be: Callable[[], int]) -> None:
    """Call `fork` in a process between, and `be` where it gives true, which is to be in a fork.

    That fork ends with the value of `be`, as a program would.
    """

    def call(_: object) -> int:
        try:
            if fork():
                _end(be)
        except BaseException:
            # It must return, or the interpreter would be left in the middle of this call.
            sys.excepthook(*sys.exc_info())
        return 0

    _clone(call)


def is_possible() -> bool:
    """Whether this interpreter bears it. Tried in a fork, which may die of it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    if soft != resource.RLIM_INFINITY and soft < _BELOW + _depth * _EACH + _LEFT_BYTES_MIN:
        return False
    return _works()


@functools.cache
def _works() -> bool:
    # Forks of this process know it without a trial of their own.
    child = os.fork()
    if child == 0:
        try:
            _try()
        finally:
            # Whatever went wrong, this is not the process that asked.
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == _TRIED


def _try() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_TRIAL_SECONDS_MAX)
    reader, writer = os.pipe()

    def fork() -> bool:
        return os.fork() == 0

    def be() -> int:
        os.write(writer, b"x")
        os._exit(0)

    run(fork, be)
    os._exit(_TRIED if os.read(reader, 1) == b"x" else 1)


def _clone(call: Callable[[object], int]) -> None:
    function = _C_FUNCTION(call)
    flags = _CLONE_VM | _CLONE_VFORK | signal.SIGCHLD
    child = _library().clone(function, ctypes.c_void_p((_top() - _BELOW - _depth * _EACH) & ~15), flags, None)
    if child > 0:
        os.waitpid(child, 0)


@functools.cache
def _library() -> ctypes.PyDLL:
    # A `PyDLL` keeps the interpreter's lock, which the call then has.
    return ctypes.PyDLL(None, use_errno=True)


@functools.cache
def _top() -> int:
    """The end of the stack."""
    with open("/proc/self/maps") as file:
        line = next(line for line in file if line.rstrip().endswith("[stack]"))
    return int(line.split()[0].split("-")[1], 16)


def _end(be: Callable[[], int]) -> None:
    global _depth
    _depth += 1
    try:
        code: object = be()
    except SystemExit as error:
        code = error.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    # As after the main program: threads are joined, `atexit` functions run, files are flushed.
    ctypes.pythonapi.Py_Exit(code or 0)
