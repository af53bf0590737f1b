"""A container that opens descriptors without end hurts nobody but itself.

Held by: the limit of descriptors of each process, the number of its processes, and the memory limit of its
cgroup, to which the kernel charges what stands behind a descriptor.
"""

from __future__ import annotations

RAISE = """
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        pass
    try:
        result = outcome(resource.setrlimit, resource.RLIMIT_NOFILE, (hard * 2, hard * 2))
    except ValueError as error:
        result = str(error)
    result = [len(held) < hard, result]
"""

MANY = """
    ready, told = os.pipe()
    for _ in range(40):
        if os.fork() == 0:
            held = []
            try:
                while True:
                    held.append(os.pipe())
            except OSError:
                os.write(told, b"x")
                signal.pause()
    result = sum(len(os.read(ready, 1)) for _ in range(40))
    os.killpg(0, signal.SIGKILL)
"""


def test_no_process_can_have_more_descriptors_than_its_limit(bounded) -> None:
    assert bounded.owner(RAISE) == [True, "not allowed to raise maximum limit"]


def test_descriptors_without_end_are_their_owners_alone(bounded) -> None:
    sibling = bounded.unharmed()
    answer = bounded.owner.asked(MANY)
    assert answer.status == 500 or answer.json() == {"result": "SIGKILL"}, answer.text
    assert bounded.unharmed() == sibling
    assert bounded.sibling("result = len([os.eventfd(0) for _ in range(100)])") == 100
    assert bounded.owner("result = 1") == 1
