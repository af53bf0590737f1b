"""Cold starts: from the client's connect to the last byte, of a function that has no process but its zygote.

Client and servers may use every CPU: the client does nothing while it waits. The rivals start the same
application, with the same versions, in turns with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import rivals
import serving
from serving import Answer, Failed, Serve, get, imports, server_timing
from table import Bench, Row


@dataclass
class Starts:
    """The cold starts of one kind: how long each took, which way, and what the receipts say."""

    took: list[float] = field(default_factory=list[float])
    phases: dict[str, list[float]] = field(default_factory=dict[str, "list[float]"])
    paths: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, ms: float, answer: Answer) -> None:
        """One start, with its receipt."""
        self.took.append(ms)
        for phase, value in server_timing(answer.headers).items():
            self.phases.setdefault(phase, []).append(value)
        path = path_of(answer)
        self.paths[path] = self.paths.get(path, 0) + 1

    def row(self, name: str, more: str = "") -> Row:
        """With the medians of the phases as note."""
        medians = ", ".join(f"{phase} {statistics.median(each):.1f}" for phase, each in self.phases.items())
        paths = ", ".join(f"{count} by {path}" for path, count in sorted(self.paths.items()))
        return Row(name, "ms", self.took, "; ".join(part for part in (paths, medians, more) if part))


def path_of(answer: Answer) -> str:
    """`function-zygote`, `image-zygote` or `plain`: the receipt's `path`."""
    for metric in answer.headers.get("server-timing", "").split(","):
        if metric.strip().startswith("path"):
            return metric.partition('desc="')[2].rstrip('"')
    return "no receipt"


class Endpoint:
    """A function that is asked again and again, each time from proven zero."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.last: str | None = None

    def cold(self) -> tuple[float, Answer]:
        """Waits until the last container has no process, then asks; the container must be a new one."""
        if self.last is not None:
            serving.wait_gone(self.last)
        ms, answer = get(self.address)
        container = container_of(answer.body)
        if answer.status != 200 or container == self.last:
            raise Failed(f"not a cold start: {answer.status}, {answer.body[:200]!r}")
        self.last = container
        return ms, answer


def container_of(body: bytes) -> str:
    """The container's id at the end of a hello answer."""
    return json.loads(body).rsplit(" ", 1)[-1]


def started(endpoints: list[Endpoint], count: int) -> Starts:
    """`count` cold starts of endpoints in turn. The first of each is not counted: files are read for it."""
    starts = Starts()
    for turn in range(-len(endpoints), count):
        ms, answer = endpoints[turn % len(endpoints)].cold()
        if turn >= 0:
            starts.add(ms, answer)
    return starts


@contextlib.contextmanager
def all_cpus(bench: Bench) -> Iterator[Bench]:
    """Lets client and servers use every CPU for a while."""
    both = bench.client_cpus | bench.server_cpus
    before = (bench.client_cpus, bench.server_cpus)
    os.sched_setaffinity(0, both)
    bench.client_cpus, bench.server_cpus = both, both
    try:
        yield bench
    finally:
        bench.client_cpus, bench.server_cpus = before
        os.sched_setaffinity(0, before[0])


def endpoints(server: Serve, name: str, count: int) -> list[Endpoint]:
    """`name_0` and so on of a served program."""
    return [Endpoint(server.address(f"{name}_{number}")) for number in range(count)]


def cold_start(bench: Bench) -> Iterable[Row]:
    """All kinds of cold starts."""
    for rows in (side_by_side, hundred, lost_zygote, first_after_deploy, burst):
        with all_cpus(bench):
            yield from rows(bench)


def side_by_side(bench: Bench) -> Iterable[Row]:
    """Hello world from its function's zygote and from the image's, beside the rivals."""
    with bench.serve(bench.program("warm")) as server:
        address = server.address("web")
        bench.learn_versions(json.loads(get(address, "/versions")[1].body))
        own = imports(address, "import fastapi, pydantic", max(10, bench.cold // 10))["statement_ms"]
    others = list(rivals.found(bench))
    function, image = Starts(), Starts()
    with bench.serve(bench.program("cold_now")) as server:
        lit = endpoints(server, "hello", 4)
        imported = endpoints(server, "imported", 2)
        for turn in range(-8, bench.cold):
            counted = turn >= 0
            ms, answer = lit[turn % 4].cold()
            if counted:
                function.add(ms, answer)
            # The slow ones less often, in turns with the fast.
            if turn % 4 == 0 and counted:
                for rival in others:
                    rival.start_once(bench.server_cpus)
            if turn % 4 == 2:
                ms, answer = imported[turn // 4 % 2].cold()
                if counted:
                    image.add(ms, answer)
        processes = leftover()
    yield function.row("cold start, FastAPI hello world, its zygote lit", processes)
    yield image.row("cold start, only the image's zygote")
    yield Row("the app's own imports", "ms", own, "`import fastapi, pydantic` in a container")
    for rival in others:
        yield Row(rival.name, "ms", rival.samples, rival.note)


def leftover() -> str:
    """What of ours runs Python while no container does: the zygotes, and children that they forked ahead."""
    found = serving.zygotes()
    ahead = sum(parent in found for parent in found.values())
    return f"{len(found) - ahead} zygotes, {ahead} children forked ahead"


def hundred(bench: Bench) -> Iterable[Row]:
    """An app that imports 100 packages of 10 modules."""
    file = bench.program("hundred")
    for package in range(100):
        folder = file.parent / "packages" / f"package_{package:03}"
        folder.mkdir(parents=True)
        for module in range(10):
            (folder / f"module_{module}.py").write_text(MODULE)
        names = "\n".join(f"from . import module_{module}" for module in range(10))
        (folder / "__init__.py").write_text(names + "\n")
    with bench.serve(file) as server:
        starts = started(endpoints(server, "hello", 2), bench.cold // 4)
    yield starts.row("cold start, an app that imports 100 packages")


MODULE = '''
import dataclasses
import re

WORD = re.compile(r"[a-z]+(-[a-z]+)*")


@dataclasses.dataclass(frozen=True)
class Item:
    name: str
    price: float
    tags: tuple = ()


class Base:
    """A class as libraries have them."""

    def method(self, value, *, other=None):
        return [item for item in (value, other) if item is not None]


class Derived(Base):
    limits = {"small": 1, "large": 100}

    def method(self, value, *, other=None):
        return super().method(value, other=other) + list(self.limits.values())
'''


def lost_zygote(bench: Bench) -> Iterable[Row]:
    """The first request after the function's zygote was put out (killed), which is lit anew behind it."""
    with bench.serve(bench.program("cold_now")) as server:
        endpoint = endpoints(server, "hello", 1)[0]
        starts = Starts()
        endpoint.cold()
        for _ in range(max(10, bench.cold // 10)):
            serving.wait_gone(endpoint.last or "")
            for pid in serving.zygotes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            starts.add(*endpoint.cold())
    yield starts.row("first request after every zygote was killed")


def first_after_deploy(bench: Bench) -> Iterable[Row]:
    """The first request after each deploy of a changed file, asked as soon as the command has returned."""
    file = bench.program("cold_now")
    text = file.read_text()
    starts = Starts()
    with daemon(bench) as environment:
        for turn in range(max(10, bench.cold // 10)):
            file.write_text(text.replace("Hello world!", f"Hello {turn}!"))
            starts.add(*Endpoint(deploy(bench, file, environment, "hello_0")).cold())
    yield starts.row("first request after a deploy")


@contextlib.contextmanager
def daemon(bench: Bench) -> Iterator[dict[str, str]]:
    """Runs a server to deploy to; gives the environment of its commands."""
    environment = {**os.environ, "PILOTLIGHT_STATE_DIR": str(bench.folder / "state"), "NO_COLOR": "1"}
    server = subprocess.Popen(
        [str(bench.binary), "server"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        preexec_fn=serving.pin(bench.server_cpus),
    )
    try:
        yield environment
    finally:
        server.terminate()
        server.wait(60)


def deploy(bench: Bench, file: Path, environment: dict[str, str], function: str) -> tuple[str, int]:
    """Deploys; gives the address of a function."""
    command = [str(bench.binary), "deploy", str(file)]
    deadline = time.monotonic() + serving.BUILD_SECONDS_MAX
    while True:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        told = done.stdout + done.stderr
        for line in told.splitlines():
            if f"{function} => " in line:
                return "127.0.0.1", int(line.rstrip("/").rpartition(":")[2])
        # The server may still be starting.
        if "no server is running" not in told.lower() or time.monotonic() > deadline:
            raise Failed(f"the deploy failed:\n{told}")
        time.sleep(0.1)


def to_zero(address: tuple[str, int], path: str = "/") -> None:
    """Waits until the function has its zygote and no container."""
    way = ""
    while way != "function-zygote":
        answer = get(address, path)[1]
        way = path_of(answer)
        told = json.loads(answer.body)
        serving.wait_gone(told if isinstance(told, str) else told[0])


def burst(bench: Bench) -> Iterable[Row]:
    """200 containers of one function, asked for at once: from the first connect to the last start.

    The function has its zygote and no container, as at any other cold start.
    """
    count = 200
    with bench.serve(bench.program("cold_now")) as server:
        address = server.address("held")
        to_zero(address, "/?seconds=0")
        begun = time.time()
        answers: list[tuple[str, float]] = []
        failures: list[str] = []

        def ask() -> None:
            try:
                answer = get(address)[1]
                container, entered = json.loads(answer.body)
                answers.append((container, entered))
            except (OSError, ValueError, Failed) as error:
                failures.append(str(error))

        threads = [threading.Thread(target=ask) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures or len({container for container, _ in answers}) != count:
        different = len({container for container, _ in answers})
        raise Failed(f"{len(failures)} failed ({failures[:2]}), {different} containers of {count}")
    seconds = max(entered for _, entered in answers) - begun
    yield Row(
        "200 containers asked for at once", "containers/s", [count / seconds], f"all in {seconds:.2f} s"
    )
