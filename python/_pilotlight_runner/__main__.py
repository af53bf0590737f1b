"""`python -m _pilotlight_runner`: descriptor 3 is the control socket, 4 the listener, 5 a zygote's orders.

Without a word of zygotes in its configuration the process serves one function. A zygote imports and forks:
what comes out of the fork is configured anew, as what the host made it for.
"""

from __future__ import annotations

import sys

#: The path as the interpreter made it. Its first entry, the working directory, holds the user's files: they
#: may not shadow what this package imports, a `socket.py` say.
START_PATH = sys.path[:]
del sys.path[0]

import os  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402

from . import between, errors, zygote  # noqa: E402
from .control import CONTROL_FD, LISTENER_FD, Control  # noqa: E402
from .life import Life  # noqa: E402
from .zygote import ORDERS_FD, Order  # noqa: E402


def main() -> int:
    _keep_descriptors()
    # A handler rather than SIG_IGN, which programs started by user code would inherit.
    signal.signal(signal.SIGINT, lambda *_: None)
    return _live(Life(START_PATH))


def _live(life: Life) -> int:
    control = Control(socket.socket(fileno=CONTROL_FD))
    signal.signal(signal.SIGTERM, lambda *_: control.drain())
    # The fork of a function's zygote says it together with what follows.
    control.hello(now=not life.loaded)
    configuration = control.configuration()
    try:
        lit = life.live(configuration, control, LISTENER_FD)
    except errors.StartError as error:
        errors.tell(error.text)
        control.failed(error.stage, error.summary, error.text)
        # Threads that the user's module started must not keep a failed container alive.
        os._exit(1)
    if lit is None:
        return 0

    def live_on(order: Order) -> int:
        control.forget()
        life.move(order)
        return _live(life)

    if not lit.through:
        return live_on(lit.serve())
    lit.serve_through(between.run, live_on)


def _keep_descriptors() -> None:
    """Keep what is ours to this process: not inherited over exec, and not usable in a fork of user code.

    Each of the numbers is taken, if by nothing then by /dev/null: a file of the user's that got one would be
    lost to what a fork brings, or to `drop`.
    """

    def drop() -> None:
        if zygote.forking:
            return
        # Replaced, not closed: the child's objects still own these numbers.
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in ours:
            os.dup2(null, descriptor, inheritable=False)
        os.close(null)

    ours = (CONTROL_FD, LISTENER_FD, ORDERS_FD)
    while (filler := os.open(os.devnull, os.O_RDWR)) < max(ours):
        continue
    if filler > max(ours):
        os.close(filler)
    for descriptor in ours:
        os.set_inheritable(descriptor, False)
    os.register_at_fork(after_in_child=drop)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, write_through=True)


if __name__ == "__main__":
    sys.exit(main())
