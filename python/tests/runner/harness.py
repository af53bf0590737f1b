"""A real runner process, with the host's ends of its sockets."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGES = Path(__file__).resolve().parents[2]
SDK = Path(__file__).resolve().parent / "sdk"
#: How long any single wait of a test may take, in seconds. Reaching it is a failure, never a part of a test.
DEADLINE = 30.0
GET = {"kind": "endpoint", "method": "GET", "docs": True, "cors": True}
POST = {**GET, "method": "POST"}
ASGI = {"kind": "asgi"}
WSGI = {"kind": "wsgi"}


class Runner:
    """One runner process. `files` are what it finds in its /root."""

    def __init__(
        self, directory: Path, deps: Path, files: dict[str, str | bytes], env: dict[str, str] | None = None
    ) -> None:
        self.root = directory / "root"
        self.root.mkdir(parents=True)
        for name, content in files.items():
            place = self.root / name
            place.write_bytes(content) if isinstance(content, bytes) else place.write_text(content)
        self.log_path = directory / "log"
        # A Unix socket's path is at most 108 bytes long, which the directories of tests exceed.
        self._short = tempfile.TemporaryDirectory(prefix="plr-")
        self.address = os.path.join(self._short.name, "s")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.address)
        listener.listen(128)
        self._gate = socket.socket(socket.AF_UNIX)
        self._gate.settimeout(DEADLINE)
        self._gate.bind(os.path.join(self._short.name, "gate"))
        self._gate.listen(8)
        self._visitors: list[socket.socket] = []
        self.control, theirs = socket.socketpair()
        self.control.settimeout(DEADLINE)
        self._lines = self.control.makefile("r")
        self._connections: list[Connection] = []
        self.began = time.perf_counter()
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "_pilotlight_runner"],
                cwd=self.root,
                env=self._environment(deps, env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(3, 4),
                preexec_fn=lambda: _place(theirs.fileno(), listener.fileno()),
            )
        theirs.close()
        listener.close()

    def _environment(self, deps: Path, env: dict[str, str]) -> dict[str, str]:
        places = {"PILOTLIGHT_ROOT": str(self.root), "PILOTLIGHT_SDK": str(SDK), "PILOTLIGHT_DEPS": str(deps)}
        path = os.pathsep.join([str(PACKAGES), *filter(None, [env.get("PYTHONPATH")])])
        places["GATE"] = self._gate.getsockname()
        base = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
        return {**base, **places, **env, "PYTHONPATH": path}

    def configure(
        self, module: str, qualname: str, web: dict, max_inputs: int = 1, **described: object
    ) -> None:
        function = {
            "name": qualname,
            "module": module,
            "qualname": qualname,
            "web": web,
            "max_inputs": max_inputs,
            **described,
        }
        self.tell(
            {"type": "configure", "app": "test", "era": "stub", "function": function, "container": "co-test"}
        )

    def tell(self, message: dict) -> None:
        self.control.sendall(json.dumps(message).encode() + b"\n")

    def next(self) -> dict:
        """The next message; an empty object at the end of the stream."""
        line = self._lines.readline()
        return json.loads(line) if line else {}

    def expect(self, *kinds: str) -> dict:
        """Take one message per kind, in order, and return the last."""
        message: dict = {}
        for kind in kinds:
            message = self.next()
            assert message.get("type") == kind, f"expected {kind}, got {message}; log:\n{self.log()}"
        return message

    def ready(self) -> Runner:
        self.expect("hello", "imported", "ready")
        return self

    def failed(self) -> dict:
        """The failure, which the end of the process with status 1 must follow."""
        message = self.next()
        while message.get("type") in ("hello", "imported"):
            message = self.next()
        assert message.get("type") == "failed", f"expected failed, got {message}; log:\n{self.log()}"
        assert self.process.wait(DEADLINE) == 1
        return message

    def connect(self) -> Connection:
        """A connection that is closed with the runner, if the test does not do so before."""
        connection = Connection(self.address)
        self._connections.append(connection)
        return connection

    def visitor(self) -> socket.socket:
        """Wait for user code to connect to the socket named by GATE: a sign that it got so far."""
        visitor, _ = self._gate.accept()
        visitor.settimeout(DEADLINE)
        self._visitors.append(visitor)
        return visitor

    def get(
        self, path: str = "/", method: str = "GET", body: object = None, headers: dict | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        connection = self.connect()
        try:
            return connection.ask(method, path, body, headers)
        finally:
            connection.close()

    def drain(self) -> str:
        """Ask for an orderly end, wait for it, and return the log."""
        self.tell({"type": "drain"})
        self.expect("draining")
        assert self.process.wait(DEADLINE) == 0
        return self.log()

    def hang_up(self) -> None:
        """Close the host's end of the control socket, as its death would."""
        self._lines.close()
        self.control.close()

    def log(self) -> str:
        return self.log_path.read_text()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for connection in (*self._connections, *self._visitors, self._gate):
            connection.close()
        self._lines.close()
        self.control.close()
        self._short.cleanup()


class Answer:
    """A response, read whole."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()

    @property
    def json(self) -> object:
        return json.loads(self.text)


class Connection(http.client.HTTPConnection):
    """HTTP/1.1 over the runner's socket."""

    def __init__(self, address: str) -> None:
        super().__init__("hello.localhost", timeout=DEADLINE)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(self._address)

    def ask(self, method: str, path: str, body: object = None, headers: dict | None = None) -> Answer:
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers["Content-Type"] = "application/json"
        self.request(method, path, body, headers)
        return Answer(self.getresponse())


def _place(control: int, listener: int) -> None:
    """In the child: put the two sockets where the runner looks for them, whatever their numbers were."""
    control, listener = (fcntl.fcntl(number, fcntl.F_DUPFD, 10) for number in (control, listener))
    os.dup2(control, 3)
    os.dup2(listener, 4)
    os.close(control)
    os.close(listener)
