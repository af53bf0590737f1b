"""What the world reaches: HTTPS, the server's own domain, proxies in front."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools import Environment, Server, ports

PROGRAM = """
    import modal
    from fastapi import Request

    app = modal.App("hello")

    @app.function()
    @modal.fastapi_endpoint(custom_domains=["api.example.org"])
    def f(request: Request):
        return {
            "url": str(request.url),
            "client": request.client.host,
            "forwarded": request.headers["forwarded"],
        }
"""


def certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """A certificate for some names, signed by itself, and its key, for root's eyes only."""
    stem = names[0].removeprefix("*.")
    chain, key = folder / f"{stem}.pem", folder / f"{stem}.key"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    told = ["-keyout", key, "-out", chain, "-days", "2", "-subj", f"/CN={names[0]}"]
    names_option = "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)
    subprocess.run([*made, *told, "-addext", names_option], check=True, capture_output=True)
    key.chmod(0o600)
    return chain, key


def ask(port: int, host: str, trusted: Path, **headers: str) -> dict[str, str]:
    """GETs `https://host:port/` from this machine, and believes this certificate alone."""
    context = ssl.create_default_context(cafile=str(trusted))
    plain = socket.create_connection(("127.0.0.1", port), 60)
    with context.wrap_socket(plain, server_hostname=host) as secure:
        connection = http.client.HTTPSConnection(host, port)
        connection.sock = secure
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        return json.loads(answer.read())


@pytest.fixture
def place(shared: Environment, tmp_path: Path) -> Environment:
    return shared.fresh(tmp_path, next(ports), "layers", "tools", "discovery", "cache")


@pytest.fixture
def public(place: Environment, tmp_path: Path) -> Iterator[tuple[Server, int, Path, Path]]:
    """A server that speaks HTTPS with two certificates, and its port."""
    one = certificate(tmp_path, "*.example.net")
    two = certificate(tmp_path, "api.example.org")
    port = next(ports)
    done = place.run(
        "server",
        "start",
        PILOTLIGHT_HTTPS_LISTEN=f"localhost:{port}",
        PILOTLIGHT_TLS_CERT=f"{one[0]},{two[0]}",
        PILOTLIGHT_TLS_KEY=f"{one[1]},{two[1]}",
        PILOTLIGHT_DOMAIN="example.net",
        PILOTLIGHT_TRUSTED_PROXIES="127.0.0.0/8, ::1",
    )
    assert done.returncode == 0, done.stderr
    server = Server(place)
    yield server, port, one[0], two[0]
    server.stop()


def test_a_deployed_endpoint_answers_over_https_at_its_names(program, public) -> None:
    server, port, own, custom = public
    done = server.environment.run("deploy", str(program(PROGRAM)))
    assert done.returncode == 0, done.stderr
    label = f"https://local--hello-f.example.net:{port}"
    assert label in done.stdout and f"https://api.example.org:{port}" in done.stdout, done.stdout
    told = ask(port, "local--hello-f.example.net", own)
    assert told["url"] == f"{label}/"
    # Of a proxy that says nothing of clients, the proxy is the client.
    assert told["client"] == "127.0.0.1"
    assert told["forwarded"] == f'for=127.0.0.1;proto=https;host="local--hello-f.example.net:{port}"'
    assert ask(port, "api.example.org", custom)["url"] == f"https://api.example.org:{port}/"
    # What the proxy added counts, not what the client claimed before.
    claims = {
        "X-Forwarded-For": "1.1.1.1, 192.0.2.7",
        "X-Forwarded-Proto": "http",
        "Forwarded": "for=1.1.1.1",
    }
    told = ask(port, "api.example.org", custom, **claims)
    assert told["client"] == "192.0.2.7"
    assert told["url"].startswith("http://")
    assert told["forwarded"] == f'for=192.0.2.7;proto=http;host="api.example.org:{port}", for=127.0.0.1'
    told = ask(port, "api.example.org", custom, Forwarded='for="[2001:db8::7]:4711";proto=http')
    assert (told["client"], told["url"][:7]) == ("2001:db8::7", "http://")


def ask_nobody(port: int, user: int) -> tuple[str, list[dict[str, str]]]:
    """The code of the error for a host that nobody has, asked for as `user`, and the endpoints in it."""
    # A socket belongs to whom its maker is just then (setfsuid(2)).
    me = os.geteuid()
    os.seteuid(user)
    try:
        connection = http.client.HTTPConnection("localhost", port, timeout=60)
        connection.connect()
    finally:
        os.seteuid(me)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        answer = connection.getresponse()
        error = json.loads(answer.read())["error"]
        assert answer.headers["pilotlight-error"] == error["code"]
        return error["code"], error.get("endpoints", [])


def test_only_who_may_give_orders_is_told_what_endpoints_there_are(program, public) -> None:
    environment = public[0].environment
    done = environment.run("deploy", str(program(PROGRAM)))
    assert done.returncode == 0, done.stderr
    code, endpoints = ask_nobody(environment.port, os.geteuid())
    assert code == "endpoint_not_found"
    assert [(it["app"], it["function"]) for it in endpoints] == [("hello", "f")]
    assert endpoints[0]["url"] in done.stdout
    if os.geteuid() == 0:
        assert ask_nobody(environment.port, 65534) == ("endpoint_not_found", [])


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PILOTLIGHT_HTTPS_LISTEN": "443"}, "`PILOTLIGHT_HTTPS_LISTEN` needs a certificate"),
        ({"PILOTLIGHT_HTTP_LISTEN": "example.com"}, "says no place to listen: `example.com`"),
        (
            {
                "PILOTLIGHT_HTTPS_LISTEN": "localhost:1",
                "PILOTLIGHT_TLS_CERT": "/nowhere.pem",
                "PILOTLIGHT_TLS_KEY": "/nowhere.key",
            },
            "/nowhere.pem",
        ),
    ],
)
def test_a_mistake_in_the_settings_is_told(place: Environment, variables, words: str) -> None:
    done = place.run("server", "start", **variables)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr and "panicked" not in done.stderr
