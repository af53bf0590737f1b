"""The command line: references, `run`, scripts that run their app, old spellings, exit codes."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tools import Command, Environment, Server, listening, request, wait_until

HELLO = """
    import modal

    app = modal.App("hello")


    @app.function()
    @modal.fastapi_endpoint()
    def f():
        return "hello"
"""


def test_the_manifest_is_on_no_disk(program, home: Environment, tmp_path: Path) -> None:
    token = f"hush-{secrets.token_hex(16)}"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    # The program itself looks at what discovery was started with, and where its manifest will go.
    file = program(
        """
        import os
        import sys
        import time

        import modal

        app = modal.App("keeper")
        if modal.is_local():
            print("scratch:", os.listdir(os.environ["TMPDIR"]), flush=True)
            output = sys.orig_argv if hasattr(sys, "orig_argv") else sys.argv
            print("files:", [argument for argument in output if argument.endswith(".json")], flush=True)
            print("stdin:", repr(sys.stdin.read()), flush=True)
            # It holds the manifest's pipe for longer than the import lasts.
            if os.fork() == 0:
                time.sleep(3)
                os._exit(0)


        values = {"TOKEN": os.environ.get("TOKEN", ""), **{f"BIG{n}": "x" * 30_000 for n in range(3)}}


        @app.function(secrets=[modal.Secret.from_dict(values)])
        @modal.fastapi_endpoint()
        def f():
            return [os.environ["TOKEN"], sum(len(os.environ[f"BIG{n}"]) for n in range(3))]
        """
    )
    command: Command = home.command("serve", str(file), TOKEN=token, TMPDIR=str(scratch))
    try:
        command.wait_serving()
        assert request(command.url("f")).json() == [token, 90_000]
        command.wait_for(r"scratch: \[\]")
        command.wait_for(r"files: \[\]")
        command.wait_for("stdin: ''")
        assert token not in command.output
    finally:
        command.end()


JOB = """
    import json
    import urllib.request

    import modal

    app = modal.App("job")


    @app.function()
    @modal.fastapi_endpoint()
    def f(x: int = 1):
        print("asked", x)
        return x + 1


    def ask(x: int) -> str:
        return urllib.request.urlopen(f"{f.get_web_url()}?x={x}").read().decode()


    @app.local_entrypoint()
    def main(count: int, name: str = "nobody"):
        print(json.dumps({"name": name, "answers": [ask(x) for x in range(count)], "url": f.get_web_url()}))


    if __name__ == "__main__":
        with app.run():
            print(ask(41))
        print(f.get_web_url())
"""


def test_run_of_an_entrypoint(program, home: Environment) -> None:
    file = program(JOB)
    done = home.run("run", f"{file}::main", "--count", "3", "--name", "x")
    assert done.returncode == 0, done.stderr
    # What containers print is not the program's output.
    told = json.loads(done.stdout)
    assert (told["name"], told["answers"]) == ("x", ["1", "2", "3"])
    assert "f | asked 2" in done.stderr and "App stopped" in done.stderr
    assert not listening(urlsplit(told["url"]).port or 0)
    done = home.run("run", str(file), "--count", "many")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: argument --count: invalid int value: 'many'" in done.stderr
    done = home.run("run", str(file), "--help")
    assert done.returncode == 0 and "--count NUMBER" in done.stdout


def script(home: Environment, python: str, sdk: str, *arguments: str, **more: str) -> Command:
    """Runs a script as a user does, without the command."""
    return Command([python, *arguments], home.variables(PYTHONPATH=sdk, **more), home.cwd)


def test_a_script_runs_its_app(program, home: Environment, python: str, sdk: str) -> None:
    command = script(home, python, sdk, str(program(JOB)))
    assert command.wait() == 0, command.output
    assert "42" in command.lines and "None" in command.lines
    assert "App stopped" in command.output


def test_a_script_runs_its_app_in_an_event_loop(program, home: Environment, python: str, sdk: str) -> None:
    head, _, _ = JOB.partition("    if __name__")
    text = head + (
        "    if __name__ == '__main__':\n"
        "        import asyncio\n\n"
        "        async def go():\n"
        "            async with app.run():\n"
        "                print(await asyncio.to_thread(ask, 41))\n\n"
        "        asyncio.run(go())\n"
    )
    command = script(home, python, sdk, str(program(text)))
    assert command.wait() == 0, command.output
    assert "42" in command.lines


STUB = """
    import sys
    import urllib.request

    import modal

    stub = modal.Stub("shop")


    @stub.webhook
    def f():
        return "hello"


    if __name__ == "__main__":
        if sys.argv[1:] == ["deploy"]:
            stub.deploy()
            print("answer", urllib.request.urlopen(f.web_url).read())
        else:
            with stub.run() as app:
                print("answer", urllib.request.urlopen(app.f.web_url).read(), flush=True)
                if sys.argv[1:] == ["wait"]:
                    sys.stdin.read()
                    import signal

                    signal.pause()
"""


def test_a_script_of_2022_runs_and_deploys(program, server: Server, python: str, sdk: str) -> None:
    file = str(program(STUB))
    command = script(server.environment, python, sdk, file)
    assert command.wait() == 0, command.output
    assert "answer b'\"hello\"'" in command.lines
    command = script(server.environment, python, sdk, file, "deploy")
    assert command.wait() == 0, command.output
    assert "answer b'\"hello\"'" in command.lines
    apps = json.loads(server.environment.run("app", "list", "--json").stdout)
    assert [(app["name"], app["state"]) for app in apps] == [("shop", "deployed")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_app_ends_with_its_script(
    number: signal.Signals, program, home: Environment, python: str, sdk: str
) -> None:
    command = script(home, python, sdk, str(program(STUB)), "wait")
    try:
        command.wait_for("answer")
        found = command.wait_for(r"Created f => (http://\S+)").group(1)
        command.process.send_signal(number)
        command.wait()
        wait_until(lambda: not listening(urlsplit(found).port or 0))
    finally:
        command.end()


def test_app_deploy_of_2022(program, server: Server) -> None:
    file = program(STUB)
    done = server.environment.run("app", "deploy", str(file), "--name", "old")
    assert done.returncode == 0, done.stderr
    done = server.environment.run("app", "deploy", f"{file}:stub", "--env", "main", "--strategy", "recreate")
    assert done.returncode == 0, done.stderr
    assert (
        "`--env main` has no effect" in done.stderr and "`--strategy recreate` has no effect" in done.stderr
    )
    apps = json.loads(server.environment.run("app", "list", "--json").stdout)
    assert sorted(app["name"] for app in apps) == ["old", "shop"]
    refused = server.environment.run("run", str(file))
    assert refused.returncode == 1
    shop = next(app for app in apps if app["name"] == "shop")
    assert f"it is deployed at {shop['functions'][0]['url']}" in refused.stderr
    for app in ("old", shop["id"]):
        assert server.environment.run("app", "stop", app, "--yes").returncode == 0
    assert server.environment.run("app", "stop", "nobody").returncode == 1


def test_logs(program, server: Server) -> None:
    urls = server.deploy(program(JOB), "job")
    for x in range(5):
        request(f"{urls['f']}?x={x}")
    told = server.environment.run("app", "logs", "job", "-n", "2", "--timestamps").stdout.splitlines()
    assert len(told) == 2
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z f \| .*", line) for line in told), told
    told = server.environment.run("app", "logs", "job", "--since", "1h").stdout
    assert told.count("asked") == 5
    assert server.environment.run("app", "logs", "job", "--since", "0s").stdout == ""
    told = server.environment.run("app", "logs", "job", "--search", "ASKED 3").stdout
    assert [line.partition(" | ")[2] for line in told.splitlines()] == ["asked 3"]
    told = server.environment.run("app", "logs", "job", "--search", "asked", "-n", "1", "--show-container-id")
    found = re.fullmatch(r"(co-\w+) f \| asked 4\n", told.stdout)
    assert found, told.stdout
    for options, count in (
        (["--container", found[1], "--search", "asked"], 5),
        (["--function", "f", "--source", "stdout", "--search", "asked"], 5),
        (["--source", "stderr", "--search", "asked"], 0),
        (["--function", "other"], 0),
        (["--until", "0s", "--search", "asked"], 5),
        (["--until", "1h"], 0),
    ):
        told = server.environment.run("app", "logs", "job", *options)
        assert (told.returncode, told.stdout.count("asked")) == (0, count), (options, told)
    command = server.environment.command("deploy", str(program(JOB)), "--stream-logs")
    try:
        command.wait_for("is deployed")
        request(f"{urls['f']}?x=77")
        command.wait_for("asked 77")
        assert command.interrupt() == 0
    finally:
        command.end()


def test_apps_that_a_command_serves_are_found_without_a_server(program, home: Environment) -> None:
    command = home.command("serve", str(program(JOB)))
    try:
        command.wait_serving()
        assert request(command.url("f") + "?x=4").json() == 5
        (titles, row) = (line.split() for line in home.run("app", "list").stdout.splitlines())
        assert titles[:3] == ["NAME", "ID", "STATE"] and titles[-2:] == ["LABEL", "URL"]
        assert (row[0], row[2], row[-2:]) == ("job", "serving", ["local--job-f-dev", command.url("f")])
        assert "asked 4" in home.run("app", "logs", row[1]).stdout
        done = home.run("app", "stop", "job")
        assert done.returncode == 0, done.stderr
        command.wait_for("The app was stopped")
    finally:
        command.end()
    assert "no server is running" in home.run("app", "list").stderr


def test_serve_follows_modals_file(program, home: Environment, tmp_path: Path) -> None:
    settings = tmp_path / "modal.toml"
    settings.write_text('[default]\ndev_suffix = "me"\nserve_timeout = 1\n')
    done = home.run("serve", str(program(HELLO)), MODAL_CONFIG_PATH=str(settings))
    assert done.returncode == 0 and "Stopping" in done.stderr, done.stderr
    command = home.command("serve", str(program(HELLO)), "--timeout", "600", MODAL_CONFIG_PATH=str(settings))
    try:
        command.wait_serving()
        assert "local--hello-f-me" in home.run("app", "list").stdout
    finally:
        command.end()


def test_a_module_and_a_variable(program, home: Environment, tmp_path: Path) -> None:
    program("", "package/__init__.py")
    program("NAME = 'web'\n", "package/names.py")
    text = HELLO.replace("import modal", "import modal\n    from .names import NAME").replace(
        '"hello"\n', "NAME\n"
    )
    program(text.replace("app", "other"), "package/web.py")
    for reference in (["-m", "package.web"], ["package.web::other"], ["package/web.py:other"]):
        command = home.command("serve", *reference, "--no-reload")
        try:
            command.wait_serving()
            assert request(command.url("f")).json() == "web"
            assert "Watching" not in command.output
            assert ("written `-m package.web` today" in command.output) == (
                reference[0] == "package.web::other"
            )
        finally:
            command.end()
    done = home.run("serve", "package/web.py::nobody")
    assert done.returncode == 1
    assert "no App or Stub named nobody" in done.stderr and "package/web.py::other" in done.stderr


def test_serve_ends_by_itself(program, home: Environment) -> None:
    file = str(program(HELLO))
    for arguments, environment in [
        (["--timeout", "0.5"], {}),
        ([], {"MODAL_SERVE_TIMEOUT": "0.5"}),
        ([], {"PILOTLIGHT_SERVE_TIMEOUT": "0.5", "MODAL_SERVE_TIMEOUT": ""}),
    ]:
        done = home.run("serve", file, *arguments, **environment)
        assert done.returncode == 0, done.stderr
        assert "Stopping" in done.stderr


def answered(environment: Environment, answer: str, *arguments: str) -> tuple[int, str]:
    """Runs a command on a terminal where `answer` is typed; its exit status, and what stands there."""
    ours, theirs = os.openpty()
    os.write(ours, f"{answer}\n".encode())
    command = [str(environment.binary), *arguments]
    process = subprocess.Popen(
        command, env=environment.variables(), stdin=theirs, stdout=theirs, stderr=theirs, cwd=environment.cwd
    )
    os.close(theirs)
    told = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Nobody has the terminal open any more (EIO).
            break
        told += part
    os.close(ours)
    return process.wait(60), told.decode()


def test_stop_asks_on_a_terminal(program, server: Server) -> None:
    server.deploy(program(HELLO), "hello")
    status, told = answered(server.environment, "n", "app", "stop", "hello")
    assert status == 1 and "Stop hello?" in told and "Nothing was stopped" in told
    assert "hello" in server.environment.run("app", "list").stdout
    status, told = answered(server.environment, "y", "app", "stop", "hello")
    assert status == 0 and "Stopped hello" in told
    server.stop()
    status, told = answered(server.environment, "n", "deploy", str(program(HELLO)))
    assert status == 1 and "Start one now?" in told and "no server is running" in told
    status, told = answered(server.environment, "", "deploy", str(program(HELLO)))
    assert status == 0 and "is deployed" in told, told


def test_serving_by_another_name(program, server: Server) -> None:
    command = server.environment.command("serve", str(program(HELLO)), "--name", "other")
    try:
        command.wait_serving()
        apps = json.loads(server.environment.run("app", "list", "--json").stdout)
        assert [(app["name"], app["state"]) for app in apps] == [("other", "serving")]
    finally:
        command.end()
    done = server.environment.run("serve", str(program(HELLO)), "--name", "no spaces")
    assert done.returncode == 1 and "no spaces" in done.stderr
    done = server.environment.run("serve", str(program(HELLO)), "--dev-suffix", "Not.Good")
    assert done.returncode == 1 and "Not.Good" in done.stderr
