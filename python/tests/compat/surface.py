"""What a user can name: the package's public names, their members and parameters, read from the code."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

import pilotlight
from pilotlight import _options
from pilotlight._aio import AsyncMirror

from . import reference

#: Classes that programs do not make themselves: decorators and methods give them.
GIVEN = {
    "Cls",
    "Function",
    "FunctionCall",
    "aio.AioApp",
    "aio.AioFunctionHandle",
    "aio.AioImage",
    "app.LocalEntrypoint",
    "call_graph.InputInfo",
    "call_graph.InputStatus",
    "cls.Obj",
    "functions.FunctionHandle",
    "partial_function.PartialFunction",
}
#: Decorators that take the function's keywords besides their own.
KEYWORDS = {"Stub.function": _options.StubOptions, "App.function": _options.AppOptions}


@functools.cache
def surface() -> dict[str, list[str]]:
    """Dotted paths below `modal`, each with its parameters. What two modules have counts for one."""
    found: dict[str, list[str]] = {}
    public = {id(value) for value in map(functools.partial(getattr, pilotlight), pilotlight.__all__)}
    seen: set[int] = set()
    for module in _modules():
        prefix = module.__name__.partition(".")[2]
        if prefix in reference.MODULES:
            found[prefix] = []
        for name in _public(module):
            value = getattr(module, name)
            # An alias of another class has its own name to tell: `S3Mount`.
            if isinstance(value, ModuleType) or (prefix and id(value) in seen):
                continue
            path = f"{prefix}.{name}" if prefix else name
            first = id(value) not in seen
            seen.add(id(value))
            _add(found, path, value, public if first else None)
    for path, table in KEYWORDS.items():
        found[path] += sorted(table.__optional_keys__)
    return found


def _modules() -> list[ModuleType]:
    modules = [pilotlight]
    for info in pkgutil.walk_packages(pilotlight.__path__, "pilotlight."):
        if not any(part.startswith("_") for part in info.name.split(".")):
            modules.append(importlib.import_module(info.name))
    return modules


def _public(module: ModuleType) -> list[str]:
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return [name for name in listed if not name.startswith("_")]
    # A module without `__all__` holds public classes, and functions that other rooms use.
    return (
        [
            name
            for name, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == module.__name__ and not name.startswith("_")
        ]
        if module.__name__.partition(".")[2] in reference.MODULES
        else []
    )


def _add(found: dict[str, list[str]], path: str, value: Any, public: set[int] | None) -> None:
    mirror = inspect.isclass(value) and issubclass(value, AsyncMirror)
    found[path] = [] if path in GIVEN or mirror or public is None else parameters(value)
    if (
        not inspect.isclass(value)
        or issubclass(value, (BaseException, tuple, int))
        or mirror
        or public is None
    ):
        return
    for name in dir(value):
        owner = next((base for base in value.__mro__ if name in vars(base)), object)
        # What a public base gives has its rows there.
        told = owner is not value and id(owner) in public
        if not name.startswith("_") and owner.__module__.startswith("pilotlight") and not told:
            static = inspect.getattr_static(value, name)
            bare = isinstance(static, (staticmethod, classmethod, property))
            found[f"{path}.{name}"] = parameters(getattr(value, name), skip_first=not bare)


def parameters(value: Any, skip_first: bool = False) -> list[str]:
    """The parameters of a callable that have a name to users."""
    try:
        found = list(inspect.signature(value).parameters.values())
    except (TypeError, ValueError):
        return []
    if skip_first and found and found[0].name == "self":
        del found[0]
    general = {("args", inspect.Parameter.VAR_POSITIONAL)}
    return [
        parameter.name
        for parameter in found
        if not parameter.name.startswith("_")
        and parameter.kind is not inspect.Parameter.VAR_KEYWORD
        and (parameter.name, parameter.kind) not in general
    ]
