"""The open files of a zygote: which of them a fork can have as its own, and how it gets them.

A descriptor that is inherited leads to what the zygote opened, and so do those of all its other forks: an
offset, a pipe, a folder would be shared between containers. A file that is only read is opened again in each
of them; a socket can be replaced by one that is disconnected, where the program says that it expects that;
anything else is in the way of a zygote.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from typing import NamedTuple

#: Devices without a state that two processes could share.
_DEVICES = frozenset(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom"))
#: Beyond this an open is for writing or for a path alone, which says nothing about the content.
_KEPT_FLAGS = os.O_APPEND | os.O_NONBLOCK | os.O_DIRECTORY | os.O_NOATIME
_WORDS = {
    "socket:": "an open socket",
    "pipe:": "an open pipe",
    "anon_inode:[eventpoll]": "an event loop",
    "anon_inode:[io_uring]": "an io_uring",
}


class File(NamedTuple):
    """A file or folder that is open for reading."""

    descriptor: int
    path: str
    flags: int
    offset: int


def opened() -> frozenset[int]:
    """The numbers of all descriptors of this process, standard ones included."""
    listing = [int(entry) for entry in os.listdir("/proc/self/fd")]
    return frozenset(descriptor for descriptor in listing if _is_open(descriptor))


class Descriptors:
    """The descriptors of this process but standard ones and `ours`, as they are now."""

    def __init__(self, ours: frozenset[int] = frozenset()) -> None:
        self._files: list[File] = []
        self._sockets: list[int] = []
        self._words: dict[str, None] = {}
        for entry in os.listdir("/proc/self/fd"):
            descriptor = int(entry)
            # Standard output and error become the container's own.
            if descriptor > 2 and descriptor not in ours:
                self._sort(descriptor)

    def obstacles(self, reconnects: bool = False) -> list[str]:
        """What of them a fork cannot have, as words for the log; sockets can be done without by some."""
        words = dict(self._words)
        # A loop has sockets and pipes of its own, which are not worth a word beside it.
        if "an event loop" in words:
            words.pop("an open pipe", None)
        elif self._sockets and not reconnects:
            words["an open socket"] = None
        return list(words)

    def renew(self) -> None:
        """In a fork: open the files again, in this container, and disconnect the sockets."""
        for file in self._files:
            _open_again(file)
        for descriptor in self._sockets:
            ours, theirs = socket.socketpair()
            theirs.close()
            os.dup2(ours.fileno(), descriptor, inheritable=os.get_inheritable(descriptor))
            ours.close()

    def _sort(self, descriptor: int) -> None:
        link = f"/proc/self/fd/{descriptor}"
        try:
            path, about = os.readlink(link), os.fstat(descriptor)
            flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        except OSError:
            # That of the listing itself.
            return
        if stat.S_ISSOCK(about.st_mode):
            self._sockets.append(descriptor)
        elif path in _DEVICES:
            return
        elif not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
            word = next((word for start, word in _WORDS.items() if path.startswith(start)), None)
            self._words[word or f"the open {path}"] = None
        elif flags & os.O_ACCMODE != os.O_RDONLY:
            self._words[f"the file {path}, open for writing"] = None
        elif not _is_at(path, about):
            self._words[f"the open file {path}, which has no name any more"] = None
        else:
            offset = os.lseek(descriptor, 0, os.SEEK_CUR) if stat.S_ISREG(about.st_mode) else 0
            self._files.append(File(descriptor, path, flags & _KEPT_FLAGS, offset))


def _open_again(file: File) -> None:
    inheritable = os.get_inheritable(file.descriptor)
    try:
        fresh = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | file.flags)
    except OSError:
        # The container does not have it. The zygote's own must not stay either.
        fresh = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    if file.offset:
        os.lseek(fresh, file.offset, os.SEEK_SET)
    os.dup2(fresh, file.descriptor, inheritable=inheritable)
    os.close(fresh)


def _is_open(descriptor: int) -> bool:
    # The listing's own is gone.
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _is_at(path: str, about: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), about)
    except OSError:
        return False
