"""The gateway beside nginx, before the same sockets and on the same CPU; and pilotlight under load.

The load, the static responder and the gateway by itself are `crates/gateway/examples/traffic`. The proxy that
is measured has a CPU to itself where there are two: what is measured must be what has no more to give.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket as socket_of
import subprocess
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import serving
from serving import Failed, Serve, pin
from table import HERE, Bench, Row

ROUNDS = 5
SECONDS = 2.0
CONNECTIONS = (1, 32, 256)
POST_BYTES = 64 * 1024
#: Requests per second while latencies are measured: what the slower of both can do several times over.
OPEN_LOOP_RATE = 2000
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 0; client_body_buffer_size 128k; keepalive_requests 100000000;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  upstream app {{ server unix:{socket}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://app; proxy_http_version 1.1; proxy_request_buffering off;
      proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"""


def traffic() -> str:
    """The example, as `cargo xtask bench` built it."""
    return os.environ["PILOTLIGHT_TRAFFIC"]


def load(
    bench: Bench, address: object, connections: int, seconds: float, body: int = 0, rate: float = 0
) -> Any:
    """What came of a load: answers, errors, seconds, milliseconds."""
    command = [traffic(), "load", str(address), str(connections), str(seconds), str(body)]
    command += [str(rate)] if rate else []
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=pin(bench.client_cpus),
        timeout=seconds + 120,
    )
    return json.loads(done.stdout)


@dataclass
class Proxy:
    """Something that listens at a port."""

    name: str
    port: int
    pid: int

    def ticks(self) -> int:
        """Processor time so far (proc_pid_stat(5))."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])


@contextlib.contextmanager
def process(command: list[str], cpus: set[int], **options: Any) -> Generator[subprocess.Popen[str]]:
    """A process for as long as it is needed."""
    started = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True, preexec_fn=pin(cpus), **options)
    try:
        yield started
    finally:
        started.terminate()
        started.wait()


@contextlib.contextmanager
def responder(bench: Bench) -> Generator[Path]:
    """The static responder's socket."""
    socket = fresh(bench) / "app.sock"
    with process([traffic(), "respond", str(socket)], bench.client_cpus):
        wait(socket.exists, f"{socket} did not appear")
        yield socket


def fresh(bench: Bench) -> Path:
    """An empty folder."""
    folder = bench.folder / "traffic"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def wait(holds: Callable[[], object], otherwise: str, seconds: float = 60.0) -> None:
    """Waits for what nobody announces."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise Failed(otherwise)
        time.sleep(0.02)


@contextlib.contextmanager
def gate(bench: Bench, socket: Path, endpoints: int = 1) -> Generator[Proxy]:
    """The gateway alone, one worker, with so many endpoints in its route table."""
    command = [traffic(), "gate", str(socket), "1", str(endpoints)]
    with process(command, bench.server_cpus, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        yield Proxy("pilotlight", int(started.stdout.readline()), started.pid)


@contextlib.contextmanager
def nginx(bench: Bench, socket: Path) -> Generator[Proxy]:
    """nginx, one worker, with kept connections to the same socket."""
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        raise Failed("nginx is not installed: apt-get install nginx-light")
    with socket_of.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    file = socket.parent / "nginx.conf"
    file.write_text(NGINX.format(folder=socket.parent, socket=socket, port=port))
    with process([found, "-c", str(file), "-p", str(socket.parent)], bench.server_cpus) as started:
        wait(lambda: answers(port), "nginx does not answer")
        yield Proxy("nginx", port, started.pid)


def answers(port: int) -> bool:
    """Whether somebody takes connections there."""
    with contextlib.suppress(OSError), serving.Connection(("127.0.0.1", port)):
        return True
    return False


def compared(bench: Bench, proxies: list[Proxy], what: str, connections: int, body: int) -> Iterable[Row]:
    """Requests per second and processor time of each, in turns, and the ratio of every turn."""
    rates: dict[str, list[float]] = {proxy.name: [] for proxy in proxies}
    costs: dict[str, list[float]] = {proxy.name: [] for proxy in proxies}
    for _ in range(ROUNDS):
        for proxy in proxies:
            before = proxy.ticks()
            told = load(bench, proxy.port, connections, SECONDS, body)
            if told["errors"] or not told["answers"]:
                raise Failed(f"{proxy.name}: {told}")
            rates[proxy.name].append(told["answers"] / told["seconds"])
            costs[proxy.name].append((proxy.ticks() - before) / TICKS_PER_SECOND * 1e6 / told["answers"])
    case = f"{what}, {'POST of 64 KiB' if body else 'GET'}, {connections} connections"
    for proxy in proxies:
        yield Row(f"{case}: {proxy.name}", "1/s", rates[proxy.name])
        yield Row(f"{case}: processor time, {proxy.name}", "µs", costs[proxy.name])
    ours, theirs = (proxy.name for proxy in proxies)
    yield Row(f"{case}: rate to nginx's", "", [a / b for a, b in zip(rates[ours], rates[theirs])])


def static(bench: Bench) -> Iterable[Row]:
    """Before a responder that is faster than either proxy."""
    with responder(bench) as socket, gate(bench, socket) as ours, nginx(bench, socket) as theirs:
        for connections in CONNECTIONS:
            for body in (0, POST_BYTES):
                yield from compared(bench, [ours, theirs], "static", connections, body)


@contextlib.contextmanager
def fastapi(bench: Bench) -> Generator[Path]:
    """A plain uvicorn of the hello world of the other rows, on a socket."""
    folder = fresh(bench)
    python, socket = folder / "env" / "bin" / "python", folder / "app.sock"
    uv = [bench.uv, "--quiet", "--no-config"]
    subprocess.run([*uv, "venv", str(folder / "env")], check=True)
    packages = ["fastapi", "uvicorn", "uvloop", "httptools"]
    subprocess.run([*uv, "pip", "install", "--python", str(python), *packages], check=True)
    command = [str(python), "-m", "uvicorn", "direct:api", "--uds", str(socket), "--no-access-log"]
    with process([*command, "--log-level", "warning"], bench.client_cpus, cwd=HERE / "programs"):
        wait(socket.exists, "uvicorn does not listen")
        yield socket


def app(bench: Bench) -> Iterable[Row]:
    """Before the same FastAPI app; what is added at one connection; latencies under open-loop load."""
    with fastapi(bench) as socket, gate(bench, socket) as ours, nginx(bench, socket) as theirs:
        added: dict[str, list[float]] = {"pilotlight": [], "nginx": []}
        direct: list[float] = []
        for _ in range(ROUNDS):
            plain = load(bench, socket, 1, SECONDS)["p50"]
            direct.append(plain)
            for proxy in (ours, theirs):
                added[proxy.name].append(load(bench, proxy.port, 1, SECONDS)["p50"] - plain)
        yield Row("uvicorn at its socket, one connection, p50", "ms", direct)
        for name, samples in added.items():
            yield Row(f"added by {name} to that", "ms", samples)
        for connections in CONNECTIONS:
            yield from compared(bench, [ours, theirs], "FastAPI", connections, 0)
        for proxy in (ours, theirs):
            told = [load(bench, proxy.port, 64, SECONDS, rate=OPEN_LOOP_RATE / 4) for _ in range(ROUNDS)]
            name = f"FastAPI, open loop, {OPEN_LOOP_RATE // 4}/s: {proxy.name}"
            yield Row(f"{name}, p50", "ms", [each["p50"] for each in told])
            yield Row(
                f"{name}, p99",
                "ms",
                [each["p99"] for each in told],
                f"{sum(e['errors'] for e in told)} errors",
            )


def routes(bench: Bench) -> Iterable[Row]:
    """Requests through a table of one endpoint and through one of 10,000, in turns."""
    with responder(bench) as socket, gate(bench, socket) as one, gate(bench, socket, 10_000) as many:
        for name, proxy in (("1 endpoint", one), ("10,000 endpoints", many)):
            load(bench, proxy.port, 32, SECONDS)
            before, told = proxy.ticks(), [load(bench, proxy.port, 32, SECONDS) for _ in range(ROUNDS)]
            cost = (proxy.ticks() - before) / TICKS_PER_SECOND * 1e6 / sum(each["answers"] for each in told)
            rates = [each["answers"] / each["seconds"] for each in told]
            yield Row(f"{name} in the route table", "1/s", rates, f"{cost:.1f} µs each")


def scale(bench: Bench) -> Iterable[Row]:
    """100 requests at once to a function that takes one at a time and sleeps 1 s, from zero."""
    with bench.serve(bench.program("traffic_app")) as server:
        # The program is imported ahead once this has been answered; its container must be gone again.
        gone(server, "asleep")
        took: list[float] = []
        for _ in range(3):
            told = load(bench, server.address("asleep")[1], 100, 0.3)
            if told["errors"] or told["answers"] != 100:
                raise Failed(f"100 at once: {told}")
            took.append(told["max"])
            gone(server, "asleep")
        yield Row("100 at once, one at a time, each sleeps 1 s: the last answer", "ms", took, "from zero")


def gone(server: Serve, function: str) -> None:
    """Asks once, and waits until the container that answered is gone."""
    answer = serving.get(server.address(function))[1]
    serving.wait_gone(json.loads(answer.body))


def steps(bench: Bench) -> Iterable[Row]:
    """Knative's shape: each step of load is higher than the last; clients never retry."""
    with bench.serve(bench.program("traffic_app")) as server:
        port = server.address("shared")[1]
        for rate in (100, 200, 300):
            told = load(bench, port, 64, 10, rate=rate)
            if told["errors"]:
                raise Failed(f"{rate}/s: {told}")
            note = f"p50; p99 {told['p99']:.1f}, {told['answers']} answers, 0 errors"
            yield Row(f"stepped load, {rate}/s", "ms", [told["p50"]], note)


def versions(bench: Bench) -> Iterable[Row]:
    """A new version every second at a constant rate."""
    file = bench.program("traffic_app")
    with bench.serve(file) as server:
        port = server.address("shared")[1]
        with ThreadPoolExecutor(1) as pool:
            loading = pool.submit(load, bench, port, 32, bench.soak, 0, 50)
            text, saved = file.read_text(), 0
            while not loading.done():
                time.sleep(1)
                saved += 1
                file.with_suffix(".new").write_text(f"{text}\n# version {saved}\n")
                file.with_suffix(".new").rename(file)
            told = loading.result()
        if told["errors"]:
            raise Failed(f"{saved} versions: {told}")
        note = f"p50; p99 {told['p99']:.1f}, {saved} versions, {told['answers']} answers, 0 errors"
        yield Row("a new version every second, 50/s", "ms", [told["p50"]], note)


def killed(bench: Bench) -> Iterable[Row]:
    """`kill -9` of containers at random under load: only what is in them fails, and no slot is lost."""
    draw = random.Random(5)
    with bench.serve(bench.program("traffic_app")) as server:
        port = server.address("single")[1]
        with ThreadPoolExecutor(8) as pool:
            loading = pool.submit(load, bench, port, 8, bench.soak, 0, 40)
            kills = 0
            while not loading.done():
                time.sleep(draw.uniform(0.2, 0.8))
                with contextlib.suppress(Failed, OSError):
                    container = json.loads(serving.get(("127.0.0.1", port))[1].body)
                    os.kill(serving.processes(container)[-1], signal.SIGKILL)
                    kills += 1
            told = loading.result()
            if told["errors"] > kills:
                raise Failed(f"{kills} kills, but {told}")
        # `single` has four places, and a request for each: for a lost one it would wait until the deadline.
        after = load(bench, port, 4, 2)
        if after["errors"]:
            raise Failed(f"after {kills} kills: {after}")
        note = f"p50; {kills} kills, {told['errors']} of {told['answers'] + told['errors']} requests failed"
        yield Row("containers killed at random, 40/s", "ms", [told["p50"]], note)


def soak(bench: Bench) -> Iterable[Row]:
    """A constant load for a while: memory, descriptors and p99 stay."""
    with bench.serve(bench.program("traffic_app")) as server:
        port, folder = server.address("shared")[1], Path(f"/proc/{server_pid(server)}")
        load(bench, port, 32, 5, rate=100)
        memory: list[float] = []
        descriptors: list[float] = []
        late: list[float] = []
        for _ in range(max(2, round(bench.soak / 10))):
            told = load(bench, port, 32, 10, rate=100)
            if told["errors"]:
                raise Failed(f"soak: {told}")
            late.append(told["p99"])
            memory.append(serving.memory_kib([int(folder.name)])[1] / 1024)
            descriptors.append(float(len(list((folder / "fd").iterdir()))))
        for name, unit, samples in (
            ("p99", "ms", late),
            ("private memory of the server", "MiB", memory),
            ("descriptors of the server", "", descriptors),
        ):
            note = f"first {samples[0]:.1f}, last {samples[-1]:.1f}, every 10 s"
            yield Row(f"soak, 100/s: {name}", unit, samples, note)


def server_pid(server: Serve) -> int:
    """The process that answers: it is the one that listens."""
    port = f":{server.address('shared')[1]:04X}"
    inodes = [
        f"socket:[{fields[9]}]"
        for fields in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
        if fields[1].endswith(port) and fields[3] == "0A"
    ]
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and any(os.readlink(fd) in inodes for fd in (entry / "fd").iterdir()):
                return int(entry.name)
    raise Failed(f"nobody listens at {port}")


ROWS: dict[str, Callable[[Bench], Iterable[Row]]] = {
    "gateway-static": static,
    "gateway-app": app,
    "gateway-routes": routes,
    "gateway-scale": scale,
    "gateway-steps": steps,
    "gateway-versions": versions,
    "gateway-killed": killed,
    "gateway-soak": soak,
}
