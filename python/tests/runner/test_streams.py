"""Bodies pass through piece by piece, in both directions."""

from __future__ import annotations

from .harness import ASGI, POST, WSGI

#: Each piece of the answer waits for a piece of the request: a buffer anywhere would stop both sides.
ECHO = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise TypeError
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"].upper(), "more_body": more})


def f():
    return app
"""

WSGI_ECHO = """
def app(environ, start_response):
    start_response("200 OK", [])
    for _ in range(3):
        yield environ["wsgi.input"].read(3).upper()


def f():
    return app
"""

WHOLE = """
from fastapi import Request


async def f(request: Request):
    return len(await request.body())
"""

LEFT = """
import os, socket


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise TypeError
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    message = await receive()
    with socket.socket(socket.AF_UNIX) as gate:
        gate.connect(os.environ["GATE"])
        gate.send(message["type"].encode())


def f():
    return app
"""


def test_pieces_of_both_bodies_take_turns(run):
    for source, web in ((ECHO, ASGI), (WSGI_ECHO, WSGI)):
        runner = run(source, web=web).ready()
        connection = runner.connect()
        connection.putrequest("POST", "/")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        connection.send(b"3\r\none\r\n")
        answer = connection.getresponse()
        assert answer.read(3) == b"ONE"
        connection.send(b"3\r\ntwo\r\n")
        assert answer.read(3) == b"TWO"
        connection.send(b"3\r\nend\r\n0\r\n\r\n")
        assert answer.read() == b"END"
        connection.close()
        assert runner.drain() == ""


def test_a_client_that_leaves_is_told_to_the_app(run):
    runner = run(LEFT, web=ASGI).ready()
    connection = runner.connect()
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert answer.read(5) == b"begun"
    answer.close()
    connection.close()
    assert runner.visitor().recv(100) == b"http.disconnect"


def test_a_large_body_is_taken_whole(run):
    runner = run(WHOLE, web=POST).ready()
    assert runner.get("/", "POST", b"x" * (8 << 20)).json == 8 << 20


def test_a_client_that_leaves_while_it_sends_is_no_error(run):
    runner = run(WHOLE, web=POST).ready()
    connection = runner.connect()
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", "10")
    connection.endheaders()
    connection.send(b"some")
    connection.close()
    assert runner.drain() == ""
