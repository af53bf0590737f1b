"""The decorators that stand under `@app.function()`: they record what a function is to the web, nothing more.

Today's: `fastapi_endpoint`, `asgi_app`, `wsgi_app`, `concurrent` (parentheses required, Modal's rule). 2023:
`web_endpoint`. 2022, in the wording of Modal's guide: `webhook`, `asgi`, `wsgi`, bare or with parentheses.
"""

from __future__ import annotations

import functools
import re
import types
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from . import _options
from ._later import not_built
from .exception import DeprecationError, InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")


class Web(NamedTuple):
    """How a function answers the web."""

    decorator: str
    """As the user wrote it, for messages."""
    kind: str
    """`endpoint`, `asgi` or `wsgi`."""
    method: str = "GET"
    docs: bool | None = None
    """Whether `/docs` is served; None is the era's own choice: yes under `Stub`, no under `App`."""
    label: str | None = None
    unbuilt: tuple[str, ...] = ()


class PartialFunction:
    """A function with web decorators that waits for `@app.function()` above it. Not callable by name only."""

    __name__: str

    def __init__(self, raw_f: Callable[..., Any]) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), raw_f)
        self._pilotlight_raw = raw_f
        self._web: Web | None = None
        self._max_inputs: int | None = None
        self._unbuilt: tuple[str, ...] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._pilotlight_raw(*args, **kwargs)


def fastapi_endpoint(
    _bare: Any = None,
    *,
    method: str = "GET",
    label: str | None = None,
    custom_domains: Sequence[str] | None = None,
    docs: bool | None = None,
    requires_proxy_auth: bool = False,
) -> Callable[[Any], PartialFunction]:
    """The function is a FastAPI handler at `/`, for one HTTP method. `docs=True` serves `/docs` and its kin.

    Raises `InvalidError` for a method or a label that cannot be, or without parentheses.
    """
    _refuse_bare("fastapi_endpoint", _bare)
    later = {"custom_domains": custom_domains, "requires_proxy_auth": requires_proxy_auth}
    return _decorator(make_web("fastapi_endpoint", "endpoint", method, docs, label, later))


def web_endpoint(
    _bare: Any = None,
    *,
    method: str = "GET",
    label: str | None = None,
    wait_for_response: bool = True,
    custom_domains: Sequence[str] | None = None,
    docs: bool | None = None,
    requires_proxy_auth: bool = False,
) -> Callable[[Any], PartialFunction]:
    """`fastapi_endpoint` as it was called from 2023 to 2025; under `App` an error that says so."""
    if isinstance(_bare, str):  # `web_endpoint("POST")`, 2023.
        method, _bare = _bare, None
    _refuse_bare("web_endpoint", _bare)
    later = {
        "wait_for_response": not wait_for_response,
        "custom_domains": custom_domains,
        "requires_proxy_auth": requires_proxy_auth,
    }
    return _decorator(make_web("web_endpoint", "endpoint", method, docs, label, later))


def asgi_app(
    _bare: Any = None,
    *,
    label: str | None = None,
    wait_for_response: bool = True,
    custom_domains: Sequence[str] | None = None,
    requires_proxy_auth: bool = False,
) -> Callable[[Any], PartialFunction]:
    """The function takes nothing and returns an ASGI application, which then answers every path."""
    return _app_decorator(
        "asgi_app", "asgi", _bare, label, wait_for_response, custom_domains, requires_proxy_auth
    )


def wsgi_app(
    _bare: Any = None,
    *,
    label: str | None = None,
    wait_for_response: bool = True,
    custom_domains: Sequence[str] | None = None,
    requires_proxy_auth: bool = False,
) -> Callable[[Any], PartialFunction]:
    """The function takes nothing and returns a WSGI application, which then answers every path."""
    return _app_decorator(
        "wsgi_app", "wsgi", _bare, label, wait_for_response, custom_domains, requires_proxy_auth
    )


def webhook(
    raw_f: Any = None, *, method: str = "GET", label: str | None = None, wait_for_response: bool = True
) -> Any:
    """`@modal.webhook` of 2022's guide, bare or with parentheses, under `@stub.function(...)`."""
    later = {"wait_for_response": not wait_for_response}
    decorator = _decorator(make_web("webhook", "endpoint", method, None, label, later))
    return decorator if raw_f is None else decorator(raw_f)


def asgi(raw_f: Any = None, *, label: str | None = None, wait_for_response: bool = True) -> Any:
    """`@modal.asgi` of 2022's guide, bare or with parentheses, under `@stub.function(...)`."""
    later = {"wait_for_response": not wait_for_response}
    decorator = _decorator(make_web("asgi", "asgi", "GET", None, label, later))
    return decorator if raw_f is None else decorator(raw_f)


def wsgi(raw_f: Any = None, *, label: str | None = None, wait_for_response: bool = True) -> Any:
    """`@modal.wsgi` of 2022's guide, bare or with parentheses, under `@stub.function(...)`."""
    later = {"wait_for_response": not wait_for_response}
    decorator = _decorator(make_web("wsgi", "wsgi", "GET", None, label, later))
    return decorator if raw_f is None else decorator(raw_f)


def concurrent(
    _bare: Any = None, *, max_inputs: int | None = None, target_inputs: int | None = None
) -> Callable[[Any], PartialFunction]:
    """A container answers up to `max_inputs` requests at a time. `target_inputs` must not be more than that.

    Raises `TypeError` without `max_inputs`, `InvalidError` for numbers that cannot be.
    """
    _refuse_bare("concurrent", _bare)
    if max_inputs is None:
        raise TypeError("@modal.concurrent() needs max_inputs=")
    for name, value in (("max_inputs", max_inputs), ("target_inputs", target_inputs)):
        _options.whole("@modal.concurrent", name, value, 1, _options.INPUTS_MAX)
    if target_inputs is not None and target_inputs > max_inputs:
        raise InvalidError(
            f"@modal.concurrent: target_inputs ({target_inputs}) is more than max_inputs ({max_inputs})"
        )

    def decorate(target: Any) -> PartialFunction:
        partial = as_partial("concurrent", target)
        if partial._max_inputs is not None:
            raise InvalidError(f"{partial.__name__}: @modal.concurrent is given twice")
        partial._max_inputs = max_inputs
        if target_inputs is not None:
            partial._unbuilt += ("concurrent(target_inputs=…)",)
        return partial

    return decorate


def web_server(*args: object, **kwargs: object) -> Any:
    """Known, not built yet: raises `NotBuiltError`."""
    raise not_built("@modal.web_server")


def make_web(
    decorator: str, kind: str, method: str, docs: bool | None, label: str | None, later: dict[str, Any]
) -> Web:
    """Checks a web decorator's arguments; `later` holds those not built yet. Raises `InvalidError`."""
    where = f"@modal.{decorator}"
    upper = method.upper() if isinstance(method, str) else method  # pyright: ignore[reportUnnecessaryIsInstance]
    if upper not in _METHODS:
        raise InvalidError(f"{where}: method must be one of {', '.join(_METHODS)}, not {method!r}")
    if label is not None:
        _check_label(where, label)
    unbuilt = tuple(f"{name}=" for name, value in later.items() if value)
    return Web(decorator, kind, upper, docs, label, unbuilt)


def as_partial(decorator: str, target: Any) -> PartialFunction:
    """`target` as a partial function; `InvalidError` or `TypeError` when it cannot be decorated."""
    from .functions import Function

    if isinstance(target, PartialFunction):
        return target
    if isinstance(target, Function):
        raise InvalidError(
            f"{target.__name__}: @modal.{decorator} stands above the function decorator; put it directly "
            "under @app.function() (or @stub.function())"
        )
    if isinstance(target, type):
        raise InvalidError(f"@modal.{decorator} is for functions; {target.__name__} is a class")
    if not isinstance(target, types.FunctionType):
        raise InvalidError(f"@modal.{decorator} is for functions, not {target!r}")
    return PartialFunction(target)


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
) -> Callable[[Any], PartialFunction]:
    if isinstance(bare, str):  # `asgi_app("label")`, 2023.
        label, bare = bare, None
    _refuse_bare(decorator, bare)
    later = {
        "wait_for_response": not wait_for_response,
        "custom_domains": custom_domains,
        "requires_proxy_auth": requires_proxy_auth,
    }
    return _decorator(make_web(decorator, kind, "GET", None, label, later))


def _decorator(web: Web) -> Callable[[Any], PartialFunction]:
    def decorate(target: Any) -> PartialFunction:
        partial = as_partial(web.decorator, target)
        if partial._web is not None:
            raise InvalidError(
                f"{partial.__name__}: both @modal.{partial._web.decorator} and @modal.{web.decorator}; "
                "a function has one web decorator"
            )
        partial._web = web
        return partial

    return decorate


def _refuse_bare(decorator: str, bare: Any) -> None:
    if bare is None:
        return
    if callable(bare):
        raise InvalidError(f"@modal.{decorator} needs parentheses: write @modal.{decorator}(…)")
    raise TypeError(f"@modal.{decorator} takes keyword arguments only, not {bare!r}")


def _check_label(where: str, label: str) -> None:
    # A label becomes part of a host name (RFC 1123).
    text = label if isinstance(label, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", text) or text.isdigit():
        raise InvalidError(
            f"{where}: the label {label!r} cannot be part of a host name: at most 63 lower-case letters, "
            "digits and inner dashes, and not digits alone"
        )
