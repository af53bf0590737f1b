"""`Function`: what a decorated name refers to. It holds the raw function and what was asked for."""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from . import _options, web
from ._later import not_built
from .exception import InvalidError, LocalFunctionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Flags of a code object, from CPython's `Include/cpython/code.h`; `inspect` is slow to import.
_CO_COROUTINE = 0x80
_CO_GENERATOR = 0x20
_CO_ASYNC_GENERATOR = 0x200


class Spec(NamedTuple):
    """A function as the manifest needs it."""

    name: str
    module: str
    qualname: str
    web: web.Web | None
    settings: _options.Settings
    unbuilt: tuple[str, ...]


class Function:
    """A decorated function.

    It keeps the function's `__name__`, `__doc__` and `__wrapped__`. `f.local(...)` runs it here. Calling it
    directly runs it here under `Stub` (Modal from February 2023 on) and is a `TypeError` under `App`.
    """

    __name__: str

    def __init__(self, raw_f: Callable[..., Any], era: str, spec: Spec) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), raw_f)
        self._pilotlight_raw = raw_f
        self._era = era
        self._spec = spec
        self._web_url: str | None = None

    @property
    def web_url(self) -> str | None:
        """The endpoint's URL once it is served, else None."""
        return self._web_url

    def get_web_url(self) -> str | None:
        """The same as `web_url`, by today's name."""
        return self._web_url

    @property
    def is_generator(self) -> bool:
        """Whether the function yields."""
        return bool(_flags(self._pilotlight_raw) & (_CO_GENERATOR | _CO_ASYNC_GENERATOR))

    def get_raw_f(self) -> Callable[..., Any]:
        """The function as it was written."""
        return self._pilotlight_raw

    def local(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the function in this process; an `async def` gives its coroutine."""
        return self._pilotlight_raw(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._era == "app":
            name = self._spec.name
            raise TypeError(
                f"the function {name} is not called directly: use {name}.local(…) to run it in this process"
            )
        return self._pilotlight_raw(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in _CALLS:
            raise not_built(f"Function.{name}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._spec.module}.{self._spec.qualname}>"


#: The handle's name in 2022.
FunctionHandle = Function

_CALLS = frozenset(
    "autoscaler call for_each get_current_stats map remote remote_gen shell spawn spawn_map starmap submit "
    "update_autoscaler with_batching with_concurrency with_options".split()
)


def build(
    era: str, decorator: str, target: Any, options: Mapping[str, Any], given_web: web.Web | None
) -> Function:
    """Makes the handle of `target` (a function, or one with decorators under it).

    Raises `InvalidError`, `LocalFunctionError`, `TypeError`, `DeprecationError` for what cannot be.
    """
    raw_f, partial = _unwrap(decorator, target)
    name = options.get("name") or raw_f.__qualname__
    settings = _options.settings(era, f"{decorator} of {raw_f.__qualname__}", options)
    unbuilt = tuple(f"{option}=" for option in settings.unbuilt)
    found_web = given_web
    if partial is not None:
        if partial._web is not None and given_web is not None:
            raise InvalidError(f"{name}: a function has one web decorator, not two")
        found_web = partial._web or given_web
        if partial._max_inputs is not None:
            settings = settings._replace(max_inputs=partial._max_inputs)
        unbuilt += partial._unbuilt
    _check_scope(name, raw_f, settings.serialized)
    if found_web is not None:
        web.check_era(era, name, found_web)
        _check_web(name, raw_f, found_web)
        unbuilt += found_web.unbuilt
    return Function(
        raw_f, era, Spec(name, raw_f.__module__, raw_f.__qualname__, found_web, settings, unbuilt)
    )


def _unwrap(decorator: str, target: Any) -> tuple[types.FunctionType, web.PartialFunction | None]:
    if isinstance(target, web.PartialFunction):
        return cast("types.FunctionType", target._pilotlight_raw), target
    if isinstance(target, Function):
        raise InvalidError(f"{decorator}: {target.__name__} is decorated already")
    if isinstance(target, type):
        raise TypeError(f"{decorator} is for functions; {target.__name__} is a class")
    if not isinstance(target, types.FunctionType):
        raise InvalidError(f"{decorator} is for functions, not {target!r}")
    return target, None


def _check_scope(name: str, raw_f: types.FunctionType, serialized: bool) -> None:
    if "<locals>" in raw_f.__qualname__:
        remedy = " (serialized=True is not built yet)" if serialized else ""
        raise LocalFunctionError(
            f"{raw_f.__name__} is defined inside another function, so the container cannot import it: "
            f"move it to the top of the module{remedy}"
        )
    if "." in raw_f.__qualname__:
        raise not_built(f"{name}: decorating a method of a class")


def _check_web(name: str, raw_f: types.FunctionType, found: web.Web) -> None:
    flags = _flags(raw_f)
    if flags & (_CO_GENERATOR | _CO_ASYNC_GENERATOR):
        raise InvalidError(
            f"{name}: a web endpoint cannot be a generator; to stream, return a StreamingResponse of fastapi"
        )
    if found.kind == "endpoint":
        return
    if flags & _CO_COROUTINE:
        raise InvalidError(
            f"{name}: @modal.{found.decorator} is for a plain `def` that returns the application"
        )
    defaults = len(raw_f.__defaults__ or ())
    keyword_defaults = len(raw_f.__kwdefaults__ or {})
    code = raw_f.__code__
    if code.co_argcount > defaults or code.co_kwonlyargcount > keyword_defaults:
        raise InvalidError(f"{name}: @modal.{found.decorator} is for a function without parameters")


def _flags(raw_f: Callable[..., Any]) -> int:
    code = getattr(raw_f, "__code__", None)
    return code.co_flags if isinstance(code, types.CodeType) else 0
