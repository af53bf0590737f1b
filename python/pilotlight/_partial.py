"""What the decorators under `@app.function()` and on methods leave behind, and which of them exclude "
"each other."""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ._typing import Generic, P, R_co
from .exception import InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import overload

    from typing_extensions import Concatenate

    from ._typing import Q
    from .functions import Function

# Flags of a code object, from CPython's `Include/cpython/code.h`; `inspect` is slow to import.
_CO_COROUTINE = 0x80
_CO_GENERATOR = 0x20
_CO_ASYNC_GENERATOR = 0x200


class WebServer(NamedTuple):
    """The server that a function starts."""

    port: int
    startup_timeout: float
    """Seconds."""


class Web(NamedTuple):
    """How a function answers the web."""

    decorator: str
    """As the user wrote it, for messages."""
    kind: str
    """`endpoint`, `asgi`, `wsgi` or `web_server`."""
    method: str = "GET"
    docs: bool | None = None
    """Whether `/docs` is served; None is the era's own choice: yes under `Stub`, no under `App`."""
    label: str | None = None
    custom_domains: tuple[str, ...] = ()
    waits: bool = True
    """Whether a client waits for the answer; else it is told where the answer will be."""
    server: WebServer | None = None
    """Of the kind `web_server`."""


class Concurrency(NamedTuple):
    """What `@modal.concurrent` asks for."""

    max_inputs: int
    target_inputs: int | None


class PartialFunction(Generic[P, R_co]):
    """A function with decorators that wait for `@app.function()`, or `@app.cls()` around its class."""

    __name__: str

    def __init__(self, raw_f: Callable[P, R_co]) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), raw_f)
        self._pilotlight_raw = raw_f
        #: `enter_snap`, `enter` or `exit`: when the container calls it. The runner reads this.
        self._pilotlight_hook: str | None = None
        self._hook_decorator: str | None = None
        self._web: Web | None = None
        #: `method` or `batched`: what makes it callable from elsewhere.
        self._callable: str | None = None
        self._concurrency: Concurrency | None = None
        self._notes: tuple[str, ...] = ()
        #: What `@app.cls()` has made of it.
        self._function: Function[..., Any] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        return self._pilotlight_raw(*args, **kwargs)

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type) -> PartialFunction[P, R_co]: ...
        @overload
        def __get__(
            self: PartialFunction[Concatenate[Any, Q], R_co], instance: object, owner: type | None = None
        ) -> Function[Q, R_co]: ...

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        from .functions import Bound

        return Bound(self._pilotlight_raw, lambda: instance, self._function)

    def _decorators(self) -> list[str]:
        given = [self._web.decorator if self._web else None, self._callable, self._hook_decorator]
        return [name for name in given if name] + (["concurrent"] if self._concurrency else [])


class PartialClass:
    """A class with `@modal.concurrent` that waits for `@app.cls()`."""

    def __init__(self, raw: type, concurrency: Concurrency) -> None:
        self.__name__, self.__module__ = raw.__name__, raw.__module__
        self._pilotlight_raw = raw
        self._concurrency = concurrency

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._pilotlight_raw(*args, **kwargs)

    def _decorators(self) -> list[str]:
        return ["concurrent"]


def as_partial(decorator: str, target: Any) -> PartialFunction[..., Any]:
    """`target` as a partial function; `InvalidError` when it cannot be decorated."""
    from .functions import Function

    if isinstance(target, PartialFunction):
        return cast("PartialFunction[..., Any]", target)
    if isinstance(target, Function):
        name: str = target.__name__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        raise InvalidError(
            f"{name}: @modal.{decorator} stands above the function decorator; put it directly "
            "under @app.function() (or @stub.function())"
        )
    if isinstance(target, (type, PartialClass)) or hasattr(target, "_pilotlight_parameters"):
        name = getattr(target, "__name__", "it")
        raise InvalidError(f"@modal.{decorator} is for functions and methods; {name} is a class")
    if not isinstance(target, types.FunctionType):
        raise InvalidError(f"@modal.{decorator} is for functions, not {target!r}")
    return PartialFunction(cast("Callable[..., Any]", target))


def give_web(partial: PartialFunction[..., Any], web: Web) -> None:
    """Makes `partial` answer the web. Raises `InvalidError` beside a decorator that excludes it."""
    if partial._web is not None:
        other = partial._web.decorator
        both = (
            f"both @modal.{other} and @modal.{web.decorator}" if other != web.decorator else "twice the same"
        )
        raise InvalidError(f"{partial.__name__}: {both}; a function has one web decorator: keep one")
    _exclude(partial, web.decorator, partial._callable, partial._hook_decorator)
    partial._web = web


def give_callable(partial: PartialFunction[..., Any], decorator: str) -> None:
    """Makes `partial` a method or batched. Raises `InvalidError` beside a decorator that excludes it."""
    if partial._callable == decorator:
        raise InvalidError(f"{partial.__name__}: @modal.{decorator} is given twice: keep one")
    _exclude(partial, decorator, partial._web.decorator if partial._web else None, partial._hook_decorator)
    # `@modal.method()` with `@modal.batched(…)`: the batch is what matters.
    partial._callable = "batched" if partial._callable else decorator


def give_hook(partial: PartialFunction[..., Any], decorator: str, hook: str | None) -> None:
    """Makes `partial` a hook of the container's life. Raises `InvalidError` beside what excludes it."""
    web = partial._web.decorator if partial._web else None
    # Two hooks on one function, as `@modal.build()` and `@modal.enter()`, were usual in 2024.
    _exclude(partial, decorator, web, partial._callable)
    if decorator == partial._hook_decorator:
        raise InvalidError(f"{partial.__name__}: @modal.{decorator} is given twice: keep one")
    partial._hook_decorator = decorator
    partial._pilotlight_hook = hook or partial._pilotlight_hook


def _exclude(partial: PartialFunction[..., Any], decorator: str, *others: str | None) -> None:
    for other in others:
        if other is not None:
            raise InvalidError(
                f"{partial.__name__}: @modal.{decorator} and @modal.{other} exclude each other: "
                "keep one, or make two functions"
            )


def is_generator(raw_f: object) -> bool:
    """Whether the function yields."""
    return bool(_flags(raw_f) & (_CO_GENERATOR | _CO_ASYNC_GENERATOR))


def is_async(raw_f: object) -> bool:
    """Whether it is an `async def` without `yield`."""
    return bool(_flags(raw_f) & _CO_COROUTINE)


def required_parameters(raw_f: types.FunctionType, skipped: int = 0) -> list[str]:
    """Names of the parameters that a call must give; the first `skipped` (`self`) do not count."""
    code = raw_f.__code__
    positional = code.co_varnames[skipped : code.co_argcount - len(raw_f.__defaults__ or ())]
    keyword = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    return [*positional, *(name for name in keyword if name not in (raw_f.__kwdefaults__ or {}))]


def has_parameters(raw_f: types.FunctionType, skipped: int = 0) -> bool:
    """Whether it has any parameter, defaulted ones and `*args` included, after the first `skipped`."""
    code = raw_f.__code__
    return code.co_argcount > skipped or code.co_kwonlyargcount > 0 or bool(code.co_flags & 0x0C)


def _flags(raw_f: object) -> int:
    code = getattr(raw_f, "__code__", None)
    return code.co_flags if isinstance(code, types.CodeType) else 0
