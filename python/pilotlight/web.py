"""The web decorators that stand under `@app.function()`: they record what a function is to the web.

Today's: `fastapi_endpoint`, `asgi_app`, `wsgi_app`, `web_server`, `concurrent` (parentheses required, Modal's
rule). 2023: `web_endpoint`. 2022, in the wording of Modal's guide: `webhook`, `asgi`, `wsgi`, bare or not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from . import _settings
from ._partial import Concurrency, PartialClass, PartialFunction, Web, WebServer, as_partial, give_web
from ._public import called
from .exception import DeprecationError, InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol, overload

    from ._typing import P, R, T

    class WebDecorator(Protocol):
        """Keeps the signature of what it decorates."""

        @overload
        def __call__(self, target: PartialFunction[P, R], /) -> PartialFunction[P, R]: ...
        @overload
        def __call__(self, target: Callable[P, R], /) -> PartialFunction[P, R]: ...

    class ConcurrentDecorator(Protocol):
        """The same, for classes as well."""

        @overload
        def __call__(self, target: PartialFunction[P, R], /) -> PartialFunction[P, R]: ...
        @overload
        def __call__(self, target: type[T], /) -> type[T]: ...  # pyright: ignore[reportOverlappingOverload]
        @overload
        def __call__(self, target: Callable[P, R], /) -> PartialFunction[P, R]: ...


_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
# RFC 1123, section 2.1: letters, digits and inner dashes, at most 63 of them.
_HOST_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST_LENGTH_MAX = 253
_PORT_MAX = 65_535


@called("@modal.fastapi_endpoint")
def fastapi_endpoint(
    _bare: None = None,
    *,
    method: str = "GET",
    label: str | None = None,
    custom_domains: Sequence[str] | None = None,
    docs: bool = False,
    requires_proxy_auth: bool = False,
) -> WebDecorator:
    """The function is a FastAPI handler at `/`, for one HTTP method. `docs=True` serves `/docs` and its kin.

    Raises `InvalidError` for a method, a label or a domain that cannot be, or without parentheses.
    """
    _refuse_bare("fastapi_endpoint", _bare)
    return _decorator(
        make_web("fastapi_endpoint", "endpoint", method, docs, label, custom_domains, requires_proxy_auth)
    )


@called("@modal.web_endpoint")
def web_endpoint(
    _bare: str | None = None,
    label: str | None = None,
    wait_for_response: bool = True,
    custom_domains: Sequence[str] | None = None,
    *,
    method: str = "GET",
    docs: bool | None = None,
    requires_proxy_auth: bool = False,
) -> WebDecorator:
    """`fastapi_endpoint` as it was called from 2023 to 2025; under `App` an error that says so."""
    if isinstance(_bare, str):  # `web_endpoint("POST")`, 2023.
        method, _bare = _bare, None
    _refuse_bare("web_endpoint", _bare)
    web = make_web("web_endpoint", "endpoint", method, docs, label, custom_domains, requires_proxy_auth)
    return _decorator(answering_late(web, wait_for_response))


@called("@modal.asgi_app")
def asgi_app(
    _bare: str | None = None,
    wait_for_response: bool = True,
    custom_domains: Sequence[str] | None = None,
    *,
    label: str | None = None,
    requires_proxy_auth: bool = False,
) -> WebDecorator:
    """The function takes nothing and returns an ASGI application, which then answers every path."""
    return _app_decorator(
        "asgi_app", "asgi", _bare, label, wait_for_response, custom_domains, requires_proxy_auth
    )


@called("@modal.wsgi_app")
def wsgi_app(
    _bare: str | None = None,
    wait_for_response: bool = True,
    custom_domains: Sequence[str] | None = None,
    *,
    label: str | None = None,
    requires_proxy_auth: bool = False,
) -> WebDecorator:
    """The function takes nothing and returns a WSGI application (Flask, Django)."""
    return _app_decorator(
        "wsgi_app", "wsgi", _bare, label, wait_for_response, custom_domains, requires_proxy_auth
    )


@called("@modal.web_server")
def web_server(
    port: int,
    *,
    startup_timeout: float = 5.0,
    label: str | None = None,
    custom_domains: Sequence[str] | None = None,
    requires_proxy_auth: bool = False,
) -> WebDecorator:
    """The function starts a server of its own on `port` of all addresses, and returns; requests go there.

    The container is ready when the port takes connections, for which it has `startup_timeout` seconds.
    """
    if callable(port):
        raise InvalidError("@modal.web_server needs a port: write @modal.web_server(8000)")
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= _PORT_MAX:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"@modal.web_server: port must be a whole number from 1 to 65535, not {port!r}")
    if isinstance(startup_timeout, bool) or not isinstance(startup_timeout, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"@modal.web_server: startup_timeout must be a number, not {startup_timeout!r}")
    if not startup_timeout > 0:
        raise InvalidError(f"@modal.web_server: startup_timeout must be more than 0, not {startup_timeout!r}")
    web = make_web("web_server", "web_server", "GET", None, label, custom_domains, requires_proxy_auth)
    return _decorator(web._replace(server=WebServer(port, float(startup_timeout))))


@called("@modal.webhook")
def webhook(
    raw_f: Any = None,
    *,
    method: str = "GET",
    label: str | None = None,
    wait_for_response: bool = True,
) -> Any:
    """`stub.webhook` as the guide of 2022 writes it under `@stub.function`, bare or with parentheses."""
    web = make_web("webhook", "endpoint", method, None, label)
    return _era_decorator(answering_late(web, wait_for_response), raw_f)


@called("@modal.asgi")
def asgi(raw_f: Any = None, *, label: str | None = None, wait_for_response: bool = True) -> Any:
    """`stub.asgi` as the guide of 2022 writes it under `@stub.function`, bare or with parentheses."""
    return _era_decorator(
        answering_late(make_web("asgi", "asgi", "GET", None, label), wait_for_response), raw_f
    )


@called("@modal.wsgi")
def wsgi(raw_f: Any = None, *, label: str | None = None, wait_for_response: bool = True) -> Any:
    """`stub.wsgi` in the manner of `modal.asgi`, bare or with parentheses."""
    return _era_decorator(
        answering_late(make_web("wsgi", "wsgi", "GET", None, label), wait_for_response), raw_f
    )


@called("@modal.concurrent")
def concurrent(
    _bare: None = None, *, max_inputs: int | None = None, target_inputs: int | None = None
) -> ConcurrentDecorator:
    """One container handles up to `max_inputs` requests at a time; on a function, or on a whole class.

    `target_inputs`: from so many in every container on, another container is started. Raises `TypeError`
    without `max_inputs`, `InvalidError` for numbers that cannot be.
    """
    _refuse_bare("concurrent", _bare)
    if max_inputs is None:
        raise TypeError("@modal.concurrent needs max_inputs=, such as @modal.concurrent(max_inputs=10)")
    where = "@modal.concurrent"
    _settings.whole(where, "max_inputs", max_inputs, 1, _settings.INPUTS_MAX)
    _settings.whole(where, "target_inputs", target_inputs, 1, _settings.INPUTS_MAX)
    if target_inputs is not None and target_inputs > max_inputs:
        raise InvalidError(f"{where}: target_inputs ({target_inputs}) is more than max_inputs ({max_inputs})")
    concurrency = Concurrency(max_inputs, target_inputs)

    def decorate(target: Any) -> Any:
        if isinstance(target, type):
            return PartialClass(target, concurrency)
        if isinstance(target, PartialClass):
            raise InvalidError(f"{target.__name__}: @modal.concurrent is given twice: keep one")
        partial = as_partial("concurrent", target)
        if partial._concurrency is not None:
            raise InvalidError(f"{partial.__name__}: @modal.concurrent is given twice: keep one")
        partial._concurrency = concurrency
        return partial

    return decorate


def make_web(
    decorator: str,
    kind: str,
    method: str,
    docs: bool | None,
    label: str | None,
    custom_domains: Sequence[str] | None = None,
    requires_proxy_auth: bool = False,
) -> Web:
    """Checks a web decorator's arguments. Raises `InvalidError`."""
    where = f"@modal.{decorator}"
    upper = method.upper() if isinstance(method, str) else method  # pyright: ignore[reportUnnecessaryIsInstance]
    if upper not in _METHODS:
        raise InvalidError(f"{where}: method must be one of {', '.join(_METHODS)}, not {method!r}")
    if label is not None:
        _check_label(where, label)
    if requires_proxy_auth:
        # Accepting it would open to everyone what the author wanted closed.
        raise InvalidError(
            f"{where}: requires_proxy_auth=True is not built yet, and without the check everyone could "
            "use the endpoint: drop it, or keep the endpoint on loopback behind a proxy that checks"
        )
    return Web(decorator, kind, upper, docs, label, _domains(where, custom_domains))


def answering_late(web: Web, wait_for_response: bool) -> Web:
    """`web`, for whose answer clients wait or do not."""
    return web._replace(waits=bool(wait_for_response))


def check_era(era: str, name: str, web: Web) -> None:
    """Refuses 2022's and 2023's decorators under `App`: `DeprecationError` naming today's."""
    today = {
        "web_endpoint": "fastapi_endpoint",
        "webhook": "fastapi_endpoint",
        "asgi": "asgi_app",
        "wsgi": "wsgi_app",
    }
    if era == "app" and web.decorator in today:
        raise DeprecationError(
            f"{name}: @modal.{web.decorator} is now @modal.{today[web.decorator]}() under @app.function()"
        )


def _app_decorator(
    decorator: str,
    kind: str,
    bare: Any,
    label: str | None,
    wait_for_response: bool,
    custom_domains: Sequence[str] | None,
    requires_proxy_auth: bool,
) -> WebDecorator:
    if isinstance(bare, str):  # `asgi_app("label")`, 2023.
        label, bare = bare, None
    _refuse_bare(decorator, bare)
    web = make_web(decorator, kind, "GET", None, label, custom_domains, requires_proxy_auth)
    return _decorator(answering_late(web, wait_for_response))


def _decorator(web: Web) -> WebDecorator:
    def decorate(target: Any) -> Any:
        partial = as_partial(web.decorator, target)
        give_web(partial, web)
        return partial

    return decorate


def _era_decorator(web: Web, raw_f: Any) -> Any:
    return _decorator(web) if raw_f is None else _decorator(web)(raw_f)


def _refuse_bare(decorator: str, bare: Any) -> None:
    if bare is None:
        return
    if callable(bare) or isinstance(bare, PartialFunction):
        raise InvalidError(f"@modal.{decorator} needs parentheses: write @modal.{decorator}(…)")
    raise TypeError(f"@modal.{decorator} takes keyword arguments only, not {bare!r}")


def _check_label(where: str, label: str) -> None:
    # A label becomes part of a host name (RFC 1123).
    text = label if isinstance(label, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
    if not re.fullmatch(_HOST_LABEL, text) or text.isdigit():
        raise InvalidError(
            f"{where}: the label {label!r} cannot be part of a host name: at most 63 lower-case letters, "
            "digits and inner dashes, and not digits alone"
        )


def _domains(where: str, domains: Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(domains, str):
        raise InvalidError(f"{where}: custom_domains= takes a list: custom_domains=[{domains!r}]")
    found: list[str] = []
    for domain in domains or ():
        host = domain.lower() if isinstance(domain, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
        labels = (host[2:] if host.startswith("*.") else host).split(".")
        fits = len(labels) >= 2 and len(host) <= _HOST_LENGTH_MAX and not labels[-1].isdigit()
        if not fits or not all(re.fullmatch(_HOST_LABEL, label) for label in labels):
            raise InvalidError(
                f"{where}: {domain!r} in custom_domains= is not a host name: write it as "
                '"api.example.com" or "*.example.com", without scheme, port and path'
            )
        found.append(host)
    return tuple(dict.fromkeys(found))
