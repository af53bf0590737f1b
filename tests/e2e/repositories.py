"""Stand-ins of github.com and its like: git repositories behind HTTPS and a password, behind a proxy."""

from __future__ import annotations

import base64
import http.server
import os
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from types import TracebackType


class Repositories:
    """git's own HTTP backend behind TLS, for some hosts.

    A proxy leads these hosts there, and others to where they are.
    """

    def __init__(self, folder: Path, certificate: tuple[Path, Path], passwords: dict[str, str]) -> None:
        #: What each host was sent as `Authorization`.
        self.sent: list[tuple[str, str]] = []
        self.folder, self.passwords = folder, passwords
        repositories = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                repositories._answer(self)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        # The handshake is the handler's thread's, or one client could hold up all others.
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.proxy = socket.create_server(("127.0.0.1", 0))
        self.threads = [threading.Thread(target=work) for work in (self.server.serve_forever, self._lead)]

    @property
    def settings(self) -> dict[str, str]:
        """The variables that make a client go through the proxy."""
        return {"HTTPS_PROXY": f"http://127.0.0.1:{self.proxy.getsockname()[1]}"}

    def add(self, path: str, files: dict[str, str], tag: str) -> None:
        """A repository `owner/name` with one commit."""
        at = self.folder / path
        for name, text in files.items():
            (at / name).parent.mkdir(parents=True, exist_ok=True)
            (at / name).write_text(text)
        who = ["-c", "user.name=tests", "-c", "user.email=tests@example.org"]
        for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "one"], ["tag", tag]):
            subprocess.run(["git", "-C", at, *words], check=True)

    def __enter__(self) -> Repositories:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.proxy.shutdown(socket.SHUT_RDWR)
        self.proxy.close()
        for thread in self.threads:
            thread.join()

    def _answer(self, asked: http.server.BaseHTTPRequestHandler) -> None:
        host = asked.headers["Host"].partition(":")[0]
        said = asked.headers.get("Authorization")
        if said is not None:
            self.sent.append((host, said))
        if host.startswith("api."):
            # What the true one says of a repository that is private.
            asked.send_error(404)
            return
        wanted = self.passwords.get(host)
        if wanted is None or said != "Basic " + base64.b64encode(wanted.encode()).decode():
            asked.send_response(401)
            asked.send_header("WWW-Authenticate", 'Basic realm="tests"')
            asked.send_header("Content-Length", "0")
            asked.end_headers()
            return
        path, _, query = asked.path.partition("?")
        body = asked.rfile.read(int(asked.headers.get("Content-Length", 0)))
        variables = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": asked.command,
            "CONTENT_TYPE": asked.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": asked.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": asked.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=variables, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        told = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        asked.send_response(int(told.pop("Status", "200").split()[0]))
        for name, value in {**told, "Content-Length": str(len(content))}.items():
            asked.send_header(name, value)
        asked.end_headers()
        asked.wfile.write(content)

    def _lead(self) -> None:
        while True:
            try:
                client, _ = self.proxy.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        """CONNECT, RFC 9110 §9.3.6."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            more = client.recv(1)
            if not more:
                return client.close()
            head += more
        host, _, port = head.split()[1].decode().rpartition(":")
        ours = host.removeprefix("api.") in self.passwords or host.endswith(".test")
        place = self.server.server_address[:2] if ours else (host, int(port))
        try:
            there = socket.create_connection((str(place[0]), int(place[1])), 30)
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
            return client.close()
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        back = threading.Thread(target=_copy, args=(there, client), daemon=True)
        back.start()
        _copy(client, there)
        back.join()
        client.close()
        there.close()
        return None


def _copy(source: socket.socket, to: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            to.sendall(piece)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        # The other way has ended both.
        pass
