"""Containers are forks of zygotes, where a fork breaks nothing; and nobody can tell them from others."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools import Server, children, request, wait_until

COUNTING = """
    import os, random, time, uuid

    import modal
    from fastapi import Depends, FastAPI

    web = FastAPI()
    calls = dict(factory=0, middleware=0, dependency=0, handler=0, startup=0)

    @web.middleware("http")
    async def count(request, call_next):
        calls["middleware"] += 1
        return await call_next(request)

    @web.on_event("startup")
    def begin():
        calls["startup"] += 1

    def dependency():
        calls["dependency"] += 1

    @web.get("/")
    def handler(given=Depends(dependency)):
        calls["handler"] += 1
        time.sleep(0.3)
        drawn = [random.random(), uuid.uuid4().hex, os.urandom(4).hex()]
        return dict(calls=calls, drawn=drawn, host=os.uname().nodename)

    stub = modal.Stub("counting")

    @stub.asgi(container_idle_timeout={idle})
    def f():
        calls["factory"] += 1
        return web
"""

THREADED = """
    import threading

    import modal

    threading.Thread(target=threading.Event().wait, name="poller", daemon=True).start()
    stub = modal.Stub("threaded")

    @stub.webhook
    def f():
        return [thread.name for thread in threading.enumerate() if thread.name == "poller"]
"""

NUMPY = """
    import modal

    if not modal.is_local():
        import numpy

    stub = modal.Stub("numbers", image=modal.Image.debian_slim().pip_install(["numpy"]))

    @stub.webhook
    def f():
        ones = numpy.ones((200, 200))
        return [float((ones @ ones).sum()), float(numpy.random.random())]
"""

DEAF = """
    import signal

    import modal

    signal.signal(signal.SIGTERM, lambda *_: None)
    stub = modal.Stub("deaf")

    @stub.webhook
    def f():
        return "here"
"""

ASKING = """
    import os

    import modal

    TASK = "" if modal.is_local() else os.environ["MODAL_TASK_ID"]
    stub = modal.Stub("asking")

    @stub.webhook
    def f():
        return TASK
"""


def path(answer) -> str:
    """Which way the container of an answer was started."""
    return answer.headers["server-timing"].partition('path;desc="')[2].rstrip('"')


def zygotes(pid: int) -> list[int]:
    """The zygotes that descend from a process."""

    def is_one(child: int) -> bool:
        try:
            return Path(f"/proc/{child}/comm").read_text().strip() == "pl-zygote"
        except OSError:
            return False

    return [child for child in children(pid) if is_one(child)]


def at_once(url: str, count: int) -> list:
    """As many requests at the same time, each of which needs a container of its own."""
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(lambda _: request(url), range(count)))


def test_siblings_share_nothing_that_was_the_users_to_call(program, server: Server) -> None:
    url = server.deploy(program(COUNTING.format(idle=2)), "counting")["f"]
    answers = at_once(url, 3)
    assert {path(answer) for answer in answers} == {"function-zygote"}
    told = [answer.json() for answer in answers]
    assert len({one["host"] for one in told}) == 3
    for one in told:
        # The app was made before the fork, and everything else after it.
        once = {"factory": 1, "middleware": 1, "dependency": 1, "handler": 1, "startup": 1}
        assert one["calls"] == once
    drawn = [value for one in told for value in one["drawn"]]
    assert len(set(drawn)) == len(drawn), "no two containers draw the same"


def test_a_program_that_a_fork_would_break_starts_without(program, server: Server) -> None:
    url = server.deploy(program(THREADED), "threaded")["f"]
    answer = request(url)
    assert answer.json() == ["poller"], "its thread runs in the container"
    assert path(answer) == "image-zygote"
    logs = server.environment.run("app", "logs", "threaded").stdout
    assert logs.count("a fork would break the thread 'poller'") == 1, logs


def test_a_native_pool_that_knows_forks_is_no_obstacle(program, server: Server) -> None:
    url = server.deploy(program(NUMPY), "numbers")["f"]
    answers = [request(url), *at_once(url, 2)]
    assert path(answers[0]) == "function-zygote"
    assert {answer.json()[0] for answer in answers} == {8_000_000.0}


def test_containers_start_and_go_on_without_their_zygotes(program, server: Server) -> None:
    # Slow enough that each request finds the containers of the others busy.
    url = server.deploy(program(COUNTING.format(idle=60).replace("0.3", "3")), "counting")["f"]
    running = request(url).json()["host"]
    dead = set(zygotes(server.pid()))
    for zygote in dead:
        os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: not dead & set(zygotes(server.pid())))
    answers = at_once(url, 3)
    assert {answer.status for answer in answers} == {200}
    fresh = [answer for answer in answers if answer.json()["host"] != running]
    assert len(fresh) == 2, "the warm one has gone on"
    # The image's is lit again; the function's own died too soon to be tried again.
    assert {path(answer) for answer in fresh} == {"image-zygote"}


def test_a_zygote_goes_with_its_app_though_the_program_ignores_sigterm(program, server: Server) -> None:
    before = set(zygotes(server.pid()))
    server.deploy(program(DEAF), "deaf")
    deaf = set(zygotes(server.pid())) - before
    assert deaf
    server.environment.run("app", "stop", "deaf", "--yes")
    wait_until(lambda: not deaf & set(zygotes(server.pid())))


def test_a_program_may_ask_for_its_container_at_import(program, server: Server) -> None:
    url = server.deploy(program(ASKING), "asking")["f"]
    answer = request(url)
    assert answer.json().startswith("co-")
    assert path(answer) == "function-zygote"


IMPORTED = """
    import os
    import sys
    import time

    import modal

    os.environ["AT_IMPORT"] = "kept"
    os.environ.pop("LANG", None)
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    sys.path.insert(0, "/root/vendored")
    os.chdir("/usr")
    own = [open(__file__) for _ in range(4)]

    stub = modal.Stub("imported")

    @stub.webhook
    def f():
        return {
            "variables": [os.environ.get("AT_IMPORT"), os.environ.get("LANG"), time.strftime("%Z")],
            "identity": os.environ["MODAL_TASK_ID"] == os.uname().nodename,
            "path": sys.path[0],
            "folder": os.getcwd(),
            "files": [file.read().split("\\n")[1].strip() for file in own],
        }
"""


def test_what_an_import_does_to_its_process_holds_in_a_fork(program, server: Server) -> None:
    answer = request(server.deploy(program(IMPORTED), "imported")["f"])
    assert path(answer) == "function-zygote"
    assert answer.json() == {
        "variables": ["kept", None, "JST"],
        "identity": True,
        "path": "/root/vendored",
        "folder": "/usr",
        "files": ["import os"] * 4,
    }
