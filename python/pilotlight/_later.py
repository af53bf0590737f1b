"""What is declared but not built yet: `not_built`, the error of using it, and the notices of declaring it.

A program may *declare* such things (so that it imports, and its endpoints are served); using one raises
`NotBuiltError`. Discovery tells of each declared one in the manifest's notices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import config
from ._aio import Both, Method
from .exception import NotBuiltError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Concatenate

    from ._aio import BothEnter, ContextMethod, P, R, S

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

    def unbuilt(method: Callable[Concatenate[S, P], R], /) -> ContextMethod[S, P, R]:
        """A method that checks its arguments and raises `NotBuiltError`, and so does its `.aio`, at once."""
        ...

    def unbuilt_static(function: Callable[P, R], /) -> BothEnter[P, R]:
        """A static method, or a function of a module, that does the same."""
        ...

else:

    class _Refusing(Both):
        def __call__(self, *args, **kwargs):
            # Without a body, calling it does nothing but check the arguments.
            self._blocking(*args, **kwargs)
            owner = getattr(self._blocking, "__self__", None)
            what = f"{owner._shown}.{self.__name__}" if owner else self.__qualname__
            raise not_built(what)

        aio = __call__

    def unbuilt(method, /):
        return Method(method, _Refusing)

    def unbuilt_static(function, /):
        return _Refusing(getattr(function, "__func__", function))
