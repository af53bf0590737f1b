"""`--isolation=process`: the same runner on the machine itself, for machines that can give no sandbox."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools import Command, Environment, Server, children, listening, ports, request, wait_until

PROCESS = "--isolation=process"

HELLO = """
    import os, subprocess
    import modal

    app = modal.App("bare")

    @app.function()
    @modal.fastapi_endpoint()
    def f(q: int = 1):
        return {"q": q, "pid": os.getpid(), "uid": os.getuid(), "host": os.path.exists("/proc/1")}

    @app.function()
    @modal.fastapi_endpoint()
    def stray():
        # Twice removed, in a session of its own: only whoever adopts it can find it.
        script = "import os, time\\nos.fork() and os._exit(0)\\nos.setsid()\\nprint(os.getpid())\\n"
        script += "time.sleep(600)"
        child = subprocess.Popen(["python3", "-c", script], stdout=subprocess.PIPE)
        return int(child.stdout.readline())
"""


@pytest.fixture(scope="module")
def bare(shared: Environment, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A state directory of its own, for the images of this module."""
    return shared.fresh(tmp_path_factory.mktemp("process"), next(ports), "tools", "discovery", "cache")


@pytest.fixture
def serving(bare: Environment, program) -> Iterator[Command]:
    """A program that is served without the sandbox."""
    command = bare.command("serve", str(program(HELLO)), PROCESS)
    command.wait_serving()
    yield command
    command.end()


def gone(pids: list[int]) -> None:
    """Waits until none of the processes is there, dead ones that nobody has buried yet aside."""

    def lives(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    wait_until(lambda: not any(map(lives, pids)))


def test_it_is_said_loudly_and_is_so(serving: Command) -> None:
    serving.wait_for(r"warning: .*--isolation=process.* on this machine itself, as root")
    answer = request(serving.url("f") + "?q=7").json()
    assert answer["q"] == 7 and answer["uid"] == 0
    assert Path(f"/proc/{answer['pid']}/root").resolve() == Path("/")
    assert request(serving.url("f") + "?q=x").status == 422
    assert request(serving.url("f")).headers.get("server-timing") is None


def test_a_save_is_served_at_the_same_url(bare: Environment, program) -> None:
    text = HELLO.replace('"q": q', '"q": "{0}"')
    file = program(text.replace("{0}", "one"))
    command = bare.command("serve", str(file), PROCESS)
    try:
        command.wait_serving()
        assert request(command.url("f")).json()["q"] == "one"
        program(text.replace("{0}", "two"))
        command.wait_for("Updated in")
        assert request(command.url("f")).json()["q"] == "two"
        assert command.interrupt() == 0
    finally:
        command.end()


def test_ctrl_c_and_a_kill_leave_nothing(bare: Environment, program) -> None:
    for end in (signal.SIGINT, signal.SIGKILL):
        command = bare.command("serve", str(program(HELLO)), PROCESS)
        command.wait_serving()
        stray = request(command.url("stray")).json()
        pids = [*children(command.process.pid), stray]
        assert stray in children(command.process.pid)
        command.process.send_signal(end)
        gone(pids)
        command.end()
    # What was killed had no time to remove its files; the next start does.
    command = bare.command("serve", str(program(HELLO)), PROCESS)
    command.wait_serving()
    assert not list((bare.state / "scratch").iterdir())
    command.end()


def test_a_container_that_ends_takes_its_processes_along(bare: Environment, program) -> None:
    text = HELLO.replace("@app.function()", "@app.function(scaledown_window=2)")
    command = bare.command("serve", str(program(text)), PROCESS)
    command.wait_serving()
    stray = request(command.url("stray")).json()
    gone([stray])
    # The container was idle; the server goes on.
    assert request(command.url("f")).status == 200
    command.end()


def test_the_helper_dies_and_the_next_request_works(serving: Command) -> None:
    stray = request(serving.url("stray")).json()
    mine = children(serving.process.pid)
    (helper,) = [pid for pid in mine if Path(f"/proc/{pid}/comm").read_text() == "pl-helper\n"]
    pids = [helper, *children(helper), stray]
    os.kill(helper, signal.SIGKILL)
    gone(pids)
    wait_until(lambda: request(serving.url("f")).status == 200)


def test_a_deployment_survives_its_server(bare: Environment, program, tmp_path: Path) -> None:
    environment = bare.fresh(tmp_path, next(ports), "process", "tools", "discovery", "cache")
    server = Server(environment)
    started = environment.run("server", "start", PROCESS)
    assert started.returncode == 0 and PROCESS in started.stderr, started.stderr
    try:
        url = server.deploy(program(HELLO), "bare")["f"]
        assert request(url).json()["q"] == 1
        pids = children(server.pid())
        os.kill(server.pid(), signal.SIGKILL)
        gone(pids)
        assert not listening(int(url.rsplit(":", 1)[1]))
        # Never without being asked: a server with the sandbox takes the deployment up again.
        assert environment.run("server", "start", PROCESS).returncode == 0
        assert request(url).json()["q"] == 1
    finally:
        server.stop()


def test_the_option_is_refused_where_it_would_have_no_effect(server: Server, program) -> None:
    done = server.environment.run("serve", str(program(HELLO)), PROCESS)
    assert done.returncode == 1 and "was started without `--isolation=process`" in done.stderr
    done = server.environment.run("deploy", str(program(HELLO)), PROCESS)
    assert done.returncode == 1 and "pilotlight server stop" in done.stderr


def test_the_state_directory_of_a_sandboxed_server_is_refused(server: Server, program) -> None:
    server.stop()
    done = server.environment.run("serve", str(program(HELLO)), PROCESS)
    assert done.returncode == 1, done
    assert "is that of a server with the sandbox" in done.stderr and "--state-dir" in done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ('App("bare")', 'App("bare", image=modal.Image.debian_slim().apt_install("tree"))'),
            r"apt_install\(tree\)",
        ),
        (
            ('App("bare")', 'App("bare", image=modal.Image.debian_slim().run_commands("id"))'),
            r"run_commands\(id\)",
        ),
        (("@app.function()", "@app.function(block_network=True)"), r"block_network=True.*needs the sandbox"),
    ],
)
def test_what_only_the_sandbox_can_do_is_refused(bare: Environment, program, change, words: str) -> None:
    done = bare.run("serve", str(program(HELLO.replace(*change))), PROCESS)
    assert done.returncode == 1 and re.search(words, done.stderr), done.stderr


def test_a_debian_base_is_refused(bare: Environment, program) -> None:
    command = bare.command("serve", str(program(HELLO)), PROCESS, PILOTLIGHT_BASE="debian")
    assert command.wait() == 1
    command.wait_for("no Debian base.*without the sandbox")


def test_files_and_packages_of_the_program_are_there(bare: Environment, program, tmp_path: Path) -> None:
    (tmp_path / "helpers").mkdir()
    (tmp_path / "helpers" / "__init__.py").write_text("WORD = 'helped'\n")
    file = program("""
        import os, modal
        import helpers

        image = modal.Image.debian_slim().pip_install("six").env({"COLOUR": "blue"})
        app = modal.App("files", image=image)

        @app.function(secrets=[modal.Secret.from_dict({"TOKEN": "hush"})])
        @modal.fastapi_endpoint()
        def f():
            import six
            return [helpers.WORD, six.__name__, os.environ["COLOUR"], os.environ["TOKEN"], os.environ["HOME"]]
        """)
    command = bare.command("serve", str(file), PROCESS)
    command.wait_serving()
    *words, home = request(command.url("f")).json()
    assert words == ["helped", "six", "blue", "hush"]
    assert home.startswith(str(bare.state / "scratch"))
    command.end()
