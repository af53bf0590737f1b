"""The server: uvicorn, driven as a library on the socket that the host made, until the host says drain."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable, Protocol

from . import errors
from .classes import Instance, Plain
from .deps import Libraries
from .guard import Guard
from .lifespan import Lifespan
from .relay import Relay

#: Longer than any peer keeps an idle connection: closing is the gateway's part, or it would race with a
#: request.
KEEP_ALIVE_SECONDS = 3600
#: Room for 64 KiB of header fields. h11 counts the request line and what it has buffered as well.
HEAD_BYTES_MAX = 256 << 10
#: How long requests that were sent before the host heard `draining` may take to be read, in seconds.
ON_THE_WAY_SECONDS = 0.1
#: What Starlette's threadpool holds unless told otherwise; a function that takes more inputs at once needs
#: more.
THREADS_DEFAULT = 40


class Host(Protocol):
    """What a server tells, and what it is told: the control socket of a container."""

    drain: Callable[[], None]

    def ready(self, app_ms: float) -> None:
        """Requests may come."""

    def draining(self) -> None:
        """No new request may be sent."""


@dataclass(frozen=True)
class Serving:
    """What a server serves: one function, and how it becomes an app."""

    target: Plain | Instance
    #: Makes the app out of the target's function.
    build: Callable[[Callable[..., Any]], Any]
    #: The function's name, for the log.
    name: str
    #: How many requests the host may send at once.
    max_inputs: int
    #: When the target was about to be entered, on the clock of `time.perf_counter`.
    began: float
    #: Whether the app may have a lifespan.
    lifespan: bool
    #: Waits until the host allows what is the user's to run.
    confirm: Callable[[], None]
    #: How long to go on accepting after the host was told not to send any more.
    linger_seconds: float = ON_THE_WAY_SECONDS
    #: Called when the host was told that requests may come.
    ready: Callable[[], None] | None = None
    #: Called after each request.
    after: Callable[[], None] | None = None


class Server:
    """A configured server without an app, run once in a process. Made while `deps.prepare` lasts."""

    def __init__(self, libraries: Libraries) -> None:
        self.libraries = libraries
        self._guard = Guard()
        log = _log()
        libraries.server_module.logger = log  # type: ignore[attr-defined]
        config = libraries.config(
            app=self._guard,
            http=_protocol(libraries.http_protocol, log),
            ws=_protocol(libraries.websocket_protocol, log) if libraries.websocket_protocol else None,
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            # The gateway dates its answers; without this there is nothing to do while no request is held.
            date_header=False,
            # Only the gateway can reach this socket, and it sets these headers itself.
            proxy_headers=True,
            forwarded_allow_ips="*",
            workers=1,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        )
        config.load()
        self._server = libraries.server(config)

    def run(self, serving: Serving, listener: socket.socket, control: Host) -> None:
        """Serve until drained. Raises `errors.StartError` if the app does not start."""
        with closing(self.libraries.new_event_loop()) as loop:
            serving.confirm()
            # Outside the running loop: sync code of the user's may run one of its own.
            app = serving.build(serving.target.enter(loop))
            self._guard.protect(app, serving.name, serving.after)
            loop.run_until_complete(self._serve(app, serving, listener, control))
            serving.target.exit(loop)

    def forget(self) -> None:
        """Let go of the app. The server is of no more use."""
        self._guard.protect(None, "")
        self._server.lifespan = None

    async def _serve(self, app: Any, serving: Serving, listener: socket.socket, control: Host) -> None:
        loop = asyncio.get_running_loop()
        drain = asyncio.Event()
        control.drain = lambda: loop.call_soon_threadsafe(drain.set)
        loop.add_signal_handler(signal.SIGTERM, drain.set)
        if isinstance(app, Relay):
            await _relay(app, serving, listener, control, drain)
            return
        lifespan = self._server.lifespan = Lifespan(app, serving.name)
        if serving.lifespan:
            await lifespan.startup()
        else:
            lifespan.skip()
        if drain.is_set():
            await lifespan.shutdown()
            return
        _widen_threadpool(serving.max_inputs)
        # What is alive now stays alive: later collections need not look at it.
        gc.freeze()
        await self._server.startup(sockets=[listener])
        _tell_ready(serving, control)
        await drain.wait()
        control.draining()
        await asyncio.sleep(serving.linger_seconds)
        # Stops accepting, closes idle connections, waits for held requests, then asks for the lifespan's
        # shutdown.
        await self._server.shutdown(sockets=[listener])


async def _relay(
    relay: Relay, serving: Serving, listener: socket.socket, control: Host, drain: asyncio.Event
) -> None:
    """Serve what the user's own server answers, until drained or that server is gone."""
    await relay.opened()
    gc.freeze()
    await relay.listen(listener)
    _tell_ready(serving, control)
    ends = [asyncio.ensure_future(event.wait()) for event in (drain, relay.gone)]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    control.draining()
    await asyncio.sleep(serving.linger_seconds)
    await relay.close()


def _tell_ready(serving: Serving, control: Host) -> None:
    control.ready((time.perf_counter() - serving.began) * 1000)
    if serving.ready is not None:
        serving.ready()


@contextlib.contextmanager
def closing(loop: asyncio.AbstractEventLoop) -> Iterator[asyncio.AbstractEventLoop]:
    """What `asyncio.run` does at its end, for a loop of our choice: Python before 3.12 lacks it."""
    try:
        yield loop
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _widen_threadpool(max_inputs: int) -> None:
    """Let as many sync handlers run at once as the host may send, if the app's framework uses anyio."""
    anyio = sys.modules.get("anyio")
    if anyio is not None and max_inputs > THREADS_DEFAULT:
        anyio.to_thread.current_default_thread_limiter().total_tokens = max_inputs


def _protocol(base: Any, log: logging.Logger) -> Any:
    """A protocol class of uvicorn that writes to our log whatever the user did to `logging`."""

    class Protocol(base):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.logger = self.access_logger = log
            self.access_log = False

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            # Instead of the socket's path, which WSGI apps would see as SERVER_NAME.
            self.server = ("localhost", 80)

        def eof_received(self) -> bool | None:
            """The client has left. The connection stays until the handler ends: to the host that is its slot.

            uvicorn by itself would let asyncio close it, while a handler in a thread goes on.
            """
            cycle = getattr(self, "cycle", None)
            if cycle is None or cycle.response_complete:
                return None
            # As uvicorn does when a connection is lost.
            cycle.disconnected = True
            cycle.message_event.set()
            self.flow.resume_writing()
            # The guard closes it.
            cycle.left = True
            return True

    return Protocol


def _log() -> logging.Logger:
    """A logger outside the tree that user code configures. Exceptions are left out: the guard told them."""

    class Tell(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not record.exc_info:
                errors.tell(f"{record.getMessage()}\n")

    log = logging.Logger("pilotlight.server", level=logging.WARNING)
    log.addHandler(Tell())
    return log
