"""`Stub`, the declaration of an application from 2022 to 2024."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from . import _context, _settings, web
from ._aio import dual, dual_context
from ._application import Application
from ._later import not_built
from ._methods import parameter
from ._public import public, say_no_more, suggestion
from ._running import Run, RunningApp
from ._typing import dataclass_transform
from .exception import InvalidError
from .functions import FunctionHandle
from .image import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import overload

    from typing_extensions import Unpack

    from ._entrypoint import LocalEntrypoint
    from ._options import StubClsOptions, StubOptions
    from ._partial import PartialFunction, Web
    from ._typing import P, R, T
    from .functions import Function, HandleDecorator
    from .mount import Mount
    from .secret import Secret

__all__ = ["Stub"]


class _NoSuchTag(KeyError, AttributeError):
    """`KeyError` is Modal's; `AttributeError` besides, so that `hasattr` gives an answer."""

    def __init__(self, tag: str, known: Iterable[str]) -> None:
        super().__init__(tag)
        self._hint = suggestion(tag, known)
        say_no_more(self, tag)

    def __str__(self) -> str:
        return f"the stub has nothing named {self.args[0]!r}{self._hint}"


# Shown to users, who know it by this name.
_NoSuchTag.__qualname__, _NoSuchTag.__module__ = "KeyError", "builtins"


class Tags(dict[str, Any] if TYPE_CHECKING else dict):
    """Handles by name, which reads as the list of names too: a list until March 2023, a dict after it."""

    def __getitem__(self, key: Any) -> Any:
        return list(self)[key] if isinstance(key, (int, slice)) else super().__getitem__(key)

    def __eq__(self, other: object) -> bool:
        return list(self) == other if isinstance(other, list) else super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # pyright: ignore[reportAssignmentType]


@public
class Stub(Application):
    """An application of 2022 to 2024: `stub = modal.Stub()`, `@stub.webhook`.

    Any further keyword, `stub.x = obj` and `stub["x"] = obj` declare an object under that name; `image=` is
    the default image of the functions. A name that does not exist is a `KeyError`, as an attribute too.
    """

    _era = "stub"
    _variable = "stub"
    _function_type = FunctionHandle

    def __init__(
        self,
        name: str | None = None,
        *,
        mounts: Sequence[Mount] = (),
        secrets: Sequence[Secret] = (),
        image: Image | None = None,
        volumes: Mapping[str, Any] | None = None,
        include_source: bool | None = None,
        **blueprint: Any,
    ) -> None:
        if name is not None and not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"Stub: the name must be a string, not {name!r}")
        object.__setattr__(self, "_blueprint", dict(blueprint))
        super().__init__(name, image, secrets, mounts, volumes, include_source)
        if image is not None:
            self._blueprint["image"] = image

    _blueprint: dict[str, Any]

    def __getattr__(self, tag: str) -> Any:
        if tag.startswith("__"):
            raise AttributeError(tag)
        return self[tag]

    def __setattr__(self, tag: str, obj: Any) -> None:
        if tag.startswith("_"):
            object.__setattr__(self, tag, obj)
        else:
            self[tag] = obj

    def __getitem__(self, tag: str) -> Any:
        return self._object(tag)

    def __setitem__(self, tag: str, obj: Any) -> None:
        if tag == "image":
            self._settings = self._settings._replace(
                image=_settings.settings("stub", "Stub", {"image": obj}).image
            )
        self._blueprint[tag] = obj

    def __contains__(self, tag: str) -> bool:
        return tag in self._blueprint or tag in self._functions

    @property
    def registered_functions(self) -> Tags:
        """The functions by name, web endpoints among them; it reads as a list of names too."""
        return Tags(self._functions)

    @property
    def registered_classes(self) -> dict[str, Any]:
        """The classes by name."""
        return dict(self._classes)

    @property
    def app(self) -> RunningApp | None:
        """The app while this process runs it, else None."""
        return RunningApp(self, self._state) if self._state else None

    def is_inside(self, image: Image | None = None) -> bool:
        """Whether this runs in a container; with an image of the stub, whether in a container of that image.

        Raises `InvalidError` for an image that is not on the stub.
        """
        known = [obj for obj in self._blueprint.values() if isinstance(obj, Image)]
        return _context.is_inside(self, image, [*known, *self._images()])

    @dual_context
    def run(
        self,
        client: Any = None,
        stdout: Any = None,
        show_progress: bool | None = None,
        detach: bool = False,
        environment_name: str | None = None,
        *,
        interactive: bool = False,
    ) -> Run:
        """`with stub.run() as app:` serves the app while the block lasts; `async with` works too.

        Raises `InvalidError` when it runs already, in a container and while a file is being imported.
        """
        for name, value in (("detach", detach), ("interactive", interactive)):
            if value:
                raise not_built(f"stub.run({name}=True)")
        return Run(self, lambda state: RunningApp(self, state))

    @dual
    def run_forever(self, client: Any = None, stdout: Any = None, show_progress: Any = None) -> None:
        """`serve` as it was called until December 2022."""
        self.serve(client, stdout, show_progress)

    @dual
    def deploy(
        self,
        name: str | None = None,
        namespace: Any = None,
        client: Any = None,
        stdout: Any = None,
        show_progress: bool | None = None,
        object_entity: str = "ap",
        *,
        environment_name: str | None = None,
    ) -> RunningApp:
        """Deploys the program this is called from under `name`, else under the stub's own name.

        Raises `InvalidError` without a name, with one that cannot be, or while the file is being imported.
        """
        return RunningApp(self, self._deploy(name))

    @dual
    def interactive_shell(self, cmd: str | None = None, image: Image | None = None, **options: Any) -> None:
        """Known, not built yet: raises `NotBuiltError`."""
        raise not_built("stub.interactive_shell")

    if TYPE_CHECKING:

        @overload
        def function(self, raw_f: PartialFunction[P, R], /) -> FunctionHandle[P, R]: ...
        @overload
        def function(self, raw_f: Callable[P, R], /) -> FunctionHandle[P, R]: ...
        @overload
        def function(self, **options: Unpack[StubOptions]) -> HandleDecorator: ...

    def function(self, raw_f: Any = None, **options: Any) -> Any:
        """Declares a function, bare or with keywords (Modal 2022 to 2025).

        Raises `TypeError` for an unknown keyword (naming the nearest), `InvalidError` for a wrong value.
        """
        return self._decorate("@stub.function", raw_f, options, None)

    if TYPE_CHECKING:

        @overload
        def webhook(self, raw_f: Callable[P, R], /) -> FunctionHandle[P, R]: ...
        @overload
        def webhook(
            self,
            *,
            method: str = "GET",
            label: str | None = None,
            wait_for_response: bool = True,
            **options: Unpack[StubOptions],
        ) -> HandleDecorator: ...

    def webhook(
        self,
        raw_f: Any = None,
        *,
        method: str = "GET",
        label: str | None = None,
        wait_for_response: bool = True,
        **options: Any,
    ) -> Any:
        """Declares a FastAPI handler at `/`, bare or with keywords, the function's own among them."""
        made = web.answering_late(web.make_web("webhook", "endpoint", method, None, label), wait_for_response)
        return self._decorate("@stub.webhook", raw_f, options, made)

    if TYPE_CHECKING:

        @overload
        def asgi(self, asgi_app: Callable[P, R], /) -> FunctionHandle[P, R]: ...
        @overload
        def asgi(
            self,
            *,
            label: str | None = None,
            wait_for_response: bool = True,
            **options: Unpack[StubOptions],
        ) -> HandleDecorator: ...

    def asgi(
        self,
        asgi_app: Any = None,
        *,
        label: str | None = None,
        wait_for_response: bool = True,
        **options: Any,
    ) -> Any:
        """Declares a function that returns an ASGI application, bare or with keywords."""
        made = web.answering_late(web.make_web("asgi", "asgi", "GET", None, label), wait_for_response)
        return self._decorate("@stub.asgi", asgi_app, options, made)

    if TYPE_CHECKING:

        @overload
        def wsgi(self, wsgi_app: Callable[P, R], /) -> FunctionHandle[P, R]: ...
        @overload
        def wsgi(
            self,
            *,
            label: str | None = None,
            wait_for_response: bool = True,
            **options: Unpack[StubOptions],
        ) -> HandleDecorator: ...

    def wsgi(
        self,
        wsgi_app: Any = None,
        *,
        label: str | None = None,
        wait_for_response: bool = True,
        **options: Any,
    ) -> Any:
        """Declares a function that returns a WSGI application, bare or with keywords."""
        made = web.answering_late(web.make_web("wsgi", "wsgi", "GET", None, label), wait_for_response)
        return self._decorate("@stub.wsgi", wsgi_app, options, made)

    if TYPE_CHECKING:

        @overload
        def generator(self, raw_f: Callable[P, R], /) -> FunctionHandle[P, R]: ...
        @overload
        def generator(self, **options: Unpack[StubOptions]) -> HandleDecorator: ...

    def generator(self, raw_f: Any = None, **options: Any) -> Any:
        """`function(is_generator=True)` of 2022."""
        return self._decorate("@stub.generator", raw_f, {"is_generator": True, **options}, None)

    def web_endpoint(
        self, method: str = "GET", label: str | None = None, wait_for_response: bool = True
    ) -> Any:
        """`modal.web_endpoint` as it was in April 2023: on the stub, under `@stub.function()`."""
        return web.web_endpoint(method, label, wait_for_response)

    def asgi_app(self, label: str | None = None, wait_for_response: bool = True) -> Any:
        """`modal.asgi_app` as it was in April 2023: on the stub, under `@stub.function()`."""
        return web.asgi_app(label, wait_for_response)

    def wsgi_app(self, label: str | None = None, wait_for_response: bool = True) -> Any:
        """`modal.wsgi_app` as it was in April 2023: on the stub, under `@stub.function()`."""
        return web.wsgi_app(label, wait_for_response)

    if TYPE_CHECKING:

        @overload
        def local_entrypoint(
            self, raw_f: Callable[P, R], /, name: str | None = None
        ) -> LocalEntrypoint[P, R]: ...
        @overload
        def local_entrypoint(
            self, raw_f: None = None, name: str | None = None
        ) -> Callable[[Callable[P, R]], LocalEntrypoint[P, R]]: ...

    def local_entrypoint(self, raw_f: Any = None, name: str | None = None) -> Any:
        """Marks a function that `pilotlight run` starts on the user's machine, bare or called."""
        if isinstance(raw_f, str):
            raw_f, name = None, raw_f
        if raw_f is not None:
            return self._register_entrypoint(raw_f, name)
        return functools.partial(self._register_entrypoint, name=name)

    @dataclass_transform(kw_only_default=True, field_specifiers=(parameter,))
    def cls(self, _bare: None = None, **options: Unpack[StubClsOptions]) -> Callable[[type[T]], type[T]]:
        """Declares a class, whose web methods are endpoints (2023 to 2025). Parentheses are required."""
        if _bare is not None:
            raise InvalidError("@stub.cls needs parentheses: write @stub.cls()")
        self._check_options("@stub.cls", options)

        def decorate(target: Any) -> Any:
            return self._register_class("@stub.cls", target, options)

        return decorate

    def _decorate(self, decorator: str, raw_f: Any, options: Mapping[str, Any], given_web: Web | None) -> Any:
        self._check_options(decorator, options)
        if raw_f is not None:
            return self._register(decorator, raw_f, options, given_web)

        def decorate(target: Any) -> Function[..., Any]:
            return self._register(decorator, target, options, given_web)

        return decorate

    def _object(self, tag: str) -> Any:
        if not tag.startswith("_"):
            for held in (self._blueprint, self._functions, self._classes):
                if tag in held:
                    return held[tag]
        own = (name for name in dir(type(self)) if name[0] != "_")
        raise _NoSuchTag(tag, {*own, *self._blueprint, *self._functions, *self._classes})
