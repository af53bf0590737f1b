"""The decorators that stand under `@app.function()` and on methods, by the module name of 2023."""

from __future__ import annotations

from ._methods import batched, build, enter, exit, method
from ._partial import PartialFunction
from .cluster import clustered
from .web import asgi_app, concurrent, fastapi_endpoint, web_endpoint, web_server, wsgi_app

__all__ = [
    "PartialFunction",
    "asgi_app",
    "batched",
    "build",
    "clustered",
    "concurrent",
    "enter",
    "exit",
    "fastapi_endpoint",
    "method",
    "web_endpoint",
    "web_server",
    "wsgi_app",
]
