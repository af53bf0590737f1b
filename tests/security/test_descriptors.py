"""A container has no descriptor of the host's or of a sibling's.

Held by: pid 1 closes all but its channel and executes with standard streams, control socket and listener
alone; the runner keeps its own from children; a fork of a zygote has the places filled with its own.
"""

from __future__ import annotations

LIST = """
    import os
    result = {}
    for name in os.listdir("/proc/self/fd"):
        target = outcome(os.readlink, "/proc/self/fd/" + name)
        if target != "ENOENT" and "/proc/" not in target and here not in target:
            result[int(name)] = target
"""


def test_a_child_has_the_standard_streams_alone(inside, outside, tmp_path) -> None:
    code = """
        import subprocess, sys
        one = open(here + "/snippet.py")
        listed = "import os; print(*sorted(os.listdir('/proc/self/fd'), key=int))"
        result = subprocess.check_output([sys.executable, "-c", listed], close_fds=False, text=True).split()
    """
    leaking = code.replace("result =", "import os; os.set_inheritable(one.fileno(), True); result =")
    assert len(outside(leaking)) > 4
    # The last is the folder that is being listed.
    assert inside(code, own=False) == ["0", "1", "2", "3"]


def test_the_process_that_serves_has_its_own_alone(inside, outside) -> None:
    leak = 'import os; kept = os.open("/", os.O_RDONLY)\n'
    assert "/" in outside(leak + "".join(line[4:] + "\n" for line in LIST.splitlines())).values()
    found = inside(LIST, own=True)
    assert found["0"] == "/dev/null"
    assert all(found[place].startswith("pipe:") for place in ("1", "2"))
    # The control socket, the listener, and no orders, which only a zygote has.
    assert all(found[place].startswith("socket:") for place in ("3", "4"))
    assert found["5"] == "/dev/null"
    rest = {target for place, target in found.items() if int(place) > 5}
    allowed = (
        "socket:",
        "anon_inode:[eventpoll]",
        "anon_inode:[eventfd]",
        "pipe:",
        "/dev/null",
        "/dev/urandom",
    )
    assert not {target for target in rest if not target.startswith(allowed)}, found


def test_no_socket_leads_to_a_process_that_can_be_named(inside, outside) -> None:
    code = """
        import os, socket, struct
        result = []
        for name in os.listdir("/proc/self/fd"):
            if outcome(os.readlink, "/proc/self/fd/" + name).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(name))) as one:
                    if one.family == socket.AF_UNIX:
                        peer = outcome(one.getsockopt, socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                        pid = struct.unpack("iii", peer)[0] if isinstance(peer, bytes) else 0
                        result.append([int(name), pid if pid != os.getpid() else 0])
    """
    foreign = code.replace("result = []", "one, other = socket.socketpair()\n        result = []")
    assert outside(foreign), "there are sockets to look at"
    found = inside(code, own=True)
    assert len(found) >= 2
    # Whoever is at the other end has no number here.
    assert {pid for _, pid in found} == {0}, found


def test_the_log_is_written_and_not_read(inside, outside) -> None:
    # Opening a pipe again by its link would give its other end, with what others write to it.
    code = """
        import os
        link = "/proc/self/fd/2"
        opened = outcome(os.open, link, os.O_RDONLY | os.O_NONBLOCK)
        result = opened if isinstance(opened, str) else "opened"
    """
    pipe = "import os\nreading, writing = os.pipe()\nos.dup2(writing, 2)\n"
    assert outside(pipe + "".join(line[8:] + "\n" for line in code.splitlines())) == "opened"
    assert inside(code, own=True) == "EACCES"
