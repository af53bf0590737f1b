"""Warming an image's zygote: a server of ours answers requests to an app of ours, and ends.

What a process does for the first time costs more than ever after: lazy imports, compiled patterns, memory of
the allocator. The forks have that behind them. Nothing of the user's is imported yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
import time
from typing import Any, Callable

from . import apps
from .classes import Plain
from .serve import Server, Serving

#: How often it is asked: after a few turns the interpreter has fitted its code to what runs.
_TURNS = 12
_HEAD = b"host: localhost\r\naccept: */*\r\nconnection: close\r\n"
_GET = b"GET /?name=x HTTP/1.1\r\n" + _HEAD + b"\r\n"
_JSON = b'{"name": "x", "numbers": [1, 2.5, null, true]}'
_POST = b"POST / HTTP/1.1\r\n%bcontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    _HEAD,
    len(_JSON),
    _JSON,
)
#: How long it may take, in seconds. A zygote that is not warmed is a zygote all the same.
_SECONDS_MAX = 5.0


async def _here(name: str = "x") -> Any:
    return {"warm": name}


def _there(name: str = "x") -> Any:
    return {"warm": name}


def _posted(body: dict) -> Any:  # type: ignore[type-arg]
    return body


async def _asgi(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"warm"})


def _wsgi(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"warm"]


#: Every way that a function can answer: the function, what it is, a request for it.
_WAYS: tuple[tuple[Callable[..., Any], dict[str, Any], bytes], ...] = (
    (_here, {"kind": "endpoint"}, _GET),
    (_there, {"kind": "endpoint", "docs": True, "cors": True}, _GET),
    (_posted, {"kind": "endpoint", "method": "POST"}, _POST),
    (lambda: _asgi, {"kind": "asgi"}, _GET),
    (lambda: _wsgi, {"kind": "wsgi"}, _GET),
)
SERVERS = len(_WAYS)


def warm(servers: list[Server]) -> None:
    """Answer requests on sockets that nobody else sees, with `SERVERS` servers that nobody needs."""
    for server, way in zip(servers, _WAYS):
        # The image may have no FastAPI, or one that does not work: whoever uses it will be told.
        with contextlib.suppress(Exception):
            _answer(server, *way)
        server.forget()
    # What a server freezes at its start is garbage here, and an executor's threads end with it.
    gc.unfreeze()
    gc.collect()
    _wait_for_threads()


def _answer(server: Server, function: Callable[..., Any], web: dict[str, Any], request: bytes) -> None:
    app = apps.build(function, "warm", web, server.libraries)
    with socket.socket(socket.AF_UNIX) as listener:
        # Linux gives it a name in the network namespace alone. unix(7), autobind
        listener.bind("")
        listener.listen()
        serving = Serving(
            Plain(function),
            lambda _: app,
            "warm",
            max_inputs=1,
            began=time.perf_counter(),
            lifespan=True,
            confirm=lambda: None,
            linger_seconds=0.0,
        )
        server.run(serving, listener, _Client(listener.getsockname(), request))


class _Client:
    """In the place of the host: asks, then says drain."""

    def __init__(self, address: Any, request: bytes) -> None:
        self._address = address
        self._request = request
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
        writer.write(self._request)
        await reader.read()
        writer.close()


def _wait_for_threads() -> None:
    """Handlers that are no coroutines ran in threads, which end with their loop. A fork needs them gone."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join(_SECONDS_MAX)
