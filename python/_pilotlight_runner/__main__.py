"""`python -m _pilotlight_runner`: serve one function. Descriptor 3 is the control socket, 4 the listener."""

from __future__ import annotations

import sys

#: The path as the interpreter made it. Its first entry, the working directory, holds the user's files: they
#: may not shadow what this package imports, a `socket.py` say.
START_PATH = sys.path[:]
del sys.path[0]

import os  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402
from typing import Any, Callable  # noqa: E402

from . import apps, deps, errors, load, places  # noqa: E402
from .control import Control  # noqa: E402
from .serve import Server, Serving  # noqa: E402

CONTROL_FD = 3
LISTENER_FD = 4


def main() -> int:
    _keep_descriptors()
    # A handler rather than SIG_IGN, which programs started by user code would inherit.
    signal.signal(signal.SIGINT, lambda *_: None)
    control = Control(socket.socket(fileno=CONTROL_FD))
    signal.signal(signal.SIGTERM, lambda *_: control.drain())
    control.hello()
    configuration = control.configuration()
    control.watch()
    try:
        _serve(control, configuration["function"])
    except errors.StartError as error:
        errors.tell(error.text)
        control.failed(error.stage, error.summary, error.text)
        # Threads that the user's module started must not keep a failed container alive.
        os._exit(1)
    return 0


def _serve(control: Control, function: dict[str, Any]) -> None:
    try:
        server = deps.prepare(Server)
    except Exception as error:
        sentence = f"the server's libraries in {places.DEPS} do not import: {errors.summary(error)}"
        raise errors.StartError("import", sentence, traceback.format_exc()) from None
    places.enter_user_world(START_PATH)

    began = time.perf_counter()
    target = load.load(function, deps.unpickle)
    control.imported((time.perf_counter() - began) * 1000)

    def build(raw: Callable[..., Any]) -> Any:
        return apps.build(raw, function["name"], function["web"], server.libraries)

    began = time.perf_counter()
    server.run(
        Serving(target, build, function["name"], function["max_inputs"], began),
        socket.socket(fileno=LISTENER_FD),
        control,
    )


def _keep_descriptors() -> None:
    """Keep both sockets to this process: not inherited over exec, and not usable in a fork of user code."""

    def drop() -> None:
        # Replaced, not closed: the child's objects still own these numbers.
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (CONTROL_FD, LISTENER_FD):
            os.dup2(null, descriptor, inheritable=False)
        os.close(null)

    for descriptor in (CONTROL_FD, LISTENER_FD):
        os.set_inheritable(descriptor, False)
    os.register_at_fork(after_in_child=drop)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, write_through=True)


if __name__ == "__main__":
    sys.exit(main())
