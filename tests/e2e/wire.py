"""HTTP beyond one request with one whole answer: forms, answers read while they come, WebSockets."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import socket
import struct
from collections.abc import Iterator, Mapping
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
    """A WebSocket for short texts: RFC 6455 with nothing optional."""

    def __init__(self, url: str, timeout: float = 60.0) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.stream = self.socket.makefile("rb")
        status = self.stream.readline()
        assert status.startswith(b"HTTP/1.1 101"), status
        while self.stream.readline().strip():
            pass

    def send(self, text: str) -> None:
        """Sends one text message."""
        data = text.encode()
        assert len(data) < 126
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
        self.socket.sendall(struct.pack(">BB", 0x81, 0x80 | len(data)) + mask + masked)

    def receive(self) -> str:
        """The next message, a text."""
        kind, length = struct.unpack(">BB", self.stream.read(2))
        assert kind == 0x81 and length < 126, (kind, length)
        return self.stream.read(length).decode()

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()
        self.socket.close()
