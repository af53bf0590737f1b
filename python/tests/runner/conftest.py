"""Fixtures: the server's libraries in a directory of their own, and runner processes."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from .harness import GET, Runner

LOCKS = Path(__file__).resolve().parents[3] / "crates" / "image" / "locks"


@pytest.fixture(scope="session")
def deps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What containers have at /opt/pilotlight/deps, or what `PILOTLIGHT_TEST_DEPS` names."""
    if "PILOTLIGHT_TEST_DEPS" in os.environ:
        return Path(os.environ["PILOTLIGHT_TEST_DEPS"])
    directory = tmp_path_factory.mktemp("deps")
    lock = LOCKS / "runner-py{}{}.txt".format(*sys.version_info)
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    pip = (
        [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    )
    subprocess.run([*pip, "--quiet", "--target", str(directory), "-r", str(lock)], check=True)
    return directory


@pytest.fixture
def run(tmp_path: Path, deps: Path) -> Iterator[Callable[..., Runner]]:
    """Start a runner on `main.py` with the given text and tell it which function to serve."""
    started: list[Runner] = []
    numbers = itertools.count()

    def start(source: str, qualname: str = "f", web: dict = GET, **options: object) -> Runner:
        module = options.pop("module", "main")
        max_inputs = options.pop("max_inputs", 1)
        described = options.pop("function", {})
        files = {f"{module}.py": source, **options.pop("files", {})}
        runner = Runner(tmp_path / str(next(numbers)), deps, files, **options)
        started.append(runner)
        runner.configure(module, qualname, web, max_inputs, **described)
        return runner

    yield start
    for runner in started:
        runner.close()
