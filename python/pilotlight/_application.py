"""What `App` and `Stub` share: they only collect what the decorators say.

`_discover` reads it; `serve()`, `deploy()` and `run()` hand over to the command (`_launch`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _context, _declare, _entrypoint, _launch, _options, _settings, config
from ._aio import dual
from ._later import not_built
from ._names import check_name
from ._public import public
from ._running import State, refuse_here
from .cls import Cls
from .cls import declare as declare_class
from .exception import InvalidError
from .functions import Function

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._entrypoint import LocalEntrypoint
    from ._partial import Web
    from .image import Image
    from .mount import Mount
    from .secret import Secret


@public
class Application:
    """What `App` and `Stub` share: a name, functions, and what every function gets."""

    _era = "app"
    #: The name that programs give to the object, in messages.
    _variable = "app"
    #: What its decorators make.
    _function_type: type[Function[..., Any]] = Function

    def __init__(
        self,
        name: str | None,
        image: Image | None,
        secrets: Sequence[Secret],
        mounts: Sequence[Mount],
        volumes: Mapping[str, Any] | None,
        include_source: bool | None,
    ) -> None:
        settings = {"image": image, "secrets": secrets, "mounts": mounts, "include_source": include_source}
        where = type(self).__name__
        self._name = name
        self._settings = _settings.settings("stub", where, settings)
        self._functions: dict[str, Function[..., Any]] = {}
        self._classes: dict[str, Cls] = {}
        self._entrypoints: dict[str, LocalEntrypoint[..., Any]] = {}
        self._notices: list[str] = []
        self._tags: dict[str, str] = {}
        #: Set while it is served by this process.
        self._state: State | None = None
        self._deployed_id: str | None = None
        _settings.check_volumes(where, "volumes", volumes)
        if volumes:
            self._notices.append(f"{where}(volumes=…) is accepted but not built yet, and has no effect")
        if not config.is_local():
            _context.declared.append(self)

    @property
    def name(self) -> str | None:
        """The name it is deployed under, or None."""
        return self._name

    @property
    def description(self) -> str | None:
        """The name, for people; without one the script and its arguments."""
        if self._name is not None:
            return self._name
        import os
        import sys

        return " ".join([os.path.basename(sys.argv[0]), *sys.argv[1:]]) if sys.argv else None

    @property
    def app_id(self) -> str | None:
        """The id of the app that this process serves or has deployed, else None."""
        return self._state.app_id if self._state else self._deployed_id

    @property
    def registered_web_endpoints(self) -> list[str]:
        """The names of the functions that answer the web."""
        return [name for name, function in self._functions.items() if function._spec.web is not None]

    @property
    def registered_entrypoints(self) -> dict[str, LocalEntrypoint[..., Any]]:
        """The local entrypoints by name."""
        return dict(self._entrypoints)

    @dual
    def serve(
        self, client: Any = None, stdout: Any = None, show_progress: Any = None, timeout: float | None = None
    ) -> None:
        """Serves the program this is called from, reloading on change, until Ctrl-C or for `timeout` seconds.

        Call it under `if __name__ == "__main__":`. Raises `InvalidError` while the file is being imported by
        pilotlight, in a container and inside `with app.run():`; `SystemExit` with the command's code when
        that is not 0.
        """
        refuse_here(self, "serve")
        _launch.serve(self, timeout if timeout is not None else config.serve_timeout())

    @dual
    def set_tags(self, tags: Mapping[str, str], *, client: Any = None) -> None:
        """Not built yet: raises `NotBuiltError`."""
        raise not_built(f"{type(self).__name__}.set_tags")

    @dual
    def get_tags(self, *, client: Any = None) -> dict[str, str]:
        """Not built yet: raises `NotBuiltError`."""
        raise not_built(f"{type(self).__name__}.get_tags")

    def _deploy(self, name: str | None) -> State:
        refuse_here(self, "deploy")
        name = name or self._name
        if name is None:
            kind, given = type(self).__name__, '"my-app"' if self._era == "stub" else 'name="my-app"'
            raise InvalidError(
                f'deploying needs a name: write {self._variable}.deploy({given}), or modal.{kind}("my-app")'
            )
        check_name(name)
        report = _launch.deploy(self, name)
        state = State(report["app"].get("id"), report["urls"], None)
        self._deployed_id = state.app_id
        self._show_urls(state.urls)
        return state

    def _begin(self, state: State) -> None:
        self._state = state
        self._show_urls(state.urls)

    def _end(self) -> None:
        self._state = None
        self._show_urls({})

    def _show_urls(self, urls: Mapping[str, str]) -> None:
        for name, function in self._functions.items():
            function._web_url = urls.get(name)

    def _register(
        self, decorator: str, target: Any, options: Mapping[str, Any], given_web: Web | None = None
    ) -> Function[..., Any]:
        function = _declare.declare(self, decorator, target, options, given_web)
        if options.get("name"):
            check_name(options["name"], "a function")
        self._add(function)
        return function

    def _register_class(self, decorator: str, target: Any, options: Mapping[str, Any]) -> Cls:
        cls = declare_class(self, decorator, target, options)
        self._add_class(cls)
        return cls

    def _add(self, function: Function[..., Any]) -> None:
        name = function._spec.name
        if name in self._functions:
            # The later one wins, as in Modal.
            self._notices.append(f"Tag {name!r} collision! the later of the two functions takes the place")
        self._functions[name] = function

    def _add_class(self, cls: Cls) -> None:
        old = self._classes.get(cls.__name__)
        if old is not None:
            self._notices.append(
                f"Tag {cls.__name__!r} collision! the later of the two classes takes the place"
            )
            for function in old._functions.values():
                self._functions.pop(function._spec.name, None)
        self._classes[cls.__name__] = cls
        for function in cls._functions.values():
            self._add(function)

    def _register_entrypoint(self, target: Any, name: str | None) -> LocalEntrypoint[..., Any]:
        return _entrypoint.declare(self, target, name)

    def _object(self, tag: str) -> Any:
        """The function or class named `tag`; `KeyError` when there is none."""
        if tag in self._functions:
            return self._functions[tag]
        if tag in self._classes:
            return self._classes[tag]
        raise KeyError(tag)

    def _images(self) -> list[Image]:
        """The images that belong to it: its own and those of its functions so far."""
        images = [self._settings.image, *(one._spec.settings.image for one in self._functions.values())]
        return [image for image in images if image is not None]

    def _check_options(self, decorator: str, options: Mapping[str, Any]) -> None:
        _options.check_names(self._era, decorator, options)

    def __reduce__(self) -> Any:
        # By value, for `serialized=True`: the name alone, without what functions ask for.
        return _restored, (type(self), self._name)


def _restored(kind: type[Application], name: str | None) -> Application:
    app = kind.__new__(kind)
    Application.__init__(app, name, None, (), (), None, None)
    return app
