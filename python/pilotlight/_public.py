"""`public`: what users call, whose wrong calls are told by the names that users know.

    @public
    class Stub(Application):
        def serve(self, timeout=None): ...

`stub.serve(timout=3)` is Python's own `TypeError`, which names the class that the method happens to stand
in. `public` makes of it "Stub.serve got an unexpected keyword argument 'timout'; did you mean 'timeout'?".
Nothing is looked at before a call has failed: signatures, types and the time of a call stay as they are.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar, cast

from . import _aio

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Iterable

    #: Whatever is given comes back: a class, a function, a function with a twin.
    Target = TypeVar("Target")

#: A method that takes one more name than its signature has: see `_image_chain.named`.
FORMER_NAME = "_pilotlight_former_name"


def public(target: Target, name: str | None = None) -> Target:
    """Makes wrong calls of a function, or of a class and its public methods, name what the user called."""
    if not isinstance(target, type):
        return cast("Target", _telling(target, name))
    owner = cast("type", target)
    for key, value in list(vars(owner).items()):
        if key == "__init__" or not key.startswith("_"):
            told = _telling_of_class(owner, key, value)
            if told is not value:
                setattr(owner, key, told)
    return target


def called(name: str) -> Callable[[Target], Target]:
    """`public` for a function that users call by another name than that of its definition."""
    return functools.partial(public, name=name)  # pyright: ignore[reportReturnType]


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` with the one of `known` that is the nearest to `name`, or nothing."""
    if name[:1] == "_":
        return ""  # Asked by Python's machinery and not by a user: `from pilotlight import _alias` does.
    import difflib

    nearest = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


def no_attribute(shown: str, name: str, known: Iterable[str], instead: str | None = None) -> AttributeError:
    """The error for a `name` that `shown` does not have, with what to write `instead`, or the nearest."""
    hint = f"; {instead}" if instead else suggestion(name, (one for one in known if one[0] != "_"))
    error = AttributeError(f"{shown} has no attribute {name!r}{hint}")
    say_no_more(error, name)
    return error


def say_no_more(error: AttributeError, name: str) -> None:
    """Keeps Python from adding a suggestion of its own, for which it looks at the attributes of `obj`."""
    error.name, error.obj = name, _NOTHING  # pyright: ignore[reportAttributeAccessIssue]


class _Nothing:
    def __dir__(self) -> list[str]:
        return []


_NOTHING = _Nothing()


def _telling_of_class(owner: type, key: str, value: Any) -> Any:
    shown = f"{owner.__name__}.{key}"
    if isinstance(value, property):
        return value
    if isinstance(value, staticmethod):
        return staticmethod(_telling(_inner(value), shown))
    if isinstance(value, classmethod):
        return classmethod(_telling(_inner(value), None, key))
    if isinstance(value, _aio.Method):
        return _replace(cast("Any", value), "_method", None, key)
    if isinstance(value, _aio.Both):
        return _telling(value, shown)
    return _telling(value, None, key) if hasattr(value, "__code__") else value


def _inner(wrapped: Any) -> Any:
    return wrapped.__func__


def _replace(target: Any, attribute: str, name: str | None, method: str | None) -> Any:
    setattr(target, attribute, _telling(getattr(target, attribute), name, method))
    return target


def _telling(target: Any, name: str | None, method: str | None = None) -> Any:
    if isinstance(target, _aio.Both):
        # The object stays: it has the twin, and perhaps a kind of its own.
        return _replace(cast("Any", target), "_blocking", name, method)
    function: Callable[..., Any] = target

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            words = _words(function, name, method, args, kwargs)
            if words is None:
                raise  # Of what the function did.
        raise TypeError(words)

    return call


def _words(
    function: Callable[..., Any], name: str | None, method: str | None, args: tuple[Any, ...], kwargs: Any
) -> str | None:
    """What is wrong with the arguments themselves; None when the function takes them."""
    import inspect

    signature = inspect.signature(function)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        shown = name or _called(function, method, args)
        known = _known(function, list(signature.parameters.values())[method is not None :])
        unknown = next((given for given in kwargs if given not in known and given[0] != "_"), None)
        if unknown is None or any(one.kind is one.VAR_KEYWORD for one in signature.parameters.values()):
            return f"{shown}: {error}"
        hint = suggestion(unknown, known) or f"; it takes {', '.join(known) or 'none'}"
        return f"{shown} got an unexpected keyword argument {unknown!r}{hint}"
    return None


def _called(function: Callable[..., Any], method: str | None, args: tuple[Any, ...]) -> str:
    """By the class of the object and not by the one the method is defined in: `Stub.serve`."""
    if method is None or not args:
        return function.__name__
    owner = args[0] if isinstance(args[0], type) else type(args[0])
    owner_name = getattr(owner, "__name__", function.__name__)
    return owner_name if method == "__init__" else f"{owner_name}.{method}"


def _known(function: Callable[..., Any], parameters: Iterable[inspect.Parameter]) -> list[str]:
    """Those that are given by keyword and meant for users."""
    former: str | None = getattr(function, FORMER_NAME, None)
    return [
        *([former] if former else []),
        *(
            one.name
            for one in parameters
            if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD) and one.name[0] != "_"
        ),
    ]
