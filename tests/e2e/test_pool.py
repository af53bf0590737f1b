"""Containers exist only when they are needed."""

from __future__ import annotations

import os
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from tools import Server, children, request, wait_until

SLOW = """
    import socket, time
    import modal

    stub = modal.Stub()

    @stub.webhook({options})
    def f(seconds: float = 0):
        time.sleep(seconds)
        return socket.gethostname()
"""


def runners(pid: int) -> int:
    """How many containers' runners descend from a process; zygotes, lit or being lit, serve nobody."""
    found = 0
    for child in children(pid):
        try:
            if b"_pilotlight_runner" not in Path(f"/proc/{child}/cmdline").read_bytes():
                continue
            # From its first moment a zygote has the socket of its orders there, a container /dev/null.
            found += not os.readlink(f"/proc/{child}/fd/5").startswith("socket:")
        except OSError:
            continue
    return found


def test_the_first_request_starts_a_container_and_idling_ends_it(program, serve) -> None:
    command = serve(program(SLOW.format(options="container_idle_timeout=2")))
    # The version was tried in a container when it was made.
    wait_until(lambda: runners(command.process.pid) == 0)
    first = request(command.url())
    assert first.status == 200
    timing = first.headers["server-timing"]
    phases = ("queue;dur=", "sandbox;dur=", "fork;dur=", "import;dur=", "app;dur=", "path;desc=")
    assert all(phase in timing for phase in phases)
    again = request(command.url())
    assert again.json() == first.json(), "the same container answers while it is warm"
    assert "server-timing" not in again.headers
    assert runners(command.process.pid) == 1
    wait_until(lambda: runners(command.process.pid) == 0)
    assert request(command.url()).json() != first.json(), "a container id is never used twice"


def test_concurrent_requests_start_more_containers_up_to_the_limit(program, serve) -> None:
    command = serve(program(SLOW.format(options="concurrency_limit=3")))
    with ThreadPoolExecutor(8) as pool:
        hosts = [a.json() for a in pool.map(lambda _: request(command.url() + "?seconds=1"), range(8))]
    assert len(hosts) == 8
    assert 1 < len(set(hosts)) <= 3
    assert runners(command.process.pid) <= 3


def test_keep_warm_keeps_that_many(program, server: Server) -> None:
    file = program(SLOW.format(options="keep_warm=2, container_idle_timeout=2"))
    urls = server.deploy(file, "warm")
    pid = server.pid()
    wait_until(lambda: runners(pid) == 2)
    with ThreadPoolExecutor(4) as pool:
        assert all(a.status == 200 for a in pool.map(lambda _: request(urls["f"] + "?seconds=1"), range(4)))
    wait_until(lambda: runners(pid) == 2)


def test_several_inputs_share_a_container_when_allowed(program, serve) -> None:
    command = serve(program(SLOW.format(options="allow_concurrent_inputs=8, concurrency_limit=1")))
    request(command.url())
    with ThreadPoolExecutor(8) as pool:
        hosts = {a.json() for a in pool.map(lambda _: request(command.url() + "?seconds=0.5"), range(8))}
    assert len(hosts) == 1


@pytest.mark.parametrize(
    "decorators",
    [
        "modal.Stub().webhook(rate_limit=modal.RateLimit(per_minute=1))",
        "modal.App().function(rate_limit=modal.RateLimit(per_minute=1))\n@modal.fastapi_endpoint()",
    ],
)
def test_an_endpoint_that_is_asked_too_often_answers_429(decorators: str, program, serve) -> None:
    home, decorator = decorators.split("()", 1)
    text = f"import modal\n\napp = {home}()\n\n@app{decorator}\ndef f():\n    return 'here'\n"
    url = serve(program(text)).url()
    first, second = request(url), request(url)
    assert (first.status, second.status) == (200, 429)
    assert second.json()["error"]["code"] == "rate_limited"
    assert 1 <= int(second.headers["retry-after"]) <= 60


def test_above_the_target_another_container_takes_the_next_request(program, serve) -> None:
    text = """
        import asyncio, socket

        import modal
        from fastapi.responses import StreamingResponse

        app = modal.App()

        @app.function(max_containers=2)
        @modal.concurrent(max_inputs=4, target_inputs=1)
        @modal.fastapi_endpoint()
        def f(stay: bool = False):
            async def answer():
                yield socket.gethostname()
                if stay:
                    await asyncio.Event().wait()

            return StreamingResponse(answer())
    """
    command = serve(program(text))
    with ExitStack() as open_answers:
        hosts: list[bytes] = []
        for _ in range(2):
            answer = urllib.request.urlopen(command.url() + "?stay=true", timeout=60)
            hosts.append(open_answers.enter_context(answer).read1(100))
        assert hosts[0] == hosts[1], "up to max_inputs go to a container that is there"
        # The second was one over the target: another container starts, and takes those that come from now on.
        wait_until(lambda: request(command.url()).text.encode() != hosts[0])


def test_spare_containers_are_there_while_a_request_is_at_work(program, serve) -> None:
    text = """
        import asyncio

        import modal
        from fastapi.responses import StreamingResponse

        app = modal.App()

        @app.function(buffer_containers=2, scaledown_window=2)
        @modal.fastapi_endpoint()
        def f():
            async def endless():
                yield "begun"
                await asyncio.Event().wait()

            return StreamingResponse(endless())
    """
    command = serve(program(text))
    pid = command.process.pid
    with urllib.request.urlopen(command.url(), timeout=60) as answer:
        assert answer.read(5) == b"begun"
        wait_until(lambda: runners(pid) == 3)
    wait_until(lambda: runners(pid) == 0)


@pytest.mark.parametrize(
    "decorators",
    [
        "modal.Stub().webhook(max_inputs=1)",
        "modal.App().function(single_use_containers=True)\n@modal.fastapi_endpoint()",
    ],
)
def test_a_container_for_a_single_use_is_gone_after_it(decorators: str, program, serve) -> None:
    home, decorator = decorators.split("()", 1)
    text = (
        f"import socket\nimport modal\n\napp = {home}()\n\n@app{decorator}\n"
        "def f():\n    return socket.gethostname()\n"
    )
    command = serve(program(text))
    with ThreadPoolExecutor(4) as pool:
        hosts = [answer.json() for answer in pool.map(lambda _: request(command.url()), range(6))]
    assert len(set(hosts)) == 6, hosts
    wait_until(lambda: runners(command.process.pid) == 0)


def test_a_function_that_does_not_start_answers_when_it_is_mended(program, serve) -> None:
    text = """
        import os

        import modal

        app = modal.App()

        @app.function()
        @modal.asgi_app()
        def f():
            raise RuntimeError("broken")
    """
    command = serve(program(text))
    for _ in range(3):
        answer = request(command.url())
        assert answer.status == 503 and "RuntimeError: broken" in answer.text, answer.text
    command.wait_for(r"f \| RuntimeError: broken")
    mark = command.mark()
    program(SLOW.format(options=""))
    command.wait_for("Updated", after=mark)
    assert request(command.url()).status == 200


def test_a_killed_container_costs_only_its_own_request(program, serve) -> None:
    file = program(
        """
        import os, signal
        import modal

        stub = modal.Stub()

        @stub.webhook
        def f(die: bool = False):
            if die:
                os.kill(os.getpid(), signal.SIGKILL)
            return "alive"
        """
    )
    command = serve(file)
    assert request(command.url()).json() == "alive"
    died = request(command.url() + "?die=true", Accept="application/json")
    assert died.status == 500
    assert died.json()["error"]["code"] == "container_died"
    command.wait_for("killed by signal 9")
    assert request(command.url()).json() == "alive"


def test_containers_that_die_under_load_leave_no_slot_behind(program, serve) -> None:
    file = program(
        """
        import asyncio, os, signal, time
        import modal
        from fastapi.responses import StreamingResponse

        app = modal.App()

        @app.function(max_containers=2)
        @modal.fastapi_endpoint()
        def f(do: str):
            if do == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if do == "work":
                time.sleep(0.05)
                return "worked"

            async def endless():
                yield "begun"
                await asyncio.Event().wait()

            return StreamingResponse(endless())
        """
    )
    command = serve(file)
    asked = ["die" if index % 6 == 2 else "work" for index in range(30)]
    with ThreadPoolExecutor(6) as pool:
        found = [answer.status for answer in pool.map(lambda do: request(f"{command.url()}?do={do}"), asked)]
    assert found == [500 if do == "die" else 200 for do in asked]
    # Both slots are free again: neither of these ends before the other has begun.
    with ExitStack() as open_answers:
        for _ in range(2):
            answer = urllib.request.urlopen(command.url() + "?do=stay", timeout=60)
            assert open_answers.enter_context(answer).read(5) == b"begun"


def test_a_start_that_takes_too_long_is_told_in_the_log(program, serve) -> None:
    text = """
        import threading

        import modal

        app = modal.App()

        @app.function(startup_timeout=4, timeout=300)
        @modal.asgi_app()
        def f():
            print("begun")
            threading.Event().wait()
    """
    command = serve(program(text))
    answer = request(command.url())
    assert answer.status == 503 and "not ready within 4s" in answer.text, answer.text
    command.wait_for("begun")
    command.wait_for("the container is ended: it was still making its app after 4 s; `startup_timeout` gives")


def test_a_request_over_its_timeout_is_told_in_the_log(program, serve) -> None:
    text = """
        import threading

        import modal

        app = modal.App()

        @app.function(timeout=2)
        @modal.fastapi_endpoint()
        def f():
            threading.Event().wait()
    """
    command = serve(program(text))
    assert request(command.url()).status == 504
    said = "a request went over its timeout of 2 s, and its container is ended; `timeout` gives requests"
    command.wait_for(said)
    assert command.interrupt() == 0
    assert command.output.count(said) == 1 and "signal 9" not in command.output


def test_what_an_app_prints_at_its_end_is_shown(program, serve) -> None:
    text = """
        from contextlib import asynccontextmanager

        import modal

        app = modal.App()

        @app.function(image=modal.Image.debian_slim().pip_install("starlette"))
        @modal.asgi_app()
        def f():
            from starlette.applications import Starlette

            @asynccontextmanager
            async def lifespan(app):
                yield
                print("last words")

            return Starlette(lifespan=lifespan)
    """
    command = serve(program(text))
    assert request(command.url()).status == 404
    assert command.interrupt() == 0
    assert "last words" in command.output
