"""The pool machine alone, without a process or a socket: what one decision costs.

The load is `crates/core/examples/crowd`: up to n containers of one function, ten requests a second for each.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable

from serving import pin
from table import Bench, Row

#: Containers, and for how many waves of 0.4 s requests come: about as many requests each time.
SIZES = ((100, 500), (1_000, 50), (10_000, 5))


def decisions(bench: Bench) -> Iterable[Row]:
    """A decision at each size. Every size has its own process, which says what its crowd came to."""
    for containers, waves in SIZES:
        told = subprocess.run(
            [os.environ["PILOTLIGHT_CROWD"], str(containers), str(waves)],
            capture_output=True,
            text=True,
            check=True,
            preexec_fn=pin(bench.server_cpus),
            timeout=600,
        )
        seen = json.loads(told.stdout)
        note = f"{seen['arrived']:,} requests, {seen['served']:,} served; samples are means of 100"
        name = f"a decision of a pool of {seen['most']:,} containers, {10 * containers:,} requests/s"
        yield Row(name, "µs", [nanoseconds / 1000 for nanoseconds in seen["samples_ns"]], note)
