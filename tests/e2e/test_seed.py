"""The programs of the seed document, unchanged, in every way of running them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tools import Command, Environment, Server, listening, request, run, wait_until

PROGRAMS = ["hello.py", "item.py", "item_html.py", "fastapi_app.py", "flask_app.py"]


def check_hello(url: str) -> None:
    answer = request(url)
    assert (answer.status, answer.json()) == (200, "Hello world!")
    assert answer.headers["content-type"] == "application/json"
    assert request(url, "POST").status == 405
    assert request(url + "/elsewhere").status == 404
    assert request(url + "/docs").status == 200
    crossed = request(url, Origin="https://elsewhere.example")
    assert crossed.headers["access-control-allow-origin"] == "*"
    preflight = request(
        url, "OPTIONS", Origin="https://elsewhere.example", Access_Control_Request_Method="GET"
    )
    assert preflight.status == 200
    assert "GET" in preflight.headers["access-control-allow-methods"]


def check_item(url: str) -> None:
    answer = request(url, "POST", {"name": "Ada"})
    assert (answer.status, answer.json()) == (200, "<html>Hello, Ada!</html>")
    assert answer.headers["content-type"] == "application/json"
    check_refusals(url)


def check_item_html(url: str) -> None:
    answer = request(url, "POST", {"name": "Ada", "qty": 3})
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<html>Hello, Ada! boto3 1.")
    check_refusals(url)


def check_refusals(url: str) -> None:
    refused = request(url, "POST", {"qty": 1})
    assert refused.status == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "name"]
    assert request(url, "POST", {"name": "x", "qty": "many"}).status == 422
    assert request(url).status == 405


def check_fastapi_app(url: str) -> None:
    assert request(url + "/foo", "POST", {"a": [1, None, "ü"]}).json() == {"a": [1, None, "ü"]}
    assert request(url + "/bar").json() == "Hello Fast World!"
    assert request(url).status == 404


def check_flask_app(url: str) -> None:
    assert request(url).text == "Hello Flask World!"
    assert request(url + "/foo", "POST", {"deep": {"er": 1}}).json() == {"deep": {"er": 1}}
    assert request(url + "/foo").status == 405


CHECKS = {
    "hello.py": check_hello,
    "item.py": check_item,
    "item_html.py": check_item_html,
    "fastapi_app.py": check_fastapi_app,
    "flask_app.py": check_flask_app,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_served_by_the_command(name: str, seed: Path, serve) -> None:
    command = serve(seed / name)
    CHECKS[name](command.url())
    assert command.interrupt() == 0


@pytest.mark.parametrize("name", PROGRAMS)
def test_served_by_running_the_file(name: str, seed: Path, home: Environment, python: str, sdk: str) -> None:
    command = Command([python, str(seed / name)], home.variables(PYTHONPATH=sdk), home.cwd)
    try:
        command.wait_serving()
        CHECKS[name](command.url())
        assert command.interrupt() == 0
    finally:
        command.end()


def test_a_script_that_is_killed_takes_its_app_along(
    seed: Path, home: Environment, python: str, sdk: str
) -> None:
    command = Command([python, str(seed / "hello.py")], home.variables(PYTHONPATH=sdk), home.cwd)
    command.wait_serving()
    port = int(command.url().rsplit(":", 1)[1])
    os.kill(command.process.pid, signal.SIGKILL)
    wait_until(lambda: not listening(port))
    command.end()


def test_deployed(seed: Path, server: Server) -> None:
    for name in PROGRAMS:
        urls = server.deploy(seed / name, name.removesuffix(".py"))
        assert len(urls) == 1
        CHECKS[name](next(iter(urls.values())))
    listed = server.environment.run("app", "list").stdout
    assert all(name.removesuffix(".py") in listed for name in PROGRAMS)


def test_the_main_block_does_not_run_in_the_container(program, serve) -> None:
    file = program(
        """
        import modal

        stub = modal.Stub()

        @stub.webhook
        def f():
            return __name__

        if __name__ == "__main__":
            raise SystemExit("the main block ran")
        """
    )
    assert request(serve(file).url()).json() == "program"


def test_a_program_of_today(program, serve) -> None:
    file = program(
        """
        import modal

        app = modal.App("today")

        @app.function()
        @modal.fastapi_endpoint(docs=True)
        async def hello(name: str = "you"):
            import pydantic
            return {"hello": name, "pydantic": pydantic.VERSION.split(".")[0]}

        @app.function()
        @modal.asgi_app()
        def web():
            from fastapi import FastAPI
            web = FastAPI()

            @web.get("/")
            def root():
                return "asgi"
            return web

        @app.function(image=modal.Image.debian_slim().pip_install("flask"))
        @modal.wsgi_app()
        def flask():
            import flask
            app = flask.Flask(__name__)
            app.get("/")(lambda: "wsgi")
            return app
        """
    )
    command = serve(file)
    assert request(command.url("hello") + "?name=Ada").json() == {"hello": "Ada", "pydantic": "2"}
    assert request(command.url("hello") + "/docs").status == 200
    assert request(command.url("web")).json() == "asgi"
    assert request(command.url("flask")).text == "wsgi"


def test_the_seeds_own_wording(program, serve) -> None:
    file = program(
        """
        import modal

        stub = modal.Stub("wording")

        @stub.function()
        @modal.webhook(method="PUT")
        def put():
            return "put"

        @stub.function
        @modal.asgi
        def app():
            async def raw(scope, receive, send):
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"raw asgi"})
            return raw
        """
    )
    command = serve(file)
    assert request(command.url("put"), "PUT").json() == "put"
    assert request(command.url("app")).text == "raw asgi"


def test_the_packages_of_the_era(program, serve) -> None:
    file = program(
        """
        from typing import Optional

        import modal
        from fastapi import Depends
        from pydantic import BaseModel, BaseSettings, validator

        stub = modal.Stub()

        class Settings(BaseSettings):
            colour: str = "red"

        class Filter(BaseModel):
            q: Optional[int]  # pydantic 2 would demand it: 422 in place of 200

        class Item(BaseModel):
            name: str
            note: Optional[str]

            @validator("name")
            def upper(cls, value):
                return value.upper()

        @stub.webhook
        def query(filter: Filter = Depends(), p: Optional[int] = None):
            return {"q": filter.q, "p": p, "colour": Settings().colour}

        @stub.webhook(method="POST")
        def body(item: Item):
            return [item.name, item.note]
        """
    )
    command = serve(file)
    assert request(command.url("query")).json() == {"q": None, "p": None, "colour": "red"}
    assert request(command.url("body"), "POST", {"name": "ada"}).json() == ["ADA", None]


def test_a_browser_and_other_clients_can_use_the_url(seed: Path, serve) -> None:
    url = serve(seed / "hello.py").url()
    assert url.startswith("http://localhost:")
    assert run(["curl", "--silent", url]).stdout == '"Hello world!"'


@pytest.mark.parametrize("name", ["my-program.py", "01_hello.py", "with space.py", "größe.py"])
def test_file_names_that_are_no_identifiers(name: str, program, serve) -> None:
    file = program(
        """
        import modal

        stub = modal.Stub()

        @stub.webhook
        def f():
            return __name__
        """,
        name,
    )
    assert request(serve(file).url()).json() == name.removesuffix(".py")


def test_a_users_own_module_path_is_kept(program, serve) -> None:
    file = program(
        """
        import modal

        stub = modal.Stub()
        image = modal.Image.debian_slim().run_commands("mkdir /more && echo 'WORD = 1' > /more/extra.py")

        @stub.webhook(image=image, secret=modal.Secret({"PYTHONPATH": "/more"}))
        def f():
            import extra
            return extra.WORD
        """
    )
    assert request(serve(file).url()).json() == 1
