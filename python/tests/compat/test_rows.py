"""Each row of the table, proven: the named test exists, the snippet does what the row says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .areas import AREAS
from .snippet import REPOSITORY, binary, plain, run
from .table import Row, matches

#: Where the folders that begin a test's id are.
SUITES = {
    "sdk": "python/tests",
    "runner": "python/tests",
    "compat": "python/tests",
    "e2e": "tests",
    "security": "tests",
}

CHECKS = [
    pytest.param(row, id=f"{area.title}: {name}")
    for area in AREAS
    for line in area.rows
    for name, row in line.checks()
    if row.snippet
]
TESTED = [
    pytest.param(row, id=f"{area.title}: {row.name}") for area in AREAS for row in area.rows if row.tests
]


@pytest.mark.parametrize("row", CHECKS)
def test_row(row: Row, tmp_path: Path) -> None:
    if row.how == "command":
        check_command(row, tmp_path)
        return
    outcome = run(row.snippet, row.how, tmp_path, row.environment)
    if row.status == "refused":
        assert outcome.error == row.error, outcome
        assert matches(row.words, outcome.said), outcome.said
        return
    assert (outcome.error, outcome.said) == ("", "")
    if row.status == "notice":
        assert any(matches(row.words, line) for line in outcome.manifest["notices"]), outcome.manifest[
            "notices"
        ]
    elif row.how == "discover":
        m = outcome.manifest
        f = next(iter(m["functions"]), {})
        image = m["images"].get(f.get("image"), {})
        assert m["notices"] == []
        assert eval(row.expect, {"m": m, "f": f, "image": image, "steps": image.get("steps", [])}), (
            m,
            row.expect,
        )


def check_command(row: Row, folder: Path) -> None:
    """Runs `pilotlight …`, line by line: what it says, and its exit code."""
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    for line in row.snippet.splitlines():
        ran = subprocess.run(
            [binary(), *line.split()[1:]],
            cwd=folder,
            env={**plain(), "PILOTLIGHT_STATE_DIR": str(folder / "state"), **row.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (ran.returncode, matches(row.words, ran.stdout + ran.stderr)) == (int(row.error), True), ran


PROGRAM = """\
import modal

app = modal.App("x")


@app.function()
@modal.fastapi_endpoint()
def f(): ...
"""


@pytest.fixture(scope="session")
def collected() -> set[str]:
    """The ids of all tests, with and without parameters."""
    folders = [f"{place}/{suite}" for suite, place in SUITES.items() if (REPOSITORY / place / suite).is_dir()]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q", *folders],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "python")},
    )
    lines = [line.removeprefix("python/") for line in ran.stdout.splitlines() if "::" in line]
    assert lines, ran.stdout + ran.stderr
    ids = {line.removeprefix("tests/") for line in lines}
    return ids | {line.partition("[")[0] for line in ids}


@pytest.mark.parametrize("row", TESTED)
def test_the_rows_test_exists(row: Row, collected: set[str]) -> None:
    for test in row.tests:
        path, _, name = test.partition("::")
        if path.endswith(".rs"):
            assert re.search(rf"\bfn {re.escape(name)}\(", (REPOSITORY / path).read_text(encoding="utf-8")), (
                test
            )
        else:
            assert test in collected
