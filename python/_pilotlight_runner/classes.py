"""A user's class: its one object in a container, and the hooks around the container's life."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from typing import Any, Callable

from . import errors
from .errors import StartError

#: How long all exit hooks of a container may take, in seconds. The host kills a container that ends slowly a
#: little later, without a word of why.
EXIT_SECONDS_MAX = 25.0


class Plain:
    """A function: nothing happens before it and nothing after."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def enter_early(self, _loop: asyncio.AbstractEventLoop) -> None:
        """Nothing to do."""

    def enter(self, _loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
        """The function itself."""
        return self.function

    def exit(self, _loop: asyncio.AbstractEventLoop) -> None:
        """Nothing to do."""


class Instance:
    """One method of a class. The SDK leaves handles in the class, which hold the raw functions.

    A hook is a handle with a `_pilotlight_hook` that says when it runs. In 2022 a class had none of them, and
    was a context manager instead.
    """

    def __init__(self, cls: type, method: str, name: str) -> None:
        self._cls = cls
        self._method = method
        self._name = name
        self._object: Any = None

    def enter_early(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make the object and run the hooks that forks of this process need not run. Raises `StartError`."""
        try:
            self._object = self._cls()
            for hook in self._hooks("enter_snap"):
                _finish(loop, hook())
        except BaseException as error:
            raise StartError.of("app", error) from None

    def enter(self, loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
        """Run what comes before the first request and has not run; give the method. Raises `StartError`."""
        if self._object is None:
            self.enter_early(loop)
        try:
            for hook in self._hooks("enter"):
                _finish(loop, hook())
            for special in ("__enter__", "__aenter__"):
                hook = self._special(special)
                if hook:
                    _finish(loop, hook())
        except BaseException as error:
            raise StartError.of("app", error) from None
        return self._bound(inspect.getattr_static(self._cls, self._method))

    def exit(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run what comes after the last request. A failure is only told: the container ends either way."""
        specials = [self._special(name) for name in ("__exit__", "__aexit__")]
        hooks = [*self._hooks("exit"), *(hook for hook in specials if hook)]
        if not hooks:
            return
        watch = threading.Timer(EXIT_SECONDS_MAX, self._overdue)
        watch.daemon = True
        watch.start()
        for hook in hooks:
            try:
                _finish(loop, hook(None, None, None) if _takes_arguments(hook) else hook())
            except BaseException as error:
                errors.tell(f"Error in {self._name}: exit\n{errors.describe(error)}")
        watch.cancel()

    def _overdue(self) -> None:
        errors.tell(f"Error in {self._name}: its exit hooks took more than {EXIT_SECONDS_MAX:g} s\n")
        # Status 0: the container was told to end.
        os._exit(0)

    def _hooks(self, kind: str) -> list[Callable[..., Any]]:
        """The hooks of this kind in the order of their definition, those of base classes first."""
        found: dict[str, Any] = {}
        for cls in reversed(self._cls.__mro__):
            found.update(vars(cls))
        return [self._bound(value) for value in found.values() if _kind(value) == kind]

    def _special(self, name: str) -> Callable[..., Any] | None:
        """A method of the context manager's protocol, unless it runs as a hook already."""
        value = inspect.getattr_static(self._cls, name, None)
        return None if value is None or _kind(value) else self._bound(value)

    def _bound(self, value: Any) -> Callable[..., Any]:
        return getattr(value, "_pilotlight_raw", value).__get__(self._object, self._cls)


def _kind(value: Any) -> Any:
    # Class attributes of the user's may answer to any name.
    return getattr(value, "_pilotlight_hook", None) if hasattr(value, "_pilotlight_raw") else None


def _finish(loop: asyncio.AbstractEventLoop, result: Any) -> None:
    """Wait for what an async hook gave, on the loop that will serve: what it opens there stays usable."""
    if inspect.isawaitable(result):

        async def wait() -> None:
            await result

        loop.run_until_complete(wait())


def _takes_arguments(hook: Callable[..., Any]) -> bool:
    """Whether an exit hook wants the three of `__exit__`, as all did before 2024."""
    try:
        inspect.signature(hook).bind()
    except (TypeError, ValueError):
        return True
    return False
