"""Containers that are let go finish what they hold, whatever the cause; what never finishes is ended."""

from __future__ import annotations

import http.client
import os
import signal
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tools import Command, Server, listening, request, wait_until

PROGRAM = """
    import asyncio, contextlib, socket, time

    import modal
    from fastapi import FastAPI, Request
    from fastapi.responses import Response, StreamingResponse

    app = modal.App("drained")
    host = socket.gethostname  # asked when it is needed: containers of a program share its import

    @contextlib.asynccontextmanager
    async def lifespan(web):
        yield
        print("shut down", host(), flush=True)

    web = FastAPI(lifespan=lifespan)

    @web.get("/")
    async def version():
        return {version}

    @web.post("/whole")
    async def whole(request: Request):
        print("holding", host(), "whole", flush=True)
        return (await request.body()).decode()

    class Echo(Response):
        # Starlette's streaming response would take the body's pieces itself, to hear of a client that leaves.
        async def __call__(self, scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            more = True
            while more:
                heard = await receive()
                piece, more = heard.get("body", b""), heard.get("more_body", False)
                await send({"type": "http.response.body", "body": piece, "more_body": more})

    @web.post("/pieces")
    async def pieces():
        print("holding", host(), "pieces", flush=True)
        return Echo()

    @web.post("/deaf")
    async def deaf(request: Request):
        async def never():
            yield b"first"
            time.sleep(3600)

        print("holding", host(), "deaf", flush=True)
        return StreamingResponse(never())

    @app.function(scaledown_window=600)
    @modal.asgi_app()
    def f():
        return web
"""


class Held:
    """A request whose body has begun; its handler goes on when the test sends the rest."""

    def __init__(self, url: str, path: str, log: Command) -> None:
        mark = log.mark()
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self.connection.putrequest("POST", path)
        self.connection.putheader("transfer-encoding", "chunked")
        self.connection.endheaders(b"5\r\nfirst\r\n")
        self.container = log.wait_for(rf"holding (\S+) {path[1:]}", after=mark).group(1)

    def begun(self) -> Held:
        """Waits until its answer has begun."""
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200
        assert self.answer.read(5) == b"first"
        return self

    def release(self) -> None:
        """Sends the rest of its body."""
        self.connection.send(b"6\r\nsecond\r\n0\r\n\r\n")


class World:
    """An app that is deployed or served, whose log is followed."""

    def __init__(self, server: Server, program: Callable[..., Path], live: bool) -> None:
        self.server, self.program = server, program
        self.write(1)
        if live:
            self.log = server.environment.command("serve", str(self.file))
            self.log.wait_serving()
            self.url = self.log.url()
        else:
            self.url = server.deploy(self.file, "drained")["f"]
            self.log = server.environment.command("app", "logs", "-f", "drained")
        self.port = urlsplit(self.url).port or 0
        self.cause: Command | None = None
        self.requests: list[Held] = []

    def write(self, version: int) -> None:
        """Saves the program."""
        self.file = self.program(PROGRAM.replace("{version}", str(version)))

    def hold(self, path: str) -> Held:
        """A request that a container has."""
        self.requests.append(Held(self.url, path, self.log))
        return self.requests[-1]

    def closed(self) -> None:
        """Waits until nobody is let in any more."""
        wait_until(lambda: not listening(self.port))

    def end(self) -> None:
        """Ends what the test has begun."""
        for held in self.requests:
            held.connection.close()
        self.log.end()
        if self.cause:
            self.cause.end()


def lowered(world: World) -> None:
    scale = ("app", "scale", "drained", "f", "--max-containers", "1")
    done = world.server.environment.run(*scale)
    assert done.returncode == 0, done.stderr


def redeployed(world: World) -> None:
    world.write(2)
    world.cause = world.server.environment.command("deploy", str(world.file), "--name", "drained")
    wait_until(lambda: request(world.url).json() == 2)


def saved(world: World) -> None:
    mark = world.log.mark()
    world.write(2)
    world.log.wait_for("Updated", after=mark)
    assert request(world.url).json() == 2


def app_stopped(world: World) -> None:
    world.cause = world.server.environment.command("app", "stop", "drained")
    world.closed()


def server_stopped(world: World) -> None:
    os.kill(world.server.pid(), signal.SIGTERM)
    world.closed()


CAUSES = [lowered, redeployed, saved, app_stopped, server_stopped]


@pytest.fixture
def world(server: Server, program):
    worlds: list[World] = []

    def make(live: bool = False) -> World:
        worlds.append(World(server, program, live))
        return worlds[-1]

    yield make
    for made in worlds:
        made.end()


@pytest.mark.parametrize("cause", CAUSES)
def test_what_is_held_is_finished_then_the_lifespan_ends(cause: Callable[[World], None], world) -> None:
    here = world(live=cause is saved)
    whole, pieces = here.hold("/whole"), here.hold("/pieces").begun()
    assert whole.container != pieces.container
    cause(here)
    whole.release()
    answer = whole.connection.getresponse()
    assert (answer.status, answer.read()) == (200, b'"firstsecond"')
    pieces.release()
    assert pieces.answer.read() == b"second"
    ended = [whole.container, pieces.container]
    if cause is lowered:
        # One may stay.
        here.log.wait_for(rf"shut down ({'|'.join(ended)})")
    else:
        for container in ended:
            here.log.wait_for(rf"shut down {container}")


def test_an_idle_container_ends_its_lifespan(world, server: Server) -> None:
    here = world()
    held = here.hold("/whole")
    held.release()
    assert held.connection.getresponse().read() == b'"firstsecond"'
    scale = ("app", "scale", "drained", "f", "--scaledown-window", "2")
    assert server.environment.run(*scale).returncode == 0
    here.log.wait_for(rf"shut down {held.container}")


def test_what_never_finishes_is_ended_and_its_answer_is_not_whole(world) -> None:
    here = world()
    deaf = here.hold("/deaf").begun()
    server_stopped(here)
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        deaf.answer.read()
    assert f"shut down {deaf.container}" not in here.log.output
