"""What a fork would break of a process: found out before it becomes a zygote, which it then does not.

A thread does not exist in the child, but the locks that it held do; an event loop, a child process, shared
memory and a file that is being written would belong to all forks.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import threading
import time

from . import fresh
from .descriptors import Descriptors

#: `omp_pause_hard` of omp_pause_resource_t: give up everything, threads included (OpenMP 5.0, 3.2.44).
_OMP_PAUSE_HARD = 2
#: How long threads that were told to end may take. Others may run beside them, which will not.
_ENDING_SECONDS_MAX = 0.1
_OPENMP = re.compile(r"/lib(gomp|omp|iomp)\d*[^/]*\.so[^/]*$")


def obstacles(descriptors: Descriptors | None = None, asked_for: bool = False) -> list[str]:
    """What of this process a fork would break, as words for the log.

    Where a program asks for a snapshot of its memory, its sockets are no obstacle, since it connects again,
    and neither are its random generators. Forks once to see which native threads let go of themselves: pools
    that know about forks (OpenBLAS, MKL) end their threads before one and start others when needed; a gRPC
    poller does not.
    """
    found = [f"the thread {thread.name!r}" for thread in threading.enumerate() if _counts(thread)]
    found += [f"the child process {pid} ({name})" for pid, name in _children()]
    found += (descriptors or Descriptors()).obstacles(reconnects=asked_for)
    found += _shared_memory()
    if not asked_for:
        found += fresh.generators()
    if not found:
        found += _native_threads()
    return found


def _counts(thread: threading.Thread) -> bool:
    return thread is not threading.main_thread() and thread.is_alive()


def _children() -> list[tuple[int, str]]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    # The name stands in parentheses and may contain some itself.
                    before, _, after = file.read().rpartition(")")
            except OSError:
                continue
            if int(after.split()[1]) == os.getpid():
                found.append((int(entry), before.partition("(")[2]))
    return found


def _shared_memory() -> list[str]:
    """Writable memory that a fork would share instead of copy."""
    found: dict[str, None] = {}
    with open("/proc/self/maps") as file:
        for line in file:
            _, access, _, _, _, *path = line.split(maxsplit=5)
            if access[1] == "w" and access[3] == "s":
                name = path[0].strip() if path else "no file"
                found[f"the shared memory of {name}"] = None
    return list(found)


def _native_threads() -> list[str]:
    if len(os.listdir("/proc/self/task")) == 1:
        return []
    _end_openmp_threads()
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    found = []
    for entry in os.listdir("/proc/self/task"):
        if int(entry) != os.getpid():
            try:
                with open(f"/proc/self/task/{entry}/comm") as file:
                    found.append(f"the native thread {file.read().strip()!r}")
            except OSError:
                continue
    return found


def _end_openmp_threads() -> None:
    """OpenMP's pools start others when needed, but only LLVM's know about forks: GNU's hang in the child."""
    with open("/proc/self/maps") as file:
        paths = {line.split(maxsplit=5)[-1].strip() for line in file if "omp" in line}
    for path in paths:
        if _OPENMP.search(path):
            # Older than OpenMP 5.0, it has no such function; its threads are then found.
            with contextlib.suppress(OSError, AttributeError):
                if ctypes.CDLL(path).omp_pause_resource_all(_OMP_PAUSE_HARD) == 0:
                    _wait_for_one_thread()


def _wait_for_one_thread() -> None:
    deadline = time.monotonic() + _ENDING_SECONDS_MAX
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < deadline:
        time.sleep(0.001)
