"""The seed's programs, through the real SDK."""

from __future__ import annotations

from .harness import ASGI, GET, PACKAGES, POST, WSGI

SEED = PACKAGES.parent / "examples" / "seed"
#: What `pip_install(["boto3"])` would bring.
BOTO3 = {"boto3.py": "__version__ = '1.0'\n"}


def start(run, name, qualname, web):
    """Start a seed program as a container would."""
    source = (SEED / f"{name}.py").read_text()
    return run(source, qualname, web, module=name, files=BOTO3, env={"PILOTLIGHT_SDK": str(PACKAGES)}).ready()


def test_hello(run):
    assert start(run, "hello", "f", GET).get("/").text == '"Hello world!"'


def test_item(run):
    answer = start(run, "item", "f", POST).get("/", "POST", {"name": "Ada"})
    assert answer.json == "<html>Hello, Ada!</html>"


def test_item_html(run):
    answer = start(run, "item_html", "f", POST).get("/", "POST", {"name": "Ada"})
    assert answer.text == "<html>Hello, Ada! boto3 1.0</html>"
    assert answer.headers["content-type"].startswith("text/html")


def test_fastapi_app(run):
    runner = start(run, "fastapi_app", "fastapi_app", ASGI)
    assert runner.get("/foo", "POST", [1]).json == [1]
    assert runner.get("/bar").json == "Hello Fast World!"


def test_flask_app(run):
    runner = start(run, "flask_app", "flask_app", WSGI)
    assert runner.get("/").text == "Hello Flask World!"
    assert runner.get("/foo", "POST", {"a": 1}).json == {"a": 1}
