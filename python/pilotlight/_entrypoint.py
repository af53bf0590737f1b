"""`LocalEntrypoint`: a function that `pilotlight run` starts on the user's machine."""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any, cast

from ._partial import PartialFunction
from ._public import public
from ._typing import Generic, P, R_co
from .exception import InvalidError
from .functions import Function

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._application import Application


@public
class LocalEntrypoint(Generic[P, R_co]):
    """A function with `@app.local_entrypoint()`. Calling it runs it, as without the decorator."""

    __name__: str

    def __init__(self, raw_f: Callable[P, R_co], app: Application) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), raw_f)
        self._pilotlight_raw = raw_f
        self._home = app

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        return self._pilotlight_raw(*args, **kwargs)

    @property
    def raw_f(self) -> Callable[P, R_co]:
        """The function as it was written."""
        return self._pilotlight_raw

    def __repr__(self) -> str:
        return f"<LocalEntrypoint {self.__name__}>"


def declare(app: Application, target: Any, name: str | None) -> LocalEntrypoint[..., Any]:
    """Makes `target` an entrypoint of `app`. Raises `InvalidError` for what cannot be one, or a name "
    "twice."""
    if isinstance(target, (Function, PartialFunction)):
        shown: str = getattr(target, "__name__", "it")  # pyright: ignore[reportUnknownArgumentType]
        raise InvalidError(
            f"{shown}: a local entrypoint runs on this machine, a function in a container: make two functions"
        )
    if not isinstance(target, types.FunctionType):
        raise InvalidError(f"local_entrypoint is for functions, not {target!r}")
    tag = name or target.__qualname__
    if not isinstance(tag, str) or not tag:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"local_entrypoint: name= takes a string, not {name!r}")
    if tag in app._entrypoints:
        raise InvalidError(f"there are two local entrypoints named {tag!r}: give one of them another name=")
    entrypoint = LocalEntrypoint(target, app)
    app._entrypoints[tag] = entrypoint
    return entrypoint
