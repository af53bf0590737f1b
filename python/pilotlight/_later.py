"""What is declared but not built yet: `not_built`, the error of using it, and the notices of declaring it.

A program may *declare* such things (so that it imports, and its endpoints are served); using one raises
`NotBuiltError`. Discovery tells of each declared one in the manifest's notices.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from . import config
from ._aio import BothEnter, dual_context
from .exception import NotBuiltError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import overload

    from typing_extensions import Concatenate

    from ._aio import IteratorMethod, Method, P, R, S

#: What this process has declared, as the user wrote it; kept during discovery only.
_declared: dict[str, None] = {}


def not_built(what: str, instead: str = "") -> NotBuiltError:
    """The error for `what`, a name as the user wrote it; `instead` says what to do."""
    remedy = f": {instead}" if instead else ""
    return NotBuiltError(f"{what} is not built yet in this version of pilotlight{remedy}")


def declare(what: str) -> None:
    """Remembers that the program declares `what`, for a notice."""
    if config.discovering:
        _declared[what] = None


def withdraw(what: str) -> None:
    """Forgets `what`: the program has declared more about it."""
    _declared.pop(what, None)


def notices() -> list[str]:
    """A line for each thing declared so far."""
    return [
        f"{what} is accepted but not built yet: using it raises modal.exception.NotBuiltError"
        for what in _declared
    ]


if TYPE_CHECKING:

    @overload
    def unbuilt(method: Callable[Concatenate[S, P], Iterator[R]], /) -> IteratorMethod[S, P, R]: ...
    @overload
    def unbuilt(method: Callable[Concatenate[S, P], R], /) -> Method[S, P, R]: ...


def unbuilt(method: Any, /) -> Any:
    """A method that checks its arguments and raises `NotBuiltError`, and so does its `.aio`, at once."""

    @functools.wraps(method)
    def refuse(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Without a body, calling it does nothing but check the arguments.
        method(self, *args, **kwargs)
        raise not_built(f"{self._shown}.{method.__name__}")

    return dual_context(refuse)


def unbuilt_static(function: Callable[P, R], /) -> BothEnter[P, R]:
    """A static method, or a function of a module, that does the same."""
    plain: Any = getattr(function, "__func__", function)

    @functools.wraps(plain)
    def refuse(*args: Any, **kwargs: Any) -> Any:
        plain(*args, **kwargs)
        raise not_built(plain.__qualname__)

    return BothEnter(refuse)
