"""What the rows use: `pilotlight serve`, a plain uvicorn, a client connection, a container's processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

BUILD_SECONDS_MAX = 900.0
ANSWER_SECONDS_MAX = 60.0
ZYGOTE = "pl-zygote"


class Failed(Exception):
    """A measurement that could not be made, with what was seen instead."""


def pin(cpus: set[int]):
    """For `preexec_fn`: the child and all that it starts stay on these CPUs."""
    return lambda: os.sched_setaffinity(0, cpus)


class Serve:
    """`pilotlight serve FILE` and the URLs that it printed. Leaving it sends Ctrl-C and waits."""

    def __init__(self, binary: Path, file: Path, environment: dict[str, str], cpus: set[int]) -> None:
        self.urls: dict[str, str] = {}
        self.lines: list[str] = []
        self._serving = threading.Event()
        self.process = subprocess.Popen(
            [str(binary), "serve", str(file)],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=pin(cpus),
        )
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if made := re.search(r"Created (\S+) => (http://\S+)", line):
                self.urls[made.group(1)] = made.group(2)
            if "Serving" in line:
                self._serving.set()
        self._serving.set()

    def __enter__(self) -> Serve:
        if not self._serving.wait(BUILD_SECONDS_MAX) or not self.urls or self.process.poll() is not None:
            self.__exit__()
            raise Failed("`pilotlight serve` did not begin to serve:\n" + "\n".join(self.lines[-30:]))
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def address(self, function: str) -> tuple[str, int]:
        """Host and port of a function's own listener."""
        if function not in self.urls:
            raise Failed(f"no URL was printed for `{function}`, only for {sorted(self.urls)}")
        port = self.urls[function].rstrip("/").rpartition(":")[2]
        # As for the server it is compared with: no look-up of `localhost` in the timing.
        return "127.0.0.1", int(port)


@contextlib.contextmanager
def uvicorn(
    python: Path, module: str, folder: Path, options: list[str], cpus: set[int]
) -> Iterator[tuple[str, int]]:
    """A plain uvicorn of `module:api`; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(python), "-m", "uvicorn", f"{module}:api", "--port", str(port), *options]
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, preexec_fn=pin(cpus))
    try:
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while True:
            with contextlib.suppress(OSError), Connection(("127.0.0.1", port)):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"`{' '.join(command)}` does not answer")
            time.sleep(0.02)
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait()


@dataclass
class Answer:
    """An answer read to its last byte."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A client connection that does as little as possible around the two system calls that are measured."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.host = f"{address[0]}:{address[1]}"
        self.socket = socket.create_connection(address, timeout=ANSWER_SECONDS_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def head(self, path: str = "/") -> bytes:
        """The bytes of a GET request."""
        return f"GET {path} HTTP/1.1\r\nhost: {self.host}\r\naccept: */*\r\n\r\n".encode()

    def exchange(self, request: bytes) -> Answer:
        """Sends a request and reads its answer, which must have a length."""
        self.socket.sendall(request)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        status, *fields = data[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
        if "content-length" not in headers:
            raise Failed(f"an answer without content-length: {headers}")
        body = data[end + 4 :]
        while len(body) < int(headers["content-length"]):
            body += self._more()
        return Answer(int(status.split()[1]), headers, body)

    def _more(self) -> bytes:
        if chunk := self.socket.recv(65536):
            return chunk
        raise Failed("the connection was closed in the middle of an answer")


def get(address: tuple[str, int], path: str = "/") -> tuple[float, Answer]:
    """One GET on a new connection: milliseconds from connect to last byte, and the answer."""
    begun = time.perf_counter()
    with Connection(address) as connection:
        answer = connection.exchange(connection.head(path))
        return (time.perf_counter() - begun) * 1000, answer


def imports(address: tuple[str, int], statement: str, count: int) -> dict[str, list[float]]:
    """Milliseconds of new interpreters in a container: whole processes, and the statement alone."""
    path = f"/imports?count={count}&statement={statement.replace(' ', '%20')}"
    measured = json.loads(get(address, path)[1].body)
    if "process_ms" not in measured:
        raise Failed(f"the imports could not be measured: {measured}")
    return measured


def server_timing(headers: dict[str, str]) -> dict[str, float]:
    """Durations of a Server-Timing header, in milliseconds."""
    timings: dict[str, float] = {}
    for metric in headers.get("server-timing", "").split(","):
        name, *parameters = [part.strip() for part in metric.split(";")]
        for parameter in parameters:
            if parameter.startswith("dur="):
                timings[name] = float(parameter[4:])
    return timings


def processes(container: str) -> list[int]:
    """Host pids of a container's processes: those in the cgroup that has its id as name."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"/{container}\n" in (entry / "cgroup").read_text():
                found.append(int(entry.name))
    return sorted(found)


def memory_kib(pids: Iterable[int]) -> tuple[int, int]:
    """Proportional and private memory of processes, in KiB (proc_pid_smaps(5))."""
    proportional = private = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, _, value = line.partition(":")
            if name == "Pss":
                proportional += int(value.split()[0])
            elif name in ("Private_Clean", "Private_Dirty"):
                private += int(value.split()[0])
    return proportional, private


def zygotes() -> dict[int, int]:
    """Host pids of all zygotes below this process, and of children forked ahead, with their parents' pids.

    The zygotes of other servers on the machine are nobody's business here.
    """
    parents: dict[int, int] = {}
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                pid = int(entry.name)
                parents[pid] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if (entry / "comm").read_text().strip() == ZYGOTE:
                    found.append(pid)
    return {pid: parents[pid] for pid in found if _is_below(pid, os.getpid(), parents)}


def _is_below(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid not in (0, ancestor):
        pid = parents.get(pid, 0)
    return pid == ancestor


def kernel_kib(container: str) -> int:
    """What the kernel keeps for a container: page tables, stacks, sockets; by either version of cgroups."""
    for line in Path(f"/proc/{processes(container)[0]}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            return int(Path(f"/sys/fs/cgroup/memory{path}/memory.kmem.usage_in_bytes").read_text()) // 1024
        if not controllers and (stat := Path(f"/sys/fs/cgroup{path}/memory.stat")).exists():
            told = dict(line.split() for line in stat.read_text().splitlines())
            return int(told["kernel"]) // 1024
    raise Failed(f"no memory controller knows {container}")


def wait_gone(container: str, seconds_max: float = 60.0) -> None:
    """Waits until no process of a container is left."""
    deadline = time.monotonic() + seconds_max
    while processes(container):
        if time.monotonic() > deadline:
            raise Failed(f"container {container} is still there after {seconds_max:.0f} s")
        time.sleep(0.05)
