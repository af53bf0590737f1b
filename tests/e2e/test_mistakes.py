"""Every mistake is answered with a sentence that says what to do, and never with a traceback of ours."""

from __future__ import annotations

import socket

import pytest
from tools import Environment, Server, request

HELLO = """
    import modal
    stub = modal.Stub()

    @stub.webhook
    def f():
        return "hello"
"""


def refused(home: Environment, *arguments: str) -> str:
    """Runs a command that must fail as a user's mistake; what it says."""
    done = home.run(*arguments)
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert "error:" in done.stderr
    assert "panicked" not in done.stderr and "_discover" not in done.stderr
    return done.stderr


def test_a_file_that_does_not_exist(home: Environment) -> None:
    assert "nowhere.py" in refused(home, "serve", "nowhere.py")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import modal\n\ndef f(:\n    pass\n", ["SyntaxError", "line 3"]),
        ("import modal\nimport nowhere\n", ["No module named 'nowhere'", "line 2"]),
        ("import modal\n1 / 0\n", ["ZeroDivisionError", "line 2"]),
        ("import sys\nsys.exit(3)\n", ["exit"]),
        ("import os\nos._exit(3)\n", ["ended the interpreter"]),
        ("print('nothing here')\n", ["App("]),
    ],
    ids=["syntax", "import", "raises", "exits", "os._exit", "no stub"],
)
def test_a_file_that_does_not_load(text: str, told: list[str], program, home: Environment) -> None:
    said = refused(home, "serve", str(program(text)))
    for words in told:
        assert words in said


def test_deploy_without_a_name(program, server: Server) -> None:
    said = refused(server.environment, "deploy", str(program(HELLO)))
    assert "--name" in said


def test_deploy_without_a_server(program, home: Environment) -> None:
    said = refused(home, "deploy", str(program(HELLO)), "--name", "x")
    assert "pilotlight server start" in said


def test_a_program_that_serves_nothing(program, server: Server) -> None:
    text = """
        import modal

        app = modal.App("idle")

        @app.function()
        def f():
            return 1
    """
    for verb in ("serve", "deploy"):
        said = refused(server.environment, verb, str(program(text)))
        assert "error: there is nothing to serve in idle: no function has a web decorator" in said
        assert "hint: write `@modal.fastapi_endpoint()` between" in said


def test_commands_without_a_server(home: Environment) -> None:
    for arguments in (["app", "list"], ["app", "logs", "x"], ["app", "stop", "x"]):
        assert "pilotlight server start" in refused(home, *arguments)


def test_a_bad_name(program, server: Server) -> None:
    said = refused(server.environment, "deploy", str(program(HELLO)), "--name", "no spaces")
    assert "no spaces" in said


def test_a_package_that_cannot_be_found_leaves_the_old_version(program, server: Server) -> None:
    urls = server.deploy(program(HELLO), "old")
    broken = program(
        """
        import modal
        stub = modal.Stub()

        @stub.webhook(image=modal.Image.debian_slim().pip_install("no-such-package-as-this-one-x"))
        def f():
            return "new"
        """
    )
    said = refused(server.environment, "deploy", str(broken), "--name", "old")
    assert "no-such-package-as-this-one-x" in said
    assert request(urls["f"]).json() == "hello"


def test_a_version_that_crashes_in_the_container_is_not_deployed(program, server: Server) -> None:
    urls = server.deploy(program(HELLO), "old")
    only_there = program(
        """
        import os
        import modal
        stub = modal.Stub()
        if not modal.is_local():
            raise RuntimeError("not here")

        @stub.webhook
        def f():
            return "new"
        """
    )
    said = refused(server.environment, "deploy", str(only_there), "--name", "old")
    assert "RuntimeError: not here" in said
    assert request(urls["f"]).json() == "hello"


@pytest.mark.parametrize(
    "crash", ["raise RuntimeError('not here')", "import sys; sys.exit(3)", "import os; os._exit(3)"]
)
def test_a_module_that_crashes_in_the_container(crash: str, program, serve) -> None:
    file = program(
        f"""
        import modal
        stub = modal.Stub()
        if not modal.is_local():
            {crash}

        @stub.webhook
        def f():
            return "never"
        """
    )
    command = serve(file)
    answer = request(command.url(), Accept="application/json")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["code"] == "function_failed_to_start"
    if "RuntimeError" in crash:
        command.wait_for(r"f \| .*RuntimeError: not here")


def test_a_handler_that_raises(program, serve) -> None:
    file = program(
        """
        import modal
        stub = modal.Stub()

        def deeper():
            raise ValueError("a mistake of the user")

        @stub.webhook
        def f():
            deeper()
        """
    )
    command = serve(file)
    answer = request(command.url())
    assert (answer.status, answer.text) == (500, "Internal Server Error")
    command.wait_for(r"f \| ValueError: a mistake of the user")
    assert "in deeper" in command.output
    assert "_pilotlight_runner" not in command.output
    assert request(command.url()).status == 500


def test_a_port_in_use(program, server: Server) -> None:
    urls = server.deploy(program(HELLO), "ported")
    server.stop()
    port = int(urls["f"].rsplit(":", 1)[1])
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        server.start()
        log = (server.environment.state / "logs" / "server.log").read_text()
        assert str(port) in log and "ported" in log
    server.stop()
    server.start()
    assert request(urls["f"]).json() == "hello"


def test_an_ephemeral_app_takes_the_next_free_port(program, serve, home: Environment) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", home.port + 1))
        squatter.listen()
        command = serve(program(HELLO))
        assert command.url() == f"http://localhost:{home.port + 2}"
        assert request(command.url()).json() == "hello"
