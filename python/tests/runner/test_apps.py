"""Whole ASGI and WSGI apps, and their lifespan."""

from __future__ import annotations

from .harness import ASGI, GET, POST, WSGI

FASTAPI = """
from fastapi import FastAPI, Request

web_app = FastAPI()


@web_app.post("/foo")
async def foo(request: Request):
    return await request.json()


@web_app.get("/bar")
async def bar():
    return "Hello Fast World!"


def f():
    return web_app
"""

FLASK = """
def f():
    from flask import Flask, request

    web_app = Flask(__name__)

    @web_app.get("/")
    def home():
        return "Hello Flask World!"

    @web_app.post("/foo")
    def foo():
        return request.json

    @web_app.get("/broken")
    def broken():
        raise ValueError("a flaw")

    @web_app.get("/environ")
    def environ():
        return {name: str(request.environ[name]) for name in ("SERVER_NAME", "REMOTE_ADDR")}

    return web_app
"""

LIFESPAN = """
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request


@asynccontextmanager
async def lifespan(app):
    print("up")
    yield {"answer": 42}
    print("down")


def f():
    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    def home(request: Request):
        print("asked")
        return request.state.answer

    return app
"""


def test_asgi(run):
    runner = run(FASTAPI, web=ASGI).ready()
    assert runner.get("/foo", "POST", {"a": [1, 2]}).json == {"a": [1, 2]}
    assert runner.get("/bar").json == "Hello Fast World!"
    assert runner.get("/").status == 404


def test_wsgi(run):
    runner = run(FLASK, web=WSGI).ready()
    assert runner.get("/").text == "Hello Flask World!"
    assert runner.get("/foo", "POST", {"a": [1, 2]}).json == {"a": [1, 2]}
    environ = runner.get("/environ", headers={"X-Forwarded-For": "203.0.113.9"}).json
    assert environ == {"SERVER_NAME": "localhost", "REMOTE_ADDR": "203.0.113.9"}


def test_an_exception_in_flask_is_logged_once(run):
    runner = run(FLASK, web=WSGI).ready()
    assert runner.get("/broken").status == 500
    assert runner.drain().count("ValueError: a flaw") == 1


def test_lifespan_runs_around_the_requests_and_shares_its_state(run):
    runner = run(LIFESPAN, web=ASGI).ready()
    assert runner.get("/").json == 42
    assert runner.drain() == "up\nasked\ndown\n"


def test_an_app_without_lifespan_is_served(run):
    source = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"plain"})


def f():
    return app
"""
    runner = run(source, web=ASGI).ready()
    assert runner.get("/").text == "plain"
    assert runner.drain() == ""


def test_a_failed_startup_fails_the_container(run):
    source = LIFESPAN.replace('print("up")', "raise RuntimeError('no database')")
    runner = run(source, web=ASGI)
    failure = runner.failed()
    assert (failure["stage"], failure["summary"]) == ("lifespan", "RuntimeError: no database")
    assert failure["traceback"].splitlines()[1] == f'  File "{runner.root}/main.py", line 9, in lifespan'
    assert runner.log() == failure["traceback"]


def test_a_startup_that_exits_fails_the_container(run):
    failure = run(LIFESPAN.replace('print("up")', "raise SystemExit(4)"), web=ASGI).failed()
    assert failure["stage"] == "lifespan"
    assert "SystemExit" in failure["summary"]


def test_a_failed_shutdown_is_told(run):
    runner = run(LIFESPAN.replace('print("down")', "raise RuntimeError('stuck')"), web=ASGI).ready()
    log = runner.drain()
    assert log.startswith("up\nError in f: shutdown\nTraceback")
    assert log.count("RuntimeError: stuck") == 1


def test_what_is_not_an_app_is_explained(run):
    cases = [
        (
            "async def f():\n    return 1\n",
            ASGI,
            "`f` is an async function; one that returns an ASGI app must be",
        ),
        ("f = lambda: None\n", ASGI, "`f` returned None, not an ASGI app"),
        ("f = lambda: 3\n", WSGI, "`f` returned an object of type int, not a WSGI app"),
        (FLASK, ASGI, "`f` returned a WSGI app; decorate it as WSGI, not as ASGI"),
        (FASTAPI, WSGI, "`f` returned an ASGI app; decorate it as ASGI, not as WSGI"),
        (
            "def f(x): pass\n",
            ASGI,
            "`f` is called without arguments to get its ASGI app: missing a required argument: 'x'; give its",
        ),
        ("def f():\n    yield 1\n", GET, "`f` is a generator, and a web endpoint cannot be one; return a"),
        ("async def f():\n    yield 1\n", GET, "`f` is a generator, and a web endpoint cannot be one"),
    ]
    for source, web, sentence in cases:
        failure = run(source, web=web).failed()
        assert failure["stage"] == "app"
        assert failure["summary"].startswith(sentence)
        assert "Traceback" not in failure["traceback"]


def test_parameters_of_a_factory_have_their_defaults(run):
    source = FASTAPI.replace("def f():", "def f(app=web_app, *more, **others):").replace(
        "return web_app", "return app"
    )
    assert run(source, web=ASGI).ready().get("/bar").json == "Hello Fast World!"


def test_fastapi_missing_from_the_image_is_explained(run):
    missing = "raise ModuleNotFoundError(\"No module named 'fastapi'\", name='fastapi')"
    failure = run("def f(): pass\n", web=POST, files={"fastapi.py": missing}).failed()
    assert failure["summary"].startswith("FastAPI is not installed in the image; add it: image.pip_install(")


def test_an_exception_while_the_app_is_made(run):
    runner = run("def f():\n    return {}['key']\n", web=ASGI)
    failure = runner.failed()
    assert (failure["stage"], failure["summary"]) == ("app", "KeyError: 'key'")
    assert failure["traceback"].splitlines()[1] == f'  File "{runner.root}/main.py", line 2, in f'
