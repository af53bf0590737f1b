"""Describes a function of the program that is run while an image is built (`Image.run_function`)."""

from __future__ import annotations

import base64
import hashlib
import inspect
import pickle
import types
from typing import TYPE_CHECKING, Any, cast

from . import config
from .exception import InvalidError, LocalFunctionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Globals whose values are part of what a function does; others, modules say, have their own ways to change.
_PLAIN = (str, bytes, int, float, bool, type(None), tuple, list, dict, set, frozenset)


def call(
    method: str, raw_f: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, str]:
    """Where the function is found, what it does, and its arguments, as the manifest has them.

    Raises `InvalidError` and `LocalFunctionError`.
    """
    name = getattr(raw_f, "__qualname__", "")
    if not isinstance(raw_f, types.FunctionType) or name.endswith("<lambda>"):
        raise InvalidError(f"{method}: takes a function of a module, which the build imports, not {raw_f!r}")
    if "<locals>" in name:
        raise LocalFunctionError(
            f"{method}: {raw_f.__name__} is defined inside another function, so the build cannot import it: "
            "move it to the top of the module"
        )
    try:
        content = pickle.dumps((tuple(args), dict(kwargs)), protocol=4)
    except Exception as error:
        raise InvalidError(f"{method}: the arguments of {name} cannot be pickled: {error}") from None
    return {
        "module": raw_f.__module__,
        "qualname": name,
        # Inside a container nobody builds, and the source may not be there.
        "source": _source(raw_f) if config.is_local() else "",
        "arguments": base64.b64encode(content).decode("ascii"),
    }


def _source(function: types.FunctionType) -> str:
    """A digest of the function's source, and of the plain globals and functions that it names."""
    found = hashlib.sha256()
    seen: set[int] = set()
    waiting = [function]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        try:
            text = inspect.getsource(current)
        except (OSError, TypeError):
            text = current.__code__.co_code.hex()
        found.update(text.encode())
        for name in sorted(_names(current.__code__)):
            value: Any = current.__globals__.get(name)
            if isinstance(value, types.FunctionType) and value.__module__ == function.__module__:
                waiting.append(value)
            elif name in current.__globals__ and isinstance(value, _PLAIN):
                found.update(f"{name}={_text(cast('Any', value))}".encode())
    return found.hexdigest()


def _names(code: types.CodeType) -> set[str]:
    """The names that a function's code, and that of the functions in it, looks up."""
    inner = (const for const in code.co_consts if isinstance(const, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _text(value: Any) -> str:
    # The order of a set is another in every process.
    return repr(sorted(map(repr, cast("Any", value))) if isinstance(value, (set, frozenset)) else value)
