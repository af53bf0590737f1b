"""What a container knows of itself: its function, its app, its image, the URLs of its app's endpoints.

The server sets `PILOTLIGHT_CONTEXT` (JSON that discovery wrote, passed on verbatim) and
`PILOTLIGHT_WEB_URLS` (JSON: function name to URL). Reads the environment only.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from . import config
from ._later import not_built
from ._public import public
from .exception import InvalidError

if TYPE_CHECKING:
    from ._application import Application
    from .image import Image

_WEB_URLS = "PILOTLIGHT_WEB_URLS"

#: The Apps and Stubs of this process, oldest first; kept in containers only, for `container_app`.
declared: list[Application] = []


def describe(app: str | None, function: str, image: Image) -> str:
    """The text that the container of `function` gets as `PILOTLIGHT_CONTEXT`."""
    import json

    return json.dumps({"app": app, "function": function, "image": image._identity()})


def web_urls() -> dict[str, str]:
    """URLs by function name that work in this container."""
    return cast("dict[str, str]", _json(_WEB_URLS))


def is_inside(app: Application, image: Image | None, known: list[Image]) -> bool:
    """`Stub.is_inside`: whether this container is one of `image`. `InvalidError` for one not in `known`."""
    if image is not None:
        wanted = image._identity()
        if wanted not in {one._identity() for one in known}:
            raise InvalidError(
                "is_inside: this image is not on the stub: write Stub(image=…), or `stub.my_image = image` "
                "before it"
            )
        return not config.is_local() and config.context().get("image") == wanted
    return not config.is_local()


@public
class ContainerApp:
    """`modal.container_app`: the app this container is part of; empty outside containers.

    `container_app.f` and `container_app["f"]` give the handle of a function or a declared object, `KeyError`
    for a name that the app does not have, `InvalidError` outside.
    """

    @property
    def app_id(self) -> str | None:
        """Containers are told no id: always None."""
        return None

    def __getitem__(self, tag: str) -> Any:
        if config.is_local():
            raise InvalidError(
                f"container_app.{tag}: container_app is filled in inside containers only; here use what "
                "`with stub.run() as app:` gives"
            )
        app = _own_app()
        if app is None:
            raise InvalidError(
                f"container_app.{tag}: the program's Stub does not exist yet: use it inside functions"
            )
        return app._object(tag)

    def __getattr__(self, tag: str) -> Any:
        if tag.startswith("__"):
            raise AttributeError(tag)
        if tag in ("log_url", "client", "disconnect", "stop"):
            raise not_built(f"container_app.{tag}")
        return self[tag]

    def __repr__(self) -> str:
        return "<container_app>"


#: The one there is.
container_app = ContainerApp()


def _own_app() -> Application | None:
    about = config.context()
    for app in declared:
        if about.get("function") in app._functions and about.get("app") in (app.name, None):
            return app
    return declared[-1] if declared else None


def _json(variable: str) -> dict[str, Any]:
    text = os.environ.get(variable)
    if not text:
        return {}
    import json

    return json.loads(text)
