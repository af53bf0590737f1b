"""An ordinary user's server: the same containers, made of unprivileged user namespaces.

The tests run as root, and so set up the user: an account that exists only in a mount namespace of theirs,
with subordinate ids or without. Nothing of it is ever in the machine's own files.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import binary
from tools import Command, Environment, Server, ports, request, wait_until

#: An account and a range of ids that nobody has, nor another run of these tests.
NUMBER = os.getpid() % 2000
ACCOUNT = 0x6EEE0000 + NUMBER
SUBORDINATE = 0x60000000 + NUMBER * 65536

#: Makes the account and becomes it. `/dev/net/tun` is everybody's on machines with udev, and so it is here.
BECOME = """
set -e
at=$1 user=$2 hidden=$3; shift 3
for file in passwd group subuid subgid; do mount --bind "$at/$file" /etc/$file; done
mount --bind "$BINARY" "$at/pilotlight"
mkdir -p /dev/net && mount -t tmpfs -o mode=0755 none /dev/net && mknod -m 0666 /dev/net/tun c 10 200
for program in $hidden; do [ ! -e "$program" ] || mount --bind /dev/null "$program"; done
exec setpriv --reuid "$user" --regid "$user" --clear-groups -- "$at/pilotlight" "$@"
"""

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


@dataclass
class User(Environment):
    """An ordinary user's account, and commands that run as that user."""

    account: Path = Path()
    hidden: str = ""

    def line(self, *arguments: str) -> list[str]:
        """The command line that runs `pilotlight` as the user."""
        become = ["unshare", "--mount", "--propagation", "private", "sh", "-c", BECOME, "sh"]
        return [*become, str(self.account), str(ACCOUNT), self.hidden, *arguments]

    def variables(self, **extra: str) -> dict[str, str]:
        """The environment of the user's commands: the state directory is the user's own."""
        kept = super().variables(**extra)
        del kept["PILOTLIGHT_STATE_DIR"]
        mine = {"BINARY": str(self.binary), "XDG_RUNTIME_DIR": str(self.home / "run"), "USER": "tester"}
        return kept | mine | {"PILOTLIGHT_BINARY": str(self.account / "pilotlight")} | extra

    def command(self, *arguments: str, **extra: str) -> Command:
        """Starts a command as the user."""
        return Command(self.line(*arguments), self.variables(**extra), self.home)

    def run(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Runs a command as the user to its end."""
        return subprocess.run(
            self.line(*arguments),
            env=self.variables(**extra),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )

    def program(self, text: str, name: str = "program.py") -> str:
        """Writes a program where the user can read it."""
        path = self.home / name
        path.write_text(textwrap.dedent(text))
        return str(path)

    def pids(self) -> list[int]:
        """Every process of the user, and of the users inside the user's containers."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    status = (entry / "status").read_text()
                except OSError:
                    continue
                uid = int(re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE).group(1))
                dead = re.search(r"^State:\s+Z", status, re.MULTILINE)
                if not dead and (uid == ACCOUNT or SUBORDINATE <= uid < SUBORDINATE + 65536):
                    found.append(int(entry.name))
        return found


def make(subordinate: bool) -> Iterator[User]:
    """An account with a home of its own."""
    account = Path(tempfile.mkdtemp(prefix="pl-user-"))
    account.chmod(0o755)
    home = account / "home"
    home.mkdir()
    made: list[Path] = []
    for name in ("passwd", "group", "subuid", "subgid"):
        source = Path("/etc") / name
        made = [*made, source] if not source.exists() else made
        # Something must be there to mount over.
        text = source.read_text() if source.exists() else source.touch() or ""
        if name == "passwd":
            text += f"tester:x:{ACCOUNT}:{ACCOUNT}::{home}:/bin/sh\n"
        elif name == "group":
            text += f"tester:x:{ACCOUNT}:\n"
        elif subordinate:
            text += f"tester:{SUBORDINATE}:65536\n"
        (account / name).write_text(text)
    (account / "pilotlight").touch()
    os.chown(home, ACCOUNT, ACCOUNT)
    user = User(binary(), home / ".local/state/pilotlight", home, next(ports), home, account)
    yield user
    wait_until(lambda: not user.pids())
    shutil.rmtree(account)
    for source in made:
        source.unlink()


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """A user with subordinate ids."""
    yield from make(subordinate=True)


@pytest.fixture
def alone() -> Iterator[User]:
    """A user without."""
    yield from make(subordinate=False)


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
