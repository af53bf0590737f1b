"""What a container prints without end fills neither the server's memory nor its disk, and hurts nobody else.

Held by: a bound on what is kept of each stream (`serve/logs/rate.rs`), on the lines in memory and on an
app's files; the rest is counted, read at a bounded speed, and told in one line.
"""

from __future__ import annotations

from pathlib import Path

FLOOD = """
    import os, sys
    line = b"x" * 1023 + b"\\n"
    block = line * 256
    for _ in range(512):
        view = memoryview(block)
        while view:
            view = view[os.write(1, view):]
    # No end of a line, ever.
    for _ in range(128):
        view = memoryview(b"y" * 262144)
        while view:
            view = view[os.write(1, view):]
    result = 512 * len(block)
"""

#: Files of one app's log: four of 8 MiB.
KEPT_MAX = 33 * 1024 * 1024


def test_a_flood_of_output_is_bounded_on_disk_and_in_memory(bounded, outside, server, tmp_path) -> None:
    # Outside all of it is kept: a file takes what it is given.
    kept = tmp_path / "kept"
    outside(FLOOD.replace("import os, sys", f"import os, sys; os.dup2(os.open({str(kept)!r}, 65), 1)"))
    assert kept.stat().st_size > 128 * 1024 * 1024

    before, sibling = _resident(server.pid()), bounded.unharmed()
    assert bounded.owner(FLOOD, own=True, seconds=240) == 128 * 1024 * 1024
    assert bounded.unharmed() == sibling
    logs = list((server.environment.state / "logs").rglob("*.jsonl"))
    assert logs and sum(file.stat().st_size for file in logs) < KEPT_MAX
    assert _resident(server.pid()) - before < 64 * 1024
    told = server.environment.run("app", "logs", "bounded", "--search", "are not kept").stdout
    assert "are not kept: a container may print 1 MiB/s" in told


def _resident(pid: int) -> int:
    """Memory of a process, KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError(f"no process {pid}")
