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
        ("import os; ends = os.pipe()", ["an open pipe"]),
        ("import os; kept = os.memfd_create('x')", ["the file /memfd:x (deleted), open for writing"]),
        ("kept = open('/etc/hostname')", []),
        ("import os; kept = os.open('/', os.O_RDONLY), os.open('/dev/urandom', os.O_RDONLY)", []),
        ("import mmap; kept = mmap.mmap(-1, 4096)", ["the shared memory of /dev/zero (deleted)"]),
        ("import random; R = random.Random(7)", ["the random generator `R` of __main__"]),
        (
            "import random; kept = [random.Random()]",
            ["the random generator of type random.Random"],
        ),
        ("import random, tempfile; tempfile.mktemp(); kept = random.SystemRandom(), random.choice", []),
    ],
)
def test_what_a_fork_would_break_is_named(program: str, found: list[str]) -> None:
    assert look(program) == found


def test_a_program_that_asks_for_a_snapshot_reconnects_and_draws_as_it_likes() -> None:
    program = """
    import json, random, socket, threading
    from _pilotlight_runner import forks
    kept = socket.socket(), random.Random()
    print(json.dumps(forks.obstacles(asked_for=True)))
    threading.Thread(target=threading.Event().wait, name="poll", daemon=True).start()
    print(json.dumps(forks.obstacles(asked_for=True)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[], ["the thread 'poll'"]]


def test_a_file_that_was_removed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone"
    [found] = look(
        f"open({str(path)!r}, 'w').close(); kept = open({str(path)!r}); import os; os.remove(kept.name)"
    )
    assert found == f"the open file {path} (deleted), which has no name any more"


def test_a_file_that_is_being_written_is_named(tmp_path: Path) -> None:
    program = f"import sqlite3; kept = sqlite3.connect({str(tmp_path / 'x.sqlite')!r})"
    assert look(program) == [f"the file {tmp_path / 'x.sqlite'}, open for writing"]


def test_a_child_process_is_named() -> None:
    found, pipe = look("import subprocess; kept = subprocess.Popen(['cat'], stdin=subprocess.PIPE)")
    assert found.startswith("the child process ") and found.endswith(" (cat)")
    assert pipe == "an open pipe"


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


def test_openmp_threads_are_ended_and_come_again() -> None:
    program = """
    import ctypes, os
    gomp = ctypes.CDLL("libgomp.so.1")
    work = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
    def parallel(threads):
        gomp.GOMP_parallel(work, None, threads, 0)
        return len(os.listdir("/proc/self/task"))
    assert parallel(3) == 3
    from _pilotlight_runner import forks
    assert forks.obstacles() == []
    child = os.fork()
    if child == 0:
        os._exit(parallel(4))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
    """
    assert look(program) == []


def test_a_fork_has_files_of_its_own_and_no_connections(tmp_path: Path) -> None:
    (tmp_path / "read").write_text("one\ntwo\n")
    program = f"""
    import os, socket
    from _pilotlight_runner.descriptors import Descriptors, opened
    ours = opened()
    file, folder = open({str(tmp_path / "read")!r}, buffering=4), os.open({str(tmp_path)!r}, os.O_RDONLY)
    connected, other = socket.socketpair()
    assert file.readline() == "one\\n"
    kept = Descriptors(ours)
    inherited = os.fstat(connected.fileno()).st_ino
    for _ in range(2):
        child = os.fork()
        if child == 0:
            kept.renew()
            # The place in the file is the fork's own.
            assert file.readline() == "two\\n"
            assert os.listdir(folder) == ["read"]
            assert connected.recv(1) == b"" and os.fstat(connected.fileno()).st_ino != inherited
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    other.close(), connected.close()
    """
    look(program)


def test_siblings_have_streams_and_an_identity_of_their_own() -> None:
    program = """
    import multiprocessing, multiprocessing.synchronize, os, platform, random, ssl, tempfile, uuid
    from _pilotlight_runner import fresh
    tempfile.mktemp(), random.random(), uuid.uuid1(), ssl.RAND_bytes(4), platform.node()
    authkey, node = bytes(multiprocessing.current_process().authkey), uuid.getnode()
    reader, writer = os.pipe()

    def draw():
        fresh.renew()
        assert platform._uname_cache is None
        return (
            random.random(), uuid.uuid1().hex, uuid.uuid1().node, uuid.uuid4().hex,
            os.path.basename(tempfile.mktemp()), ssl.RAND_bytes(8),
            bytes(multiprocessing.current_process().authkey),
            next(multiprocessing.synchronize.SemLock._rand),
        )

    for _ in range(2):
        if os.fork() == 0:
            os.write(writer, repr(draw()).encode() + b"\\n")
            os._exit(0)
        os.wait()
    one, other = (eval(line) for line in os.read(reader, 8192).splitlines())
    assert not set(one) & set(other), (one, other)
    assert not {authkey, node} & {*one, *other}
    """
    look(program)


def test_openssl_draws_anew_where_the_process_id_is_the_same() -> None:
    program = """
    import ctypes, os, ssl
    from _pilotlight_runner import fresh
    NEW_PIDS, NEW_USER = 0x20000000, 0x10000000
    unshare = ctypes.CDLL(None).unshare
    assert unshare(NEW_PIDS | (NEW_USER if os.geteuid() else 0)) == 0
    reader, writer = os.pipe()

    def alone(work):
        # The first process of a pid namespace: number 1, like all its siblings.
        if os.fork() == 0:
            work()
            os._exit(0)
        os.wait()

    def draw():
        fresh.renew()
        os.write(writer, b"%d %b\\n" % (os.getpid(), ssl.RAND_bytes(8).hex().encode()))

    def family():
        ssl.RAND_bytes(8)
        for _ in range(2):
            if os.fork() == 0:
                unshare(NEW_PIDS)
                alone(draw)
                os._exit(0)
            os.wait()

    alone(family)
    (one_id, one), (other_id, other) = (line.split() for line in os.read(reader, 200).splitlines())
    assert one_id == other_id == b"1"
    assert one != other
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
