"""An ordinary user's server: the same containers, made of unprivileged user namespaces."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from ordinary import SUBORDINATE, User, account
from tools import Command, Server, request, wait_until

HELLO = """
    import os, socket
    import modal

    app = modal.App("rootless")

    @app.function()
    @modal.fastapi_endpoint()
    def f():
        status = open("/proc/self/status").read()
        return {
            "word": "one",
            "uid": os.getuid(),
            "map": open("/proc/self/uid_map").read().split(),
            "caps": [line.split()[1] for line in status.splitlines() if line.startswith("Cap")],
            "filtered": "Seccomp:\\t2" in status,
            "pids": len([name for name in os.listdir("/proc") if name.isdigit()]),
            "files": sorted(name for name in os.listdir("/root") if name.endswith(".py")),
            "links": sorted(name for _, name in socket.if_nameindex()),
        }

    @app.function()
    @modal.fastapi_endpoint()
    def reach(host: str, port: int):
        try:
            socket.create_connection((host, port), 3).close()
            return "reached"
        except OSError as error:
            return type(error).__name__
"""


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """A user with subordinate ids."""
    with account(subordinate=True) as user:
        yield user


@pytest.fixture
def alone() -> Iterator[User]:
    """A user without."""
    with account(subordinate=False) as user:
        yield user


@pytest.fixture
def serve() -> Iterator:
    """Serves the program as a user; whatever was started is ended, and nothing of it is left."""
    running: list[tuple[User, Command]] = []

    def start(user: User) -> Command:
        command = user.command("serve", user.program(HELLO))
        running.append((user, command))
        command.wait_serving()
        return command

    yield start
    for user, command in running:
        command.end()
        wait_until(lambda user=user: not user.pids())


@pytest.fixture
def serving(user: User, serve) -> Command:
    """A program that the user serves."""
    return serve(user)


def test_a_container_has_the_whole_sandbox(user: User, serving: Command) -> None:
    answer = request(serving.url("f")).json()
    assert answer["uid"] == 0 and answer["map"][2] == "65536"
    assert set(answer["caps"]) == {"0000000000000000"} and answer["filtered"]
    assert answer["pids"] < 6 and answer["files"] == ["program.py"] and answer["links"] == ["eth0", "lo"]
    # No process of a container is the user's own.
    assert (user.state / "layers").is_dir()
    inside = [pid for pid in user.pids() if "_pilotlight_runner" in command_line(pid)]
    assert inside and all(uid_of(pid) >= SUBORDINATE for pid in inside)


def test_what_is_weaker_is_said_at_the_start(serving: Command) -> None:
    serving.wait_for("warning: idmapped mounts is missing: .*share one range of user ids")


def test_containers_are_forks_and_a_save_is_served(user: User, serving: Command) -> None:
    ways = re.compile(r'path;desc="(function|image)-zygote"')
    answer = request(serving.url("f"))
    assert ways.search(answer.headers["server-timing"]), answer.headers
    user.program(HELLO.replace('"one"', '"two"'))
    serving.wait_for("Updated in")
    assert request(serving.url("f")).json()["word"] == "two"


def test_the_machine_is_out_of_reach_and_what_is_outside_is_not_asked_for(serving: Command) -> None:
    own = machine_address()
    with socket.create_server((own, 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection((own, port), 3).close()
        for host in (own, "127.0.0.1", "10.213.0.1"):
            reached = request(f"{serving.url('reach')}?host={host}&port={port}").json()
            assert reached != "reached", host
    # The index was reached from inside: the packages of the image came through it.
    serving.wait_for("Built image")


def test_a_kill_leaves_nothing(user: User, serve) -> None:
    command = serve(user)
    assert request(command.url("f")).status == 200
    server = min(pid for pid in user.pids() if "serve" in command_line(pid))
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: not user.pids())
    command.end()
    again = serve(user)
    assert request(again.url("f")).status == 200
    again.end()
    wait_until(lambda: not user.pids())
    assert not list((user.state / "scratch").iterdir())


def test_the_helper_dies_and_the_next_request_works(user: User, serving: Command) -> None:
    assert request(serving.url("f")).status == 200
    (helper,) = [pid for pid in user.pids() if Path(f"/proc/{pid}/comm").read_text() == "pl-helper\n"]
    os.kill(helper, signal.SIGKILL)
    wait_until(lambda: request(serving.url("f")).status == 200)


def test_a_deployment_stays(user: User) -> None:
    server = Server(user)
    server.start()
    try:
        urls = server.deploy(Path(user.program(HELLO)), "kept")
        assert request(urls["f"]).json()["word"] == "one"
        server.stop()
        server.start()
        assert request(urls["f"]).json()["word"] == "one"
    finally:
        server.stop()


@pytest.fixture
def newcomer() -> Iterator[User]:
    """A user with subordinate ids who has built nothing yet."""
    with account(subordinate=True) as user:
        yield user


# As AppArmor ends it in Debian 12.
@pytest.mark.parametrize("how", ["hidden", "failing"])
def test_slirp4netns_is_a_way_out_where_pasta_is_none(newcomer: User, serve, how: str) -> None:
    without = User(**{**vars(newcomer), how: "/usr/bin/pasta /usr/bin/passt"})
    command = serve(without)
    # The index was reached from inside: the packages of the image came through it.
    command.wait_for("Built image")
    own = machine_address()
    with socket.create_server((own, 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection((own, port), 3).close()
        for host in (own, "127.0.0.1", "10.0.2.2", "10.0.2.3"):
            reached = request(f"{command.url('reach')}?host={host}&port={port}").json()
            assert reached != "reached", host


def test_without_a_way_out_it_is_said_and_containers_run(user: User, serve) -> None:
    hidden = User(**{**vars(user), "hidden": "/usr/bin/pasta /usr/bin/passt /usr/bin/slirp4netns"})
    command = serve(hidden)
    command.wait_for("warning: network is missing: neither pasta nor slirp4netns is installed")
    answer = request(command.url("f"))
    assert answer.status == 200, (answer.text, command.output)
    assert request(f"{command.url('reach')}?host=192.0.2.1&port=443").json() != "reached"


def test_without_subordinate_ids_containers_run_with_less(alone: User, serve) -> None:
    command = serve(alone)
    command.wait_for("warning: subordinate ids is missing: .*your own user id.*usermod --add-subuids")
    answer = request(command.url("f")).json()
    assert answer["uid"] == 0 and answer["map"][2] == "1" and answer["filtered"]
    assert set(answer["caps"]) == {"0000000000000000"}


PACKAGES = HELLO.replace("modal.App(", "modal.App(image=modal.Image.debian_slim().apt_install('tree'), name=")


def test_a_debian_and_its_packages_are_unpacked_for_a_user(user: User) -> None:
    command = user.command("serve", user.program(PACKAGES), PILOTLIGHT_BASE="debian")
    try:
        command.wait_serving()
        command.wait_for("apt install tree")
        assert request(command.url("f")).json()["uid"] == 0
    finally:
        command.end()


def test_packages_need_subordinate_ids_and_that_is_said(alone: User) -> None:
    done = alone.run("serve", alone.program(PACKAGES), PILOTLIGHT_BASE="debian")
    assert done.returncode != 0
    assert "you have no subordinate ids" in done.stderr and "usermod --add-subuids" in done.stderr


def machine_address() -> str:
    """An address of this machine that is not its loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Sends nothing: only asks which address would be used.
        probe.connect(("192.0.2.254", 9))
        return probe.getsockname()[0]


def uid_of(pid: int) -> int:
    """The user that a process runs as."""
    return int(re.search(r"^Uid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE).group(1))


def command_line(pid: int) -> str:
    """The arguments of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
