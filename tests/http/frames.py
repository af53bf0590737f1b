"""HTTP/2 by hand: a client library refuses to send what the table has."""

from __future__ import annotations

import socket

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM = ACK = 1
END_HEADERS = 4

Fields = tuple[tuple[bytes, bytes], ...]


class Connection:
    """A client's side of one, on which one request is made at a time."""

    def __init__(self, wire: socket.socket):
        self.wire = wire
        self.unread = b""
        self.stream = -1
        self.wire.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b""))

    def ask(self, fields: Fields, body: bytes) -> bool:
        """Makes a request. False if the connection is given up; an answer and a reset are both True."""
        self.stream += 2
        sent = frame(HEADERS, END_HEADERS | (0 if body else END_STREAM), self.stream, block(fields))
        if body:
            sent += frame(DATA, END_STREAM, self.stream, body)
        try:
            self.wire.sendall(sent)
            return self.settled()
        except (ConnectionError, EOFError):
            return False

    def settled(self) -> bool:
        while True:
            kind, flags, stream, payload = self.read()
            if kind == GOAWAY:
                return False
            if kind in (SETTINGS, PING) and not flags & ACK:
                self.wire.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
            if stream == self.stream and (
                kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM)
            ):
                return True

    def read(self) -> tuple[int, int, int, bytes]:
        head = self.exactly(9)
        payload = self.exactly(int.from_bytes(head[:3], "big"))
        return head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF, payload

    def exactly(self, count: int) -> bytes:
        while len(self.unread) < count:
            more = self.wire.recv(65536)
            if not more:
                raise EOFError
            self.unread += more
        taken, self.unread = self.unread[:count], self.unread[count:]
        return taken


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """RFC 9113 §4.1."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def block(fields: Fields) -> bytes:
    """Literal fields without indexing and without Huffman coding (RFC 7541 §6.2.2)."""
    return b"".join(b"\0" + bytes([len(n)]) + n + bytes([len(v)]) + v for n, v in fields)
