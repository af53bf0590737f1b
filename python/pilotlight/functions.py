"""`Function`: what a decorated name refers to. It holds the raw function and what was asked for."""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

from . import _context, _partial, config
from ._aio import dual, dual_context, dual_static
from ._later import not_built
from ._names import check_reference
from ._public import no_attribute, public
from ._typing import Generic, P, R_co
from .calls import FunctionCall, gather
from .exception import DeprecationError, ExecutionError, InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Protocol, overload

    from typing_extensions import Concatenate

    from ._application import Application
    from ._partial import PartialFunction, Web
    from ._settings import Settings
    from ._typing import P as P_
    from ._typing import Q, R

    class FunctionDecorator(Protocol):
        """`@app.function()`: keeps the signature of what it decorates."""

        @overload
        def __call__(self, target: PartialFunction[P_, R], /) -> Function[P_, R]: ...
        @overload
        def __call__(self, target: Callable[P_, R], /) -> Function[P_, R]: ...

    class HandleDecorator(Protocol):
        """`@stub.function()`: keeps the signature of what it decorates."""

        @overload
        def __call__(self, target: PartialFunction[P_, R], /) -> FunctionHandle[P_, R]: ...
        @overload
        def __call__(self, target: Callable[P_, R], /) -> FunctionHandle[P_, R]: ...


__all__ = ["Function", "FunctionCall", "FunctionHandle", "gather"]


class Spec(NamedTuple):
    """A function as the manifest needs it."""

    name: str
    module: str
    qualname: str
    web: Web | None
    settings: Settings
    notes: tuple[str, ...] = ()
    """What notices say about it, each behind its name."""
    cls: str | None = None
    """The user's class, when it is a method."""


@public
class Function(Generic[P, R_co]):
    """A decorated function, or a method of a class, or (`from_name`) one that was deployed.

    It keeps the function's `__name__`, `__doc__` and `__wrapped__`. `f.local(...)` runs it here. Calling it
    directly runs it here under `Stub` (Modal from February 2023 on) and is a `TypeError` under `App`.
    """

    __name__: str

    def __init__(
        self, raw_f: Callable[..., Any] | None, spec: Spec | None, home: Application | None, era: str = "app"
    ) -> None:
        if raw_f is not None:
            functools.update_wrapper(cast("Callable[..., Any]", self), raw_f)
        self._raw = raw_f
        if raw_f is not None:
            self._pilotlight_raw = raw_f
        self._era = era
        self._given_spec = spec
        #: The App or Stub whose image, secrets and mounts it shares.
        self._home = home
        self._web_url: str | None = None
        self._deployed: tuple[str, str] | None = None

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
    ) -> Function[..., Any]:
        """The function `name` of a deployed app; nothing is asked before it is used.

        Its URL is what this version can give: `get_web_url()`. Raises `InvalidError` without names,
        `NotBuiltError` for a `version`.
        """
        wanted = name or tag or ""
        check_reference("Function", "a function", app_name, wanted)
        if version is not None:
            raise not_built("Function.from_name(version=…)")
        function = Function[..., Any](None, None, None)
        function.__name__ = wanted
        function._deployed = (app_name, wanted)
        return function

    @dual_static
    @staticmethod
    def lookup(
        app_name: str,
        tag: str | None = None,
        namespace: Any = None,
        client: Any = None,
        environment_name: str | None = None,
    ) -> Function[..., Any]:
        """`from_name` that asks at once (Modal, to 2025). Raises `NotFoundError` when it is not deployed."""
        function = Function.from_name(app_name, tag)
        function.get_web_url()
        return function

    @dual_static
    @staticmethod
    def from_app(
        app_name: str, tag: str | None = None, namespace: Any = None, client: Any = None
    ) -> Function[..., Any]:
        """`lookup` as it was called in 2022."""
        return Function.lookup(app_name, tag)

    @staticmethod
    def from_id(function_id: str, client: Any = None, *, environment_name: str | None = None) -> NoReturn:
        """Known, not built yet: raises `NotBuiltError`."""
        if not isinstance(function_id, str) or not function_id.startswith("fu-"):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"Function.from_id: {function_id!r} is not the id of a function (fu-…)")
        raise not_built("Function.from_id", "Function.from_name finds a deployed function")

    @property
    def web_url(self) -> str | None:
        """The endpoint's URL where it is known, else None: see `get_web_url`."""
        return self.get_web_url()

    @dual
    def get_web_url(self) -> str | None:
        """The endpoint's URL: in a container one that works there, outside once it is served, else None.

        For a deployed function the server is asked; `NotFoundError` when there is no such function.
        """
        if self._deployed is not None:
            from . import _deployed

            return _deployed.web_url(*self._deployed)
        if not config.is_local():
            return _context.web_urls().get(self._spec.name)
        return self._web_url

    @property
    def is_generator(self) -> bool:
        """Whether the function yields."""
        return _partial.is_generator(self._raw)

    @property
    def object_id(self) -> str | None:
        """Functions have no id that a program could use: always None."""
        return None

    def get_raw_f(self) -> Callable[P, R_co]:
        """The function as it was written."""
        return self._here("get_raw_f")

    def local(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Runs the function in this process; an `async def` gives its coroutine.

        Raises `ExecutionError` for a deployed function, whose code is not here.
        """
        return self._here("local")(*args, **kwargs)

    @dual
    def remote(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Not built yet; `InvalidError` for a web endpoint, with its URL."""
        if self.is_generator:
            raise InvalidError(f"{self._label}.remote(…): {self._label} is a generator: use remote_gen(…)")
        self._refuse("remote")

    @dual_context
    def remote_gen(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Not built yet; for generators."""
        self._refuse_plain("remote_gen")
        self._refuse("remote_gen")

    @dual
    def call(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """`remote` as it was called in 2022 and 2023; not built yet."""
        self._refuse("call")

    @dual
    def spawn(self, *args: P.args, **kwargs: P.kwargs) -> FunctionCall:
        """Not built yet; `InvalidError` for a web endpoint and, under `App`, a generator."""
        if self.is_generator and self._era == "app":
            raise InvalidError(f"{self._label}.spawn(…): {self._label} is a generator, and has no one result")
        self._refuse("spawn")

    @dual_context
    def map(
        self,
        *input_iterators: Iterable[Any],
        kwargs: Mapping[str, Any] | None = None,
        order_outputs: bool | None = None,
        return_exceptions: bool = False,
    ) -> Any:
        """Not built yet; `InvalidError` for a web endpoint."""
        self._refuse_ordered("map", order_outputs)
        self._refuse("map")

    @dual_context
    def starmap(
        self,
        input_iterator: Iterable[Iterable[Any]],
        *,
        kwargs: Mapping[str, Any] | None = None,
        order_outputs: bool | None = None,
        return_exceptions: bool = False,
    ) -> Any:
        """Not built yet; `InvalidError` for a web endpoint."""
        self._refuse_ordered("starmap", order_outputs)
        self._refuse("starmap")

    @dual
    def for_each(
        self,
        *input_iterators: Iterable[Any],
        kwargs: Mapping[str, Any] | None = None,
        ignore_exceptions: bool = False,
    ) -> None:
        """Not built yet; `InvalidError` for a web endpoint."""
        self._refuse("for_each")

    @dual
    def spawn_map(self, *input_iterators: Iterable[Any], kwargs: Mapping[str, Any] | None = None) -> None:
        """Not built yet; `InvalidError` for a web endpoint."""
        self._refuse("spawn_map")

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> NoReturn:
        """Raises `DeprecationError`: the name of `spawn` in 2022."""
        raise DeprecationError(f"{self._label}.submit(…) is now {self._label}.spawn(…)")

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> NoReturn:
        """Raises `DeprecationError`: a name of `spawn` before 2022."""
        raise DeprecationError(f"{self._label}.enqueue(…) is now {self._label}.spawn(…)")

    @dual
    def shell(self, *args: Any, **kwargs: Any) -> Any:
        """Not built yet."""
        raise not_built("Function.shell")

    def with_options(
        self,
        *,
        cpu: float | tuple[float, float] | None = None,
        memory: int | tuple[int, int] | None = None,
        gpu: Any = None,
        env: Mapping[str, str | None] | None = None,
        secrets: Iterable[Any] | None = None,
        volumes: Mapping[str, Any] | None = None,
        retries: Any = None,
        max_containers: int | None = None,
        buffer_containers: int | None = None,
        scaledown_window: int | None = None,
        timeout: int | None = None,
        region: Any = None,
        cloud: str | None = None,
        routing_region: str | None = None,
    ) -> Function[P, R_co]:
        """Not built yet."""
        raise not_built(f"{self._label}.with_options", "give the options to @app.function")

    def with_concurrency(self, *, max_inputs: int, target_inputs: int | None = None) -> Function[P, R_co]:
        """Not built yet."""
        raise not_built(f"{self._label}.with_concurrency", "use @modal.concurrent")

    def with_batching(self, *, max_batch_size: int, wait_ms: int) -> Function[P, R_co]:
        """Not built yet."""
        raise not_built(f"{self._label}.with_batching")

    @dual
    def update_autoscaler(
        self,
        *,
        min_containers: int | None = None,
        max_containers: int | None = None,
        buffer_containers: int | None = None,
        scaledown_window: int | None = None,
    ) -> None:
        """Scale a deployed function from now on; its next deployment begins with what the program says.

        What is None stays as it is. Raises `InvalidError` for numbers that cannot be and for a function that
        was not looked up, `NotFoundError` when it is not deployed.
        """
        if self._deployed is None:
            raise InvalidError(
                f"{self._label} was not looked up: it is a deployed function that is changed, "
                f"modal.Function.from_name(APP, {self._label!r}).update_autoscaler(…)"
            )
        from . import _deployed

        _deployed.scale(
            *self._deployed,
            min_containers=min_containers,
            max_containers=max_containers,
            buffer_containers=buffer_containers,
            scaledown_window=scaledown_window,
        )

    @dual
    def keep_warm(self, warm_pool_size: int) -> None:
        """`update_autoscaler(min_containers=…)`, as it was called until 2024."""
        self.update_autoscaler(min_containers=warm_pool_size)

    @property
    def autoscaler(self) -> Autoscaler:
        """What scales the function: `f.autoscaler.update(…)`, today's spelling of `update_autoscaler`."""
        return Autoscaler(self)

    @dual
    def get_current_stats(self) -> Any:
        """Not built yet."""
        raise not_built(f"{self._label}.get_current_stats")

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type) -> Function[P, R_co]: ...
        @overload
        def __get__(
            self: Function[Concatenate[Any, Q], R_co], instance: object, owner: type | None = None
        ) -> FunctionHandle[Q, R_co]: ...

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        # `@stub.function` on a method, 2022: the attribute of an instance is the bound method.
        if instance is None or self._raw is None:
            return self
        return Bound(self._raw, lambda: instance, self if self._spec.web else None)

    def __getattr__(self, name: str) -> Any:
        if name in ("app", "info", "stats", "logs", "metrics", "experimental_spawn_map"):
            raise not_built(f"Function.{name}")
        raise no_attribute(f"{type(self).__name__!r} object", name, dir(self))

    if not TYPE_CHECKING:
        # Not for type checkers, so that they find the mistake before it is run.
        def __call__(self, *args, **kwargs):
            raise TypeError(
                f"the function {self._label} is not called directly: {self._label}.local(…) runs it in this "
                "process"
            )

    def __reduce__(self) -> Any:
        # By value, for `serialized=True`: without what it asks for, secrets among them.
        era, spec, home = self._era, self._given_spec, self._home
        web = spec.web if spec else None
        about = (spec.name, spec.module, spec.qualname, spec.cls) if spec else None
        return _restored, (type(self), self._raw, era, about, web, home, self._deployed)

    def __repr__(self) -> str:
        if self._deployed is not None:
            return f"<{type(self).__name__} {'/'.join(self._deployed)}>"
        return f"<{type(self).__name__} {self._spec.module}.{self._spec.qualname}>"

    @property
    def _spec(self) -> Spec:
        if self._given_spec is None:
            raise not_built(f"asking about the deployed function {self._label}")
        return self._given_spec

    @property
    def _label(self) -> str:
        return self.__name__ if self._given_spec is None else self._given_spec.name

    def _here(self, verb: str) -> Callable[P, R_co]:
        if self._raw is None:
            raise ExecutionError(
                f"{self._label}.{verb}(): the code of a deployed function is not here; import it from its "
                "module to run it in this process"
            )
        return self._raw

    def _refuse(self, verb: str) -> NoReturn:
        name = self._label
        url = self.get_web_url() if self._deployed or self._spec.web else None
        if url is None and (self._deployed is not None or self._spec.web is None):
            raise not_built(
                f"{name}.{verb}(…)",
                f"{name}.local(…) runs it in this process, under stub.run() and app.run() too",
            )
        where = f"answers at {url}" if url else "has its URL while the app is served (`pilotlight serve`)"
        raise InvalidError(
            f"{name}.{verb}(…): {name} is a web endpoint and {where}: send a request there, or run it "
            f"in this process with {name}.local(…)"
        )

    def _refuse_plain(self, verb: str) -> None:
        if self._raw is not None and not self.is_generator:
            raise InvalidError(f"{self._label}.{verb}(…): {self._label} is no generator: use remote(…)")

    def _refuse_ordered(self, verb: str, order_outputs: bool | None) -> None:
        if not self.is_generator:
            return
        if self._era == "app":
            raise InvalidError(
                f"{self._label}.{verb}(…): {self._label} is a generator, which cannot be mapped"
            )
        if order_outputs:
            raise ValueError(f"{self._label}.{verb}(…): order_outputs=True cannot be had of a generator")


class FunctionHandle(Function[P, R_co]):
    """The handle of a function under `Stub`: calling it runs the function in this process."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Runs the function here (Modal from February 2023 on)."""
        if self._raw is None:
            raise AttributeError(f"{self._label}: the code of a deployed function is not here")
        return self._raw(*args, **kwargs)


class Autoscaler:
    """What `f.autoscaler` is."""

    def __init__(self, function: Function[..., Any]) -> None:
        self._function = function

    @dual
    def update(
        self,
        *,
        min_containers: int | None = None,
        max_containers: int | None = None,
        buffer_containers: int | None = None,
        scaledown_window: int | None = None,
    ) -> None:
        """As `Function.update_autoscaler`."""
        self._function.update_autoscaler(
            min_containers=min_containers,
            max_containers=max_containers,
            buffer_containers=buffer_containers,
            scaledown_window=scaledown_window,
        )

    @dual
    def settings(self) -> Any:
        """Not built yet."""
        raise not_built("Function.autoscaler.settings")


@public
class Bound:
    """A decorated method of an instance: called, it runs here."""

    def __init__(
        self, raw_f: Callable[..., Any], instance: Callable[[], object], function: Function[..., Any] | None
    ) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), raw_f)
        self._raw = raw_f
        self._instance = instance
        self._function = function

    @property
    def _pilotlight_raw(self) -> Callable[..., Any]:
        # The runner serves this one.
        return types.MethodType(self._raw, self._instance())

    @property
    def web_url(self) -> str | None:
        """The endpoint's URL where it is known, else None."""
        return self.get_web_url()

    def get_web_url(self) -> str | None:
        """The endpoint's URL where it is known, else None."""
        return None if self._function is None else self._function.get_web_url()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._pilotlight_raw(*args, **kwargs)

    def local(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the method in this process."""
        return self._pilotlight_raw(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in _CALLS and self._function is not None:
            self._function._refuse(name)
        if name in _CALLS:
            raise not_built(
                f"{self._raw.__qualname__}.{name}(…)", ".local(…) runs the method in this process"
            )
        raise no_attribute(f"{type(self).__name__!r} object", name, dir(self))


_CALLS = frozenset("call for_each map remote remote_gen spawn spawn_map starmap submit".split())


def _restored(
    kind: type[Function[..., Any]], raw_f: Any, era: str, about: Any, web: Any, home: Any, deployed: Any
) -> Function[..., Any]:
    from . import _settings

    spec = None
    if about is not None:
        name, module, qualname, cls = about
        spec = Spec(name, module, qualname, web, _settings.settings(era, name, {}), (), cls)
    function = kind(raw_f, spec, home, era)
    function._deployed = deployed
    return function
