"""A function as an endpoint: FastAPI's rules, and what we add to them."""

from __future__ import annotations

from .harness import GET, POST

HELLO = """
import modal

stub = modal.Stub()


@stub.webhook
def f():
    return "Hello world!"


if __name__ == "__main__":
    stub.serve()
"""

ITEM = """
from fastapi.responses import HTMLResponse
from pydantic import BaseModel


class Item(BaseModel):
    name: str
    qty: int = 42


def as_json(item: Item):
    return f"<html>Hello, {item.name}! {item.qty}</html>"


def as_html(item: Item):
    return HTMLResponse(f"<html>Hello, {item.name}! {item.qty}</html>")
"""


def test_hello_world(run):
    runner = run(HELLO).ready()
    answer = runner.get("/")
    assert (answer.status, answer.text) == (200, '"Hello world!"')
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["server"] is None
    assert runner.drain() == ""


def test_other_methods_and_paths_are_refused_as_by_fastapi(run):
    runner = run(HELLO).ready()
    assert runner.get("/", "POST").status == 405
    assert runner.get("/elsewhere").status == 404


def test_docs_are_served_if_asked_for(run):
    runner = run(HELLO).ready()
    assert [runner.get(path).status for path in ("/docs", "/redoc", "/openapi.json")] == [200, 200, 200]
    runner = run(HELLO, web={**GET, "docs": False}).ready()
    assert [runner.get(path).status for path in ("/docs", "/redoc", "/openapi.json")] == [404, 404, 404]


def test_cors_allows_every_origin(run):
    runner = run(HELLO, web=POST).ready()
    asked = {
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "X-Token",
    }
    answer = runner.get("/", "OPTIONS", headers=asked)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "https://elsewhere.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-allow-headers"] == "X-Token"
    assert "POST" in answer.headers["access-control-allow-methods"]
    # With credentials allowed, Starlette says `*` or the origin itself, by its version.
    allowed = runner.get("/", "POST", headers={"Origin": "https://a.example"}).headers[
        "access-control-allow-origin"
    ]
    assert allowed in ("*", "https://a.example")


def test_without_cors(run):
    runner = run(HELLO, web={**GET, "cors": False}).ready()
    assert (
        runner.get("/", headers={"Origin": "https://a.example"}).headers["access-control-allow-origin"]
        is None
    )


def test_async_handler_and_query_parameters(run):
    runner = run("async def f(x: int, y: int = 2):\n    return {'sum': x + y}\n").ready()
    assert runner.get("/?x=40").json == {"sum": 42}
    assert runner.get("/?x=many").status == 422


def test_pydantic_body(run):
    runner = run(ITEM, "as_json", POST).ready()
    assert runner.get("/", "POST", {"name": "Ada"}).json == "<html>Hello, Ada! 42</html>"
    refused = runner.get("/", "POST", {"qty": 1})
    assert refused.status == 422
    assert refused.json["detail"][0]["loc"] == ["body", "name"]


def test_response_class(run):
    answer = run(ITEM, "as_html", POST).ready().get("/", "POST", {"name": "Ada", "qty": 1})
    assert answer.text == "<html>Hello, Ada! 1</html>"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_the_gateways_forwarded_headers_are_believed(run):
    source = """
from fastapi import Request

def f(request: Request):
    return [request.client.host, str(request.url)]
"""
    runner = run(source).ready()
    forwarded = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "Host": "a.example"}
    assert runner.get("/?q=1", headers=forwarded).json == ["203.0.113.9", "https://a.example/?q=1"]


def test_a_large_head_is_accepted(run):
    source = """
from fastapi import Request

def f(request: Request):
    return len(request.headers["x-large"])
"""
    assert run(source).ready().get("/", headers={"X-Large": "x" * 60_000}).json == 60_000


def test_as_many_sync_handlers_run_at_once_as_the_function_takes(run):
    source = """
import threading

everyone = threading.Barrier(50)

def f():
    everyone.wait(20)
    return 1
"""
    runner = run(source, max_inputs=50).ready()
    connections = [runner.connect() for _ in range(50)]
    for connection in connections:
        connection.request("GET", "/")
    assert [connection.getresponse().status for connection in connections] == [200] * 50
