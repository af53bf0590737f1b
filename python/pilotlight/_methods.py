"""The decorators that stand on the methods of a class: `method`, `batched`, `enter`, `exit`, `build`, "
"`parameter`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from . import _partial, _settings
from ._partial import PartialFunction, as_partial, give_callable, give_hook
from ._public import called, public
from .exception import InvalidError

if TYPE_CHECKING:
    import types
    from collections.abc import Callable
    from typing import Protocol, overload

    from ._typing import P, R, T

    class MethodDecorator(Protocol):
        """Keeps the signature of what it decorates."""

        @overload
        def __call__(self, target: PartialFunction[P, R], /) -> PartialFunction[P, R]: ...
        @overload
        def __call__(self, target: Callable[P, R], /) -> PartialFunction[P, R]: ...


#: Of an exit hook until March 2024, as of `__exit__`.
EXIT_PARAMETERS = 3
_BATCH_MAX = 1000
_WAIT_MS_MAX = 600_000


class Parameter:
    """What `modal.parameter()` leaves in the class body until `@app.cls()` reads it."""

    def __init__(self, default: Any, init: bool) -> None:
        self.default = default
        self.init = init


class _Missing:
    def __repr__(self) -> str:
        return "<no default>"


#: Stands for "no default".
MISSING = _Missing()


@called("@modal.method")
def method(_bare: None = None, *, is_generator: bool | None = None) -> MethodDecorator:
    """A method that can be called from elsewhere: declared, since calls are not built yet."""
    _refuse_bare("method", _bare)
    return cast("MethodDecorator", _callable("method"))


@called("@modal.batched")
def batched(_bare: None = None, *, max_batch_size: int, wait_ms: int) -> MethodDecorator:
    """A function that is given lists of inputs: checked and declared, since calls are not built yet."""
    _refuse_bare("batched", _bare)
    _settings.whole("@modal.batched", "max_batch_size", max_batch_size, 1, _BATCH_MAX)
    _settings.whole("@modal.batched", "wait_ms", wait_ms, 0, _WAIT_MS_MAX)
    mark = _callable("batched")

    def decorate(target: Any) -> Any:
        partial = mark(target)
        raw_f = cast("types.FunctionType", partial._pilotlight_raw)
        if raw_f.__defaults__ or raw_f.__kwdefaults__:
            raise InvalidError(
                f"{partial.__name__}: @modal.batched is for functions without default values, since each "
                "input is a list"
            )
        if _partial.is_generator(raw_f):
            raise InvalidError(f"{partial.__name__}: @modal.batched is not for generators: return a list")
        return partial

    return decorate


@called("@modal.enter")
def enter(_bare: None = None, *, snap: bool = False, checkpoint: bool | None = None) -> MethodDecorator:
    """A method that runs once when a container starts, before requests.

    Those with `snap=True` go first, and run once for all containers where these are forks of one process.
    `checkpoint=` is `snap=` as it was called in 2024.
    """
    _refuse_bare("enter", _bare)
    early = snap if checkpoint is None else checkpoint
    return _hook("enter", "enter_snap" if early else "enter")


@called("@modal.exit")
def exit(_bare: None = None) -> MethodDecorator:
    """A method that runs once when a container ends."""
    _refuse_bare("exit", _bare)
    return _hook("exit", "exit")


@called("@modal.build")
def build(_bare: None = None, *, force: bool = False, timeout: int = 86400) -> MethodDecorator:
    """A method that ran while the image was built (2024): declared under `Stub`, refused under `App`."""
    _refuse_bare("build", _bare)
    return _hook("build", None)


if TYPE_CHECKING:

    @overload
    def parameter(*, default: T, init: bool = True) -> T: ...
    @overload
    def parameter(*, init: bool = True) -> Any: ...


@public
def parameter(*, default: Any = MISSING, init: bool = True) -> Any:
    """An annotated attribute of a class that its user may set: `name: str = modal.parameter(default="x")`."""
    if not init and default is MISSING:
        raise InvalidError("modal.parameter(init=False) needs a default=: nobody else could set it")
    return Parameter(default, init)


def _callable(decorator: str) -> Callable[[Any], PartialFunction[..., Any]]:
    def decorate(target: Any) -> PartialFunction[..., Any]:
        partial = as_partial(decorator, target)
        give_callable(partial, decorator)
        return partial

    return decorate


def _hook(decorator: str, hook: str | None) -> MethodDecorator:
    def decorate(target: Any) -> Any:
        partial = as_partial(decorator, target)
        give_hook(partial, decorator, hook)
        raw_f = cast("types.FunctionType", partial._pilotlight_raw)
        if _partial.is_generator(raw_f):
            raise InvalidError(
                f"{partial.__name__}: @modal.{decorator} is not for generators: drop the `yield`"
            )
        if raw_f.__code__.co_argcount == 0 and not raw_f.__code__.co_flags & 0x04:
            raise InvalidError(f"{partial.__name__}: @modal.{decorator} is for methods, which take `self`")
        required = _partial.required_parameters(raw_f, 1)
        if required and not (decorator == "exit" and len(required) == EXIT_PARAMETERS):
            raise InvalidError(
                f"{partial.__name__}: @modal.{decorator} is for methods that take nothing but `self`: drop "
                f"{', '.join(required)}"
            )
        return partial

    return decorate


def _refuse_bare(decorator: str, bare: Any) -> None:
    if bare is not None:
        shown = "max_batch_size=…, wait_ms=…" if decorator == "batched" else ""
        raise InvalidError(f"@modal.{decorator} needs parentheses: write @modal.{decorator}({shown})")
