"""User code cannot tamper with the runner of another container, nor with the zygote that both come from.

What it changes of its own runner, in files or memory, is its own. Held by: a fork's memory is a copy; its
files are an overlay of its own; the zygote is in a pid namespace above, as another user, and behind no
descriptor; what a runner says on its control socket is read as an ordered protocol that ends the container
when it is broken.
"""

from __future__ import annotations

import http.client
import textwrap

import pytest
from tools import request, wait_until

CHANGED = """
    import glob, hashlib, os
    places = ["/opt/pilotlight", "/root"]
    files = [path for place in places for path in glob.glob(place + "/**/*.py", recursive=True)]
    {change}
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(open(path, "rb").read())
    result = len(files), digest.hexdigest(), os.uname().nodename
"""

#: Every file of the runner's and the user's, and what an interpreter reads by itself.
CHANGE = """
    for path in files:
        with open(path, "a") as file:
            file.write("\\nraise SystemExit('tampered')\\n")
    with open("/root/sitecustomize.py", "w") as file:
        file.write("raise SystemExit('tampered')")
"""


def test_files_of_the_runner_are_ones_own(app, inside, outside) -> None:
    code = textwrap.dedent(CHANGED)
    change = textwrap.dedent(CHANGE)
    count, before, _ = inside(code.format(change=""), own=True)
    assert count > 10
    proof = """
        open(here + "/file.py", "w").close()
        with open(here + "/file.py", "a") as file:
            file.write("tampered")
        result = open(here + "/file.py").read()
    """
    assert outside(proof) == "tampered"
    with inside.held(code.format(change=change), own=True) as (_, changed, host):
        assert changed != before
        # The next containers are started while that one lives, from the zygote and from files.
        for container in app.values():
            _, digest, where = container(code.format(change=""), own=True)
            assert where != host
            assert digest == before
    # The tampered one is not used again: its own processes would find what it did.
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    wait_until(lambda: _is_clean(inside, code, before, kill))


def _is_clean(inside, code: str, before: str, kill: str) -> bool:
    _, digest, _ = inside(code.format(change=""), own=True)
    if digest == before:
        return True
    with pytest.raises((AssertionError, http.client.HTTPException)):
        inside(kill, own=True)
    return False


MEMORY = """
    import builtins, hashlib, os, sys
    import attempts
    marks = [hasattr(builtins, "tampered"), getattr(attempts, "tampered", None)]
    if {tamper}:
        builtins.tampered = attempts.tampered = True
        sys.modules["json"].tampered = True
        os.environ["TAMPERED"] = "yes"
    result = marks, "TAMPERED" in os.environ, os.uname().nodename
"""


def test_memory_of_the_runner_is_ones_own(app, inside) -> None:
    with inside.held(MEMORY.format(tamper=True), own=True) as (_, _, host):
        # In the same container a second look would find it; the next is another.
        marks, variable, where = inside(MEMORY.format(tamper=False), own=True)
        assert where != host
        assert marks == [False, None] and not variable


SHARED = """
    import mmap
    kept = {make}
    result = [line.split()[-1] for line in open("/proc/self/maps") if line.split()[1].startswith("rw") and
              line.split()[1][3] == "s"]
"""


def test_no_memory_is_shared_with_the_zygote(inside, outside) -> None:
    assert outside(SHARED.format(make="mmap.mmap(-1, 4096)"))
    assert inside(SHARED.format(make="None"), own=True) == []


ZYGOTE = """
    import glob, os, signal, socket, stat
    names = {path: read(path + "/comm").strip() for path in glob.glob("/proc/[0-9]*")}
    queues = []
    for name in os.listdir("/proc/self/fd"):
        if outcome(os.readlink, "/proc/self/fd/" + name).startswith("socket:"):
            with socket.socket(fileno=os.dup(int(name))) as one:
                if one.type == socket.SOCK_SEQPACKET:
                    queues.append(int(name))
    result = {
        "zygotes": [path for path, name in names.items() if name == "pl-zygote"],
        # Orders and the helper's other words go over sockets of this type, and no others do.
        "queues": queues,
        "parent": os.getppid(),
        "kill": outcome(os.kill, os.getppid(), 0) if os.getppid() > 1 else "nobody",
    }
"""


def test_the_zygote_is_not_in_sight(app, outside) -> None:
    proof = """
        import os, socket
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        result = one.type == socket.SOCK_SEQPACKET
    """
    assert outside(proof)
    found = app["forked"](ZYGOTE, own=True)
    assert found == {"zygotes": [], "queues": [], "parent": 0, "kill": "nobody"}


FORGED = {
    "out of order": b'{"type":"hello","protocol":1,"python":"3.11.0"}\n',
    "a zygote's word": b'{"type":"lit","import_ms":0,"app_ms":0,"obstacles":[]}\n',
    "no message": b"\0\xff" * 4096 + b"\n",
    "no end": b"x" * (4 << 20),
    "somebody else's failure": b'{"type":"failed","stage":"import","summary":"x","traceback":"x"}\n',
}


@pytest.mark.parametrize("message", FORGED)
def test_a_forged_message_ends_its_container_alone(app, inside, server, message) -> None:
    code = f"""
        import os, socket
        with socket.socket(fileno=os.dup(3)) as control:
            control.settimeout(5)
            outcome(control.sendall, {FORGED[message]!r})
        result = os.uname().nodename
    """
    with inside.held("import os; result = os.uname().nodename") as spared:
        pid = server.pid()
        try:
            forger = inside(code, own=True)
        except (AssertionError, http.client.HTTPException, ConnectionError):
            # It was ended before it could answer.
            forger = ""
        assert forger != spared
        assert server.pid() == pid
        for container in app.values():
            # One request may still be given to the container that is being ended, and is told so.
            wait_until(lambda container=container: _answers(container))


def _answers(container) -> bool:
    try:
        return container("result = 5") == 5
    except AssertionError as error:
        assert "container_died" in str(error)
        return False


def test_containers_start_after_all_that(app, server) -> None:
    for container in app.values():
        with container.held("import os; result = os.uname().nodename") as one:
            assert container("import os; result = os.uname().nodename") != one
    assert request(app["forked"].url, "POST", {"code": "result = 1"}).json() == {"result": 1}
