"""A container cannot reach another: not its files, processes, sockets, nor what the kernel shares by name.

Held by: overlay, pid, ipc and network namespaces of its own, and a range of user ids of its own. Each attempt
is made on a sibling, which was forked from the same zygote, and on a container of another function.
"""

from __future__ import annotations

import random
import textwrap
import uuid

import pytest
from conftest import ROOT_ONLY

#: What one container leaves for others to find, and how these look for it. Both run in one snippet outside.
THINGS = {
    "files": (
        """
        for place in ("/tmp", "/dev/shm", "/var/tmp", "/root"):
            with open(place + "/{mark}", "w") as file:
                file.write("hush")
        """,
        """
        import glob
        ways = ["/tmp", "/dev/shm", "/var/tmp", "/root", *glob.glob("/proc/[0-9]*/root/tmp")]
        found = [way for way in ways if os.path.exists(way + "/{mark}")]
        """,
    ),
    "processes": (
        """
        def work():
            os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", "{mark}"])
        background(work)
        while not any("{mark}" in read(path) for path in glob.glob("/proc/[0-9]*/cmdline")):
            time.sleep(0.01)
        """,
        """
        mine = [f"/proc/{{os.getpid()}}/cmdline", f"/proc/{{os.getppid()}}/cmdline"]
        found = [path for path in glob.glob("/proc/[0-9]*/cmdline") if "{mark}" in read(path)]
        found = [path for path in found if path not in mine]
        """,
    ),
    "sockets": (
        """
        import socket
        listening = []
        for name in ("/tmp/{mark}.socket", "\\0{mark}"):
            listening.append(socket.socket(socket.AF_UNIX))
            listening[-1].bind(name)
            listening[-1].listen()
            os.set_inheritable(listening[-1].fileno(), True)
        if keeps:
            background(lambda: time.sleep(600))
        """,
        """
        import socket
        found = []
        for name in ("/tmp/{mark}.socket", "\\0{mark}"):
            with socket.socket(socket.AF_UNIX) as trying:
                if outcome(trying.connect, name) is None:
                    found.append(name)
        found += [line for line in open("/proc/net/unix") if "{mark}" in line]
        """,
    ),
    "memory": (
        """
        for key in range(0x{key}, 0x{key} + 3):
            libc.shmget(key, 4096, 0o1666)
            libc.msgget(key, 0o1666)
            libc.semget(key, 1, 0o1666)
        """,
        """
        key = 0x{key}
        calls = [lambda: libc.shmget(key, 0, 0), lambda: libc.msgget(key, 0), lambda: libc.semget(key, 0, 0)]
        found = [place for place, call in enumerate(calls) if call() >= 0]
        tables = [line for name in ("shm", "msg", "sem") for line in open("/proc/sysvipc/" + name)]
        found += [line for line in tables if line.split()[0] in [str(key + more) for more in range(3)]]
        """,
    ),
    "message queues": (
        """
        import ctypes
        opened = libc.syscall(240, b"{mark}", os.O_CREAT | os.O_RDWR, 0o666, None)
        assert opened >= 0
        """,
        """
        import ctypes
        found = [1] if libc.syscall(240, b"{mark}", os.O_RDWR, 0, None) >= 0 else []
        """,
    ),
}

BEGIN = "import glob, os, sys, time\n"

CLEAN = """
for place in ("/tmp", "/dev/shm", "/var/tmp", "/root"):
    for name in ("{mark}", "{mark}.socket"):
        outcome(os.unlink, place + "/" + name)
"""


@pytest.mark.parametrize("thing", THINGS)
def test_another_container_is_out_of_reach(app, inside, outside, thing) -> None:
    # Containers serve other tests too: what is looked for is this one's.
    mark, key = f"mark-{uuid.uuid4().hex}", f"{random.randrange(1 << 30):x}"
    make, look = (BEGIN + textwrap.dedent(part).format(mark=mark, key=key) for part in THINGS[thing])
    clean = CLEAN.format(mark=mark)
    found = outside(f"keeps = False\n{make}\n{look}\n{clean}\nresult = len(found)")
    assert found > 0
    other = app["plain" if inside is app["forked"] else "forked"]
    with inside.held(f"keeps = True\n{make}\n{look}\nresult = len(found), os.uname().nodename") as (
        mine,
        host,
    ):
        assert mine > 0, "it is there, in the container that has it"
        for reaching in (inside, other):
            for own in (False, True):
                found, where = reaching(f"{look}\nresult = found, os.uname().nodename", own=own)
                assert where != host
                assert found == []


@ROOT_ONLY
def test_nobody_of_another_container_has_the_same_user(app, inside) -> None:
    code = "import os; result = open('/proc/self/uid_map').read().split(), os.uname().nodename"
    with inside.held(code) as (one, host):
        for other in app.values():
            ids, where = other(code)
            assert where != host
            assert ids[:1] == one[:1] == ["0"] and ids[1] != one[1]
