"""pilotlight: turns a Python file with decorators into web endpoints that run in containers.

    import pilotlight

    app = pilotlight.App("hello")

    @app.function()
    @pilotlight.fastapi_endpoint()
    def hello():
        return "Hello world!"

`import modal` gives the same names. This package needs only the standard library.
"""

from __future__ import annotations

from . import _trace, config, exception, functions, gpu
from ._context import container_app
from ._later import (
    NAMES as _LATER_NAMES,
)
from ._later import (
    Cron,
    Dict,
    NetworkFileSystem,
    Period,
    Proxy,
    Queue,
    RateLimit,
    Retries,
    SharedVolume,
    Volume,
    not_built,
)
from .app import App, Stub
from .cls import Cls, batched, build, enter, exit, method, parameter
from .config import __version__, is_local
from .exception import Error
from .functions import Function, FunctionCall
from .image import Image
from .mount import Mount, create_package_mounts
from .secret import Secret
from .web import (
    asgi,
    asgi_app,
    concurrent,
    fastapi_endpoint,
    web_endpoint,
    web_server,
    webhook,
    wsgi,
    wsgi_app,
)

__all__ = [
    "App",
    "Cls",
    "Cron",
    "Dict",
    "Error",
    "Function",
    "FunctionCall",
    "Image",
    "Mount",
    "NetworkFileSystem",
    "Period",
    "Proxy",
    "Queue",
    "RateLimit",
    "Retries",
    "Secret",
    "SharedVolume",
    "Stub",
    "Volume",
    "__version__",
    "asgi",
    "asgi_app",
    "batched",
    "build",
    "concurrent",
    "config",
    "container_app",
    "create_package_mounts",
    "enter",
    "exception",
    "exit",
    "fastapi_endpoint",
    "functions",
    "gpu",
    "is_local",
    "method",
    "parameter",
    "web_endpoint",
    "web_server",
    "webhook",
    "wsgi",
    "wsgi_app",
]


_trace.install()


def __getattr__(name: str) -> object:
    if name in _LATER_NAMES:
        # An AttributeError, so that `hasattr` and `from … import` behave.
        raise AttributeError(str(not_built(f"pilotlight.{name}")))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
