"""Containers are forks of zygotes, where a fork breaks nothing; and nobody can tell them from others."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools import Server, children, name, request, wait_until

COUNTING = """
    import os, random, time, uuid

    import modal
    from fastapi import Depends, FastAPI
    from starlette.middleware.base import BaseHTTPMiddleware

    calls = dict(factory=0, lifespan=0, middleware=0, dependency=0, handler=0)

    class Middleware(BaseHTTPMiddleware):
        def __init__(self, app):
            super().__init__(app)
            calls["middleware made"] = calls.get("middleware made", 0) + 1

        async def dispatch(self, request, call_next):
            calls["middleware"] += 1
            return await call_next(request)

    async def lifespan(app):
        calls["lifespan"] += 1
        yield

    def dependency():
        calls["dependency"] += 1

    web = FastAPI(lifespan=lifespan)
    web.add_middleware(Middleware)

    @web.get("/")
    def handler(given=Depends(dependency)):
        calls["handler"] += 1
        time.sleep(0.3)
        return dict(calls=calls, host=os.uname().nodename)

    stub = modal.Stub("counting")

    @stub.asgi(container_idle_timeout={idle})
    def f():
        calls["factory"] += 1
        return web

    old = FastAPI()
    started = [0]

    @old.on_event("startup")
    def begin():
        started[0] += 1

    @old.get("/")
    async def count():
        return started

    @stub.asgi
    def events():
        return old

    @stub.webhook
    def webhook(given=Depends(dependency)):
        calls["handler"] += 1
        return dict(calls=calls)

    requests = [0]

    @stub.wsgi
    def wsgi():
        calls["factory"] += 1

        def app(environ, start_response):
            requests[0] += 1
            start_response("200 OK", [])
            return [str([calls["factory"], requests[0]]).encode()]

        return app
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

NATIVE = """
    import modal

    if not modal.is_local():
        import grpc
        import numpy
        import pandas

        ones = numpy.ones((300, 300))
        # Starts the threads of its pool, where there is one.
        AT_IMPORT = float((ones @ ones).sum())

    image = modal.Image.debian_slim().pip_install(["numpy", "pandas", "grpcio"])
    stub = modal.Stub("native", image=image)

    @stub.webhook
    def numbers():
        frame = pandas.DataFrame({"a": [1, 2, 3], "b": [4.0, 5.0, 6.0]})
        return [AT_IMPORT, float((ones @ ones).sum()), float(frame.sum().sum())]

    @stub.webhook
    def calls():
        # A server and a client of it, both begun after the fork.
        from concurrent.futures import ThreadPoolExecutor

        server = grpc.server(ThreadPoolExecutor(1))
        echo = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
        server.add_registered_method_handlers("x.Y", {"Echo": echo})
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("x.Y", {"Echo": echo})])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = channel.unary_unary("/x.Y/Echo")(b"heard", timeout=30)
        server.stop(None)
        return answer.decode()
"""

CHANNEL = """
    import modal

    if not modal.is_local():
        import grpc

        channel = grpc.insecure_channel("localhost:1")

    image = modal.Image.debian_slim().pip_install(["numpy", "pandas", "grpcio"])
    stub = modal.Stub("channel", image=image)

    @stub.webhook
    def f():
        try:
            channel.unary_unary("/x.Y/Echo")(b"", timeout=30)
        except grpc.RpcError as error:
            return error.code().name
"""

DRAWING = """
    import os, platform, random, ssl, tempfile, time, uuid

    import modal

    if not modal.is_local():
        import numpy

        # Each is seeded, or remembers what it made, before the fork.
        numpy.random.random()
    random.random(), ssl.RAND_bytes(8), uuid.uuid1(), uuid.getnode(), tempfile.mktemp(), platform.node()

    image = modal.Image.debian_slim().pip_install(["numpy", "pandas", "grpcio"])
    stub = modal.Stub("drawing", image=image)

    @stub.webhook
    def f():
        import multiprocessing
        import secrets

        # Busy until the others are.
        time.sleep(4)
        return {
            "random": [random.random() for _ in range(8)],
            "numpy": numpy.random.random(8).tolist(),
            "legacy": numpy.random.get_state()[1][1:9].tolist(),
            "openssl": [ssl.RAND_bytes(8).hex() for _ in range(8)],
            "secrets": [secrets.token_hex(8), os.urandom(8).hex()],
            "uuid": [uuid.uuid1().hex, uuid.uuid4().hex, hex(uuid.getnode())],
            "names": [os.path.basename(tempfile.mktemp()) for _ in range(4)],
            "authkey": [bytes(multiprocessing.current_process().authkey).hex()],
            "host": [platform.node()],
        }
"""

GENERATOR = """
    import random

    import modal

    DICE = random.Random()
    stub = modal.Stub("dice")

    @stub.webhook
    def f():
        return DICE.random()
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
    urls = server.deploy(program(COUNTING.format(idle=2)), "counting")
    answers = at_once(urls["f"], 3)
    assert {path(answer) for answer in answers} == {"function-zygote"}
    told = [answer.json() for answer in answers]
    assert len({one["host"] for one in told}) == 3
    nothing = dict.fromkeys(("factory", "lifespan", "middleware", "dependency", "handler"), 0)
    once = dict.fromkeys(("factory", "lifespan", "middleware made", "middleware", "dependency", "handler"), 1)
    for one in told:
        # The app was made before the fork, and everything else after it.
        assert one["calls"] == once
    for function, expected in (
        ("events", [1]),
        ("webhook", {"calls": {**nothing, "dependency": 1, "handler": 1}}),
        ("wsgi", [1, 1]),
    ):
        answer = request(urls[function])
        assert path(answer) == "function-zygote"
        assert answer.json() == expected, function


def test_a_program_that_a_fork_would_break_starts_without(program, server: Server) -> None:
    url = server.deploy(program(THREADED), "threaded")["f"]
    answer = request(url)
    assert answer.json() == ["poller"], "its thread runs in the container"
    assert path(answer) == "image-zygote"
    logs = server.environment.run("app", "logs", "threaded").stdout
    assert logs.count("a fork would break the thread 'poller'") == 1, logs


def test_native_libraries_that_know_forks_are_no_obstacle(program, server: Server) -> None:
    urls = server.deploy(program(NATIVE), "native")
    answers = [request(urls["numbers"]), *at_once(urls["numbers"], 2)]
    assert path(answers[0]) == "function-zygote"
    assert {tuple(answer.json()) for answer in answers} == {(27_000_000.0, 27_000_000.0, 21.0)}
    # The mere import of gRPC starts nothing, and it works in the fork.
    answer = request(urls["calls"])
    assert (path(answer), answer.json()) == ("function-zygote", "heard")


def test_a_grpc_channel_that_is_open_starts_without(program, server: Server) -> None:
    answer = request(server.deploy(program(CHANNEL), "channel")["f"])
    assert (path(answer), answer.json()) == ("image-zygote", "UNAVAILABLE")
    logs = server.environment.run("app", "logs", "channel").stdout
    assert logs.count("since a fork would break an event loop") == 1, logs


def test_twenty_siblings_draw_nothing_twice(program, server: Server) -> None:
    url = server.deploy(program(DRAWING), "drawing")["f"]
    answers = at_once(url, 20)
    assert {path(answer) for answer in answers} == {"function-zygote"}
    told = [answer.json() for answer in answers]
    assert len({tuple(one["host"]) for one in told}) == 20
    for kind in told[0]:
        drawn = [value for one in told for value in one[kind]]
        assert len(set(drawn)) == len(drawn), kind


def test_a_generator_of_the_programs_own_is_not_copied(program, server: Server) -> None:
    answer = request(server.deploy(program(GENERATOR), "dice")["f"])
    assert path(answer) == "image-zygote"
    logs = server.environment.run("app", "logs", "dice").stdout
    assert "a fork would break the random generator `DICE` of program" in logs


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
    # The image's is lit again, which one container does not wait for; the function's own died too soon to be
    # tried again.
    assert {path(answer) for answer in fresh} <= {"image-zygote", "plain"}


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


DESCRIPTORS = """
    import modal

    stub = modal.Stub("descriptors")

    @stub.webhook
    def zygote():
        return "here"

    @stub.webhook(secret=modal.Secret({"PYTHONHASHSEED": "7"}))
    def plain():
        return "here"
"""


def open_files(pid: int) -> dict[int, str]:
    """What a process has open, by descriptor."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = os.readlink(entry)
        except OSError:
            continue
    return found


def runners(pid: int) -> list[int]:
    """The Python processes that descend from a process."""
    found = []
    for child in children(pid):
        try:
            if b"_pilotlight_runner" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
        except OSError:
            continue
    return found


def test_nothing_of_the_host_or_of_a_sibling_is_open(program, server: Server) -> None:
    urls = server.deploy(program(DESCRIPTORS), "descriptors")
    urls |= {"image": server.deploy(program(THREADED), "threaded")["f"]}
    ways = {path(request(url)) for url in urls.values()}
    assert ways == {"function-zygote", "image-zygote", "plain"}
    holders: dict[str, set[int]] = {}
    # The zygotes of the image and of one function, and a container of each way. What tried to be the zygote
    # of the threaded function may be ending still.
    wait_until(lambda: len(runners(server.pid())) == 5)
    contained = runners(server.pid())
    for pid in contained:
        for descriptor, target in open_files(pid).items():
            if target.startswith("/"):
                assert target == "/dev/null", (pid, descriptor, target)
            elif ":[" in target and not target.startswith("anon_inode"):
                holders.setdefault(target, set()).add(pid)
    shared = {target: pids for target, pids in holders.items() if len(pids) > 1}
    assert not shared


MODULES = """
    import sys

    import modal

    stub = modal.Stub("modules")
    seen = set(sys.modules)

    def new():
        return sorted(set(sys.modules) - seen)

    @stub.webhook
    def get(name: str = "x"):
        return new()

    @stub.webhook(method="POST")
    def post(body: dict):
        return new()

    @stub.webhook
    async def asynchronous(name: str = "x"):
        return new()

    @stub.asgi
    def asgi():
        async def app(scope, receive, send):
            assert scope["type"] == "http"
            body = ",".join(new()).encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"[%b]" % body})

        return app

    @stub.wsgi
    def wsgi():
        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"[%b]" % ",".join(new()).encode()]

        return app

    @stub.asgi
    def framework():
        from fastapi import FastAPI

        web = FastAPI()
        web.get("/")(get)
        return web
"""


def test_a_first_request_imports_nothing(program, server: Server) -> None:
    urls = server.deploy(program(MODULES), "modules")
    assert len(urls) == 6
    for function, url in urls.items():
        body, method = ({"name": "x"}, "POST") if function == "post" else (None, "GET")
        first, second = (request(url, method, body) for _ in range(2))
        assert path(first) == "function-zygote"
        # The second tells what the end of the first imported.
        assert (first.text, second.text) == ("[]", "[]"), function


def test_each_start_is_in_the_metrics_and_in_a_log(program, server: Server) -> None:
    url = server.deploy(program(ASKING), "asking")["f"]
    assert path(request(url)) == "function-zygote"
    status = server.environment.run("server", "status")
    assert re.search(r"Starts by function-zygote: [12], p50 [0-9.]+ ms, p99 [0-9.]+ ms", status.stderr), (
        status
    )
    control = re.search(r"Control socket: (\S+)", status.stderr)
    assert control, status
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(control.group(1))
        connection.sendall(b"GET /v1/metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        text = connection.makefile("rb").read().decode()
    assert "content-type: application/openmetrics-text" in text
    for phase in ("sandbox", "fork", "import", "app"):
        assert f'pilotlight_start_phase_seconds_count{{path="function-zygote",phase="{phase}"}}' in text
    assert 'pilotlight_wait_seconds_count{path="function-zygote"} 1' in text
    log = server.environment.state / "logs/starts.jsonl"
    # Nobody waits for the records, so they may come later than the answer.
    wait_until(lambda: log.exists() and '"event":"wait"' in log.read_text())
    told = [json.loads(line) for line in log.read_text().splitlines() if '"event":"start"' in line]
    assert {(one["app"], one["function"], one["path"]) for one in told} == {
        ("asking", "f", "function-zygote")
    }
    assert all(0 < one["sandbox_ms"] < one["total_ms"] for one in told)


#: What one more warm container may cost, all its processes.
WARM_KIB_MAX = 8 << 10


def own_kib(pid: int) -> int:
    """The memory that is a process's alone, its page tables included."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    private = sum(int(size) for size in re.findall(r"Private_(?:Clean|Dirty): +(\d+)", rollup))
    tables = re.search(r"VmPTE:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return private + int(tables.group(1) if tables else 0)


def test_one_more_warm_container_costs_little_memory(program, server: Server) -> None:
    url = server.deploy(program(DESCRIPTORS), "descriptors")["zygote"]
    before = set(children(server.pid()))
    assert path(request(url)) == "function-zygote"
    after = children(server.pid())
    # Shells are made ahead meanwhile, and the container's own pid 1 may have been one: its group tells.
    (python,) = [pid for pid in after if pid not in before and not name(pid).startswith("co-")]
    its = {pid: own_kib(pid) for pid in after if group(pid) == group(python)}
    assert len(its) == 2, "its pid 1 and its Python"
    assert sum(its.values()) <= WARM_KIB_MAX, its


def group(pid: int) -> str:
    """The control groups of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""
