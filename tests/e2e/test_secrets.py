"""The values of secrets: in the container's environment, and nowhere else."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import secrets
import signal
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools import Command, Environment, Server, request

TEXT = """
    import hashlib
    import os

    import modal

    app = modal.App("keeper")


    @app.function(secrets=[modal.Secret.from_local_environ(["TOKEN"])])
    @modal.fastapi_endpoint()
    def f():
        print("asked")
        return hashlib.sha256(os.environ["TOKEN"].encode()).hexdigest()


    @app.function()
    @modal.fastapi_endpoint()
    def open():
        return "TOKEN" in os.environ


    def make(token):
        @app.function(serialized=True)
        @modal.fastapi_endpoint()
        def closed():
            return hashlib.sha256(token.encode()).hexdigest()


    if modal.is_local():
        make(os.environ["TOKEN"])
"""

PLAIN = """
    import modal

    app = modal.App("plain")


    @app.function()
    @modal.fastapi_endpoint()
    def f():
        return "plain"
"""


@pytest.fixture
def token() -> str:
    """A value that is nowhere else on the machine."""
    return f"hush-{secrets.token_hex(16)}"


@pytest.fixture
def scratch(tmp_path: Path) -> str:
    """Where commands make their temporary files."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return str(folder)


def leaks(token: str, *folders: str | Path) -> Iterator[str]:
    """Every file, name and argument of a process that holds the value."""
    needles = [token.encode(), *in_base64(token.encode())]
    for folder in folders:
        for base, _, names in os.walk(folder):
            for name in names:
                path = Path(base, name)
                if token in name or (
                    path.is_file()
                    and not path.is_symlink()
                    and any(needle in content for content in [path.read_bytes()] for needle in needles)
                ):
                    yield str(path)
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if needles[0] in entry.read_bytes():
                yield str(entry)
        except OSError:
            continue


def in_base64(value: bytes) -> Iterator[bytes]:
    """How the value looks within something longer in base64: as of where it begins."""
    for before in range(3):
        yield base64.b64encode(bytes(before) + value)[4 if before else 0 : -4]


def ask(server: Server, path: str) -> str:
    """What the server's control API answers."""
    for folder in Path("/run/pilotlight").iterdir():
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(60)
        try:
            connection.sock.connect(str(folder / "control.sock"))
            connection.request("GET", "/v1/status")
            if json.loads(connection.getresponse().read())["pid"] == server.pid():
                connection.request("GET", path)
                return connection.getresponse().read().decode()
        except OSError:
            continue
        finally:
            connection.close()
    raise AssertionError("the server has no control socket")


def digest(token: str) -> str:
    """What the program answers."""
    return hashlib.sha256(token.encode()).hexdigest()


def deploy(server: Server, file: Path, token: str, scratch: str) -> dict[str, str]:
    """Deploys with the secret in the environment; nothing that is printed may show it."""
    done = server.environment.run("deploy", str(file), TOKEN=token, TMPDIR=scratch, PILOTLIGHT_LOG="trace")
    assert done.returncode == 0, done.stderr
    assert token not in done.stdout + done.stderr
    return {line.split()[2]: line.split()[4] for line in done.stdout.splitlines() if "=> http" in line}


def test_a_deployed_secret_is_in_the_container_alone(
    program, server: Server, token: str, scratch: str
) -> None:
    environment = server.environment
    server.stop()
    assert environment.run("server", "start", PILOTLIGHT_LOG="trace").returncode == 0
    urls = deploy(server, program(TEXT), token, scratch)
    assert request(urls["f"]).json() == digest(token)
    assert request(urls["open"]).json() is False
    assert request(urls["closed"]).json() == digest(token)
    state = environment.state
    told = environment.run("app", "list").stdout + environment.run("app", "logs", "keeper").stdout
    told += ask(server, "/v1/apps") + ask(server, "/v1/status") + ask(server, "/v1/apps/keeper/logs")
    assert "asked" in told and "keeper" in told
    assert token not in told
    assert list(leaks(token, state, scratch, "/run/pilotlight")) == []
    server.stop()
    assert list(leaks(token, state, scratch)) == []
    assert (state / "secrets.key").stat().st_mode & 0o777 == 0o600
    server.start()
    assert request(urls["f"]).json() == request(urls["closed"]).json() == digest(token)


def test_a_served_secret_is_in_the_container_alone(
    program, home: Environment, token: str, scratch: str
) -> None:
    file = program(TEXT)
    command: Command = home.command("serve", str(file), TOKEN=token, TMPDIR=scratch, PILOTLIGHT_LOG="trace")
    try:
        command.wait_serving()
        assert request(command.url("f")).json() == digest(token)
        assert request(command.url("closed")).json() == digest(token)
        command.wait_for("asked")
        assert list(leaks(token, home.state, scratch, "/run/pilotlight")) == []
    finally:
        command.end()
    assert token not in command.output
    assert list(leaks(token, home.state, scratch)) == []


def test_without_its_key_an_app_waits_and_the_others_serve(
    program, server: Server, token: str, scratch: str
) -> None:
    kept = program(TEXT)
    urls = deploy(server, kept, token, scratch)
    plain = server.deploy(program(PLAIN, "plain.py"), "plain")
    server.stop()
    key = server.environment.state / "secrets.key"
    key.unlink()
    done = server.environment.run("server", "start")
    assert done.returncode == 0, done.stderr
    log = (server.environment.state / "logs" / "server.log").read_text()
    assert (
        f"the app `keeper` cannot be served again: its secrets are sealed, and the key file {key} is gone"
        in log
    )
    assert request(plain["f"]).json() == "plain"
    # Deployed again it has a key of its own and its old address.
    assert deploy(server, kept, token, scratch) == urls
    assert request(urls["f"]).json() == digest(token)


def test_what_an_older_server_left_in_the_clear_is_sealed(program, server: Server, token: str) -> None:
    urls = server.deploy(program(PLAIN), "plain")
    server.stop()
    make_old(server.environment.state / "pilotlight.db", token)
    assert list(leaks(token, server.environment.state)) != []
    server.start()
    assert list(leaks(token, server.environment.state)) == []
    # As it would be after the power failed.
    os.kill(server.pid(), signal.SIGKILL)
    assert list(leaks(token, server.environment.state)) == []
    server.start()
    assert request(urls["f"]).json() == "plain"


def make_old(path: Path, token: str) -> None:
    """Turns the database into one of the format before sealing, with the value in an app's manifest."""
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE endpoints DROP COLUMN scaling")
        database.execute("ALTER TABLE versions DROP COLUMN sealed")
        database.execute("DROP TABLE chores")
        database.execute("INSERT INTO apps VALUES ('ap-aaaaaaaaaaaaaaaa', 'old', 'stopped', 1)")
        manifest = json.dumps({"manifest": 1, "functions": [{"env": {"TOKEN": token}}]})
        database.execute(
            "INSERT INTO versions VALUES ('ap-aaaaaaaaaaaaaaaa', 1, ?, 'current', 1)", (manifest,)
        )
        database.execute("PRAGMA user_version = 2")
