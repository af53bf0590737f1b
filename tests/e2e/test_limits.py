"""Limits of a container: whoever goes over one is ended alone, and told which it was."""

from __future__ import annotations

import http.client

import pytest
from tools import request

BOUNDED = """
    import os
    import modal

    app = modal.App()

    @app.function(memory=64, min_containers=1, max_containers=1{more})
    @modal.fastapi_endpoint()
    def hungry(mebibytes: int = 0):
        kept = []
        for _ in range(mebibytes):
            # Random bytes: nothing that the kernel could share or fold.
            kept.append(os.urandom(1024 * 1024))
        return len(kept)

    @app.function(max_containers=1)
    @modal.fastapi_endpoint()
    def sibling():
        return os.environ["MODAL_TASK_ID"]
"""


@pytest.mark.parametrize("more", ["", ", enable_memory_snapshot=False"], ids=["forked", "plain"])
def test_out_of_memory_is_the_end_of_one_container_and_is_said(program, serve, more) -> None:
    command = serve(program(BOUNDED.format(more=more)))
    sibling = request(command.url("sibling")).json()
    assert request(command.url("hungry") + "?mebibytes=4").json() == 4
    died = request(command.url("hungry") + "?mebibytes=512", Accept="application/json")
    assert died.status == 500
    assert died.json()["error"]["code"] == "container_died"
    command.wait_for("ran out of memory and was killed: its limit is 64 MiB; `memory=128` gives it more")
    # The next request has a container of its own, and the neighbour never noticed.
    assert request(command.url("hungry")).json() == 0
    assert request(command.url("sibling")).json() == sibling


def test_memory_as_a_pair_is_asked_for_and_limited(program, serve) -> None:
    file = program(
        """
        import os
        import modal

        app = modal.App()

        @app.function(memory=(64, 96))
        @modal.fastapi_endpoint()
        def hungry(mebibytes: int = 0):
            return len([os.urandom(1024 * 1024) for _ in range(mebibytes)])
        """
    )
    command = serve(file)
    assert request(command.url() + "?mebibytes=8").json() == 8
    assert request(command.url() + "?mebibytes=512").status == 500
    command.wait_for("its limit is 96 MiB")


def test_a_share_of_a_processor_is_what_a_container_gets(program, serve) -> None:
    file = program(
        """
        import time
        import modal

        app = modal.App()

        @app.function(cpu=(0.1, 0.25), max_containers=1)
        @modal.fastapi_endpoint()
        def share(seconds: float):
            used, begun = time.process_time(), time.monotonic()
            while time.monotonic() - begun < seconds:
                pass
            return (time.process_time() - used) / (time.monotonic() - begun)
        """
    )
    command = serve(file)
    assert request(command.url() + "?seconds=2").json() < 0.5


def test_a_server_may_bound_what_containers_write(program, serve) -> None:
    file = program(
        """
        import errno
        import modal

        app = modal.App()

        def fill():
            written = 0
            try:
                with open("/tmp/filling", "wb", 0) as file:
                    while written < 128:
                        written += file.write(bytes(1 << 20)) >> 20
            except OSError as error:
                return [written, errno.errorcode[error.errno]]
            return [written, None]

        @app.function()
        @modal.fastapi_endpoint()
        def silent():
            return fill()

        @app.function(ephemeral_disk=256)
        @modal.fastapi_endpoint()
        def asked():
            return fill()
        """
    )
    command = serve(file, PILOTLIGHT_EPHEMERAL_DISK="32")
    written, refused = request(command.url("silent")).json()
    assert refused == "ENOSPC" and 16 <= written <= 32
    # Its own word counts.
    assert request(command.url("asked")).json() == [128, None]


def test_a_total_ends_what_never_falls_silent(program, serve) -> None:
    text = """
        import time

        import modal
        from fastapi import FastAPI
        from fastapi.responses import StreamingResponse

        app, web = modal.App(), FastAPI()

        @web.get("/endless")
        def endless():
            def ticks():
                while True:
                    yield b"tick"
                    time.sleep(0.05)

            return StreamingResponse(ticks())

        @web.get("/slow")
        def slow():
            time.sleep(60)

        @app.function(total_timeout=2, timeout=300)
        @modal.asgi_app()
        def f():
            return web
    """
    command = serve(program(text))
    with pytest.raises((http.client.IncompleteRead, ConnectionError)) as broken:
        request(command.url() + "/endless")
    assert getattr(broken.value, "partial", b"tick").startswith(b"tick")
    command.wait_for("a request went over its total_timeout of 2 s, and its container is ended")
    late = request(command.url() + "/slow")
    assert (late.status, late.json()["error"]["code"]) == (504, "total_timeout")
