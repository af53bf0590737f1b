"""The machine's room: what is started when not everything fits."""

from __future__ import annotations

import re

import pytest
from tools import Server, request, wait_until

PROGRAM = """
    import modal

    app = modal.App()

    @app.function(memory={memory}, startup_timeout=3, min_containers={least})
    @modal.fastapi_endpoint()
    def f():
        return "{word}"
"""


def asked(server: Server) -> tuple[int, int]:
    """How many MiB containers ask for, and how many they may."""
    done = server.environment.run("server", "status")
    found = re.search(r"Containers ask for (\d+) of (\d+) MiB", done.stderr)
    assert found, done
    return int(found.group(1)), int(found.group(2))


@pytest.fixture
def deploy(program, server: Server):
    """Deploys an app of one function that asks for so much memory."""

    def deployed(name: str, memory: int, least: int = 0) -> str:
        return server.deploy(program(PROGRAM.format(memory=memory, least=least, word=name)), name)["f"]

    return deployed


def test_on_a_full_machine_the_idle_give_way(deploy, server: Server, again) -> None:
    again(PILOTLIGHT_MEMORY="500")
    one, two = deploy("one", 300), deploy("two", 300)
    wait_until(lambda: asked(server) == (0, 500))
    for _ in range(2):
        assert request(one).json() == "one"
        assert asked(server) == (300, 500)
        assert request(two).json() == "two"
        assert asked(server) == (300, 500)


def test_what_is_kept_stays_and_who_finds_no_room_is_told(deploy, server: Server, again) -> None:
    again(PILOTLIGHT_MEMORY="500")
    kept, other = deploy("kept", 300, least=1), deploy("other", 300)
    assert request(kept).json() == "kept"
    refused = request(other, Accept="application/json")
    assert (refused.status, refused.json()["error"]["code"]) == (503, "machine_full")
    assert refused.headers["retry-after"] == "1"
    assert request(kept).json() == "kept"
    # A new version is proven though the old one has all there is.
    deploy("kept", 300, least=1)
    wait_until(lambda: asked(server) == (300, 500))


def test_what_never_fits_is_refused_at_once(program, deploy, server: Server, again) -> None:
    again(PILOTLIGHT_MEMORY="500")
    url = deploy("large", 300)
    done = server.environment.run(
        "deploy", str(program(PROGRAM.format(memory=501, least=0, word=""))), "--name", "larger"
    )
    assert done.returncode != 0
    assert (
        "the function `f` asks for 501 MiB of memory, and this server gives all containers 500 MiB"
        in done.stderr
    )
    assert "hint: lower its `memory`, or raise `PILOTLIGHT_MEMORY` and start the server again" in done.stderr
    again(PILOTLIGHT_MEMORY="299")
    refused = request(url, Accept="application/json")
    assert (refused.status, refused.json()["error"]["code"]) == (502, "machine_too_small")
