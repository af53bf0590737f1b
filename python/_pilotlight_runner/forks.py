"""What a fork would break of a process, and what it must not share with its siblings.

A thread does not exist in the child, but the locks that it held do; a socket, an event loop, a child process
and a file that is being written would belong to both. Such a process is found out before it becomes a zygote,
and not used as one.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading


def obstacles(ours: frozenset[int] = frozenset()) -> list[str]:
    """What of this process a fork would break, as words for the log; descriptors in `ours` do not count.

    Forks once to see which native threads let go of themselves: pools that know about forks (OpenBLAS, MKL)
    end their threads before one and start others when needed; a gRPC poller does not.
    """
    found = [f"the thread {thread.name!r}" for thread in threading.enumerate() if _counts(thread)]
    found += [f"the child process {pid} ({name})" for pid, name in _children()]
    found += _files(ours)
    if not found:
        found += _native_threads()
    return found


def refresh() -> None:
    """Give this fork random streams of its own. `random` itself and OpenSSL do it at every fork."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    uuid = sys.modules.get("uuid")
    if uuid is not None:
        uuid._last_timestamp = None  # type: ignore[attr-defined]
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None:
        # It tells forks apart by their process id, which is the same in every container.
        tempfile._name_sequence = None  # type: ignore[attr-defined]


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


def _files(ours: frozenset[int]) -> list[str]:
    words = {
        "socket:": "an open socket",
        "anon_inode:[eventpoll]": "an event loop",
        "anon_inode:[io_uring]": "an io_uring",
    }
    found: dict[str, None] = {}
    for entry in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{entry}")
        except OSError:
            continue
        word = next((word for start, word in words.items() if target.startswith(start)), None)
        if word is None and _is_written(int(entry), target):
            # Siblings would share it, its place and its locks, and each has other files around it.
            word = f"the file {target}, open for writing"
        if word is not None and int(entry) not in ours:
            found[word] = None
    # A loop has sockets of its own, which are not worth a word beside it.
    if "an event loop" in found:
        found.pop("an open socket", None)
    return list(found)


def _is_written(descriptor: int, target: str) -> bool:
    if not target.startswith("/") or target.startswith("/dev/"):
        return False
    try:
        access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError:
        return False
    # Standard output and error become the container's own.
    return descriptor > 2 and access != os.O_RDONLY


def _native_threads() -> list[str]:
    if len(os.listdir("/proc/self/task")) == 1:
        return []
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
