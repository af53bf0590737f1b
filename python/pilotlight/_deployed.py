"""Asks the running server, through the `pilotlight` command, what is deployed under a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from . import _launch, config
from ._later import not_built
from ._running import State
from .exception import ConnectionError, InvalidError, NotFoundError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

_SECONDS_MAX = 30


def find(name: str) -> Mapping[str, Any] | None:
    """The deployed app of this name as the server describes it, or None.

    Raises `ConnectionError` when no server runs, `NotBuiltError` in a container.
    """
    if not config.is_local():
        raise not_built("looking up deployed apps inside a container")
    import json

    done = _run("app", "list", "--json")
    if done.returncode != 0:
        raise ConnectionError(
            f"the app {name!r} cannot be looked up: {done.stderr.strip() or f'{done.args[0]} failed'}"
        )
    apps = cast("list[Mapping[str, Any]]", json.loads(done.stdout))
    return next((app for app in apps if app.get("name") == name and app.get("state") == "deployed"), None)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    import subprocess

    command = [_launch.find_binary(), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False)


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


def methods(app_name: str, name: str) -> list[str]:
    """The web methods of a class of a deployed app, `C.f`. Raises `NotFoundError` when there is none."""
    app = find(app_name)
    if app is None:
        raise missing(app_name)
    functions = cast("list[Mapping[str, Any]]", app.get("functions") or [])
    found = [str(one["name"]) for one in functions if str(one.get("name")).startswith(name + ".")]
    if not found:
        raise NotFoundError(f"the app {app_name!r} has no class {name!r}: `pilotlight app list` shows them")
    return found


def _urls(app: Mapping[str, Any]) -> dict[str, str]:
    functions = cast("list[Mapping[str, Any]]", app.get("functions") or [])
    return {str(one["name"]): str(one["url"]) for one in functions if one.get("url")}


def scale(app_name: str, function: str, **options: float | None) -> None:
    """Has the server scale a deployed function by what is not None.

    Raises `NotFoundError` for what is not deployed, `InvalidError` in the server's words for what cannot be.
    """
    web_url(app_name, function)
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"{function}.update_autoscaler: {name} must be a number, not {value!r}")
    if not given:
        return
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", f"{value}")]
    done = _run("app", "scale", app_name, function, *words)
    if done.returncode != 0:
        raise InvalidError(f"{function}.update_autoscaler: {done.stderr.strip()}")
