"""A container signals nobody outside: not by number, by group, to all, or by a handle.

Held by: its pid namespace, in which others have no number; its user ids; and Landlock's scope where the
kernel has it (6.12).
"""

from __future__ import annotations

import subprocess

import pytest

SEND = """
    import os, signal, threading
    victim = {victim}
    first = outcome(os.pidfd_open, victim)
    result = {{
        "kill": syscall("kill", victim, 0),
        "group": syscall("kill", -victim, 0),
        "pidfd_open": first if isinstance(first, str) else 0,
        "handle": first if isinstance(first, str) else syscall("pidfd_send_signal", first, 0, None, 0),
        "priority": outcome(os.setpriority, os.PRIO_PROCESS, victim, 0) or 0,
        "limits": outcome(__import__("resource").prlimit, victim, 0) if {limits} else 0,
    }}
    result = {{name: value if isinstance(value, (int, str)) else 0 for name, value in result.items()}}
"""


@pytest.fixture
def victim():
    """A process of the host's, which leads a group of its own."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_a_process_of_the_hosts_has_no_number(inside, outside, victim) -> None:
    code = SEND.format(victim=victim.pid, limits=True)
    assert set(outside(code, apart=False).values()) == {0}
    # Unless a process of the container's own happens to have that number.
    present = inside(f"import os; result = os.path.exists('/proc/{victim.pid}')")
    assert not present
    refused = inside(code)
    assert set(refused.values()) <= {"ESRCH"}, refused
    assert victim.poll() is None


ALL = """
    import os, signal, time

    def work():
        signal.signal(signal.SIGUSR1, lambda *_: os._exit(7))
        os.write(told, b"x")
        time.sleep(30)
        os._exit(0)

    reading, told = os.pipe()
    child = os.fork()
    if child == 0:
        work()
    os.read(reading, 1)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    sent = syscall("kill", -1, signal.SIGUSR1)
    result = sent, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def test_a_signal_to_all_stays_inside(app, inside, outside, victim, server) -> None:
    """SIGKILL to everybody ends the container that sent it, and nobody else."""
    assert outside(ALL) == [0, 7]
    here = inside.held("import os; result = os.uname().nodename")
    with here as spared:
        code = "import os, signal; os.kill(-1, signal.SIGKILL); result = 1"
        with pytest.raises(AssertionError):
            # The process that serves is among those that the snippet may signal.
            inside(code)
        assert victim.poll() is None
        assert server.pid() > 0
        spared_still = spared
    assert spared_still
    for container in app.values():
        assert container("result = 5") == 5


def test_the_parent_of_a_container_is_not_to_be_signalled(inside, outside) -> None:
    code = """
        import os, signal
        parent = os.getppid()
        result = [parent, outcome(os.kill, parent, 0) if parent else None]
        if {kills}:
            result.append(outcome(os.kill, 1, signal.SIGKILL))
    """
    # `unshare`, which is no init: what is outside of the namespace has no number either.
    assert outside("import os, signal; os.kill(os.getppid() or os.getpid(), 0); result = 1") == 1
    told = inside(code.format(kills=True), own=True)
    # A fork's parent is in the zygote, without a number here; a plain one's is pid 1, which is protected.
    assert told[0] in (0, 1)
    assert inside("result = 5") == 5
