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

from . import reference

#: Classes that programs do not make themselves: decorators and methods give them.
GIVEN = {"Function", "functions.FunctionHandle", "FunctionCall", "cls.Obj", "app.LocalEntrypoint"}
#: Decorators that take the function's keywords besides their own.
KEYWORDS = {"Stub.function": _options.StubOptions, "App.function": _options.AppOptions}


@functools.cache
def surface() -> dict[str, list[str]]:
    """Dotted paths below `modal`, each with its parameters. What two modules have counts for one."""
    found: dict[str, list[str]] = {}
    seen: dict[int, str] = {}
    for module in _modules():
        prefix = module.__name__.partition(".")[2]
        if prefix in reference.MODULES:
            found[prefix] = []
        for name in _public(module):
            value = getattr(module, name)
            if isinstance(value, ModuleType) or id(value) in seen:
                continue
            path = f"{prefix}.{name}" if prefix else name
            seen[id(value)] = path
            _add(found, path, value, seen)
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


def _add(found: dict[str, list[str]], path: str, value: Any, seen: dict[int, str]) -> None:
    found[path] = [] if path in GIVEN else _parameters(value)
    if not inspect.isclass(value) or issubclass(value, BaseException) or path.startswith("aio."):
        return
    for name in dir(value):
        owner = next(base for base in value.__mro__ if name in vars(base))
        # What a base gives that is public itself has its row there.
        told = owner is not value and id(owner) in seen
        if not name.startswith("_") and owner.__module__.startswith("pilotlight") and not told:
            static = inspect.getattr_static(value, name)
            plain = isinstance(static, (staticmethod, classmethod, property))
            found[f"{path}.{name}"] = _parameters(getattr(value, name), skip_first=not plain)


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
