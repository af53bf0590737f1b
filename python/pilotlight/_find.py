"""Finds the App or Stub among a module's variables, and what was decorated but not declared."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, cast

from ._application import Application
from ._failure import Failure
from ._methods import Parameter
from ._partial import PartialClass, PartialFunction
from .cls import Cls
from .functions import Function

if TYPE_CHECKING:
    from types import ModuleType

    from ._sources import Program

_STUB_HINT = """write for example

    import pilotlight

    app = pilotlight.App("hello")

    @app.function()
    @pilotlight.fastapi_endpoint()
    def hello():
        return "Hello world!\""""


def application(module: ModuleType, program: Program, name: str | None, reference: str) -> Application:
    """The application in variable `name`; without one that in `stub` or `app`, else the only one.

    Raises `Failure`; `reference` is the file as messages name it.
    """
    found = {key: value for key, value in vars(module).items() if isinstance(value, Application)}
    if name is not None:
        if name not in found:
            raise Failure(
                "no_stub", f"{reference} has no App or Stub named {name}", _listing(reference, found)
            )
        chosen = found[name]
    else:
        chosen = _only(found, reference, module)
    _check_importable(chosen)
    return chosen


def undeclared(module: ModuleType, app: Application) -> list[str]:
    """Notices about functions and classes with decorators but no `@app.function()` or `@app.cls()` above."""
    variable = app._variable
    found: list[str] = []
    for name, value in vars(module).items():
        if getattr(value, "__module__", module.__name__) != module.__name__:
            continue
        if isinstance(value, PartialFunction):
            given = cast("PartialFunction[..., Any]", value)._decorators()
            found.append(_alone(name, given, "function", f"@{variable}.function()"))
        elif isinstance(value, PartialClass):
            found.append(_alone(name, value._decorators(), "class", f"@{variable}.cls()"))
        elif isinstance(value, type) and not _is_base(value, app):
            given = _of_class(value)
            found += [_alone(name, given, "class", f"@{variable}.cls()")] if given else []
    return found


def _alone(name: str, decorators: list[str], what: str, remedy: str) -> str:
    return f"{name}: @modal.{decorators[0]} alone declares no {what}: put {remedy} above it"


def _of_class(value: type) -> list[str]:
    found: list[str] = []
    for one in vars(value).values():
        if isinstance(one, PartialFunction):
            found += cast("PartialFunction[..., Any]", one)._decorators()
        elif isinstance(one, Parameter):
            found.append("parameter")
    return found


def _is_base(value: type, app: Application) -> bool:
    return any(cls._raw is not None and issubclass(cls._raw, value) for cls in app._classes.values())


def _only(found: dict[str, Application], reference: str, module: ModuleType) -> Application:
    for key in ("stub", "app"):
        if key in found and all(
            other not in found or found[other] is found[key] for other in ("stub", "app")
        ):
            return found[key]
    distinct = {id(value): value for value in found.values()}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    if distinct:
        raise Failure("invalid", f"{reference} has several Apps or Stubs", _listing(reference, found))
    foreign = _foreign_modal()
    if foreign is not None:
        raise Failure(
            "no_stub",
            f"`import modal` in {reference} found {foreign}, and not pilotlight's modal",
            "if that is Modal's own client, `pip uninstall modal` or use a virtual environment without it; "
            "if it is a file of yours, rename it",
        )
    variable = next((key for key in ("stub", "app") if hasattr(module, key)), None)
    other = f" ({variable} is a {type(getattr(module, variable)).__name__})" if variable else ""
    raise Failure("no_stub", f"{reference} has no App or Stub{other}", _STUB_HINT)


def _listing(reference: str, found: dict[str, Application]) -> str:
    if not found:
        return _STUB_HINT
    return "name one: " + ", ".join(f"{reference}::{key}" for key in found)


def _foreign_modal() -> str | None:
    module = sys.modules.get("modal")
    if module is None or module is sys.modules.get("pilotlight"):
        return None
    return getattr(module, "__file__", None) or "something without a file"


def _check_importable(app: Application) -> None:
    """A container imports a function by module and name; what that finds must be the declared function."""
    for function in app._functions.values():
        spec = function._spec
        if spec.settings.serialized:
            continue  # It is sent as it is.
        try:
            target: Any = importlib.import_module(spec.module)
            for part in spec.qualname.split("."):
                # A decorated class stands for itself, so that a method is found as it was written.
                target = getattr(target._raw if isinstance(target, Cls) else target, part)
        except (ImportError, AttributeError):
            target = None
        raw: Any = getattr(target, "_pilotlight_raw", target)
        decorated = isinstance(target, (Function, PartialFunction))
        if target is None or (decorated and raw is not function._pilotlight_raw):
            raise Failure(
                "invalid",
                f"{spec.name}: the name {spec.qualname} of {spec.module} is not this function any more, so "
                "the container could not import it",
                "give each function a name of its own",
            )
