"""What a user can name: the package's public names, their members and parameters, read from the code."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from types import FunctionType, ModuleType
from typing import Any

import pilotlight
from pilotlight import _options

from . import reference

#: Decorators that take the function's keywords besides their own.
KEYWORDS = {"Stub.function": _options.StubOptions, "App.function": _options.AppOptions}


@functools.cache
def surface() -> dict[str, list[str]]:
    """Dotted paths below `modal`, each with its parameters. A class of two modules is the first one's."""
    found: dict[str, list[str]] = {}
    seen: set[int] = set()
    for module in _modules():
        prefix = module.__name__.partition(".")[2]
        if prefix:
            found[prefix] = []
        for name in _public(module):
            value = getattr(module, name)
            if isinstance(value, ModuleType) or (prefix and id(value) in seen and inspect.isclass(value)):
                continue
            seen.add(id(value))
            _add(found, f"{prefix}.{name}" if prefix else name, value)
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


def _add(found: dict[str, list[str]], path: str, value: Any) -> None:
    found[path] = _parameters(value)
    if not inspect.isclass(value) or issubclass(value, BaseException) or path.startswith("aio."):
        return
    for name in dir(value):
        static = inspect.getattr_static(value, name)
        if not name.startswith("_") and _is_ours(value, name):
            bound = isinstance(static, (FunctionType, classmethod)) or hasattr(static, "__get__")
            plain = isinstance(static, (staticmethod, classmethod, property))
            found[f"{path}.{name}"] = _parameters(getattr(value, name), skip_first=bound and not plain)


def _is_ours(cls: type, name: str) -> bool:
    owner = next(base for base in cls.__mro__ if name in vars(base))
    return owner.__module__.startswith("pilotlight")


def _parameters(value: Any, skip_first: bool = False) -> list[str]:
    try:
        parameters = list(inspect.signature(value).parameters.values())
    except (TypeError, ValueError):
        return []
    if skip_first and parameters and parameters[0].name == "self":
        del parameters[0]
    general = {("args", inspect.Parameter.VAR_POSITIONAL)}
    return [
        parameter.name
        for parameter in parameters
        if not parameter.name.startswith("_")
        and parameter.kind is not inspect.Parameter.VAR_KEYWORD
        and (parameter.name, parameter.kind) not in general
    ]
