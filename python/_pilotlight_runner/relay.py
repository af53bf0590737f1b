"""The way to a server that the user's function has started on a port of its own (`@modal.web_server`).

Bytes go both ways as they are: what HTTP allows, WebSockets and streams among it, is between the gateway
and that server. The gateway opens a connection for each request, so that a server that closes idle ones
closes none under a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

from . import errors
from .errors import StartError

#: Of one direction of one connection.
_BYTES = 64 << 10
#: Between two tries while the server starts. Nothing tells when a port is opened.
_PAUSE_SECONDS = 0.01
_HOST = "127.0.0.1"


class Relay:
    """Carries connections of the container's socket to a port in the container."""

    def __init__(self, name: str, port: int, startup_timeout: float) -> None:
        self._name = name
        self._port = port
        self._limit = startup_timeout
        self._server: asyncio.AbstractServer | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def opened(self) -> None:
        """Wait until the port takes connections. Raises `StartError` when that takes longer than it may."""
        #: Set when nothing listens at the port any more. Made here: in Python 3.9 it is of the running loop.
        self.gone = asyncio.Event()
        deadline = time.monotonic() + self._limit
        while True:
            try:
                _, writer = await asyncio.open_connection(_HOST, self._port)
            except OSError:
                if time.monotonic() > deadline:
                    raise StartError.said("app", self._too_late()) from None
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                writer.close()
                return

    async def listen(self, listener: socket.socket) -> None:
        """Take connections from now on."""
        self._server = await asyncio.start_unix_server(self._take, sock=listener, limit=_BYTES)

    async def close(self) -> None:
        """Take no more, and wait for those that are open."""
        if self._server is not None:
            self._server.close()
        if self._open:
            await asyncio.wait(self._open)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._carry(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(_HOST, self._port, limit=_BYTES)
        except OSError as error:
            # Nothing of the request is lost: the gateway sees a connection that ended without an answer.
            if not self.gone.is_set():
                errors.tell(f"Error: the server of `{self._name}` at port {self._port} is gone: {error}\n")
            self.gone.set()
            return
        try:
            there = asyncio.ensure_future(_copy(reader, far_writer))
            back = asyncio.ensure_future(_copy(far_reader, writer))
            # Whoever asks may have said all, and still listens. Who answers has ended the exchange.
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            if there.done() and there.result():
                await back
            for half in (there, back):
                half.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
        finally:
            far_writer.close()

    def _too_late(self) -> str:
        return (
            f"`{self._name}` started no server at port {self._port} within {self._limit:g} s: it must listen "
            f"on 0.0.0.0:{self._port} and return at once; startup_timeout= gives it more time"
        )


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Copy to the end; whether the end was an orderly one."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
        return True
    return False
