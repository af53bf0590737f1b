"""Fixtures of the end-to-end tests: the built binary, state directories, running commands."""

from __future__ import annotations

import os
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools import ROOT, Command, Environment, Server, binary, ports


@pytest.fixture(scope="session")
def shared() -> Iterator[Environment]:
    """One state directory for the whole run, so that images are built once; embedded servers only."""
    if os.geteuid() != 0:
        pytest.fail("the end-to-end tests make containers and need root")
    with tempfile.TemporaryDirectory(prefix="pl-e2e-", ignore_cleanup_errors=True) as root:
        yield Environment(binary(), Path(root) / "state", Path(root) / "home", next(ports))


@pytest.fixture
def home(shared: Environment, tmp_path: Path) -> Environment:
    """An environment with its own working directory and ports, sharing the built images."""
    return shared.at(tmp_path, next(ports))


@pytest.fixture
def server(shared: Environment, tmp_path: Path) -> Iterator[Server]:
    """A daemon with an empty database, its images shared with the other tests."""
    # The daemon's database lives in the state directory: a fresh one, with the layers that are built already.
    environment = shared.fresh(tmp_path, next(ports), "layers", "tools", "discovery", "cache")
    server = Server(environment)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def program(tmp_path: Path):
    """Writes a program into the test's folder and gives its path."""

    def write(text: str, name: str = "program.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write


@pytest.fixture
def serve(home: Environment) -> Iterator:
    """Starts `pilotlight serve` and waits until it serves; every one is ended with the test."""
    running: list[Command] = []

    def start(file: Path, *arguments: str, wait: bool = True, **environment: str) -> Command:
        command = home.command("serve", str(file), *arguments, **environment)
        running.append(command)
        if wait:
            command.wait_serving()
        return command

    yield start
    for command in running:
        command.end()


@pytest.fixture
def seed() -> Path:
    """The programs of the document that the product comes from."""
    return ROOT / "examples" / "seed"


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter that runs users' scripts: the one of the tests."""
    return sys.executable


@pytest.fixture(scope="session")
def sdk() -> str:
    """Where the SDK is importable from, as an installed wheel would make it."""
    return str(ROOT / "python")


@pytest.fixture
def again(server: Server, monkeypatch: pytest.MonkeyPatch):
    """Starts the server again with other settings."""

    def start(**settings: str) -> None:
        server.stop()
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        server.start()

    return start
