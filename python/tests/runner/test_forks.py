"""What keeps a process from being a zygote. Each case is a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

LOOK = """
import json, sys
from _pilotlight_runner import forks
print(json.dumps(forks.obstacles()))
"""


def look(program: str) -> list[str]:
    text = textwrap.dedent(program) + LOOK
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("program", "found"),
    [
        ("import asyncio, random, uuid, socket, ssl, http.client", []),
        (
            "from threading import *; Thread(target=Event().wait, name='poll', daemon=True).start()",
            ["the thread 'poll'"],
        ),
        ("import socket; kept = socket.socket()", ["an open socket"]),
        ("import asyncio; loop = asyncio.new_event_loop()", ["an event loop"]),
        ("kept = open('/etc/hostname')", []),
    ],
)
def test_what_a_fork_would_break_is_named(program: str, found: list[str]) -> None:
    assert look(program) == found


def test_a_file_that_is_being_written_is_named(tmp_path: Path) -> None:
    program = f"import sqlite3; kept = sqlite3.connect({str(tmp_path / 'x.sqlite')!r})"
    assert look(program) == [f"the file {tmp_path / 'x.sqlite'}, open for writing"]


def test_a_child_process_is_named() -> None:
    [found] = look("import subprocess; kept = subprocess.Popen(['cat'], stdin=subprocess.PIPE)")
    assert found.startswith("the child process ") and found.endswith(" (cat)")


def test_a_native_thread_that_outlives_a_fork_is_named() -> None:
    program = """
    import ctypes, sys
    start = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
    libc = ctypes.CDLL(None)
    thread = ctypes.c_ulong()
    # A thread that the interpreter knows nothing of: it only waits in C.
    pause = ctypes.cast(libc.pause, ctypes.c_void_p)
    libc.pthread_create(ctypes.byref(thread), None, pause, None)
    """
    [found] = look(program)
    assert found.startswith("the native thread ")


def test_siblings_have_streams_of_their_own() -> None:
    program = """
    import os, random, tempfile, uuid
    from _pilotlight_runner import forks
    tempfile.mktemp(), random.random(), uuid.uuid1()
    reader, writer = os.pipe()
    for _ in range(2):
        if os.fork() == 0:
            forks.refresh()
            drawn = (random.random(), uuid.uuid4().hex, os.path.basename(tempfile.mktemp()))
            os.write(writer, repr(drawn).encode() + b"\\n")
            os._exit(0)
        os.wait()
    one, other = (eval(line) for line in os.read(reader, 4096).splitlines())
    assert not set(one) & set(other)
    """
    look(program)


def test_a_fork_that_starts_over_keeps_its_sockets_only(tmp_path: Path) -> None:
    program = f"""
    import os, socket, sys, types
    os.environ["PILOTLIGHT_ROOT"] = {str(tmp_path)!r}
    from _pilotlight_runner import life
    from _pilotlight_runner.zygote import Order
    # A file of the user's has the name of a module that the zygote has imported.
    sys.modules["shadowed"] = module = types.ModuleType("shadowed")
    module.__file__ = "/usr/lib/site-packages/shadowed.py"
    os.execv = lambda *_: [print(number, os.get_inheritable(number)) for number in kept]
    for zygote, kept in ((True, (3, 5)), (False, (3, 4))):
        null = os.open(os.devnull, os.O_RDONLY)
        os.closerange(3, 8)
        for number in kept:
            os.dup2(0, number, inheritable=False)
        host, joined = socket.socketpair()
        host.send(b"go")
        # Its number is the next turn's to use.
        host.detach()
        life.Life([]).move(Order("co-x", dict(os.environ), "/", zygote, joined))
    """
    (tmp_path / "shadowed.py").touch()
    text = textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.stdout.split("\n") == ["3 True", "5 True", "3 True", "4 True", ""], done.stderr
