"""Around the user's app: an exception of a request is told once, by the function's name, and answered."""

from __future__ import annotations

from typing import Any, Callable
from urllib.parse import quote

from . import errors

_BODY = b"Internal Server Error"
_HEADERS = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(_BODY))]


class Guard:
    """An ASGI app that calls another and turns what that raises into a log entry and a 500."""

    def __init__(self) -> None:
        self._app: Any = None
        self._name = ""
        self._after: Callable[[], None] | None = None

    def protect(self, app: Any, name: str, after: Callable[[], None] | None = None) -> None:
        """Name the app and its function, and what to call after each request.

        The server is configured with the guard before there is an app.
        """
        self._app = app
        self._name = name
        self._after = after

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        started = complete = False

        async def send_and_remember(message: Any) -> None:
            nonlocal started, complete
            await send(message)
            started = True
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)

        try:
            await self._app(scope, receive, send_and_remember)
        except BaseException as error:
            if not _is_disconnect(error):
                where = f"{scope.get('method', 'WEBSOCKET')} {quote(scope['path'])}"
                errors.tell(f"Error in {self._name}: {where}\n{errors.describe(error)}")
            # An answer that is complete leaves the connection good for the next request. One that was cut
            # short must end it, which the server does on seeing the exception; its own report of it is
            # dropped.
            if complete:
                return
            if started or scope["type"] != "http":
                raise
            await send({"type": "http.response.start", "status": 500, "headers": _HEADERS})
            await send({"type": "http.response.body", "body": _BODY})
        finally:
            if self._after is not None:
                self._after()
            # Of a client that left: the handler has ended, and with the connection its slot is free.
            cycle = getattr(receive, "__self__", None)
            if getattr(cycle, "left", False):
                cycle.transport.close()


def _is_disconnect(error: BaseException) -> bool:
    """The client left while the app read its body: nobody's mistake."""
    kind = type(error)
    return kind.__name__ == "ClientDisconnect" and kind.__module__.startswith("starlette.")
