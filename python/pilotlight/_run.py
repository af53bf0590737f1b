"""`pilotlight run`: runs a program's local entrypoint in this process, while its endpoints are served.

    python -m pilotlight._run (PROGRAM[::NAME] | -m MODULE) [--name NAME] [--write-result FILE]
                              [--serve-option=OPTION]... -- ARGUMENTS...

Ends with the program's exit code, with 1 for a mistake of the user's and 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

from . import _arguments, _deployed, _discover, _find, _import, _launch, _reference, _trace, config
from ._application import Application
from ._entrypoint import LocalEntrypoint
from ._failure import Failure
from ._files import short
from ._running import Run
from .exception import DeprecationError, Error
from .functions import Function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from . import _sources


class Choice(NamedTuple):
    """Something that can be named to `run`."""

    name: str
    app: Application
    target: Any
    """A `LocalEntrypoint` or a `Function`."""


class _Asked(NamedTuple):
    reference: _reference.Reference
    name: str | None
    write_result: str | None
    arguments: list[str]


def main(arguments: list[str]) -> NoReturn:
    """Runs the command line above and ends the process with its exit code."""
    try:
        code = _run(_asked(arguments))
    except Failure as failure:
        _tell(failure)
        code = 1
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _asked(arguments: list[str]) -> _Asked:
    parser = argparse.ArgumentParser(prog="python -m pilotlight._run", allow_abbrev=False)
    parser.add_argument("--name")
    parser.add_argument("--write-result")
    parser.add_argument("--serve-option", action="append", default=[])
    parser.add_argument("-m", dest="module")
    parser.add_argument("program", nargs="?")
    end = arguments.index("--") if "--" in arguments else len(arguments)
    given = parser.parse_args(arguments[:end])
    if (given.program is None) == (given.module is None):
        parser.error("give either a file or -m MODULE")
    _launch.serve_options[:] = given.serve_option
    reference = _reference.parse(given.program, given.module, given.name)
    name = ".".join(part for part in (reference.variable, reference.function) if part)
    return _Asked(reference, name or None, given.write_result, arguments[end + 1 :])


def _run(asked: _Asked) -> int:
    module, found = _imported(asked)
    shown = asked.reference.shown()
    choice = choose(_apps(module, found, shown), module, asked.name, shown)
    if isinstance(choice.target, Function):
        raise _refusal(choice, shown)
    raw = cast("Callable[..., Any]", choice.target._pilotlight_raw)
    given = _arguments.parse(raw, f"{shown}::{asked.name}" if asked.name else shown, asked.arguments)
    variable = next((key for key, value in vars(module).items() if value is choice.app), None)
    place = str(asked.reference.file or asked.reference.module) + (f"::{variable}" if variable else "")
    _launch.program = [place] if asked.reference.file else ["-m", place]
    try:
        with Run(choice.app, lambda state: None):
            result = raw(*given.positional, **given.named)
            if inspect.iscoroutine(result):
                result = asyncio.run(result)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return _explain(error)
    if asked.write_result is not None:
        return _write(asked.write_result, result, choice.name)
    return 0


def _imported(asked: _Asked) -> tuple[ModuleType, _sources.Program]:
    """Imports the program as discovery does, by the name that containers know it by."""
    # Nothing may be served, deployed or run from the program's top level.
    config.discovering = True
    sys.dont_write_bytecode = True
    found = _discover.located(asked.reference)
    _discover.prepare_path(found)
    with open(found.path, "rb") as file:
        source = file.read()
    for notice in _discover.provide_modal(found, source):
        sys.stderr.write(f"warning: {notice}\n")
    sys.argv = [asked.reference.file or found.path, *asked.arguments]
    try:
        return _import.import_program(found, source), found
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _import.explain(error, found) from None
    finally:
        config.discovering = False


def _apps(module: ModuleType, found: _sources.Program, shown: str) -> dict[str, Application]:
    apps = {key: value for key, value in vars(module).items() if isinstance(value, Application)}
    if not apps:
        _find.application(module, found, None, shown)  # Says why there is none.
    return apps


def choose(apps: dict[str, Application], module: ModuleType, name: str | None, reference: str) -> Choice:
    """What to run: the one named, else the only local entrypoint, else the only function.

    Entrypoints and functions of the module itself go before those that its apps took over from elsewhere.
    Raises `Failure` with the choices.
    """
    first, _, rest = (name or "").partition(".")
    if first in apps:
        apps, wanted = {first: apps[first]}, rest
    else:
        wanted = name or ""
    own = _own(apps, module)
    entrypoints = [Choice(key, app, one) for app in _distinct(apps) for key, one in app._entrypoints.items()]
    functions = [Choice(key, app, one) for app in _distinct(apps) for key, one in app._functions.items()]
    if wanted:
        for choice in (*own, *entrypoints, *functions):
            if choice.name == wanted or choice.target.__name__ == wanted:
                return choice
        raise Failure("not_found", f"{reference} has no {wanted} to run", _listing(entrypoints, reference))
    callable_ones = [choice for choice in functions if choice.target._spec.web is None]
    own_functions = [choice for choice in own if any(choice.target is one.target for one in callable_ones)]
    tiers = (
        [choice for choice in own if isinstance(choice.target, LocalEntrypoint)],
        entrypoints,
        own_functions,
        callable_ones,
        functions,
    )
    for tier in tiers:
        distinct = list({id(choice.target): choice for choice in tier}.values())
        if len(distinct) == 1:
            return distinct[0]
        if distinct:
            raise Failure("invalid", f"{reference} has several to run", _listing(distinct, reference))
    raise Failure("invalid", f"{reference} has nothing to run", _listing([], reference))


def _own(apps: dict[str, Application], module: ModuleType) -> list[Choice]:
    """What stands in the module's own variables."""
    known = {id(app) for app in apps.values()}
    found: list[Choice] = []
    for key, value in vars(module).items():
        if isinstance(value, (LocalEntrypoint, Function)) and id(value._home) in known:
            found.append(Choice(key, value._home, value))  # pyright: ignore[reportArgumentType]
    return found


def _distinct(apps: dict[str, Application]) -> Iterable[Application]:
    return {id(app): app for app in apps.values()}.values()


def _listing(choices: list[Choice], reference: str) -> str:
    if choices:
        return "name one: " + ", ".join(f"{reference}::{choice.name}" for choice in choices)
    return (
        "`pilotlight run` runs functions with @app.local_entrypoint(); "
        f"`pilotlight serve {reference}` serves web endpoints"
    )


def _refusal(choice: Choice, reference: str) -> Failure:
    """Why a function is not run, and how it is."""
    if choice.target._spec.web is None:
        return Failure(
            "invalid",
            f"{choice.name} cannot be run in a container: calling functions is not built yet",
            f"run it on this machine, from a function with @{choice.app._variable}.local_entrypoint(): "
            f"`{choice.name}.local(…)` in main, and `pilotlight run {reference}::main`",
        )
    url = _deployed_url(choice.app, choice.target._spec.name)
    where = f"it is deployed at {url}; " if url else ""
    return Failure(
        "invalid",
        f"{choice.name} is a web endpoint: requests run it, not `pilotlight run`",
        f"{where}`pilotlight serve {reference}` serves it at a temporary URL, "
        f"`pilotlight deploy {reference}` at one that stays",
    )


def _deployed_url(app: Application, function: str) -> str | None:
    if app.name is None:
        return None
    try:
        return _deployed.web_url(app.name, function)
    except (Error, OSError, ValueError):
        return None  # No server, or no such app: there is no URL to tell.


def _explain(error: BaseException) -> int:
    """Tells what the program raised."""
    place = _trace.last_user_place(error)
    if isinstance(error, (Error, DeprecationError)) and _trace.is_ours(error):
        where = f"{short(place[0])}:{place[1]}: " if place else ""
        _tell(Failure("invalid", f"{where}{error}"))
    elif place is None and _trace.is_ours(error):
        raise error  # A mistake of ours, to be seen whole.
    else:
        sys.stderr.write(_trace.format_exception(error))
    return 1


def _write(path: str, result: object, name: str) -> int:
    if isinstance(result, str):
        result = result.encode()
    if not isinstance(result, bytes):
        kind = type(result).__name__
        raise Failure(
            "invalid",
            f"{name} returned a {kind}, and `--write-result` writes str and bytes",
            "return one of them",
        )
    try:
        with open(path, "wb") as file:
            file.write(result)
    except OSError as error:
        raise Failure("invalid", f"the result cannot be written: {error}") from None
    return 0


def _tell(failure: Failure) -> None:
    """A failure as the command shows it."""
    lines = [failure.traceback.rstrip()] if failure.traceback else []
    lines.append(f"error: {failure.message}")
    if failure.hint:
        lines.append(f"hint: {failure.hint}")
    sys.stderr.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
