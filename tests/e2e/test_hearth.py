"""What is kept ready: zygotes and shells, how many and how long; and that nothing needs them."""

from __future__ import annotations

import re

from tools import Server, children, request, wait_until

HELLO = """
    import modal

    stub = modal.Stub("hello")

    @stub.webhook(container_idle_timeout=2)
    def f():
        return "{word}"
"""


def kept(server: Server) -> tuple[int, int]:
    """How many zygotes are lit, and how many shells wait."""
    done = server.environment.run("server", "status")
    found = re.search(r"Kept ready: (\d+) zygotes, (\d+) shells", done.stderr)
    assert found, done
    return int(found.group(1)), int(found.group(2))


def path(answer) -> str:
    """Which way the container of an answer was started."""
    return answer.headers["server-timing"].partition('path;desc="')[2].rstrip('"')


def test_a_deployment_is_lit_before_it_is_asked(program, server: Server) -> None:
    for word in ("one", "two"):
        url = server.deploy(program(HELLO.format(word=word)), "hello")["f"]
        answer = request(url)
        assert (answer.json(), path(answer)) == (word, "function-zygote")


def test_shells_are_made_ahead_counted_and_end_with_their_function(program, server: Server) -> None:
    assert kept(server) == (0, 0)
    before = len(children(server.pid()))
    url = server.deploy(program(HELLO.format(word="here")), "hello")["f"]
    # The image's zygote and the function's; the old ones of none.
    wait_until(lambda: kept(server) == (2, 2))
    assert path(request(url)) == "function-zygote"
    wait_until(lambda: kept(server) == (2, 2))
    server.environment.run("app", "stop", "hello")
    wait_until(lambda: kept(server) == (0, 0))
    wait_until(lambda: len(children(server.pid())) == before)


def test_zygotes_that_nobody_uses_go_out_and_are_lit_again(program, server: Server, again) -> None:
    again(PILOTLIGHT_ZYGOTE_LIFETIME="1")
    url = server.deploy(program(HELLO.format(word="here")), "hello")["f"]
    wait_until(lambda: kept(server) == (0, 0))
    assert request(url).json() == "here"


def test_a_budget_that_holds_no_zygote_leaves_containers_that_start(program, server: Server, again) -> None:
    again(PILOTLIGHT_ZYGOTE_MEMORY="1")
    url = server.deploy(program(HELLO.format(word="here")), "hello")["f"]
    wait_until(lambda: kept(server) == (0, 0))
    assert request(url).json() == "here"
    wait_until(lambda: kept(server) == (0, 0))


def test_a_setting_that_is_no_number_is_said(server: Server) -> None:
    done = server.environment.run("server", "status", PILOTLIGHT_ZYGOTE_MEMORY="much")
    assert done.returncode != 0
    assert "`PILOTLIGHT_ZYGOTE_MEMORY` is not a number of MiB: `much`" in done.stderr
