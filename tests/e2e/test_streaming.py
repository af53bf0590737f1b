"""Bodies larger than anybody's memory: streamed both ways, and the server's memory stays as it was.

`PILOTLIGHT_STREAM_MIB=4096` tries the sizes that are promised; by itself a sixteenth of them does.
"""

from __future__ import annotations

import http.client
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tools import Server

PROGRAM = """
    import modal
    from fastapi import FastAPI, Request
    from fastapi.responses import StreamingResponse

    app = modal.App("streams")
    web = FastAPI()
    BLOCK = bytes(1 << 20)

    @web.post("/")
    async def upload(request: Request):
        size = 0
        async for piece in request.stream():
            size += len(piece)
        return size

    @web.get("/")
    async def download(mib: int):
        async def blocks():
            for _ in range(mib):
                yield BLOCK

        return StreamingResponse(blocks())

    @app.function()
    @modal.asgi_app()
    def streams():
        return web
"""

MIB = int(os.environ.get("PILOTLIGHT_STREAM_MIB", "256"))
#: What the server may need more than before, MiB: buffers of sockets and of hyper, less than what passes.
GROWTH_MIB_MAX = 24


def peak_mib(pid: int) -> float:
    """The most memory that a process had since the last `forget_peak` (proc_pid_status(5))."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found.group(1)) / 1024


def forget_peak(pid: int) -> None:
    """From now on (proc_pid_clear_refs(5))."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=300)


def blocks(mib: int) -> Iterator[bytes]:
    block = bytes(1 << 20)
    for _ in range(mib):
        yield block


def test_bodies_are_streamed_both_ways_at_constant_memory(program, server: Server) -> None:
    url = server.deploy(program(PROGRAM), "streams")["streams"]
    process = server.process()

    def upload(mib: int, **more: str) -> None:
        client = connection(url)
        client.request("POST", "/", blocks(mib), headers=more, encode_chunked=not more)
        assert client.getresponse().read() == str(mib << 20).encode()
        client.close()

    def download(mib: int) -> None:
        client = connection(url)
        client.request("GET", f"/?mib={mib}")
        answer = client.getresponse()
        size = 0
        while piece := answer.read(1 << 20):
            size += len(piece)
        assert size == mib << 20
        client.close()

    # What the first requests bring about is there before the measurement.
    upload(2)
    download(2)
    before = peak_mib(process)
    for pass_through in (
        lambda: upload(MIB),
        lambda: upload(MIB, **{"Content-Length": str(MIB << 20)}),
        lambda: download(MIB),
    ):
        forget_peak(process)
        pass_through()
        assert peak_mib(process) - before < GROWTH_MIB_MAX
