"""What the end-to-end tests use: commands whose output is followed, HTTP, a look at what is left behind."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]

# Each environment's ports start elsewhere, below the kernel's range for outgoing connections. So do
# those of two runs: a server goes on without its first port, the shared one, if somebody else has it.
ports = itertools.count(11_000 + os.getpid() % 300 * 50, 20)

# Building an image on a loaded machine may take minutes; waiting longer than this means that something hangs.
PATIENCE = 300.0


def binary() -> Path:
    """The binary under test: `PILOTLIGHT_BINARY`, else the debug build of this tree."""
    return Path(os.environ.get("PILOTLIGHT_BINARY") or ROOT / "target/debug/pilotlight")


def run(arguments: list[str], **options) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end and captures what it prints."""
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300, **options)


@dataclass
class Answer:
    """An HTTP answer, read whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def request(url: str, method: str = "GET", body: Any = None, timeout: float = 60.0, **headers: str) -> Answer:
    """One request on a connection of its own; redirects are not followed."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        named.setdefault("content-type", "application/json")
    path = parts.path or "/"
    connection.request(method, f"{path}?{parts.query}" if parts.query else path, body=body, headers=named)
    answer = connection.getresponse()
    try:
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@dataclass
class Environment:
    """A state directory, a home and a range of ports for one or more commands."""

    binary: Path
    state: Path
    home: Path
    port: int
    cwd: Path | None = None

    def at(self, cwd: Path, port: int) -> Environment:
        """The same state from another working directory, with other ports."""
        return Environment(self.binary, self.state, self.home, port, cwd)

    def fresh(self, cwd: Path, port: int, *parts: str) -> Environment:
        """A new state directory below `cwd`, which shares these parts with this one."""
        state = cwd / "state"
        state.mkdir()
        for part in parts:
            (self.state / part).mkdir(parents=True, exist_ok=True)
            (state / part).symlink_to(self.state / part)
        return Environment(self.binary, state, self.home, port, cwd)

    def variables(self, **extra: str) -> dict[str, str]:
        """The environment of a command: this process's, with an empty home and this state."""
        self.home.mkdir(parents=True, exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
        mine = {
            "HOME": str(self.home),
            "PILOTLIGHT_STATE_DIR": str(self.state),
            "PILOTLIGHT_PORT": str(self.port),
            "PILOTLIGHT_BASE": os.environ.get("PILOTLIGHT_BASE", "host"),
            "PILOTLIGHT_BINARY": str(self.binary),
            "NO_COLOR": "1",
        }
        return kept | mine | extra

    def command(self, *arguments: str, **extra: str) -> Command:
        """Starts a `pilotlight` command and follows its output."""
        return Command([str(self.binary), *arguments], self.variables(**extra), self.cwd)

    def run(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Runs a `pilotlight` command to its end."""
        return subprocess.run(
            [str(self.binary), *arguments],
            env=self.variables(**extra),
            cwd=self.cwd,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )


@dataclass
class Command:
    """A running command, its output gathered line by line."""

    arguments: list[str]
    variables: dict[str, str]
    cwd: Path | None
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            self.arguments,
            env=self.variables,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # One pipe for both: the lines arrive in the order in which they were written.
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.changed = threading.Condition()
        self.open = True
        self.follower = threading.Thread(target=self._follow, args=(self.process.stdout,), daemon=True)
        self.follower.start()

    def _follow(self, stream: Any) -> None:
        with stream:
            for line in stream:
                with self.changed:
                    self.lines.append(line.rstrip("\n"))
                    self.changed.notify_all()
        with self.changed:
            self.open = False
            self.changed.notify_all()

    @property
    def output(self) -> str:
        """Everything printed so far."""
        with self.changed:
            return "\n".join(self.lines)

    def wait_for(self, pattern: str, after: int = 0, timeout: float = PATIENCE) -> re.Match[str]:
        """Waits for a line that `pattern` is found in, among those after the first `after`."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                for line in self.lines[after:]:
                    if found := re.search(pattern, line):
                        return found
                rest = deadline - time.monotonic()
                if rest <= 0 or not self.open:
                    raise AssertionError(f"no line matches {pattern!r}:\n" + "\n".join(self.lines))
                self.changed.wait(rest)

    def mark(self) -> int:
        """A place in the output, for `wait_for(after=…)`."""
        with self.changed:
            return len(self.lines)

    def wait_serving(self) -> None:
        """Waits until `serve` serves."""
        self.wait_for("Serving")

    def url(self, function: str | None = None) -> str:
        """The URL that was printed for a function, or for the only one."""
        name = re.escape(function) if function else r"\S+"
        return self.wait_for(rf"Created {name} => (http://\S+)").group(1)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Waits for the command's end; its exit status."""
        status = self.process.wait(timeout)
        self.follower.join(timeout)
        return status

    def interrupt(self) -> int:
        """Ctrl-C, as a terminal sends it: to the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.wait()

    def end(self) -> None:
        """Ends the command, whatever it is doing."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            try:
                self.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.wait()


@dataclass
class Server:
    """A daemon and the commands that talk to it."""

    environment: Environment

    def start(self) -> None:
        """Starts the daemon; fails with its words if it does not."""
        done = self.environment.run("server", "start")
        assert done.returncode == 0, done.stderr

    def stop(self) -> None:
        """Stops the daemon, if it runs."""
        done = self.environment.run("server", "stop")
        assert done.returncode == 0, done.stderr

    def helper(self) -> int:
        """The process id of its helper; containers are the helper's children."""
        helper = self.helper_or_none()
        assert helper is not None
        return helper

    def helper_or_none(self) -> int | None:
        """The process id of its helper, if it has one just now."""
        found = [child for child in children(self.pid()) if name(child) == "pl-helper"]
        return found[0] if found else None

    def process(self) -> int:
        """The process id of what serves, which has rights of its own."""
        (process,) = [child for child in children(self.pid()) if "server-process" in arguments(child)]
        return process

    def pid(self) -> int:
        """The daemon's process id: that of the root of its processes."""
        done = self.environment.run("server", "status")
        found = re.search(r"pid (\d+)", done.stdout)
        assert found, done
        return int(found.group(1))

    def deploy(self, file: Path, name: str, *arguments: str) -> dict[str, str]:
        """Deploys a file; the URL of each function."""
        done = self.environment.run("deploy", str(file), "--name", name, *arguments)
        assert done.returncode == 0, done.stderr
        return dict(re.findall(r"Deployed (\S+) => (http://\S+)", done.stdout))


def wait_until(condition, timeout: float = 60.0, every: float = 0.05) -> Any:
    """Waits for a condition that nothing announces (a process gone, a mount gone); gives its value."""
    deadline = time.monotonic() + timeout
    while True:
        if value := condition():
            return value
        assert time.monotonic() < deadline, f"never came true: {condition}"
        time.sleep(every)


def children(pid: int) -> list[int]:
    """The process's descendants that exist now."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if parent == pid:
                found += [int(entry.name), *children(int(entry.name))]
    return found


def name(pid: int) -> str:
    """The short name of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def arguments(pid: int) -> list[str]:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


class Traces:
    """What a server's descendants leave on the machine, if anything; other servers may run beside it."""

    def __init__(self, pid: int) -> None:
        """Notes what there is now: some container must live."""
        self.pids = children(pid)
        self.links: set[str] = set()
        self.cgroups: set[Path] = set()
        for child in self.pids:
            try:
                status = Path(f"/proc/{child}/status").read_text()
                groups = Path(f"/proc/{child}/cgroup").read_text()
            except OSError:
                # The child of a zygote that joins a container ends as soon as it has forked there.
                continue
            uid = int(status.split("Uid:", 1)[1].split()[0])
            # A container's root is the first of the 65536 ids of its slot, and the slot names its link.
            if uid >= 0x70000000:
                self.links.add(f"pl{(uid - 0x70000000) // 65536}h")
            for line in groups.splitlines():
                _, controllers, path = line.split(":", 2)
                folder = Path("/sys/fs/cgroup") / controllers.split(",")[0] / path.lstrip("/")
                if "/pilotlight/" in path and folder.is_dir():
                    self.cgroups.add(folder)
        assert self.pids and self.links and self.cgroups

    def without(self, pid: int) -> Traces:
        """The same without what the server, which goes on, has now."""
        now = Traces(pid)
        self.pids = [pid for pid in self.pids if pid not in now.pids]
        self.links -= now.links
        self.cgroups -= now.cgroups
        return self

    def wait_gone(self) -> None:
        """Waits until nothing of it exists: the kernel takes links down a moment after the last process."""
        # A process that ended is listed until the machine's init has asked for its exit status.
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in self.pids))
        wait_until(lambda: not any(name in self.links for _, name in socket.if_nameindex()))
        wait_until(lambda: not any(folder.exists() for folder in self.cgroups))


def mounts(state: Path) -> list[str]:
    """The machine's mounts that name a state directory."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(state) in line]


def listening(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
