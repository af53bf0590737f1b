"""A container that takes memory without end, in whatever form, is killed alone.

Held by: the memory limit of its cgroup, swap included; shared memory and what the kernel keeps count too.
"""

from __future__ import annotations

import textwrap

import pytest
from conftest import ROOT_ONLY

#: Each takes twice what the container may have, in a process of its own.
BOMBS = {
    "pages": "kept = [os.urandom(1 << 20) for _ in range(1024)]",
    "shared memory": """
    with open("/dev/shm/filling", "wb", 0) as file:
        for _ in range(1024):
            file.write(bytes(1 << 20))
""",
    "memory files": """
    held = os.memfd_create("filling")
    for _ in range(1024):
        os.write(held, bytes(1 << 20))
""",
}


@ROOT_ONLY
@pytest.mark.parametrize("bomb", BOMBS)
def test_memory_without_end_is_its_owners_alone(bounded, outside, bomb) -> None:
    code = textwrap.dedent(BOMBS[bomb]) + "\nresult = 'all'"
    assert outside(code) == "all"
    sibling = bounded.unharmed()
    request = bounded.owner.asked(code)
    # The process that took it, or the whole container with it: nobody else.
    assert request.status == 500 or request.json() == {"result": "SIGKILL"}, request.text
    assert bounded.unharmed() == sibling
    assert bounded.owner("result = 1") == 1
