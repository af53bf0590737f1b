"""The web app: an ASGI callable made from the user's function, after its kind."""

from __future__ import annotations

import contextlib
import inspect
import sys
from typing import Any, Callable

from .deps import Libraries
from .errors import StartError
from .relay import Relay

#: Threads for WSGI requests. They are made when needed; how many requests run at once is the host's decision,
#: and a request whose client has left may still hold its thread.
WSGI_THREADS_MAX = 1000


def is_ours(web: dict[str, Any]) -> bool:
    """Whether the app around the function is made here, and so has no lifespan."""
    return web.get("kind") == "endpoint"


def is_running(web: dict[str, Any]) -> bool:
    """Whether making the app starts what a fork would not have: threads, sockets, other processes."""
    return web.get("kind") == "web_server"


def build(function: Callable[..., Any], name: str, web: dict[str, Any], libraries: Libraries) -> Any:
    """The ASGI app of the function `name`, or a `Relay`. Raises `StartError` with stage `app`."""
    kind = web.get("kind")
    try:
        if kind == "endpoint":
            return _endpoint(function, name, web)
        if kind == "asgi":
            return _asgi(_called(function, name, "ASGI"), name)
        if kind == "wsgi":
            return _wsgi(_called(function, name, "WSGI"), name, libraries)
        if kind == "web_server":
            function()
            return Relay(name, web["port"], web["startup_timeout"])
    except StartError:
        raise
    except BaseException as error:
        raise StartError.of("app", error) from None
    raise StartError.said("app", f"`{name}` is a web function of an unknown kind: {kind!r}")


def _endpoint(function: Callable[..., Any], name: str, web: dict[str, Any]) -> Any:
    """A FastAPI app of the image's own FastAPI, with the function as its only route."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        sentence = f"`{name}` is a generator, and a web endpoint cannot be one; return a StreamingResponse"
        raise StartError.said("app", f"{sentence} of fastapi.responses to stream")
    try:
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware
    except ModuleNotFoundError as error:
        if error.name != "fastapi":
            raise
        sentence = 'FastAPI is not installed in the image; add it: image.pip_install("fastapi[standard]")'
        raise StartError.said("app", sentence) from None
    app = FastAPI() if web.get("docs") else FastAPI(openapi_url=None)
    if web.get("cors"):
        app.add_middleware(
            CORSMiddleware,
            allow_origins=["*"],
            allow_credentials=True,
            allow_methods=["*"],
            allow_headers=["*"],
        )
    app.add_api_route("/", function, methods=[web.get("method", "GET")])
    # As its first request would. Nobody adds to it any more, and the forks of a zygote have it.
    app.middleware_stack = app.build_middleware_stack()
    _look_up(function)
    return app


def _look_up(function: Callable[..., Any]) -> None:
    """Have FastAPI find where the function is written, which it does before a function's first answer.

    It reads and takes apart the file, for the texts of its errors, and keeps what it found.
    """
    with contextlib.suppress(Exception):
        from fastapi import routing

        # Not of its interface: where it is not there, or called otherwise, nothing is lost.
        routing._extract_endpoint_context(function)


def _asgi(app: Any, name: str) -> Any:
    if hasattr(app, "wsgi_app") and not _is_asynchronous(app):
        raise StartError.said("app", f"`{name}` returned a WSGI app; decorate it as WSGI, not as ASGI")
    if not callable(app):
        raise StartError.said("app", f"`{name}` returned {_kind_of(app)}, not an ASGI app")
    return app


def _wsgi(app: Any, name: str, libraries: Libraries) -> Any:
    if _is_asynchronous(app):
        raise StartError.said("app", f"`{name}` returned an ASGI app; decorate it as ASGI, not as WSGI")
    if not callable(app):
        raise StartError.said("app", f"`{name}` returned {_kind_of(app)}, not a WSGI app")

    def as_here(environ: dict[str, Any], start_response: Any) -> Any:
        # a2wsgi sends them to stdout; Flask writes its tracebacks here.
        environ["wsgi.errors"] = sys.stderr
        # a2wsgi's input ends with the body, whether its length was announced or not. Without this Werkzeug
        # reads nothing of one without length.
        environ["wsgi.input_terminated"] = True
        return app(environ, start_response)

    return libraries.wsgi_middleware(as_here, workers=WSGI_THREADS_MAX)


def _called(function: Callable[..., Any], name: str, standard: str) -> Any:
    """What the user's function returns. It is called once in the life of a container."""
    asynchronous = (
        f"`{name}` is an async function; one that returns {_article(standard)} app must be a plain `def`"
    )
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise StartError.said("app", asynchronous)
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        sentence = f"`{name}` is called without arguments to get its {standard} app: {error}"
        raise StartError.said("app", f"{sentence}; give its parameters defaults, or drop them") from None
    except ValueError:
        # A callable without a signature of its own: the call itself will tell.
        pass
    app = function()
    if inspect.iscoroutine(app):
        app.close()
        raise StartError.said("app", asynchronous)
    return app


def _is_asynchronous(app: Any) -> bool:
    method = type(app).__call__ if callable(app) else None
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(method)


def _kind_of(app: Any) -> str:
    return "None" if app is None else f"an object of type {type(app).__qualname__}"


def _article(standard: str) -> str:
    return f"an {standard}" if standard.startswith("A") else f"a {standard}"
