"""Makes the handle of a decorated function: what it must be, and what its decorators may ask for together."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, cast

from . import _partial, _resources, _settings, web
from ._partial import PartialClass, PartialFunction
from .exception import InvalidError, LocalFunctionError
from .functions import Function, Spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._application import Application
    from ._partial import Concurrency, Web
    from ._settings import Settings


def declare(
    home: Application, decorator: str, target: Any, options: Mapping[str, Any], given_web: Web | None
) -> Function[..., Any]:
    """Makes the handle of `target` (a function, or one with decorators under it).

    Raises `InvalidError`, `LocalFunctionError`, `TypeError`, `DeprecationError` for what cannot be.
    """
    era = home._era
    raw_f, partial = _unwrap(decorator, target)
    settings = _settings.settings(era, f"{decorator} of {raw_f.__qualname__}", options)
    cls, shown = _scope(home, decorator, raw_f, settings.serialized)
    name = options.get("name") or shown
    found_web = given_web
    notes = unbuilt_notes(settings)
    if partial is not None:
        found_web = _one_web(name, partial, given_web)
        settings = with_concurrency(name, settings, options, partial._concurrency)
        notes += partial._notes
        _refuse_class_decorators(name, decorator, partial)
    skipped = 1 if cls else 0
    required = _partial.required_parameters(raw_f, skipped)
    _resources.check_schedule(name, options.get("schedule"), required)
    if found_web is not None:
        check_web(era, name, raw_f, found_web, options, skipped)
    spec = Spec(name, raw_f.__module__, shown, found_web, settings, notes, cls)
    return handle(home, raw_f, spec)


def handle(home: Application, raw_f: types.FunctionType, spec: Spec) -> Function[..., Any]:
    """The handle in the manner of the application's era."""
    return home._function_type(raw_f, spec, home, home._era)


def unbuilt_notes(settings: Settings) -> tuple[str, ...]:
    """What notices say about the keywords that are not built yet."""
    return tuple(f"{option}= is accepted but not built yet, and has no effect" for option in settings.unbuilt)


def with_concurrency(
    name: str, settings: Settings, options: Mapping[str, Any], concurrency: Concurrency | None
) -> Settings:
    """`settings` with what `@modal.concurrent` says; `InvalidError` when a keyword says it as well."""
    if concurrency is None:
        return settings
    if options.get("allow_concurrent_inputs") is not None:
        raise InvalidError(
            f"{name}: allow_concurrent_inputs= and @modal.concurrent say the same: keep @modal.concurrent"
        )
    if settings.single_use and concurrency.max_inputs > 1:
        raise InvalidError(f"{name}: {_settings.SINGLE_AND_MANY}: drop @modal.concurrent")
    return settings._replace(max_inputs=concurrency.max_inputs, target_inputs=concurrency.target_inputs)


def check_web(
    era: str, name: str, raw_f: types.FunctionType, found: Web, options: Mapping[str, Any], skipped: int
) -> None:
    """Refuses what a web endpoint cannot be. `skipped` is 1 for a method, whose `self` does not count."""
    web.check_era(era, name, found)
    if _partial.is_generator(raw_f) or options.get("is_generator"):
        raise InvalidError(
            f"{name}: a web endpoint cannot be a generator; to stream, return a StreamingResponse of fastapi"
        )
    if era == "app" and options.get("retries") is not None:
        raise InvalidError(f"{name}: retries= is not for web endpoints, whose clients try again: drop it")
    if era == "app" and options.get("schedule") is not None:
        raise InvalidError(f"{name}: schedule= is not for web endpoints: put it on a function of its own")
    if found.kind == "endpoint":
        return
    if _partial.is_async(raw_f):
        makes = "starts the server" if found.kind == "web_server" else "returns the application"
        raise InvalidError(
            f"{name}: @modal.{found.decorator} is for a plain `def` that {makes}: drop `async`"
        )
    # Modal let the parameters have defaults until 1.0.
    takes_any = _partial.has_parameters(raw_f, skipped)
    if takes_any if era == "app" else _partial.required_parameters(raw_f, skipped):
        raise InvalidError(
            f"{name}: @modal.{found.decorator} is for a function without parameters: nobody could give them"
        )


def importable_name(raw: Any) -> str:
    """The qualified name behind the last local scope: `f` of `g.<locals>.f`, `C.f` of `C.f`."""
    qualname: str = raw.__qualname__
    return qualname.rpartition("<locals>.")[2]


def refuse_local(raw: Any, what: str) -> None:
    """Raises `LocalFunctionError` for a function or class inside a function."""
    if "<locals>" in raw.__qualname__:
        raise LocalFunctionError(
            f"{raw.__name__} is defined inside another function, so the container cannot import it: "
            f"move it to the top of the module, or give {what} serialized=True"
        )


def _unwrap(decorator: str, target: Any) -> tuple[types.FunctionType, PartialFunction[..., Any] | None]:
    if isinstance(target, PartialFunction):
        partial = cast("PartialFunction[..., Any]", target)
        return cast("types.FunctionType", partial._pilotlight_raw), partial
    if isinstance(target, Function):
        again = cast("Function[..., Any]", target)
        raise InvalidError(f"{decorator}: {again.__name__} is decorated already: keep one of the two")
    if isinstance(target, (type, PartialClass)) or hasattr(target, "_pilotlight_parameters"):
        variable = decorator.partition(".")[0]
        name: str = getattr(target, "__name__", "it")
        raise TypeError(f"{decorator} is for functions; {name} is a class: use {variable}.cls()")
    if isinstance(target, (staticmethod, classmethod)):
        raise InvalidError(f"{decorator} is for functions, not for a {type(target).__name__}")  # pyright: ignore[reportUnknownArgumentType]
    if not isinstance(target, types.FunctionType):
        raise InvalidError(f"{decorator} is for functions, not {target!r}")
    return target, None


def _scope(
    home: Application, decorator: str, raw_f: types.FunctionType, serialized: bool
) -> tuple[str | None, str]:
    """The class that the function is a method of, and the name it is registered by."""
    if not serialized:
        refuse_local(raw_f, "it")
    shown = importable_name(raw_f)
    cls = shown.rpartition(".")[0] or None
    if cls is not None and home._era == "app":
        raise InvalidError(
            f"{shown}: {decorator} is not for methods: put @app.cls() on {cls}, and @modal.method() or a web "
            "decorator on the method"
        )
    return cls, shown


def _one_web(name: str, partial: PartialFunction[..., Any], given: Web | None) -> Web | None:
    if partial._web is not None and given is not None:
        raise InvalidError(f"{name}: a function has one web decorator, not two: keep one")
    return partial._web or given


def _refuse_class_decorators(name: str, decorator: str, partial: PartialFunction[..., Any]) -> None:
    if partial._hook_decorator is not None:
        raise InvalidError(
            f"{name}: @modal.{partial._hook_decorator} is for methods of a class with @app.cls(): drop "
            f"{decorator} there"
        )
    if partial._callable == "method":
        raise InvalidError(f"{name}: @modal.method is for methods of a class with @app.cls(): drop it here")
