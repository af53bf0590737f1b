"""Hands a program over to the `pilotlight` command: finds it, starts it, waits. The SDK's only subprocess."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, cast

from . import config
from ._files import short
from .exception import ExecutionError, InvalidError, NotFoundError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping
    from types import FrameType, ModuleType

    from typing_extensions import Self

    from ._application import Application

#: The script's own arguments, as JSON, for the import that makes the manifest.
ARGUMENTS_VARIABLE = "PILOTLIGHT_SCRIPT_ARGUMENTS"

#: This process, with which the command ends however it ends.
PARENT_VARIABLE = "PILOTLIGHT_PARENT"

#: The program as `pilotlight run` was asked for it, and what it adds to `pilotlight serve`.
program: list[str] | None = None
serve_options: list[str] = []

_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.1


def serve(app: Application, timeout: float | None) -> None:
    """Runs `pilotlight serve` on the running script; returns when it ends well, else raises `SystemExit`."""
    extra = [] if timeout is None else ["--timeout", f"{timeout:g}"]
    _refuse_import_time("serve", app)
    code = _wait(_start("serve", app, extra))
    if code != 0:
        raise SystemExit(code)


def deploy(app: Application, name: str) -> dict[str, Any]:
    """Runs `pilotlight deploy` on the running script, and gives its report, as `run` has it.

    Raises `SystemExit` when it does not end well.
    """
    _refuse_import_time("deploy", app)
    with _Pipe() as pipe:
        process = _start("deploy", app, ["--name", name, *pipe.option()], pass_fds=pipe.inherited())
        report = None
        while True:
            try:
                report = report or pipe.report(process)
                break
            except KeyboardInterrupt:
                continue  # As in `_wait`, which follows.
        code = _wait(process)
    if code != 0:
        raise SystemExit(code)
    return report or {"app": {}, "urls": {}}


class run:
    """`with run(app) as report:` serves the running script while the block lasts.

    The report is `{"app": {"id": …, "name": …, "version": …}, "urls": {function: url}}`. What the command and
    the containers print goes to standard error: standard output is the script's. Raises `SystemExit` when the
    app cannot be served (the command has said why), `ExecutionError` when it was ended before it was.
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Mapping[str, Any]:
        _refuse_import_time("run", self._app)
        with _Pipe() as pipe:
            self._process = _start(
                "serve",
                self._app,
                ["--no-reload", *pipe.option(), *serve_options],
                pass_fds=pipe.inherited(),
                stdout=2,
                # A session of its own: Ctrl-C is for the script, which ends the app when it leaves the block.
                start_new_session=True,
            )
            try:
                report = pipe.report(self._process)
            except BaseException:
                self._stop()
                raise
        if report is None:
            code = self._stop()
            if code != 0:
                raise SystemExit(code)
            raise ExecutionError("the app was ended before it served")
        return report

    def __exit__(self, *error: object) -> None:
        self._stop()

    def _stop(self) -> int:
        import signal
        import subprocess
        import time

        process, self._process = self._process, None
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        end = time.monotonic() + _STOP_SECONDS
        while True:
            try:
                return _status(process.wait(max(0.0, end - time.monotonic())))
            except KeyboardInterrupt:
                continue  # It is ending.
            except subprocess.TimeoutExpired:
                process.kill()
                end = time.monotonic() + _STOP_SECONDS


class _Pipe:
    """A pipe through which the command reports; the number of its end for the command is `inherited()`."""

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe()
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._read)
        self._close_write()

    def inherited(self) -> tuple[int, ...]:
        return (self._write,)

    def option(self) -> list[str]:
        return ["--report-fd", str(self._write)]

    def report(self, process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
        """Waits for the command's first report; None when it ends without one."""
        import json
        import select

        # Ours is closed, so that the command's end is the pipe's, unless a process that the user's program
        # left behind holds it as well.
        self._close_write()
        text = b""
        while b"\n" not in text:
            ended = process.poll() is not None
            readable, _, _ = select.select([self._read], [], [], 0 if ended else _POLL_SECONDS)
            if readable:
                part = os.read(self._read, 65536)
                if part:
                    text += part
                    continue
                process.wait()
                return None
            if ended:
                return None
        found: dict[str, Any] = json.loads(text.partition(b"\n")[0])
        return found

    def _close_write(self) -> None:
        if self._write >= 0:
            os.close(self._write)
            self._write = -1


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


def _start(verb: str, app: Application, extra: list[str], **options: Any) -> subprocess.Popen[bytes]:
    import json
    import subprocess

    handed = {ARGUMENTS_VARIABLE: json.dumps(sys.argv[1:]), PARENT_VARIABLE: str(os.getpid())}
    environment = {**os.environ, **handed}
    suffix = config.config["dev_suffix"]
    if suffix:
        # The command reads the environment, and not Modal's file.
        environment["PILOTLIGHT_DEV_SUFFIX"] = suffix
    if "--no-reload" in extra:
        # The block says how long it lasts.
        for name in ("PILOTLIGHT_SERVE_TIMEOUT", "MODAL_SERVE_TIMEOUT"):
            environment.pop(name, None)
    command = [find_binary(), verb, *_reference(verb, app), *extra, "--python", sys.executable]
    sys.stdout.flush()
    sys.stderr.flush()
    return cast("subprocess.Popen[bytes]", subprocess.Popen(command, env=environment, **options))


def _refuse_import_time(verb: str, app: Application) -> None:
    variable = "stub" if app._era == "stub" else "app"
    if config.discovering or not config.is_local():
        raise InvalidError(
            f"{variable}.{verb}() was called while the file was being imported: put it under\n\n"
            f'    if __name__ == "__main__":\n        {variable}.{verb}()'
        )


def _reference(verb: str, app: Application) -> list[str]:
    """The program that holds `app`, as an argument of the command: the script, else the module it is in."""
    if program is not None:
        return program
    main = sys.modules["__main__"]
    home = main if _variable_name(app, vars(main)) else _home(app) or main
    path: object = getattr(home, "__file__", None)
    if not isinstance(path, str):
        raise InvalidError(f"{verb}() needs a program in a file: save it and run `python FILE`")
    variable = _variable_name(app, vars(home))
    path = short(path)  # Python has made it absolute; messages read better with what the user typed.
    return [path if variable in (None, "stub", "app") else f"{path}::{variable}"]


def _home(app: Application) -> ModuleType | None:
    """The imported module that holds `app` in a variable."""
    for module in list(sys.modules.values()):
        variables: dict[str, object] = dict(getattr(module, "__dict__", {}))
        if any(value is app for value in variables.values()):
            return module
    return None


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
    return _status(code)


def _status(code: int) -> int:
    """An exit code as a shell has it: signals are above 128."""
    return code if code >= 0 else 128 - code
