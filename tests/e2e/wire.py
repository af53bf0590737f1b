"""HTTP beyond one request with one whole answer: forms, answers read while they come, WebSockets."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

Urls = Mapping[str, str]
"""The URL of each function of an app."""


def uploaded(*files: Mapping[str, tuple[str, bytes]], **fields: str) -> tuple[bytes, str]:
    """The body of a form with files (field: name and content) as browsers send it, and its media type."""
    boundary = "a-boundary-that-nobody-writes"
    parts = [(f'name="{name}"', text.encode()) for name, text in fields.items()]
    for named in files:
        parts += [(f'name="{name}"; filename="{file}"', data) for name, (file, data) in named.items()]
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode() + data + b"\r\n"
        for name, data in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


@contextlib.contextmanager
def opened(url: str, timeout: float = 60.0) -> Iterator[http.client.HTTPResponse]:
    """A GET whose answer is read while it comes."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        yield connection.getresponse()
    finally:
        connection.close()


class WebSocket:
    """A client's end of RFC 6455, for messages of one frame."""

    TEXT, CLOSE, PING, PONG = 1, 8, 9, 10

    def __init__(self, url: str, timeout: float = 60.0, subprotocols: Sequence[str] = ()) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        more = f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}\r\n" if subprotocols else ""
        self.socket.sendall(
            f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"{more}\r\n".encode()
        )
        self.stream = self.socket.makefile("rb")
        status = self.stream.readline()
        assert status.startswith(b"HTTP/1.1 101"), status
        #: What the server chose, if it did.
        self.subprotocol: str | None = None
        while line := self.stream.readline().strip():
            name, _, value = line.decode().partition(":")
            if name.lower() == "sec-websocket-protocol":
                self.subprotocol = value.strip()

    def send(self, text: str) -> None:
        """Sends one text message."""
        self.send_frame(self.TEXT, text.encode())

    def send_frame(self, kind: int, data: bytes) -> None:
        """Sends one frame, with an opcode of the RFC's section 5.2."""
        if len(data) < 126:
            length = struct.pack(">B", 0x80 | len(data))
        elif len(data) < 1 << 16:
            length = struct.pack(">BH", 0x80 | 126, len(data))
        else:
            length = struct.pack(">BQ", 0x80 | 127, len(data))
        # A mask of zeros is one, too.
        self.socket.sendall(struct.pack(">B", 0x80 | kind) + length + bytes(4) + data)

    def receive(self) -> str:
        """The next message, a text."""
        kind, data = self.receive_frame()
        assert kind == self.TEXT, (kind, data)
        return data.decode()

    def receive_frame(self) -> tuple[int, bytes]:
        """The next frame, a whole message: its opcode and what it says."""
        kind, length = struct.unpack(">BB", self.stream.read(2))
        if length == 126:
            (length,) = struct.unpack(">H", self.stream.read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self.stream.read(8))
        assert kind & 0x80, "a message of several frames"
        return kind & 0x0F, self.stream.read(length)

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()
        self.socket.close()
