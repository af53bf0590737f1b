"""The same application started on demand by others: uvicorn alone, in bubblewrap, in podman.

Each has what a socket-activated service has: a listening socket made before, passed as descriptor 3. The time
runs from the client's connect, which precedes the start of the process, to the last byte.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from serving import Connection, Failed
from table import HERE, Bench, same_python

ALONE = "-m uvicorn direct:api --fd 3 --no-access-log --log-level warning".split()
HYBRID = Path("/sys/fs/cgroup/unified")


@dataclass
class Rival:
    """A command that serves the socket at descriptor 3, and what it takes to end it."""

    name: str
    command: list[str]
    note: str = ""
    samples: list[float] = field(default_factory=list[float])

    def start_once(self, cpus: set[int]) -> None:
        """One cold start, from connect to last byte; then the process is ended and waited for."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
            listener.set_inheritable(True)
            begun = time.perf_counter()
            with Connection(address) as connection:
                process = self._spawn(listener, cpus)
                try:
                    answer = connection.exchange(connection.head())
                    took = (time.perf_counter() - begun) * 1000
                except (OSError, Failed) as error:
                    raise Failed(f"{self.name}: {error}; it said {end(process)!r}") from None
                end(process)
        if answer.status != 200:
            raise Failed(f"{self.name} answered {answer.status}")
        self.samples.append(took)

    def _spawn(self, listener: socket.socket, cpus: set[int]) -> subprocess.Popen[bytes]:
        def prepare() -> None:
            os.sched_setaffinity(0, cpus)
            os.dup2(listener.fileno(), 3)

        environment = {**os.environ, "LISTEN_FDS": "1"}
        return subprocess.Popen(
            self.command,
            cwd=HERE / "programs",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            close_fds=False,
            preexec_fn=prepare,
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes]) -> str:
    """SIGTERM, which podman passes on, then SIGKILL for the whole session. What it wrote to stderr."""
    process.terminate()
    try:
        _, said = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        _, said = process.communicate()
    return said.decode(errors="replace").strip()


def uvicorn(python: Path) -> Rival:
    """`python -m uvicorn`, without any isolation."""
    return Rival("uvicorn started on demand, no isolation", [str(python), *ALONE])


def bubblewrap(python: Path) -> Rival:
    """The same in bubblewrap: namespaces alone, no system call filter, no overlay, no limits."""
    found = shutil.which("bwrap")
    if found is None:
        raise Failed("bwrap is not installed: apt-get install bubblewrap")
    walls = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    command = [found, "--unshare-all", "--die-with-parent", *walls, "--", str(python), *ALONE]
    return Rival("bwrap + uvicorn", command, "all namespaces, no network, no limits")


class Podman:
    """An image of the same Debian and packages in a store of the bench's own, run by crun."""

    def __init__(self, bench: Bench) -> None:
        for tool, package in (("podman", "podman"), ("crun", "crun"), ("mmdebstrap", "mmdebstrap")):
            if shutil.which(tool) is None:
                raise Failed(f"{tool} is not installed: apt-get install {package}")
        self.folder = bench.folder / "podman"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.options = ["--root", str(self.folder / "root"), "--runroot", str(self.folder / "run")]
        self.options += ["--runtime", "crun", "--cgroup-manager", "cgroupfs"]
        self.before: list[str] = []
        if HYBRID.is_dir():
            # crun refuses a host with both versions of cgroups: it does not get to see the second.
            hide = f'umount {HYBRID} && exec "$@"'
            self.before = ["unshare", "--mount", "--propagation", "private", "sh", "-c", hide, "sh"]

    def command(self, *arguments: str) -> list[str]:
        """A command of podman."""
        return [*self.before, "podman", *self.options, *arguments]

    def make_image(self, name: str, include: str, *hooks: str) -> None:
        """An image of Debian's own packages, made once; hooks run in the machine with its root as `$1`."""
        root = self.folder / f"{name}.tar"
        if root.exists():
            return
        made = ["mmdebstrap", "--variant=minbase", f"--include={include}"]
        made += [f"--customize-hook={hook}" for hook in hooks]
        subprocess.run([*made, "bookworm", str(root)], check=True, capture_output=True)
        subprocess.run(self.command("import", str(root), name), check=True, capture_output=True)

    def rival(self, network: str) -> Rival:
        """`podman run` with the image; limits that a container may have here, none raised."""
        soft = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
        options = ["--rm", *soft, "--preserve-fds=1", f"--network={network}", "--workdir=/opt/app"]
        inside = ["env", "PYTHONPATH=/opt/site", "python3", *ALONE]
        command = self.command("run", *options, "bench", *inside)
        note = f"crun, local image, network {network}"
        return Rival(f"podman run + uvicorn, network {network}", command, note)


def found(bench: Bench) -> Iterator[Rival]:
    """All of them, with the versions that the image has."""
    python, _ = same_python(bench)
    yield uvicorn(python)
    yield bubblewrap(python)
    podman = Podman(bench)
    site = next(python.parent.parent.glob("lib/python*/site-packages"))
    app = HERE / "programs" / "direct.py"
    podman.make_image(
        "bench", "python3", "mkdir -p $1/opt/app", f"cp -r {site} $1/opt/site", f"cp {app} $1/opt/app"
    )
    yield podman.rival("none")
    yield podman.rival("bridge")
