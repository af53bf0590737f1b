"""Warming an image's zygote: a server of ours answers requests to an app of ours, and ends.

What a process does for the first time costs more than ever after: lazy imports, compiled patterns, memory of
the allocator. The forks have that behind them. Nothing of the user's is imported yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from typing import Any, Callable

from . import apps
from .classes import Plain
from .serve import Server, Serving

#: How often it is asked: after a few turns the interpreter has fitted its code to what runs.
_TURNS = 20
_REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\nconnection: close\r\n\r\n"
#: How long it may take, in seconds. A zygote that is not warmed is a zygote all the same.
_SECONDS_MAX = 5.0


async def _here() -> str:
    return "warm"


def _there() -> str:
    return "warm"


_FUNCTIONS = (_here, _there)
SERVERS = len(_FUNCTIONS)


def warm(servers: list[Server]) -> None:
    """Answer requests on sockets that nobody else sees, with `SERVERS` servers that nobody needs."""
    for server, function in zip(servers, _FUNCTIONS):
        with contextlib.suppress(Exception), socket.socket(socket.AF_UNIX) as listener:
            # Linux gives it a name in the network namespace alone. unix(7), autobind
            listener.bind("")
            listener.listen()
            app = apps.build(function, "warm", {"kind": "endpoint"}, server.libraries)
            client = _Client(listener.getsockname())
            serving = Serving(
                Plain(function),
                lambda _, app=app: app,
                "warm",
                max_inputs=1,
                began=time.perf_counter(),
                lifespan=True,
                confirm=lambda: None,
            )
            server.run(serving, listener, client)
    _wait_for_threads()


class _Client:
    """In the place of the host: asks, then says drain."""

    def __init__(self, address: Any) -> None:
        self._address = address
        self._tasks: list[asyncio.Task[None]] = []
        self.drain: Callable[[], None] = lambda: None

    def ready(self, _app_ms: float) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(self._ask()))

    def draining(self) -> None:
        """Nobody waits for it."""

    async def _ask(self) -> None:
        try:
            for _ in range(_TURNS):
                await asyncio.wait_for(self._turn(), _SECONDS_MAX)
        finally:
            self.drain()

    async def _turn(self) -> None:
        # Connected here: not every loop takes the name that Linux gave.
        client = socket.socket(socket.AF_UNIX)
        client.connect(self._address)
        reader, writer = await asyncio.open_unix_connection(sock=client)
        writer.write(_REQUEST)
        await reader.read()
        writer.close()


def _wait_for_threads() -> None:
    """Handlers that are no coroutines ran in threads, which end with their loop. A fork needs them gone."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join(_SECONDS_MAX)
