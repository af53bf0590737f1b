"""A resolver and a package index on the machine's loopback: builds reach both, containers the resolver."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import socket
import socketserver
import struct
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ordinary import User, account
from tools import Command, Environment, request, wait_until

#: An address of loopback that nobody else has.
HERE = "127.0.0.77"

#: A name that no other resolver knows, and its address.
NAME, ADDRESS = "only-here.test", "192.0.2.77"

#: The machine of the server: its resolver is ours.
MACHINE = 'mount --bind "$1" /etc/resolv.conf; shift; exec "$@"'

PROGRAM = """
    import socket
    import modal

    # Programs look things up as they are imported, too: in the zygote.
    imported = socket.gethostbyname("{name}")
    app = modal.App(image=modal.Image.debian_slim().pip_install("only-here=={version}"))

    @app.function(enable_memory_snapshot={snapshot}, max_inputs=1)
    @modal.fastapi_endpoint()
    def look(port: int):
        import only_here
        reached = []
        for address in ("{here}", "127.0.0.1"):
            with socket.socket() as asking:
                asking.settimeout(3)
                reached.append(asking.connect_ex((address, port)) == 0)
        return [only_here.word, socket.gethostbyname("{name}"), reached]
"""


@dataclass
class Resolver:
    """Knows one name, and asks the machine's own resolver for all others."""

    asked: set[str] = field(default_factory=set)

    def answer(self, question: bytes) -> bytes:
        """The answer to a DNS message. RFC 1035, section 4"""
        at, labels = 12, []
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += 1 + question[at]
        name, kind = ".".join(labels).lower(), struct.unpack_from("!H", question, at + 1)[0]
        if name != NAME:
            return self.elsewhere(question)
        self.asked.add(name)
        found = kind == 1
        head = question[:2] + struct.pack("!HHHHH", 0x8580, 1, int(found), 0, 0)
        answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(ADDRESS)
        return head + question[12 : at + 5] + (answer if found else b"")

    @staticmethod
    def elsewhere(question: bytes) -> bytes:
        """What the machine's resolver says."""
        lines = Path("/etc/resolv.conf").read_text().splitlines()
        server = next(line.split()[1] for line in lines if line.startswith("nameserver"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(20)
            asking.sendto(question, (server, 53))
            return asking.recv(65536)


class Datagrams(socketserver.BaseRequestHandler):
    """One question."""

    def handle(self) -> None:
        """Answers it, or leaves it."""
        question, socket_of = self.request
        with contextlib.suppress(OSError):
            socket_of.sendto(self.server.resolver.answer(question), self.client_address)


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    """A resolver that listens on the machine's loopback."""
    resolver = Resolver()
    with socketserver.ThreadingUDPServer((HERE, 53), Datagrams) as server:
        server.daemon_threads = True
        server.resolver = resolver  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield resolver
        server.shutdown()


VERSION = "1.0"


def wheel(word: str) -> bytes:
    """A wheel with one module. PEP 427"""
    info = f"only_here-{VERSION}.dist-info"
    files = {
        "only_here.py": f"word = {word!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: only-here\nVersion: {VERSION}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    return buffer.getvalue()


@pytest.fixture
def index() -> Iterator[str]:
    """An index on the machine's loopback that has one package."""
    content = wheel("found")
    file = f"only_here-{VERSION}-py3-none-any.whl"
    link = f'<a href="/{file}#sha256={hashlib.sha256(content).hexdigest()}">{file}</a>'
    pages = {"/simple/only-here/": link.encode(), f"/{file}": content}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = pages.get(self.path)
            self.send_response(200 if found else 404)
            self.send_header("content-type", "text/html" if self.path.endswith("/") else "application/zip")
            self.send_header("content-length", str(len(found or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(found or b"")

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((HERE, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HERE}:{server.server_address[1]}/simple"
        server.shutdown()


@pytest.fixture
def serve(home: Environment, tmp_path: Path) -> Iterator:
    """Serves a program on a machine whose resolver is ours."""
    running = []
    conf = tmp_path / "resolv.conf"
    conf.write_text(f"nameserver {HERE}\n")

    def start(file: Path, **variables: str) -> Command:
        become = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", MACHINE, "sh", str(conf)]
        command = Command(
            [*become, str(home.binary), "serve", str(file)], home.variables(**variables), home.cwd
        )
        running.append(command)
        command.wait_serving()
        return command

    yield start
    for command in running:
        command.end()


def test_it_is_reached_from_an_ordinary_users_containers_too(resolver, index, tmp_path) -> None:
    with account(subordinate=True) as user:
        conf = user.home / "resolv.conf"
        conf.write_text(f"nameserver {HERE}\n")
        own = User(**{**vars(user), "resolv": str(conf)})
        text = PROGRAM.format(version=VERSION, snapshot=None, here=HERE, name=NAME)
        command = own.command("serve", own.program(text), UV_EXTRA_INDEX_URL=index)
        try:
            command.wait_serving()
            port = int(index.split(":")[2].split("/")[0])
            answer = request(f"{command.url('look')}?port={port}")
            assert answer.status == 200, (answer.text, command.output)
            assert answer.json() == ["found", ADDRESS, [False, False]]
        finally:
            command.end()


@pytest.mark.parametrize(("snapshot", "path"), [(True, "function-zygote"), (False, "image-zygote")])
def test_what_listens_on_the_machine_alone_is_reached(
    program, serve, resolver, index, snapshot, path
) -> None:
    text = PROGRAM.format(version=VERSION, snapshot=snapshot, here=HERE, name=NAME)
    command = serve(program(text), UV_EXTRA_INDEX_URL=index)
    with socket.create_server((HERE, 0)) as other, socket.create_server(("127.0.0.1", 0)) as usual:
        for listener in (other, usual):
            port = listener.getsockname()[1]
            socket.create_connection(listener.getsockname(), 5).close()
            answer = request(f"{command.url('look')}?port={port}")
            assert answer.status == 200, (answer.text, command.output)
            # Nothing else of the machine's loopback, at the same address or at the usual one.
            assert answer.json() == ["found", ADDRESS, [False, False]]
    # Nor the index, which is for builds.
    port = int(index.split(":")[2].split("/")[0])

    def forked() -> bool:
        answer = request(f"{command.url('look')}?port={port}")
        assert answer.json() == ["found", ADDRESS, [False, False]]
        return f'path;desc="{path}"' in answer.headers["server-timing"]

    # The first containers do not wait for the function's zygote, which has looked it up by itself.
    wait_until(forked)
    assert resolver.asked == {NAME}
