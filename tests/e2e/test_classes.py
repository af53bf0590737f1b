"""Classes with hooks, functions sent by value, and what the server tells a container about itself."""

from __future__ import annotations

import json
import sys

from tools import Command, request, wait_until

MODEL = """
    import asyncio

    import modal

    app = modal.App("classy")
    image = modal.Image.debian_slim().pip_install("fastapi")


    @app.cls(image=image, scaledown_window=2)
    class Model:
        size: int = modal.parameter(default=3)

        @modal.enter(snap=False)
        def load(self):
            self.told = ["load", self.size]

        @modal.enter()
        async def connect(self):
            self.told.append("connect")
            self.loop = asyncio.get_running_loop()

        def own(self, q):
            return [*self.told, q]

        @modal.fastapi_endpoint(docs=True)
        async def one(self, q: str = "none"):
            assert self.loop is asyncio.get_running_loop()
            return self.own(q)

        @modal.asgi_app()
        def two(self):
            from fastapi import FastAPI

            web = FastAPI()
            told = [*self.told, "factory"]

            @web.get("/told")
            def home():
                return self.own(told[-1])

            return web

        @modal.exit()
        async def leave(self):
            print("left the model")
"""

EARLY = """
    import modal

    stub = modal.Stub("early")


    class Counter:
        def __enter__(self):
            self.count = 0

        @stub.webhook
        def add(self, step: int = 1):
            self.count += step
            return self.count

        def __exit__(self, kind, error, trace):
            print("left at", self.count)
"""

SERIALIZED = """
    import modal

    app = modal.App("by-value")
    image = modal.Image.debian_slim(python_version="{version}").pip_install("fastapi")
    print("imported")


    def make(greeting):
        @app.function(image=image, serialized=True, name="greet")
        @modal.fastapi_endpoint()
        def inner(name: str = "you"):
            return f"{{greeting}} {{name}}"


    make("hello")
"""

OWN_SOURCE = """
    import modal

    app = modal.App("own-source", include_source=False)
    image = modal.Image.debian_slim().pip_install("fastapi").add_local_python_source("helper", "program")


    @app.function(image=image)
    @modal.fastapi_endpoint()
    def f():
        import os

        import helper

        return [helper.ANSWER, sorted(name for name in os.listdir("/root") if name.endswith(".py"))]
"""

INSIDE = """
    import json
    import os
    import socket

    import modal

    app = modal.App("inside")
    image = modal.Image.debian_slim().pip_install("fastapi")


    @app.function(image=image)
    @modal.fastapi_endpoint()
    def variables():
        return {name: value for name, value in os.environ.items()}


    @app.function(image=image, block_network=True)
    @modal.fastapi_endpoint()
    def alone():
        try:
            socket.create_connection(("1.1.1.1", 443), timeout=5).close()
        except OSError as error:
            return type(error).__name__
        return "connected"
"""


def test_methods_of_a_class_are_served_with_its_hooks(program, serve) -> None:
    command: Command = serve(program(MODEL))
    assert request(command.url("Model.one") + "?q=x").json() == ["load", 3, "connect", "x"]
    assert request(command.url("Model.one") + "/docs").status == 200
    assert request(command.url("Model.two") + "/told").json() == ["load", 3, "connect", "factory"]
    # Both containers end when they are idle, and their hooks run.
    wait_until(lambda: command.output.count("left the model") == 2)


def test_exit_hooks_run_at_ctrl_c(program, serve) -> None:
    command: Command = serve(program(MODEL.replace("scaledown_window=2", "scaledown_window=600")))
    assert request(command.url("Model.one")).status == 200
    assert command.interrupt() == 0
    assert command.output.count("left the model") == 1


def test_a_class_of_2022_is_entered_and_left(program, serve) -> None:
    command: Command = serve(program(EARLY))
    url = command.url("Counter.add")
    assert [request(url).json(), request(url + "?step=5").json()] == [1, 6]
    assert command.interrupt() == 0
    assert "left at 6" in command.output


def test_a_serialized_function_needs_no_import(program, serve) -> None:
    version = ".".join(str(part) for part in sys.version_info[:2])
    command: Command = serve(program(SERIALIZED.format(version=version)))
    mark = command.output.count("imported")
    assert request(command.url("greet") + "?name=ann").json() == "hello ann"
    assert command.output.count("imported") == mark, "the module is not imported in the container"


def test_only_the_source_that_was_added_is_there(program, serve) -> None:
    program("ANSWER = 42", "helper.py")
    program("", "other.py")
    command: Command = serve(program(OWN_SOURCE))
    assert request(command.url("f")).json() == [42, ["helper.py", "program.py"]]


def test_without_its_source_a_function_does_not_load(program, serve) -> None:
    text = OWN_SOURCE.replace('.add_local_python_source("helper", "program")', "")
    command: Command = serve(program(text))
    assert request(command.url("f")).status == 503
    command.wait_for("ModuleNotFoundError: No module named 'program'")


def test_the_container_is_told_what_it_is(program, serve) -> None:
    command: Command = serve(program(INSIDE))
    variables = request(command.url("variables")).json()
    assert json.loads(variables["PILOTLIGHT_CONTEXT"])["function"] == "variables"
    assert json.loads(variables["PILOTLIGHT_CONTEXT"])["app"] == "inside"
    assert variables["MODAL_TASK_ID"].startswith("co-")
    assert variables["MODAL_IMAGE_ID"].startswith("im-")
    assert variables["MODAL_IS_REMOTE"] == "1"
    assert "/pkg" in variables["PYTHONPATH"].split(":")


def test_a_blocked_network_reaches_nothing(program, serve) -> None:
    command: Command = serve(program(INSIDE))
    assert request(command.url("alone")).json() == "OSError"
