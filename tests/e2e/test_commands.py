"""Options of `serve` and `deploy` that change what is told, and under which name."""

from __future__ import annotations

import json

from tools import Server, request

PROGRAM = """
    import modal

    app = modal.App("shop")


    @app.function()
    @modal.fastapi_endpoint()
    def f():
        print("asked")
        return "hello"
"""
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def test_serve(program, server: Server) -> None:
    command = server.environment.command("serve", str(program(PROGRAM)), "--name", "other", "--timestamps")
    try:
        command.wait_serving()
        apps = json.loads(server.environment.run("app", "list", "--json").stdout)
        assert [app["name"] for app in apps] == ["other"]
        assert request(command.url("f")).json() == "hello"
        command.wait_for(TIME + r" f \| asked")
    finally:
        command.end()


def test_deploy(program, server: Server) -> None:
    # Nothing starts the endpoint before it is asked.
    program(PROGRAM.replace('print("asked")', 'print("asked", flush=True)'))
    command = server.environment.command(
        "deploy", "program.py", "--no-verify", "--stream-logs", "--timestamps"
    )
    try:
        url = command.wait_for(r"(http://localhost:\d+)").group(1)
        assert request(url).json() == "hello"
        command.wait_for(TIME + r" f \| asked")
        command.interrupt()
        assert request(url).json() == "hello"
    finally:
        command.end()
