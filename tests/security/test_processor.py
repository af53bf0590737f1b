"""A container that keeps every processor busy does not take its neighbours' turns.

Held by: the cpu cgroup of each container, all of one weight, however many processes and threads are in it.
"""

from __future__ import annotations

import os
import textwrap
import uuid
from pathlib import Path

from conftest import ROOT_ONLY

#: Processes that want a processor, per processor.
HOGS = 8

SPIN = """
    import builtins, subprocess, sys
    command = [sys.executable, "-c", "while True: pass  # {mark}"]
    builtins.spinning = [subprocess.Popen(command) for _ in range({count})]
    result = len(builtins.spinning)
"""

STOP = """
    import builtins
    import resource
    for hog in builtins.spinning:
        hog.kill()
        hog.wait()
    # What they had of the processors, seconds.
    result = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
"""

#: How much processor time the work takes, however long that is.
WORK_SECONDS = 0.5

WORK = f"""
    import time
    end = time.process_time() + {WORK_SECONDS}
    while time.process_time() < end:
        pass
    result = time.process_time()
"""


def ticks(mark: str) -> int:
    """The processor time of the processes with that mark, in ticks (proc_pid_stat(5))."""
    total = 0
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "cmdline").read_text():
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                total += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return total


@ROOT_ONLY
def test_a_neighbour_has_its_share_of_the_processors(bounded, outside) -> None:
    processors = len(os.sched_getaffinity(0))
    count, mark = HOGS * processors, f"hog-{uuid.uuid4().hex}"
    spin = textwrap.dedent(SPIN.format(mark=mark, count=count))
    many = HOGS / 2 * processors
    # In one group each process has the same share, the work that of one.
    beside = f"{spin}{textwrap.dedent(WORK)}{textwrap.dedent(STOP)}"
    assert outside(beside, apart=False, seconds=120) / WORK_SECONDS > many
    with bounded.owner.held(spin, own=True) as made:
        assert made == count
        before = ticks(mark)
        bounded.sibling(WORK, seconds=120)
        taken = (ticks(mark) - before) / os.sysconf("SC_CLK_TCK") / WORK_SECONDS
        assert 0 < taken < many
    assert bounded.owner(STOP, own=True) > 0
