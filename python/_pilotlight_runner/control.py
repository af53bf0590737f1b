"""The control socket: JSON messages, one per line, between the host and this process."""

from __future__ import annotations

import _thread
import json
import os
import socket
import sys
import threading
from typing import Any, Callable, NamedTuple, NoReturn

#: Where a container's process has its sockets.
CONTROL_FD = 3
LISTENER_FD = 4
#: The version of the messages, told to the host in `hello`.
PROTOCOL = 1
#: A longer line than this is not one of ours; the first may hold a function, pickled by value.
LINE_BYTES_MAX = 1 << 20
CONFIGURATION_BYTES_MAX = 64 << 20
#: How much of a traceback the host gets; all of it is on stderr.
TRACEBACK_CHARS_MAX = 64 << 10


class Lit(NamedTuple):
    """How a zygote came out."""

    import_ms: float
    app_ms: float
    #: What a fork would break, as words for the log.
    obstacles: list[str]
    #: Whether the user's import changed what later imports see: it needs them in its own order.
    changes: bool = False


class Control:
    """The runner's end of the control socket.

    `drain` is what a request to drain does. Until something is served, that is to leave at once: nothing is
    held.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._received = bytearray()
        self._unsent = b""
        self._sending = threading.Lock()
        self.drain: Callable[[], None] = leave

    def hello(self, now: bool = True) -> None:
        """The first word; where more follows at once it goes with that."""
        self._send_line(_HELLO, now)

    def imported(self, import_ms: float) -> None:
        if import_ms == 0.0:
            self._send_line(_IMPORTED)
        else:
            self._send({"type": "imported", "import_ms": round(import_ms, 3)})

    def lit(self, lit: Lit) -> None:
        """This zygote can be forked from, unless there are obstacles."""
        times = {"import_ms": round(lit.import_ms, 3), "app_ms": round(lit.app_ms, 3)}
        self._send({"type": "lit", **times, "obstacles": lit.obstacles, "changes": lit.changes})

    def modules(self, modules: list[str]) -> None:
        """Which modules of the image are imported here."""
        self._send({"type": "modules", "modules": modules})

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._socket.fileno()

    def forget(self) -> None:
        """Let go of the descriptor, which is another's by now."""
        self._socket.detach()

    def ready(self, app_ms: float) -> None:
        self._send({"type": "ready", "app_ms": round(app_ms, 3)})

    def draining(self) -> None:
        """No new request may be sent here; those that are held are being finished."""
        self._send({"type": "draining"})

    def failed(self, stage: str, summary: str, traceback: str) -> None:
        self._send(
            {
                "type": "failed",
                "stage": stage,
                "summary": summary,
                "traceback": traceback[-TRACEBACK_CHARS_MAX:],
            }
        )

    def configuration(self) -> dict[str, Any]:
        """Wait for the host to say which function this container serves."""
        message = self._receive(CONFIGURATION_BYTES_MAX)
        if message.get("type") != "configure":
            raise ValueError(f"expected configure as the first message, got {message.get('type')!r}")
        return message

    def watch(self) -> None:
        """Follow the host's messages in a thread: a busy event loop must not hide the host's death.

        Not a `threading.Thread`, whose start waits for the thread to run.
        """
        _thread.start_new_thread(self._watch, ())

    def _watch(self) -> None:
        while True:
            # A message of a type that this runner does not know is from a newer host; it may be ignored.
            if self._receive().get("type") == "drain":
                self.drain()

    def _send(self, message: dict[str, Any]) -> None:
        self._send_line(_line(message))

    def _send_line(self, line: bytes, now: bool = True) -> None:
        try:
            with self._sending:
                self._unsent += line
                if now:
                    self._socket.sendall(self._unsent)
                    self._unsent = b""
        except OSError:
            host_is_gone()

    def _receive(self, bytes_max: int = LINE_BYTES_MAX) -> dict[str, Any]:
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            try:
                chunk = self._socket.recv(65536)
            except OSError:
                chunk = b""
            if not chunk or searched > bytes_max:
                host_is_gone()
            self._received += chunk
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        message = json.loads(line)
        return message if isinstance(message, dict) else {}


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


_PYTHON = ".".join(str(part) for part in sys.version_info[:3])
#: What every fork of a function's zygote says, as it is sent.
_HELLO = _line({"type": "hello", "protocol": PROTOCOL, "python": _PYTHON})
_IMPORTED = _line({"type": "imported", "import_ms": 0.0})


def leave() -> NoReturn:
    """End now, in order: there is no work to finish."""
    os._exit(0)


def host_is_gone() -> NoReturn:
    """End now: nobody is left to serve, and `atexit` functions of the user's could wait for ever."""
    os._exit(1)
