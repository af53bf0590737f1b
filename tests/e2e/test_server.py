"""The daemon: what is deployed stays, whatever happens to the server."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from tools import Environment, Server, Traces, listening, mounts, ports, request, wait_until

TEXT = """
    import modal

    stub = modal.Stub()

    @stub.webhook
    def f():
        print("handled {text}")
        return "{text}"
"""


def test_a_deployment_survives_restarts_at_the_same_url(program, server: Server) -> None:
    urls = server.deploy(program(TEXT.format(text="one")), "kept")
    assert request(urls["f"]).json() == "one"
    server.stop()
    assert not listening(int(urls["f"].rsplit(":", 1)[1]))
    server.start()
    assert request(urls["f"]).json() == "one"

    pid = server.pid()
    killed = Traces(pid)
    os.kill(pid, signal.SIGKILL)
    server.start()
    assert request(urls["f"]).json() == "one"
    killed.wait_gone()
    stopped = Traces(server.pid())
    server.stop()
    stopped.wait_gone()
    assert not mounts(server.environment.state)


def test_after_the_helper_is_killed_the_next_request_works(program, server: Server) -> None:
    urls = server.deploy(program(TEXT.format(text="one")), "helped")
    assert request(urls["f"]).json() == "one"
    helper = server.helper()
    os.kill(helper, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{helper}") or parent(helper) == 0)

    def answered() -> bool:
        return request(urls["f"]).status == 200

    wait_until(answered)
    assert request(urls["f"]).json() == "one"


def parent(pid: int) -> int:
    """The parent of a process; 0 when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def test_deploying_again_replaces_the_version_without_a_failed_request(program, server: Server) -> None:
    urls = server.deploy(program(TEXT.format(text="one")), "again")
    statuses: list[int] = []
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            statuses.append(request(urls["f"]).status)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for round in ("two", "three"):
        assert server.deploy(program(TEXT.format(text=round)), "again") == urls
    done.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}, statuses
    assert request(urls["f"]).json() == "three"
    assert "v3" in server.environment.run("app", "list").stdout


def test_list_logs_and_stop(program, server: Server) -> None:
    urls = server.deploy(program(TEXT.format(text="words")), "logged")
    assert request(urls["f"]).status == 200
    follower = server.environment.command("app", "logs", "-f", "logged")
    follower.wait_for(r"f \| handled words")
    mark = follower.mark()
    assert request(urls["f"]).status == 200
    follower.wait_for(r"f \| handled words", after=mark)
    follower.end()
    logs = server.environment.run("app", "logs", "logged")
    assert logs.returncode == 0 and logs.stdout.count("handled words") == 2
    assert "logged" in server.environment.run("app", "list").stdout
    assert server.environment.run("app", "stop", "logged").returncode == 0
    assert not listening(int(urls["f"].rsplit(":", 1)[1]))
    assert "stopped" in server.environment.run("app", "list").stdout
    # Its port waits for it.
    assert server.deploy(program(TEXT.format(text="back")), "logged") == urls


def test_serve_joins_the_daemon(program, server: Server) -> None:
    command = server.environment.command("serve", str(program(TEXT.format(text="joined"))))
    try:
        command.wait_serving()
        assert request(command.url()).json() == "joined"
        assert "serving" in server.environment.run("app", "list").stdout
        url = command.url()
        assert command.interrupt() == 0
        wait_until(lambda: not listening(int(url.rsplit(":", 1)[1])))
    finally:
        command.end()


def test_a_client_that_is_killed_takes_its_app_along(program, server: Server) -> None:
    command = server.environment.command("serve", str(program(TEXT.format(text="orphan"))))
    command.wait_serving()
    port = int(command.url().rsplit(":", 1)[1])
    os.killpg(command.process.pid, signal.SIGKILL)
    command.wait()
    wait_until(lambda: not listening(port))


def test_status_start_and_stop_say_what_is(server: Server) -> None:
    running = server.environment.run("server", "status")
    assert running.returncode == 0 and "running" in running.stdout
    assert "already" in server.environment.run("server", "start").stderr
    server.stop()
    stopped = server.environment.run("server", "status")
    assert stopped.returncode == 1 and "stopped" in stopped.stdout
    assert "No server" in server.environment.run("server", "stop").stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_in_the_foreground_ends_by_a_signal(home, number: signal.Signals) -> None:
    command = home.command("server")
    command.wait_for("Ctrl-C to stop")
    command.process.send_signal(number)
    assert command.process.wait(30) == 0


def test_ctrl_c_leaves_nothing(program, serve, home) -> None:
    command = serve(program(TEXT.format(text="gone")))
    url = command.url()
    assert request(url).json() == "gone"
    traces = Traces(command.process.pid)
    assert command.interrupt() == 0
    assert not listening(int(url.rsplit(":", 1)[1]))
    traces.wait_gone()
    assert not mounts(home.state)
    assert not any((home.state / "scratch").iterdir())


def test_ctrl_c_during_a_debian_build_leaves_no_mount(program, shared: Environment, tmp_path: Path) -> None:
    home = shared.fresh(tmp_path, next(ports), "tools", "discovery", "cache")
    file = program(TEXT.format(text="never"))
    command = home.command("serve", str(file), PILOTLIGHT_BASE="debian")
    # mmdebstrap mounts the machine's own /proc and /dev/shm into what it makes.
    wait_until(lambda: list(home.state.glob("layers/.staging-*/fs/dev/shm")), timeout=120)
    assert command.interrupt() == 0
    assert not mounts(home.state)
    assert not list(home.state.glob("layers/.staging-*"))
    assert "Stopping" in command.output


def test_two_first_deploys_of_one_name_at_once(program, server: Server) -> None:
    file = str(program(TEXT.format(text="twice")))
    commands = [server.environment.command("deploy", file, "--name", "twice") for _ in range(2)]
    assert [command.wait() for command in commands] == [0, 0], commands[0].output + commands[1].output
    url = commands[0].wait_for(r"Deployed f => (http://\S+)").group(1)
    assert request(url).json() == "twice"
    assert "v2" in server.environment.run("app", "list").stdout
