"""The server's libraries: imported from their own directory, then hidden from what user code can import."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import sys
import types
from dataclasses import dataclass
from typing import Any, Callable, TypeVar

from . import places

Made = TypeVar("Made")

_PICKLERS = frozenset({"cloudpickle"})


@dataclass(frozen=True)
class Libraries:
    """What the runner uses of its libraries, held by reference because no name leads to them any more."""

    config: Callable[..., Any]
    server: Callable[..., Any]
    #: The module of `server`, for its logger.
    server_module: types.ModuleType
    #: uvicorn's protocol class for HTTP/1.1: httptools where it is installed, h11 otherwise.
    http_protocol: type
    #: The same for WebSocket, or None.
    websocket_protocol: Any
    #: Turns a WSGI app into an ASGI app.
    wsgi_middleware: Callable[..., Any]
    new_event_loop: Callable[[], asyncio.AbstractEventLoop]


def prepare(make: Callable[[Libraries], Made]) -> Made:
    """Import the server's libraries, hand them to `make` while their names lead to them, and hide them again.

    What `make` gives may not import them any more: `sys.path` and `sys.modules` are as before. Modules of the
    same names that the interpreter imported at its start (a `.pth` file of the image can do that) are set
    aside meanwhile.
    """
    names = _top_level_names(places.DEPS)
    path = sys.path[:]
    aside = {name: sys.modules.pop(name) for name in _loaded(names)}
    sys.path[:] = places.isolated_path()
    try:
        return make(_import_all())
    finally:
        sys.path[:] = path
        for name in _loaded(names):
            del sys.modules[name]
        sys.modules.update(aside)


def unpickle(data: bytes) -> Any:
    """The object in a pickle of cloudpickle's, which names that package's functions.

    Ours is there while the object is made and hidden afterwards; the rest is imported as user code does it.
    """
    path = sys.path[:]
    aside = {name: sys.modules.pop(name) for name in _loaded(_PICKLERS)}
    try:
        sys.path[:] = places.isolated_path()
        cloudpickle = importlib.import_module("cloudpickle")
        sys.path[:] = path
        return cloudpickle.loads(data)
    finally:
        sys.path[:] = path
        for name in _loaded(_PICKLERS):
            del sys.modules[name]
        sys.modules.update(aside)


def _import_all() -> Libraries:
    _import_bare("uvicorn")
    config = importlib.import_module("uvicorn.config")
    # `uvicorn.lifespan.off`, which a configuration loads, looks for this name in the package.
    sys.modules["uvicorn"].Config = config.Config  # type: ignore[attr-defined]
    server = importlib.import_module("uvicorn.server")
    importlib.import_module("uvicorn.lifespan.off")
    uvloop = _import_if_there("uvloop")
    return Libraries(
        config=config.Config,
        server=server.Server,
        server_module=server,
        http_protocol=importlib.import_module("uvicorn.protocols.http.auto").AutoHTTPProtocol,
        websocket_protocol=importlib.import_module(
            "uvicorn.protocols.websockets.auto"
        ).AutoWebSocketsProtocol,
        wsgi_middleware=importlib.import_module("a2wsgi.wsgi").WSGIMiddleware,
        new_event_loop=uvloop.new_event_loop if uvloop else asyncio.SelectorEventLoop,
    )


def _import_bare(name: str) -> None:
    """Make a package importable from without running its `__init__`.

    uvicorn's imports its command line: click, multiprocessing and the reloaders, half of its import time.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {name!r} in {places.DEPS}", name=name)
    package = types.ModuleType(name)
    package.__spec__ = spec
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = package


def _import_if_there(name: str) -> Any:
    """An accelerator, which is not built for every interpreter."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _top_level_names(directory: str) -> frozenset[str]:
    try:
        entries = os.listdir(directory)
    except OSError:
        return frozenset()
    return frozenset(entry.split(".")[0] for entry in entries if not entry.endswith((".dist-info", "bin")))


def _loaded(names: frozenset[str]) -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] in names]
