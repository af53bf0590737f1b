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

from . import config, exception, functions, gpu
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
from .config import __version__, is_local
from .exception import Error
from .functions import Function
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
    "Cron",
    "Dict",
    "Error",
    "Function",
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
    "concurrent",
    "config",
    "create_package_mounts",
    "exception",
    "fastapi_endpoint",
    "functions",
    "gpu",
    "is_local",
    "web_endpoint",
    "web_server",
    "webhook",
    "wsgi",
    "wsgi_app",
]


def __getattr__(name: str) -> object:
    if name in _LATER_NAMES:
        # An AttributeError, so that `hasattr` and `from … import` behave.
        raise AttributeError(str(not_built(f"pilotlight.{name}")))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
