"""Requests that are more than a question: WebSockets, clients that leave, streams, starts that fail."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from tools import request, wait_until
from wire import WebSocket

TALK = """
    import modal
    from fastapi import FastAPI, WebSocket

    app = modal.App("talk")
    web = FastAPI()

    @web.websocket("/echo")
    async def echo(talk: WebSocket):
        await talk.accept(subprotocol=talk.scope["subprotocols"][-1] if talk.scope["subprotocols"] else None)
        while (said := await talk.receive_text()) != "bye":
            await talk.send_text(said)
        await talk.close(4321, "so long")

    @app.function()
    @modal.asgi_app()
    def talk():
        return web
"""


def test_a_websocket_has_subprotocols_pings_large_messages_and_close_codes(program, serve) -> None:
    url = serve(program(TALK)).url()
    with WebSocket(url + "/echo", subprotocols=("chat.v1", "chat.v2")) as talk:
        assert talk.subprotocol == "chat.v2"
        talk.send_frame(talk.PING, b"are you there")
        # With the same words (RFC 6455 §5.5.3).
        assert talk.receive_frame() == (talk.PONG, b"are you there")
        large = "a" * (2 << 20)
        talk.send(large)
        assert talk.receive() == large
        talk.send("bye")
        assert talk.receive_frame() == (talk.CLOSE, (4321).to_bytes(2, "big") + b"so long")


LEAVING = """
    import modal

    app = modal.App("leaving")
    told = []

    async def web(scope, receive, send):
        if scope["type"] != "http":
            return
        answer = repr(told).encode()
        if scope["path"] == "/wait":
            await receive()
            told.append("asked")
            told.append((await receive())["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer})

    @app.function(max_containers=1)
    @modal.concurrent(max_inputs=4)
    @modal.asgi_app()
    def asgi():
        return web

"""


def ask(url: str, path: str) -> socket.socket:
    """Sends a request and does not wait for its answer."""
    parts = urlsplit(url)
    client = socket.create_connection((parts.hostname, parts.port), 60)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


def test_an_app_is_told_that_its_client_is_gone(program, serve) -> None:
    url = serve(program(LEAVING)).url()
    client = ask(url, "/wait")
    wait_until(lambda: "asked" in request(url).text)
    client.close()
    wait_until(lambda: "http.disconnect" in request(url).text)


SLOW = """
    import os
    import time

    import modal

    app = modal.App("slow")
    done = []

    @app.function(max_containers=1)
    @modal.fastapi_endpoint()
    def f(seconds: float = 0):
        print(f"begun {seconds}", flush=True)
        time.sleep(seconds)
        done.append(seconds)
        return [os.environ["MODAL_TASK_ID"], done]
"""


def test_a_sync_handler_whose_client_left_goes_on_and_holds_its_slot(program, serve) -> None:
    command = serve(program(SLOW))
    url = command.url()
    container, _ = request(url).json()
    client = ask(url, "/?seconds=1.5")
    # One that leaves before its request was handed over is not asked for anything.
    command.wait_for("begun 1.5")
    client.close()
    # The only container has one slot, which is free when the handler has ended and not before.
    assert request(url + "?seconds=0.1").json() == [container, [0, 1.5, 0.1]]


UPLOADS = """
    import time

    import modal
    from fastapi import FastAPI, Request
    from fastapi.concurrency import run_in_threadpool

    app, web = modal.App("uploads"), FastAPI()
    done = []

    @web.post("/")
    async def take(request: Request):
        async for piece in request.stream():
            print("got", len(piece), flush=True)
            # No client's leaving interrupts a thread.
            await run_in_threadpool(time.sleep, 1.5)
            done.append(len(piece))
            break

    @web.get("/")
    def tell():
        return done

    @app.function(max_containers=1)
    @modal.asgi_app()
    def f():
        return web
"""


def test_a_handler_whose_client_left_amid_its_upload_holds_its_slot(program, serve) -> None:
    command = serve(program(UPLOADS))
    url = command.url()
    assert request(url).json() == []
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port)) as client:
        client.sendall(f"POST / HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: 9\r\n\r\nhalf".encode())
        command.wait_for("got 4")
    assert request(url).json() == [4], "its turn comes when the handler has ended"


BROKEN = """
    import contextlib

    import modal
    from fastapi import FastAPI

    app = modal.App("broken")

    @contextlib.asynccontextmanager
    async def lifespan(web):
        raise RuntimeError("no database at db.example")
        yield

    @app.function()
    @modal.asgi_app()
    def f():
        return FastAPI(lifespan=lifespan)
"""


def test_an_app_whose_lifespan_fails_does_not_serve_and_says_why(program, serve) -> None:
    command = serve(program(BROKEN))
    answer = request(command.url())
    assert (answer.status, answer.json()["error"]["code"]) == (503, "function_failed_to_start")
    command.wait_for("no database at db.example")


THREADS = """
    import threading

    import flask
    import modal

    app = modal.App("threads")
    web = flask.Flask(__name__)
    together = threading.Barrier(4, timeout=60)

    @web.get("/")
    def meet():
        together.wait()
        return "met"

    @web.post("/")
    def stream():
        body = flask.request.stream

        def pieces():
            while piece := body.read(5):
                yield piece[::-1]

        return flask.Response(pieces(), mimetype="application/octet-stream")

    image = modal.Image.debian_slim().pip_install("flask")

    @app.function(image=image, max_containers=1)
    @modal.concurrent(max_inputs=4)
    @modal.wsgi_app()
    def f():
        return web
"""


def test_a_wsgi_app_has_threads_and_streams_both_ways(program, serve) -> None:
    url = serve(program(THREADS)).url()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: request(url), range(4)))
    assert [(answer.status, answer.text) for answer in answers] == [(200, "met")] * 4
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), 60) as client:
        head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.sendall(head.encode() + b"5\r\nabcde\r\n")
        heard = b""
        # The first piece is answered while the request goes on.
        while b"edcba" not in heard:
            piece = client.recv(4096)
            assert piece, heard
            heard += piece
        client.sendall(b"3\r\nxyz\r\n0\r\n\r\n")
        while b"zyx" not in heard:
            piece = client.recv(4096)
            assert piece, heard
            heard += piece
