"""Fixtures of the security tests: a server with one app for all of them; `inside` it and `outside`."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

HERE = Path(__file__).resolve().parent
# Servers, commands and requests are those of the end-to-end tests.
sys.path.append(str(HERE.parent / "e2e"))

import attempts  # noqa: E402
from ordinary import account  # noqa: E402
from tools import Answer, Environment, Server, binary, ports, request  # noqa: E402

#: How each function's containers are started, as their receipts say.
PATHS = {"forked": "function-zygote", "plain": "plain"}

#: For what an ordinary user's server does not promise: what it needs is root's, as `SECURITY.md` says.
ROOT_ONLY = pytest.mark.parametrize("server", ["root"], indirect=True)

#: Where attempts are made on the host: namespaces of their own, and nothing is left when they end.
APART = tuple(
    "unshare --mount --pid --net --ipc --uts --fork --kill-child --mount-proc --propagation private".split()
)


@dataclass
class Container:
    """The containers of one function of the suite's app."""

    url: str

    def __call__(self, code: str, *, own: bool = False, seconds: float = 30, **files: bytes) -> Any:
        """Runs a snippet in a process of its own, or in the container's that serves; its `result`."""
        answer = request(self.url, "POST", _body(code, files, own=own, seconds=seconds), timeout=seconds + 30)
        assert answer.status == 200, answer.text
        return _result(answer.json())

    def asked(self, code: str) -> Answer:
        """The answer to an attempt that its container may not survive."""
        return request(self.url, "POST", _body(code, {}, seconds=60), timeout=90)

    @contextlib.contextmanager
    def held(self, code: str, *, own: bool = False, **files: bytes) -> Iterator[Any]:
        """The same, and the container is taken until the block ends: others are answered by another."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=60)
        body = json.dumps(_body(code, files, own=own, hold=True))
        try:
            connection.request("POST", parts.path or "/", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            yield _result(json.loads(answer.readline()))
        finally:
            connection.close()


def _body(code: str, files: dict[str, bytes], **options: Any) -> dict[str, Any]:
    carried = {name: base64.b64encode(content).decode() for name, content in files.items()}
    return {"code": textwrap.dedent(code), "files": carried, **options}


def _result(given: dict[str, Any]) -> Any:
    assert "failed" not in given, given["failed"]
    return given["result"]


@pytest.fixture(scope="session", params=["root", "user"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One daemon for the whole suite: root's, and then an ordinary user's."""
    if os.geteuid() != 0:
        pytest.fail("the security tests make containers and accounts, and need root")
    with contextlib.ExitStack() as stack:
        if request.param == "root":
            root = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="pl-security-", ignore_cleanup_errors=True)
            )
            folder = Path(root)
            # What keeps others from the server's files is the server's own doing.
            folder.chmod(0o755)
            environment = Environment(binary(), folder / "state", folder / "home", next(ports), folder)
        else:
            environment = stack.enter_context(account(subordinate=True))
        server = Server(environment)
        server.start()
        yield server
        server.stop()


def place(server: Server, name: str) -> Path:
    """A new folder for programs and files, which the server's user may read."""
    home = server.environment.cwd
    assert home is not None
    folder = home / name
    folder.mkdir()
    return folder


def _deploy(server: Server, name: str) -> dict[str, str]:
    """Deploys a program of this folder."""
    folder = place(server, name)
    for file in (f"{name}.py", "answers.py", "attempts.py"):
        shutil.copy(HERE / file, folder)
    return server.deploy(folder / f"{name}.py", name)


@pytest.fixture(scope="session")
def app(server: Server) -> dict[str, Container]:
    """The suite's app: a function for each way in which containers are started."""
    urls = _deploy(server, "walls")
    for name, path in PATHS.items():
        answer = request(urls[name], "POST", {"code": "result = 1"})
        assert answer.json() == {"result": 1}, answer.text
        assert f'path;desc="{path}"' in answer.headers["server-timing"]
    return {name: Container(url) for name, url in urls.items()}


@dataclass
class Bounded:
    """An app with limits: its `owner` runs attempts, its `sibling` must not notice."""

    owner: Container
    sibling: Container

    def unharmed(self) -> str:
        """What only the sibling's container that was there before has; fails when it does not answer."""
        return self.sibling("result = os.environ['MODAL_TASK_ID']", own=True)


@pytest.fixture(scope="session")
def bounded(server: Server) -> Bounded:
    """The app with limits, its containers started."""
    urls = _deploy(server, "bounded")
    made = Bounded(Container(urls["owner"]), Container(urls["sibling"]))
    assert made.owner("result = 1") == 1
    assert made.unharmed()
    return made


@pytest.fixture(params=PATHS)
def inside(app: dict[str, Container], request: pytest.FixtureRequest) -> Container:
    """Runs a snippet in a container: once for each way in which containers are started."""
    return app[request.param]


@pytest.fixture
def forked(app: dict[str, Container]) -> Container:
    """Runs a snippet in a fork of the function's zygote."""
    return app["forked"]


@pytest.fixture
def outside():
    """Runs a snippet on the host, as root with every right, in namespaces of its own.

    `apart=False` runs it in the host's own namespaces: for what shows that the machine has something to lose.
    """

    def run(code: str, *, apart: bool = True, seconds: float = 30, **files: bytes) -> Any:
        body = _body(code, files, seconds=seconds)
        return _result(attempts.answer(body, before=APART if apart else ()))

    return run


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory):
    """Compiles C into a static program and gives its bytes, for attempts that Python cannot make."""
    folder = tmp_path_factory.mktemp("compiled")

    def build(source: str, *options: str) -> bytes:
        file = folder / "source.c"
        file.write_text(textwrap.dedent(source))
        program = folder / "program"
        command = ["cc", "-static", "-O1", "-w", *options, "-o", str(program), str(file)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return program.read_bytes()

    return build
