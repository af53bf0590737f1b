"""Options of `serve`, `deploy` and `run` that change what is told, to whom, and under which name."""

from __future__ import annotations

import json
import re
from pathlib import Path

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
JOB = """
    import urllib.request

    import modal

    app = modal.App("job")


    @app.function()
    @modal.fastapi_endpoint()
    def f():
        print("asked")
        return "hello"


    @app.local_entrypoint()
    def main():
        return urllib.request.urlopen(f.get_web_url()).read().decode()
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


def test_run(program, server: Server, tmp_path: Path) -> None:
    file, result = str(program(JOB)), tmp_path / "result"
    options = ["--name", "other", "--timestamps", "--write-result", str(result)]
    done = server.environment.run("run", *options, file)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert result.read_text() == '"hello"'
    assert re.search(TIME + r" f \| asked", done.stderr), done.stderr
    quiet = server.environment.run("--quiet", "run", file)
    assert (quiet.returncode, quiet.stdout) == (0, "")
    assert "App stopped" in done.stderr and "App stopped" not in quiet.stderr


def test_another_state_directory_is_another_server(server: Server, tmp_path: Path) -> None:
    state = str(server.environment.state)
    elsewhere = {"PILOTLIGHT_STATE_DIR": str(tmp_path / "other")}
    here = server.environment.run("--state-dir", state, "server", "status", **elsewhere)
    there = server.environment.run("--state-dir", elsewhere["PILOTLIGHT_STATE_DIR"], "server", "status")
    assert (here.returncode, there.returncode, there.stdout) == (0, 1, "stopped\n")
