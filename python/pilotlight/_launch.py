"""Hands a program over to the `pilotlight` command: finds it, starts it, waits. The SDK's only subprocess."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from . import config
from ._files import short
from ._later import not_built
from .exception import InvalidError, NotFoundError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from types import FrameType

    from .app import Application

#: The script's own arguments, as JSON, for the import that makes the manifest.
ARGUMENTS_VARIABLE = "PILOTLIGHT_SCRIPT_ARGUMENTS"

#: This process, with which the command ends however it ends.
PARENT_VARIABLE = "PILOTLIGHT_PARENT"


def serve(app: Application, timeout: float | None) -> None:
    """Runs `pilotlight serve` on the running script; returns when it ends well, else raises `SystemExit`."""
    extra = [] if timeout is None else ["--timeout", f"{timeout:g}"]
    _hand_over("serve", app, extra)


def deploy(app: Application, name: str) -> dict[str, str]:
    """Runs `pilotlight deploy` on the running script, and gives the URLs by function name.

    Raises `SystemExit` when it does not end well.
    """
    _hand_over("deploy", app, ["--name", name])
    return {}


def run(app: Application) -> AbstractContextManager[Mapping[str, Any]]:
    """Serves the running script while a `with` block lasts, and gives what the command reports:
    `{"app": {"id": …, "name": …, "version": …}, "urls": {function: url}}`.
    """
    raise not_built(f"{app._variable}.run")


def find_binary() -> str:
    """The path of the `pilotlight` command that belongs to this Python.

    `PILOTLIGHT_BINARY` first, then the folder pip puts commands into, then `PATH`. Raises `NotFoundError`.
    """
    import shutil
    import sysconfig

    given = os.environ.get("PILOTLIGHT_BINARY")
    if given:
        program = shutil.which(given)
        if program is None:
            raise NotFoundError(f"PILOTLIGHT_BINARY names {given}, which is not a program")
        return program
    # The interpreter's own folders come first: another environment's command could bring another version.
    folders = [os.path.dirname(sys.executable), sysconfig.get_path("scripts")]
    folders.append(os.path.join(os.path.expanduser("~"), ".local", "bin"))
    for folder in [*folders, None]:
        command = shutil.which("pilotlight", path=folder)
        if command is not None:
            return command
    raise NotFoundError(
        "the command pilotlight was not found beside this Python nor on PATH: "
        "run `pip install pilotlight`, or name it in PILOTLIGHT_BINARY"
    )


def _hand_over(verb: str, app: Application, extra: list[str]) -> None:
    _refuse_import_time(verb, app)
    program = _main_program(verb, app)
    import json
    import subprocess

    handed = {ARGUMENTS_VARIABLE: json.dumps(sys.argv[1:]), PARENT_VARIABLE: str(os.getpid())}
    environment = {**os.environ, **handed}
    command = [find_binary(), verb, program, *extra, "--python", sys.executable]
    sys.stdout.flush()
    sys.stderr.flush()
    code = _wait(subprocess.Popen(command, env=environment))
    if code != 0:
        raise SystemExit(code)


def _refuse_import_time(verb: str, app: Application) -> None:
    variable = "stub" if app._era == "stub" else "app"
    if config.discovering or not config.is_local():
        raise InvalidError(
            f"{variable}.{verb}() was called while the file was being imported: put it under\n\n"
            f'    if __name__ == "__main__":\n        {variable}.{verb}()'
        )


def _main_program(verb: str, app: Application) -> str:
    main = sys.modules["__main__"]
    path: object = getattr(main, "__file__", None)
    if not isinstance(path, str):
        raise InvalidError(f"{verb}() needs a program in a file: save it and run `python FILE`")
    variable = _variable_name(app, vars(main))
    path = short(path)  # Python has made it absolute; messages read better with what the user typed.
    return path if variable in (None, "stub", "app") else f"{path}::{variable}"


def _variable_name(app: Application, variables: dict[str, object]) -> str | None:
    names = [name for name, value in variables.items() if value is app]
    return next((name for name in ("stub", "app") if name in names), names[0] if names else None)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Waits for the command, which gets Ctrl-C from the terminal as we do; SIGTERM is passed on."""
    import signal
    import threading

    def pass_on(number: int, frame: FrameType | None) -> None:
        process.terminate()

    in_main_thread = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGTERM, pass_on) if in_main_thread else None
    try:
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                continue  # The command stops the app first; its end is ours.
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)
    return code if code >= 0 else 128 - code
