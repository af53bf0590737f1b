"""Asks the running server, through the `pilotlight` command, what is deployed under a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from . import _launch, config
from ._later import not_built
from ._running import State
from .exception import ConnectionError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS_MAX = 30


def find(name: str) -> Mapping[str, Any] | None:
    """The deployed app of this name as the server describes it, or None.

    Raises `ConnectionError` when no server runs, `NotBuiltError` in a container.
    """
    if not config.is_local():
        raise not_built("looking up deployed apps inside a container")
    import json
    import subprocess

    command = [_launch.find_binary(), "app", "list", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False)
    if done.returncode != 0:
        raise ConnectionError(
            f"the app {name!r} cannot be looked up: {done.stderr.strip() or f'{command[0]} failed'}"
        )
    apps = cast("list[Mapping[str, Any]]", json.loads(done.stdout))
    return next((app for app in apps if app.get("name") == name and app.get("state") == "deployed"), None)


def missing(name: str) -> NotFoundError:
    """The error for an app that is not deployed."""
    return NotFoundError(f"no app {name!r} is deployed: `pilotlight deploy FILE --name {name}` deploys it")


def state(app: Mapping[str, Any]) -> State:
    """What is known of a deployed app."""
    return State(app.get("id"), _urls(app), None)


def web_url(app_name: str, function: str) -> str | None:
    """The URL of a deployed function, None for one that is no web endpoint. Raises `NotFoundError`."""
    app = find(app_name)
    if app is None:
        raise missing(app_name)
    for one in cast("list[Mapping[str, Any]]", app.get("functions") or []):
        if one.get("name") == function:
            return cast("str | None", one.get("url"))
    raise NotFoundError(
        f"the app {app_name!r} has no function {function!r}: `pilotlight app list` shows them"
    )


def require_class(app_name: str, name: str) -> None:
    """Raises `NotFoundError` unless the deployed app has a class of this name."""
    app = find(app_name)
    if app is None:
        raise missing(app_name)
    functions = cast("list[Mapping[str, Any]]", app.get("functions") or [])
    if not any(str(one.get("name")).startswith(name + ".") for one in functions):
        raise NotFoundError(f"the app {app_name!r} has no class {name!r}: `pilotlight app list` shows them")


def _urls(app: Mapping[str, Any]) -> dict[str, str]:
    functions = cast("list[Mapping[str, Any]]", app.get("functions") or [])
    return {str(one["name"]): str(one["url"]) for one in functions if one.get("url")}
