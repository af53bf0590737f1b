"""`@modal.web_server`: HTTP servers that a program starts itself."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from tools import request, wait_until

SERVER = """
    import hashlib
    import http.server
    import os
    import subprocess
    import sys
    import threading

    import modal

    app = modal.App()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Idle connections are closed at once: nobody may be surprised by that.
        timeout = 0.05

        def do_GET(self):
            if self.path == "/end":
                os._exit(3)
            body = f"{self.path} {self.headers['host']} {self.headers['x-forwarded-proto']}".encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            length = int(self.headers["content-length"])
            digest = hashlib.sha256(self.rfile.read(length)).hexdigest().encode()
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for part in (digest[:10], digest[10:]):
                self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(part), part))
                self.wfile.flush()
            self.wfile.write(b"0\\r\\n\\r\\n")

        def log_message(self, *arguments): ...

    def serve():
        http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()

    @app.function()
    @modal.concurrent(max_inputs=20)
    @modal.web_server(8000)
    def threaded():
        threading.Thread(target=serve, daemon=True).start()

    @app.function()
    @modal.web_server(8000, startup_timeout=30)
    def started():
        code = "import program; program.serve()"
        subprocess.Popen([sys.executable, "-c", code])
"""


def test_a_server_of_the_users_own_is_served(program, serve) -> None:
    import hashlib

    command = serve(program(SERVER))
    for name in ("threaded", "started"):
        url = command.url(name)
        host = urlsplit(url).netloc
        for turn in range(3):
            # Longer than the server keeps an idle connection, now and then.
            assert request(f"{url}/a?b={turn}").body.decode() == f"/a?b={turn} {host} http"
        body = b"x" * 3_000_000
        answer = request(url, method="POST", body=body)
        assert answer.body.decode() == hashlib.sha256(body).hexdigest()
    assert command.interrupt() == 0


def test_a_server_that_ends_takes_its_container_along(program, serve) -> None:
    command = serve(program(SERVER))
    url = command.url("started")
    assert request(url).status == 200
    assert request(f"{url}/end").status >= 500
    # The next container's server answers.
    wait_until(lambda: request(url).status == 200)
    assert command.interrupt() == 0


def test_a_websocket_goes_through(program, serve) -> None:
    text = """
        import subprocess
        import sys

        import modal

        app = modal.App()
        image = modal.Image.debian_slim().pip_install("websockets==15.0.1")
        CODE = '''
        import asyncio
        import websockets

        async def echo(socket):
            async for message in socket:
                await socket.send(message[::-1])

        async def main():
            async with websockets.serve(echo, "127.0.0.1", 9000, subprotocols=["chat"], max_size=None):
                await asyncio.Future()

        asyncio.run(main())
        '''

        @app.function(image=image)
        @modal.web_server(9000, startup_timeout=30)
        def f():
            subprocess.Popen([sys.executable, "-c", CODE])
    """
    command = serve(program(text))
    parts = urlsplit(command.url())
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as client:
        asked = (
            f"GET / HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Protocol: chat\r\n\r\n"
        )
        client.sendall(asked.encode())
        answer = client.makefile("rb")
        assert answer.readline().startswith(b"HTTP/1.1 101")
        heads = dict(line.lower().split(b": ") for line in iter(lambda: answer.readline().rstrip(), b""))
        # RFC 6455 §1.3 has the answer to its own key.
        assert heads[b"sec-websocket-accept"] == b"s3pplmbitxaq9kygzzhzrbk+xoo="
        assert heads[b"sec-websocket-protocol"] == b"chat"
        # One masked text frame with a mask of zeros (§5.2), and its answer without a mask.
        client.sendall(b"\x81\x83\0\0\0\0abc")
        assert answer.read(5) == b"\x81\x03cba"
    assert command.interrupt() == 0


def test_a_server_that_does_not_come_is_told(program, serve) -> None:
    text = """
        import modal

        app = modal.App()

        @app.function()
        @modal.web_server(8000, startup_timeout=0.5)
        def f(): ...
    """
    command = serve(program(text))
    assert request(command.url()).status == 503
    command.wait_for("`f` started no server at port 8000 within 0.5 s: it must listen on 0.0.0.0:8000")
    assert "Traceback" not in command.output
    assert command.interrupt() == 0
