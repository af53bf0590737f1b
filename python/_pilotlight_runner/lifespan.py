"""The ASGI lifespan of an app: startup before the first request, shutdown after the last."""

from __future__ import annotations

import asyncio
from typing import Any

from . import errors
from .errors import StartError

#: How long an app that reported a failed startup may take to raise the exception behind it, in seconds.
REASON_SECONDS_MAX = 1.0


class Lifespan:
    """Drives one app's lifespan, and stands in for uvicorn's own class, which exits instead of telling why.

    An app that raises before it answers does not speak the protocol; that is allowed (the ASGI specification,
    "Lifespan Protocol").
    """

    #: uvicorn's server asks for this after startup.
    should_exit = False

    def __init__(self, app: Any, name: str) -> None:
        self._app = app
        self._name = name
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answered = asyncio.Event()
        self._skipped = False
        self._failure: str | None = None
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        #: Copied into the scope of each request.
        self.state: dict[str, Any] = {}

    def skip(self) -> None:
        """Leave the lifespan out: the app is known to have none."""
        self._skipped = True

    async def startup(self) -> None:
        """Run the app's startup; a second call does nothing. Raises `StartError`."""
        if self._task is not None or self._skipped:
            return
        self._task = asyncio.get_running_loop().create_task(self._run())
        await self._ask("lifespan.startup")
        if self._failure is not None:
            # Frameworks raise after they report, and the exception says more than the report.
            await asyncio.wait([self._task], timeout=REASON_SECONDS_MAX)
            if self._error is not None:
                raise StartError.of("lifespan", self._error)
            sentence = f"the startup of `{self._name}` failed: {self._failure or 'the app gave no reason'}"
            raise StartError.said("lifespan", sentence)

    async def shutdown(self) -> None:
        """Run the app's shutdown. A failure is only told: the process ends either way."""
        if self._task is None or self._task.done():
            return
        await self._ask("lifespan.shutdown")
        await asyncio.wait([self._task], timeout=REASON_SECONDS_MAX)
        if self._error is not None:
            errors.tell(f"Error in {self._name}: shutdown\n{errors.describe(self._error)}")
        elif self._failure is not None:
            errors.tell(f"Error in {self._name}: shutdown\n{self._failure}\n")

    async def _ask(self, message: str) -> None:
        self._answered.clear()
        await self._messages.put({"type": message})
        await self._answered.wait()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._messages.get, self._send)
        except BaseException as error:
            # Not re-raised: SystemExit in a task would tear down the loop before the host learns the reason.
            self._error = error
        finally:
            self._answered.set()

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] in ("lifespan.startup.failed", "lifespan.shutdown.failed"):
            self._failure = message.get("message", "")
        self._answered.set()
