"""What the gateway forwards, every server reads as the gateway did; and what it refuses reaches none.

The corpus is the table of `docs/design/0015-framing.md`, which the gateway's own tests keep. Each case goes
through the gateway to each server, with another request behind it on the same connection; and then straight
to the server, but for those of HTTP/2, which servers behind the gateway are not spoken to in.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import frames
import pytest

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "docs/design/0015-framing.md"
AFTER = b"GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
#: What stands around the bytes of a case, by the title of its part of the table.
AROUND = {
    "Whole requests": (b"", b""),
    "The request line, before `Host: a`": (b"", b"\r\nHost: a\r\n\r\n"),
    "After `POST /it HTTP/1.1` and `Host: a`": (b"POST /it HTTP/1.1\r\nHost: a\r\n", b""),
    "The body of such a request with `Transfer-Encoding: chunked`": (
        b"POST /it HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"",
    ),
}
SERVERS = {
    "uvicorn-h11": "uvicorn recorder:asgi --http h11 --no-access-log --uds {socket}",
    "uvicorn-httptools": "uvicorn recorder:asgi --http httptools --no-access-log --uds {socket}",
    "gunicorn": "gunicorn recorder:wsgi --keep-alive 5 --threads 4 --bind unix:{socket}",
    "hypercorn": "hypercorn recorder:asgi --bind unix:{socket}",
    "granian": "granian recorder:asgi --interface asgi --uds {socket}",
    "waitress": "waitress-serve --unix-socket={socket} recorder:wsgi",
}
#: What a server makes of a request that it reads as the gateway did: it refuses a method or a handshake, or
#: answers in capitals. Where the request ends is not in question: the next one is answered.
AFTER_ALONE = ("GET /after ",)
OWN_WAYS = {
    "uvicorn-h11": {"OURS-UPGRADE-WITH-BODY": AFTER_ALONE},
    "uvicorn-httptools": {
        "OURS-UPGRADE-WITH-BODY": AFTER_ALONE,
        "COMP-METHOD-CASE": AFTER_ALONE,
        "COMP-UNKNOWN-METHOD": AFTER_ALONE,
    },
    "gunicorn": {"COMP-METHOD-CASE": AFTER_ALONE},
    "hypercorn": {"COMP-METHOD-CASE": ("GET /it ", *AFTER_ALONE)},
    "granian": {"OURS-UPGRADE-WITH-BODY": AFTER_ALONE},
    "waitress": {"COMP-METHOD-CASE": AFTER_ALONE},
}
SECONDS_MAX = 30.0


@dataclass(frozen=True)
class Case:
    """A row: what is sent, and which requests a server gets of it."""

    name: str
    sent: bytes
    expected: tuple[str, ...]


@dataclass(frozen=True)
class Case2:
    """A row of HTTP/2's: what is sent, and the request that a server gets of it, if any."""

    name: str
    fields: frames.Fields
    body: bytes
    expected: tuple[str, ...]


def parts() -> Iterator[tuple[str, str]]:
    """The parts of the table, by title."""
    for part in PAGE.read_text().split("\n### ")[1:]:
        title, _, rows = part.partition("\n")
        yield title, rows


def cases() -> list[Case]:
    """The table, but for HTTP/2."""
    found: list[Case] = []
    for title, rows in parts():
        if title not in AROUND:
            continue
        before, after = AROUND[title]
        for name, text, verdict in re.findall(r"^\| (\S+) \| [^|]* \| `(.*)` \| ([^|]*) \|$", rows, re.M):
            raw = text.replace("\\|", "|").encode().decode("unicode_escape").encode("latin-1")
            request = re.fullmatch(r"(once|passed): `(.*)`", verdict)
            expected = (request[2],) if request else ()
            if verdict.startswith("passed"):
                expected += ("GET /after ",)
            found.append(Case(name, before + raw + after, expected))
    return found


def cases2() -> list[Case2]:
    """HTTP/2's part of the table."""

    def raw(text: str) -> bytes:
        for escaped, character in (("\\r", "\r"), ("\\n", "\n"), ("\\0", "\0")):
            text = text.replace(escaped, character)
        return text.encode()

    found: list[Case2] = []
    row = re.compile(r"^\| (\S+) \| [^|]* \| `(.*?)` \| (?:`(.*)`)? \| ([^|]*) \|$", re.M)
    rows = dict(parts())["HTTP/2"]
    for name, listed, body, verdict in row.findall(rows):
        pairs = (raw(text).partition(b": ") for text in listed.split("`, `"))
        request = re.fullmatch(r"passed: `(.*)`", verdict)
        fields = tuple((name, value) for name, _, value in pairs)
        found.append(Case2(name, fields, raw(body), (request[1],) if request else ()))
    assert len(found) == rows.count("\n| ") - 1, "a row is not read"
    return found


CASES = cases()
CASES2 = cases2()
AFTER2 = ((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/after"), (b":authority", b"a"))


@dataclass
class Server:
    """A server on a socket, and what its application has written down."""

    name: str
    socket: Path
    record: Path

    def seen(self) -> list[str]:
        """What was written since the last time."""
        lines = self.record.read_text().splitlines()
        self.record.write_text("")
        return [json.loads(line) for line in lines]


@contextlib.contextmanager
def process(command: list[str], **options) -> Iterator[subprocess.Popen]:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, **options) as started:
        try:
            yield started
        finally:
            started.terminate()
            started.wait(SECONDS_MAX)


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp(request.param)
    server = Server(request.param, folder / "s", folder / "record")
    server.record.touch()
    tools = Path(os.environ["PILOTLIGHT_SERVERS"]) / "bin"
    command = SERVERS[request.param].format(socket=server.socket).split()
    environment = {**os.environ, "RECORD": str(server.record), "PYTHONPATH": str(HERE)}
    command[0] = str(tools / command[0])
    with (
        (folder / "log").open("wb") as log,
        process(command, env=environment, cwd=folder, stdout=log, stderr=log),
    ):
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            with contextlib.suppress(OSError), connection(server.socket):
                break
            assert time.monotonic() < deadline, (folder / "log").read_text()
        yield server


@pytest.fixture(scope="module")
def gateway(server: Server) -> Iterator[int]:
    command = [os.environ["PILOTLIGHT_TRAFFIC"], "gate", str(server.socket), "1", "1"]
    with process(command, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        yield int(started.stdout.readline())


def connection(address: Path | int) -> socket.socket:
    if isinstance(address, int):
        return socket.create_connection(("127.0.0.1", address), timeout=SECONDS_MAX)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(SECONDS_MAX)
    try:
        client.connect(str(address))
    except OSError:
        client.close()
        raise
    return client


def exchange(address: Path | int, sent: bytes, seconds: float = SECONDS_MAX) -> bytes:
    """Sends all, and reads until the connection ends."""
    answer = b""
    with connection(address) as client, contextlib.suppress(ConnectionError):
        client.settimeout(seconds)
        client.sendall(sent)
        while more := client.recv(65536):
            answer += more
    return answer


def test_what_the_gateway_forwards_is_read_as_it_was_understood(server: Server, gateway: int):
    wrong: list[str] = []
    for case in CASES:
        answer = exchange(gateway, case.sent + AFTER)
        seen = server.seen()
        expected = OWN_WAYS[server.name].get(case.name, case.expected)
        if seen != list(expected):
            wrong.append(f"{case.name}: expected {expected}, got {seen}, answered {answer[:300]!r}")
    assert not wrong, "\n".join(wrong)


def test_what_comes_in_as_http2_is_read_as_it_was_understood(server: Server, gateway: int):
    wrong: list[str] = []
    for case in CASES2:
        with connection(gateway) as wire:
            client = frames.Connection(wire)
            lives = client.ask(case.fields, case.body) and client.ask(AFTER2, b"")
        seen = server.seen()
        # What breaks HTTP/2's own rules may end the connection, and what is passed on does not.
        expected = (*case.expected, *(AFTER_ALONE if lives else ()))
        if seen != list(expected) or (case.expected and not lives):
            wrong.append(f"{case.name}: expected {expected}, got {seen}")
    assert not wrong, "\n".join(wrong)


def test_the_server_alone_reads_no_other_requests(server: Server):
    """What is passed on, the server by itself reads alike or refuses; where it is not asked to switch.

    Servers answer what follows a request at their own time: what was read is looked at when all is sent.
    """
    asked = [case for case in CASES if case.expected and b"Upgrade:" not in case.sent]
    for case in asked:
        # Some keep a connection open on which they have refused something.
        with contextlib.suppress(TimeoutError):
            exchange(server.socket, case.sent + AFTER, seconds=2)
    known = {method_and_body(line) for case in asked for line in case.expected}
    strange = [
        line for line in server.seen() if method_and_body(line) not in known or "evil" in line.split()[1]
    ]
    assert not strange


def method_and_body(line: str) -> tuple[str, str]:
    """The target is left out: by itself a server is also given URLs for targets."""
    method, _, body = line.split(" ", 2)
    return method.upper(), body
