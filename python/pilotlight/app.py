"""`App`, today's declaration of an application, and `Stub`, that of 2022 to 2024.

Both only collect what the decorators say. `_discover` reads it; `serve()` and `deploy()` hand over to the
command.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, overload

from . import _launch, _options, config, functions, web
from ._later import not_built
from .exception import InvalidError
from .image import Image
from .secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Unpack

    from .mount import Mount

_WEB_NAMES = ("label", "wait_for_response")
_NAME = re.compile(r"[a-zA-Z0-9-_.]{1,64}")


class Application:
    """What `App` and `Stub` share: a name, functions, and what every function gets."""

    _era = "app"

    def __init__(
        self, name: str | None, image: Image | None, secrets: Sequence[Secret], mounts: Sequence[Mount]
    ) -> None:
        settings = {"image": image, "secrets": secrets, "mounts": mounts}
        where = type(self).__name__
        self._name = name
        self._settings = _options.settings("stub", where, settings)
        self._functions: dict[str, functions.Function] = {}
        self._notices: list[str] = []

    @property
    def name(self) -> str | None:
        """The name it is deployed under, or None."""
        return self._name

    @property
    def description(self) -> str | None:
        """The name, for people."""
        return self._name

    @property
    def registered_functions(self) -> dict[str, functions.Function]:
        """The functions by name, web endpoints among them."""
        return dict(self._functions)

    @property
    def registered_web_endpoints(self) -> list[str]:
        """The names of the functions that answer the web."""
        return [name for name, function in self._functions.items() if function._spec.web is not None]

    def serve(
        self, client: Any = None, stdout: Any = None, show_progress: Any = None, timeout: float | None = None
    ) -> None:
        """Serves the program this is called from, reloading on change, until Ctrl-C or for `timeout` seconds.

        Call it under `if __name__ == "__main__":`. Raises `InvalidError` while the file is being imported by
        pilotlight or in a container, `SystemExit` with the command's code when that is not 0.
        """
        _launch.serve(self, timeout if timeout is not None else config.serve_timeout())

    def deploy(self, name: str | None = None, **options: Any) -> None:
        """Deploys the program this is called from under `name`, else under the application's own name.

        Raises `InvalidError` without a name, with one that cannot be, or while the file is being imported.
        """
        name = name or self._name
        if name is None:
            kind = type(self).__name__
            raise InvalidError(
                f'deploying needs a name: write {kind.lower()}.deploy("my-app"), or modal.{kind}("my-app")'
            )
        check_name(name)
        _launch.deploy(self, name)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Known, not built yet: raises `NotBuiltError`."""
        raise not_built(f"{type(self).__name__}.run")

    def _register(
        self, decorator: str, target: Any, options: Mapping[str, Any], given_web: web.Web | None = None
    ) -> functions.Function:
        function = functions.build(self._era, decorator, target, options, given_web)
        name = function._spec.name
        if options.get("name"):
            check_name(name, "a function")
        if name in self._functions:
            # The later one wins, as in Modal.
            self._notices.append(f"Tag {name!r} collision! the later of the two functions takes the place")
        self._functions[name] = function
        return function


class App(Application):
    """An application of today: `app = modal.App("name")`, `@app.function()`.

    `image` and `secrets` are for every function, before the function's own. Raises `InvalidError` for a name
    that is not 1 to 64 letters, digits, `-`, `_` and `.` (Modal's rule).
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        image: Image | None = None,
        secrets: Sequence[Secret] = (),
        volumes: Mapping[str, Any] | None = None,
        include_source: bool = True,
    ) -> None:
        if name is not None:
            check_name(name)
        super().__init__(name, image, secrets, ())
        if volumes:
            self._notices.append("App(volumes=…) is accepted but not built yet: functions run without them")

    def function(
        self, _bare: Any = None, **options: Unpack[_options.AppOptions]
    ) -> Callable[[Callable[..., Any]], functions.Function]:
        """Declares a function of this app; a web decorator stands under it. Parentheses are required.

        Raises `TypeError` for an unknown keyword (naming the nearest), `DeprecationError` for one that Modal
        has renamed, `InvalidError` for values that cannot be.
        """
        if _bare is not None:
            raise InvalidError("@app.function needs parentheses: write @app.function()")
        _options.check_names("app", "@app.function", options)
        return lambda target: self._register("@app.function", target, options)

    def local_entrypoint(self, _bare: Any = None, *, name: str | None = None) -> Any:
        """Marks a function that runs on the user's machine; it stays a plain function."""
        return _bare if _bare is not None else _unchanged

    def cls(self, *args: Any, **kwargs: Any) -> Any:
        """Known, not built yet: raises `NotBuiltError`."""
        raise not_built("@app.cls")

    def server(self, *args: Any, **kwargs: Any) -> Any:
        """Known, not built yet: raises `NotBuiltError`."""
        raise not_built("@app.server")

    def include(self, *args: Any, **kwargs: Any) -> Any:
        """Known, not built yet: raises `NotBuiltError`."""
        raise not_built("App.include")


class _NoSuchTag(KeyError, AttributeError):
    """`KeyError` is Modal's; `AttributeError` besides, so that `hasattr` gives an answer."""


class Stub(Application):
    """An application of 2022 to 2024: `stub = modal.Stub()`, `@stub.webhook`.

    Any further keyword, `stub.x = obj` and `stub["x"] = obj` declare an object under that name; `image=` is
    the default image of the functions.
    """

    _era = "stub"

    def __init__(
        self,
        name: str | None = None,
        *,
        mounts: Sequence[Mount] = (),
        secrets: Sequence[Secret] = (),
        image: Image | None = None,
        **blueprint: Any,
    ) -> None:
        object.__setattr__(self, "_blueprint", dict(blueprint))
        if image is not None:
            self._blueprint["image"] = image
        super().__init__(name, image, secrets, mounts)

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
        if not tag.startswith("_"):
            if tag in self._blueprint:
                return self._blueprint[tag]
            if tag in self._functions:
                return self._functions[tag]
        raise _NoSuchTag(tag)

    def __setitem__(self, tag: str, obj: Any) -> None:
        if tag == "image":
            self._settings = self._settings._replace(
                image=_options.settings("stub", "Stub", {"image": obj}).image
            )
        self._blueprint[tag] = obj

    def is_inside(self, image: Image | None = None) -> bool:
        """Whether this runs in a container; whether it is one of `image` is not built yet."""
        if config.is_local():
            return False
        if image is not None:
            raise not_built("Stub.is_inside(image)")
        return True

    @overload
    def function(self, raw_f: Callable[..., Any], /) -> functions.Function: ...
    @overload
    def function(
        self, **options: Unpack[_options.StubOptions]
    ) -> Callable[[Callable[..., Any]], functions.Function]: ...
    def function(self, raw_f: Any = None, **options: Any) -> Any:
        """Declares a function, bare or with keywords (Modal 2022 to 2025).

        Raises `TypeError` for an unknown keyword (naming the nearest), `InvalidError` for a wrong value.
        """
        return self._decorate("@stub.function", raw_f, options, None)

    @overload
    def webhook(self, raw_f: Callable[..., Any], /) -> functions.Function: ...
    @overload
    def webhook(
        self,
        *,
        method: str = "GET",
        label: str | None = None,
        wait_for_response: bool = True,
        **options: Unpack[_options.StubOptions],
    ) -> Callable[[Callable[..., Any]], functions.Function]: ...
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
        later = {"wait_for_response": not wait_for_response}
        made = web.make_web("webhook", "endpoint", method, None, label, later)
        return self._decorate("@stub.webhook", raw_f, options, made)

    @overload
    def asgi(self, raw_f: Callable[..., Any], /) -> functions.Function: ...
    @overload
    def asgi(
        self,
        *,
        label: str | None = None,
        wait_for_response: bool = True,
        **options: Unpack[_options.StubOptions],
    ) -> Callable[[Callable[..., Any]], functions.Function]: ...
    def asgi(
        self, raw_f: Any = None, *, label: str | None = None, wait_for_response: bool = True, **options: Any
    ) -> Any:
        """Declares a function that returns an ASGI application, bare or with keywords."""
        later = {"wait_for_response": not wait_for_response}
        return self._decorate(
            "@stub.asgi", raw_f, options, web.make_web("asgi", "asgi", "GET", None, label, later)
        )

    @overload
    def wsgi(self, raw_f: Callable[..., Any], /) -> functions.Function: ...
    @overload
    def wsgi(
        self,
        *,
        label: str | None = None,
        wait_for_response: bool = True,
        **options: Unpack[_options.StubOptions],
    ) -> Callable[[Callable[..., Any]], functions.Function]: ...
    def wsgi(
        self, raw_f: Any = None, *, label: str | None = None, wait_for_response: bool = True, **options: Any
    ) -> Any:
        """Declares a function that returns a WSGI application, bare or with keywords."""
        later = {"wait_for_response": not wait_for_response}
        return self._decorate(
            "@stub.wsgi", raw_f, options, web.make_web("wsgi", "wsgi", "GET", None, label, later)
        )

    def generator(self, raw_f: Any = None, **options: Any) -> Any:
        """`function(is_generator=True)` of 2022."""
        return self._decorate("@stub.generator", raw_f, options, None)

    def local_entrypoint(self, raw_f: Any = None, name: str | None = None) -> Any:
        """Marks a function that runs on the user's machine; it stays a plain function."""
        return _unchanged if raw_f is None or isinstance(raw_f, str) else raw_f

    def cls(self, *args: Any, **kwargs: Any) -> Any:
        """Known, not built yet: raises `NotBuiltError`."""
        raise not_built("@stub.cls")

    def _decorate(
        self, decorator: str, raw_f: Any, options: Mapping[str, Any], given_web: web.Web | None
    ) -> Any:
        web_names = {
            "@stub.webhook": ("method", *_WEB_NAMES),
            "@stub.asgi": _WEB_NAMES,
            "@stub.wsgi": _WEB_NAMES,
        }
        _options.check_names("stub", decorator, options, web_names.get(decorator, ()))
        if raw_f is not None:
            return self._register(decorator, raw_f, options, given_web)

        def decorate(target: Any) -> functions.Function:
            return self._register(decorator, target, options, given_web)

        return decorate


def _unchanged(raw_f: Any) -> Any:
    return raw_f


def check_name(name: str, what: str = "an app") -> None:
    """Raises `InvalidError` for a name that is not 1 to 64 letters, digits, `-`, `_`, `.` (Modal's rule)."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(
            f"{name!r} cannot be the name of {what}: use 1 to 64 letters, digits, dashes, underscores, dots"
        )
