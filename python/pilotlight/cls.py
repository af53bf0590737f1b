"""`Cls`: what the name of a class with `@app.cls()` refers to, and what is read from such a class."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any, NoReturn, cast

from . import _declare, _partial, _settings
from ._aio import dual, dual_static
from ._later import not_built
from ._methods import MISSING, Parameter, batched, build, enter, exit, method, parameter
from ._names import check_reference
from ._partial import PartialClass, PartialFunction
from ._public import public
from .exception import DeprecationError, ExecutionError, InvalidError
from .functions import Bound, Function, Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._application import Application
    from ._partial import Concurrency
    from ._settings import Settings

__all__ = ["Cls", "Obj", "batched", "build", "enter", "exit", "method", "parameter"]

_PARAMETER_TYPES: dict[str, type] = {"str": str, "int": int, "bytes": bytes, "bool": bool}


@public
class Cls:
    """A decorated class, or (`from_name`) one that was deployed.

    Calling it gives an `Obj`, whose methods run in this process by `.local(…)`; running them elsewhere is not
    built yet.
    """

    def __init__(self, raw: type | None, name: str, parameters: Mapping[str, Parameter]) -> None:
        self.__name__ = name
        self.__doc__ = raw.__doc__ if raw else None
        self._raw = raw
        if raw is not None:
            self.__module__ = raw.__module__
            self.__qualname__ = raw.__qualname__
            #: The runner makes its instance from this.
            self._pilotlight_raw = raw
        self._pilotlight_parameters = dict(parameters)
        #: The app that it was deployed with, where it was looked up.
        self._app_name: str | None = None
        #: Its web endpoints, by method name.
        self._functions: dict[str, Function[..., Any]] = {}

    @staticmethod
    def from_name(
        app_name: str,
        name: str | None = None,
        *,
        tag: str | None = None,
        version: int | None = None,
        environment_name: str | None = None,
        client: Any = None,
        namespace: Any = None,
        workspace: str | None = None,
    ) -> Cls:
        """The class `name` of a deployed app; nothing is asked. Its web methods have their URLs.

        Raises `NotBuiltError` for a `version`.
        """
        wanted = name or tag or ""
        if version is not None:
            raise not_built("Cls.from_name(version=…)")
        check_reference("Cls", "a class", app_name, wanted)
        found = Cls(None, wanted, {})
        found._app_name = app_name
        return found

    @dual_static
    @staticmethod
    def lookup(app_name: str, tag: str | None = None, *args: Any, **kwargs: Any) -> Cls:
        """`from_name` that asks at once (Modal, to 2025). Raises `NotFoundError` when it is not deployed."""
        cls = Cls.from_name(app_name, tag)
        from . import _deployed

        _deployed.methods(app_name, cls.__name__)
        return cls

    def __call__(self, *args: Any, **kwargs: Any) -> Obj:
        """An instance with these parameters. Raises `InvalidError` for parameters it does not have."""
        if args and (self._pilotlight_parameters or self._raw is None):
            raise InvalidError(
                f"{self.__name__}(…): parameters are given by name, such as {self.__name__}(name=…)"
            )
        if self._raw is not None and (self._pilotlight_parameters or _init_of(self._raw) is None):
            self._check_parameters(kwargs)
        return Obj(self, args, kwargs)

    def with_options(self, **options: Any) -> NoReturn:
        """Not built yet."""
        raise not_built(f"{self.__name__}.with_options", "give the options to @app.cls")

    def with_concurrency(self, *, max_inputs: int, target_inputs: int | None = None) -> NoReturn:
        """Not built yet."""
        raise not_built(f"{self.__name__}.with_concurrency", "use @modal.concurrent")

    def with_batching(self, *, max_batch_size: int, wait_ms: int) -> NoReturn:
        """Not built yet."""
        raise not_built(f"{self.__name__}.with_batching")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._app_name is not None and name not in ("remote", "update_autoscaler", "keep_warm"):
            return Function.from_name(self._app_name, f"{self.__name__}.{name}")
        if name in self._functions:
            return self._functions[name]
        if name in ("remote", "update_autoscaler", "keep_warm"):
            raise not_built(f"{self.__name__}.{name}")
        found: Any = getattr(self._raw, name)
        if isinstance(found, PartialFunction) and cast("PartialFunction[..., Any]", found)._callable:
            raise InvalidError(
                f"{self.__name__}.{name}: methods are called on an instance: "
                f"{self.__name__}().{name}.local(…)"
            )
        return cast("Any", found)

    def __reduce__(self) -> Any:
        # By value, for `serialized=True`.
        return Cls, (self._raw, self.__name__, self._pilotlight_parameters)

    def __repr__(self) -> str:
        return f"<Cls {self.__name__}>"

    def _check_parameters(self, given: Mapping[str, Any]) -> None:
        known = {name: one for name, one in self._pilotlight_parameters.items() if one.init}
        for name in given:
            if name not in known:
                wanted = ", ".join(known) or "none"
                raise InvalidError(f"{self.__name__}({name}=…): it has no such parameter (its own: {wanted})")
        missing = [name for name, one in known.items() if one.default is MISSING and name not in given]
        if missing:
            raise InvalidError(f"{self.__name__}(…) needs {', '.join(f'{name}=' for name in missing)}")


@public
class Obj:
    """An instance of a decorated class, made in this process when a method of it is first used."""

    def __init__(self, cls: Cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._cls = cls
        self._arguments = (args, dict(kwargs))
        self._instance: Any = None

    @dual
    def update_autoscaler(
        self,
        *,
        min_containers: int | None = None,
        max_containers: int | None = None,
        buffer_containers: int | None = None,
        scaledown_window: int | None = None,
    ) -> None:
        """Scale each web method of a deployed class, as `Function.update_autoscaler` does a function.

        Each method has containers of its own here, whatever the instance's parameters. What is None stays as
        it is. Raises `InvalidError` for numbers that cannot be and for a class that was not looked up,
        `NotFoundError` when it is not deployed.
        """
        name = self._cls.__name__
        if self._cls._app_name is None:
            raise InvalidError(
                f"{name} was not looked up: it is a deployed class that is changed, "
                f"modal.Cls.from_name(APP, {name!r})().update_autoscaler(…)"
            )
        from . import _deployed

        for function in _deployed.methods(self._cls._app_name, name):
            _deployed.scale(
                self._cls._app_name,
                function,
                min_containers=min_containers,
                max_containers=max_containers,
                buffer_containers=buffer_containers,
                scaledown_window=scaledown_window,
            )

    @dual
    def keep_warm(self, warm_pool_size: int) -> None:
        """`update_autoscaler(min_containers=…)`, as it was called until 2024."""
        self.update_autoscaler(min_containers=warm_pool_size)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._cls._app_name is not None:
            return getattr(self._cls, name)
        partial = getattr(self._cls._raw, name, None)
        if isinstance(partial, PartialFunction):
            # The instance is not made for asking after a URL.
            found = cast("PartialFunction[..., Any]", partial)
            return Bound(found._pilotlight_raw, self._made, found._function)
        return getattr(self._made(), name)

    def _made(self) -> Any:
        if self._instance is None:
            raw = self._cls._raw
            if raw is None:
                raise ExecutionError(f"{self._cls.__name__}: the code of a deployed class is not here")
            args, kwargs = self._arguments
            if self._cls._pilotlight_parameters:
                instance = raw()
                for name, value in kwargs.items():
                    setattr(instance, name, value)
            else:
                instance = raw(*args, **kwargs)
            for hook in _hooks(raw):
                hook(instance)
            self._instance = instance
        return self._instance


def declare(home: Application, decorator: str, target: Any, options: Mapping[str, Any]) -> Cls:
    """Makes the `Cls` of a user's class, with a function for each of its web methods.

    Raises `TypeError` for what is no class, `InvalidError` for what cannot be.
    """
    raw, concurrency = _unwrap(decorator, target)
    settings = _settings.settings(home._era, f"{decorator} of {raw.__qualname__}", options)
    if not settings.serialized:
        _declare.refuse_local(raw, "its decorator")
    name = _declare.importable_name(raw)
    settings = _declare.with_concurrency(name, settings, options, concurrency)
    _check_constructor(home._era, name, raw)
    partials = _partials(raw)
    _check_methods(home._era, name, partials, settings)
    if settings.snapshot is None and any(one._pilotlight_hook == "enter_snap" for one in partials.values()):
        settings = settings._replace(snapshot=True)
    cls = Cls(raw, raw.__name__, _parameters(name, raw))
    notes = _declare.unbuilt_notes(settings)
    for attribute, partial in partials.items():
        if partial._web is not None:
            cls._functions[attribute] = _web_method(home, name, raw, partial, settings, notes, options)
        elif partial._callable is not None:
            home._notices.append(
                f"{name}.{attribute}: is a method, not a web endpoint; calling methods is not built yet"
            )
    home._notices += _class_notices(name, cls, partials, notes)
    return cls


def _web_method(
    home: Application,
    name: str,
    raw: type,
    partial: PartialFunction[..., Any],
    settings: Settings,
    notes: tuple[str, ...],
    options: Mapping[str, Any],
) -> Function[..., Any]:
    raw_f, found = cast("types.FunctionType", partial._pilotlight_raw), partial._web
    assert found is not None
    tag = f"{name}.{partial.__name__}"
    _declare.check_web(home._era, tag, raw_f, found, options, 1)
    spec = Spec(
        tag,
        raw.__module__,
        tag,
        found,
        settings,
        (*notes, *partial._notes),
        name,
    )
    partial._function = _declare.handle(home, raw_f, spec)
    return partial._function


def _unwrap(decorator: str, target: Any) -> tuple[type, Concurrency | None]:
    if isinstance(target, PartialClass):
        return target._pilotlight_raw, target._concurrency
    if isinstance(target, type):
        return target, None
    if isinstance(target, Cls):
        raise InvalidError(f"{decorator}: {target.__name__} is decorated already: keep one of the two")
    shown: str = getattr(target, "__name__", repr(target))
    raise TypeError(
        f"{decorator} is for classes; {shown} is none: use {decorator.replace('.cls', '.function')}()"
    )


def _check_constructor(era: str, name: str, raw: type) -> None:
    init = _init_of(raw)
    if init is None:
        return
    if era == "app":
        raise InvalidError(
            f"{name}: a class with @app.cls() has no __init__ of its own: set up in a method with "
            "@modal.enter(), and take values by `name: str = modal.parameter()`"
        )
    required = _partial.required_parameters(init, 1) if isinstance(init, types.FunctionType) else []
    if required and any(partial._web for partial in _partials(raw).values()):
        raise InvalidError(
            f"{name}: a class with web endpoints is made without arguments: give "
            f"{', '.join(required)} a default"
        )


def _init_of(raw: type) -> Any:
    init = raw.__init__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return None if init is object.__init__ else init  # pyright: ignore[reportUnknownVariableType]


def _partials(raw: type) -> dict[str, PartialFunction[..., Any]]:
    """The decorated methods by name, those of base classes first, in the order of their definition."""
    found: dict[str, Any] = {}
    for base in reversed(raw.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, PartialFunction):
                found[name] = value
            else:
                found.pop(name, None)
    return found


def _hooks(raw: type) -> list[Callable[[Any], Any]]:
    partials = list(_partials(raw).values())
    early = [one for one in partials if one._pilotlight_hook == "enter_snap"]
    late = [one for one in partials if one._pilotlight_hook == "enter"]
    return [one._pilotlight_raw for one in [*early, *late]]


def _check_methods(
    era: str, name: str, partials: Mapping[str, PartialFunction[..., Any]], settings: Settings
) -> None:
    callables = [attribute for attribute, partial in partials.items() if partial._callable]
    for attribute, partial in partials.items():
        tag = f"{name}.{attribute}"
        if partial._concurrency is not None:
            raise InvalidError(
                f"{tag}: @modal.concurrent stands on the class, under @app.cls(), not on a method"
            )
        if partial._callable == "batched" and len(callables) > 1:
            raise InvalidError(
                f"{tag}: a class with @modal.batched has no other method: "
                f"move {', '.join(other for other in callables if other != attribute)} elsewhere"
            )
        raw_f = cast("types.FunctionType", partial._pilotlight_raw)
        if era == "app" and partial._pilotlight_hook == "exit" and _partial.required_parameters(raw_f, 1):
            raise InvalidError(
                f"{tag}: @modal.exit is for methods that take nothing but `self`: drop the others"
            )
        if era == "app" and partial._hook_decorator == "build":
            raise DeprecationError(f"{tag}: @modal.build is gone: use Image.run_function(…) instead")
        if era == "app" and partial._pilotlight_hook == "enter_snap" and not settings.snapshot:
            raise InvalidError(f"{tag}: @modal.enter(snap=True) needs @app.cls(enable_memory_snapshot=True)")


def _class_notices(
    name: str, cls: Cls, partials: Mapping[str, PartialFunction[..., Any]], notes: tuple[str, ...]
) -> list[str]:
    found = [
        f"{name}.{attribute}: @modal.build is accepted but not built yet, and has no effect"
        for attribute, partial in partials.items()
        if partial._hook_decorator == "build"
    ]
    if not cls._functions:
        return [*found, *(f"{name}: {note}" for note in notes)]
    required = [key for key, one in cls._pilotlight_parameters.items() if one.default is MISSING]
    if required:
        raise InvalidError(
            f"{name}: its web endpoints need {', '.join(required)}, and values in a URL's query are not "
            "built yet: write modal.parameter(default=…)"
        )
    if cls._pilotlight_parameters:
        found.append(
            f"{name}: modal.parameter() in the query of a URL is accepted but not built yet: web endpoints "
            "have the defaults"
        )
    return found


def _parameters(name: str, raw: type) -> dict[str, Parameter]:
    """Reads the class's parameters, and leaves their defaults in it as plain attributes."""
    found: dict[str, Parameter] = {}
    for base in reversed(raw.__mro__):
        for attribute, value in list(vars(base).items()):
            if isinstance(value, Parameter):
                _check_parameter(f"{name}.{attribute}", value, _annotations(base).get(attribute))
                found[attribute] = value
    for attribute, value in found.items():
        if value.default is not MISSING:
            setattr(raw, attribute, value.default)
        elif attribute in vars(raw):
            delattr(raw, attribute)
    return found


def _check_parameter(where: str, parameter: Parameter, annotation: object) -> None:
    # A quoted annotation keeps its quotes where `from __future__ import annotations` stands.
    kind = _PARAMETER_TYPES.get(getattr(annotation, "__name__", str(annotation)).strip("'\""))
    if kind is None:
        said = "no annotation" if annotation is None else f"the type {annotation}"
        attribute = where.rpartition(".")[2]
        raise InvalidError(
            f"{where}: modal.parameter() has {said}: write one of `{attribute}: str`, int, bytes and bool"
        )
    if parameter.default is not MISSING and type(parameter.default) is not kind:
        raise InvalidError(f"{where}: the default {parameter.default!r} is no {kind.__name__}")


def _annotations(base: type) -> dict[str, Any]:
    """The annotations of the class itself as they stand: resolving them could need what is not here."""
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(base, format=annotationlib.Format.STRING)
    return vars(base).get("__annotations__", {})
