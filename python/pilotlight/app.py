"""`App`, today's declaration of an application.

In Modal's first years `App` was the running app that `stub.run()` yields; here that is
`pilotlight._running.RunningApp`, and `modal.App` is what programs of today declare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from . import _names
from ._aio import dual, dual_context, dual_static
from ._application import Application
from ._entrypoint import LocalEntrypoint
from ._later import not_built
from ._methods import parameter
from ._public import no_attribute, public
from ._running import Run
from ._typing import dataclass_transform
from .exception import InvalidError
from .stub import Stub

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Self, Unpack

    from . import _options
    from ._typing import P, R, T
    from .cls import Cls
    from .functions import Function, FunctionDecorator
    from .image import Image
    from .secret import Secret

__all__ = ["App", "LocalEntrypoint", "Stub"]


@public
class App(Application):
    """An application of today: `app = modal.App("name")`, `@app.function()`.

    `image`, `secrets` and `include_source` are for every function, before the function's own. Raises
    `InvalidError` for a name that is not 1 to 64 letters, digits, `-`, `_` and `.` (Modal's rule), and for
    tags that cannot be.
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
            _names.check_name(name)
        super().__init__(name, image, secrets, (), volumes, include_source)
        self._tags = _names.check_tags("App", tags)
        if tags:
            self._notices.append("App(tags=…) is accepted but not built yet, and has no effect")

    @dual_static
    @staticmethod
    def lookup(
        name: str,
        *,
        client: Any = None,
        environment_name: str | None = None,
        create_if_missing: bool = False,
    ) -> App:
        """The deployed app of this name, with `app_id`. Raises `NotFoundError` when there is none.

        `create_if_missing=True` is not built yet (`NotBuiltError`).
        """
        _names.check_name(name)
        from . import _deployed

        found = _deployed.find(name)
        if found is None:
            if create_if_missing:
                raise not_built("App.lookup(create_if_missing=True)")
            raise _deployed.missing(name)
        app = App(name)
        app._state = _deployed.state(found)
        return app

    @property
    def registered_functions(self) -> dict[str, Function[..., Any]]:
        """The functions by name, web endpoints among them."""
        return dict(self._functions)

    @property
    def registered_classes(self) -> dict[str, Cls]:
        """The classes by name."""
        return dict(self._classes)

    def function(self, _bare: None = None, **options: Unpack[_options.AppOptions]) -> FunctionDecorator:
        """Declares a function of this app; a web decorator stands under it. Parentheses are required.

        Raises `TypeError` for an unknown keyword (naming the nearest), `DeprecationError` for one that Modal
        has renamed, `InvalidError` for values that cannot be.
        """
        _refuse_bare("@app.function", _bare)
        self._check_options("@app.function", options)

        def decorate(target: Any) -> Any:
            return self._register("@app.function", target, options)

        return decorate

    @dataclass_transform(kw_only_default=True, field_specifiers=(parameter,))
    def cls(
        self, _bare: None = None, **options: Unpack[_options.AppClsOptions]
    ) -> Callable[[type[T]], type[T]]:
        """Declares a class, whose web methods are endpoints. Parentheses are required.

        Raises as `function` does, and `InvalidError` for a class with an `__init__` of its own.
        """
        _refuse_bare("@app.cls", _bare)
        self._check_options("@app.cls", options)

        def decorate(target: Any) -> Any:
            return self._register_class("@app.cls", target, options)

        return decorate

    def server(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Known, not built yet: raises `NotBuiltError`."""
        raise not_built("@app.server", "a web decorator under @app.function() serves requests")

    def local_entrypoint(
        self, _bare: None = None, *, name: str | None = None
    ) -> Callable[[Callable[P, R]], LocalEntrypoint[P, R]]:
        """Marks a function that `pilotlight run` starts on the user's machine. Parentheses are required."""
        _refuse_bare("@app.local_entrypoint", _bare)

        def decorate(target: Any) -> Any:
            return self._register_entrypoint(target, name)

        return decorate

    def include(self, /, other_app: App, inherit_tags: bool = True) -> Self:
        """Takes over the functions and classes of another app; each keeps the image and secrets of its own.

        Raises `InvalidError` for anything but another App.
        """
        if not isinstance(other_app, App) or other_app is self:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"app.include(…) takes another App, not {other_app!r}")
        for function in other_app._functions.values():
            if function._spec.cls is None:
                self._add(function)
        for cls in other_app._classes.values():
            self._add_class(cls)
        self._notices += [notice for notice in other_app._notices if notice not in self._notices]
        if inherit_tags:
            self._tags = {**other_app._tags, **self._tags}
        return self

    @dual_context
    def run(
        self,
        *,
        name: str | None = None,
        client: Any = None,
        detach: bool = False,
        interactive: bool = False,
        environment_name: str | None = None,
    ) -> Run:
        """`with app.run():` serves the app while the block lasts and gives the app; `async with` works too.

        Raises `InvalidError` when it runs already, in a container and while a file is being imported.
        """
        _refuse_unbuilt("app.run", detach=detach, interactive=interactive)
        return Run(self, lambda state: self)

    @dual
    def deploy(
        self,
        *,
        name: str | None = None,
        environment_name: str | None = None,
        tag: str = "",
        client: Any = None,
        strategy: str = "rolling",
    ) -> App:
        """Deploys the program this is called from under `name`, else under the application's own name.

        Raises `InvalidError` without a name, with one that cannot be, or while the file is being imported;
        `NotBuiltError` for `tag` and for `strategy="recreate"`.
        """
        _names.check_deployment_tag(tag)
        if strategy not in ("rolling", "recreate"):
            raise InvalidError(f'app.deploy: strategy must be "rolling" or "recreate", not {strategy!r}')
        _refuse_unbuilt("app.deploy", tag=tag)
        if strategy == "recreate":
            raise not_built('app.deploy(strategy="recreate")')
        self._deploy(name)
        return self

    @dual
    def stop(self, *, client: Any = None) -> None:
        """Ends `with app.run():` at once. Raises `InvalidError` when the app does not run here."""
        if self._state is None or self._state.stop is None:
            raise InvalidError(
                "app.stop(): the app does not run here; `pilotlight app stop NAME` stops a deployed one"
            )
        self._state.stop()

    def __getattr__(self, name: str) -> Any:
        if name in ("info", "stats", "logs", "sandboxes", "get_dashboard_url"):
            raise not_built(f"App.{name}")
        raise no_attribute(f"{type(self).__name__!r} object", name, dir(self), _FORMER_DECORATORS.get(name))


#: Decorators of a Stub, and what does their work today.
_FORMER_DECORATORS = {
    name: f"under App it is @app.function() and @modal.{today}() under it"
    for name, today in (
        ("webhook", "fastapi_endpoint"),
        ("web_endpoint", "fastapi_endpoint"),
        ("asgi", "asgi_app"),
        ("asgi_app", "asgi_app"),
        ("wsgi", "wsgi_app"),
        ("wsgi_app", "wsgi_app"),
    )
}


def _refuse_bare(decorator: str, bare: Any) -> None:
    if bare is None:
        return
    if callable(bare) or hasattr(bare, "_pilotlight_raw"):
        raise InvalidError(f"{decorator} needs parentheses: write {decorator}()")
    raise TypeError(f"{decorator} takes keyword arguments only, not {bare!r}")


def _refuse_unbuilt(what: str, **options: Any) -> None:
    for name, value in options.items():
        if value:
            raise not_built(f"{what}({name}=…)")
