"""Warm discovery: its forks tell what a process of its own tells, or it says that it is not to be used."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sdk_project import REPOSITORY, Project, sdk_environment

PROGRAMS = [
    *sorted((REPOSITORY / "examples").glob("**/*.py")),
    *sorted((REPOSITORY / "tests" / "e2e" / "programs").glob("*/*.py")),
    *sorted((REPOSITORY / "tests" / "e2e" / "programs").glob("*/*/serve.py")),
]
ENTRIES = (REPOSITORY / "crates" / "pilotlight" / "src" / "discover" / "python.rs").read_text(
    encoding="utf-8"
)


def entry(name: str) -> str:
    """The very text that the command gives its interpreter."""
    (text,) = re.findall(rf'const {name}: &str = "(.*?)";', ENTRIES, re.DOTALL)
    return re.sub(r"\\\n\s*", "", text)


class Told:
    """What a discovery told: how it ended, the manifest or the error, the notes, and what was printed."""

    def __init__(self, status: int, written: bytes, printed: str) -> None:
        first, _, second = written.partition(b"\n")
        self.status, self.printed = status, printed
        self.result: dict[str, Any] = json.loads(first) if first else {}
        self.notes: dict[str, Any] = json.loads(second) if second else {}

    def outcome(self) -> tuple[int, dict[str, Any], str]:
        """What must be the same, however it was made."""
        return self.status, self.result, self.printed


def read(pipe: int) -> bytes:
    """All of a pipe."""
    with os.fdopen(pipe, "rb") as file:
        return file.read()


def afresh(folder: Path, program: str, **environment: str) -> Told:
    """In a process of its own, as the command does it."""
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", entry("ENTRY"), program],
        stdin=theirs,
        cwd=folder,
        env=sdk_environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.close(theirs)
    written = read(ours)
    printed, _ = process.communicate(timeout=60)
    return Told(process.returncode, written, printed)


class Warm:
    """The process that forks, as the command uses it."""

    def __init__(self, folder: Path, program: str, modules: list[str], **environment: str) -> None:
        self.control, theirs = socket.socketpair()
        self.output = os.memfd_create("output")
        self.process = subprocess.Popen(
            [sys.executable, "-c", entry("WARM_ENTRY"), program],
            stdin=theirs,
            cwd=folder,
            env=sdk_environment(**environment),
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        theirs.close()
        self.control.settimeout(60)
        self.lines = self.control.makefile("r")
        order = {"modules": modules, "program": program}
        self.control.sendall(json.dumps(order).encode() + b"\n")
        self.first: dict[str, Any] = self.message()

    def message(self) -> dict[str, Any]:
        """The next message."""
        line = self.lines.readline()
        assert line, self.printed()
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self) -> tuple[dict[str, Any], int]:
        """Asks for a discovery; the first message about it, and the manifest's pipe."""
        ours, theirs = os.pipe()
        socket.send_fds(self.control, [b"{}\n"], [theirs])
        os.close(theirs)
        return self.message(), ours

    def discover(self) -> Told:
        """A discovery in a fork."""
        before = len(self.printed())
        message, pipe = self.ask()
        written = read(pipe)
        assert "child" in message, message
        status = self.message()["status"]
        return Told(status, written, self.printed()[before:])

    def printed(self) -> str:
        """What it and its forks have printed so far."""
        return os.pread(self.output, 1 << 20, 0).decode()

    def stale(self) -> str:
        """Why it is not to be used any more."""
        message, pipe = self.ask()
        os.close(pipe)
        found: str = message["stale"]
        return found


@contextlib.contextmanager
def warm(folder: Path, program: str, modules: list[str], **environment: str) -> Iterator[Warm]:
    """Ends with its socket."""
    made = Warm(folder, program, modules, **environment)
    try:
        yield made
    finally:
        made.lines.close()
        made.control.close()
        assert made.process.wait(timeout=60) == 0
        os.close(made.output)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: "-".join(path.parts[-3:]))
def test_a_fork_tells_what_a_process_of_its_own_tells(path: Path) -> None:
    once = afresh(path.parent, path.name)
    with warm(path.parent, path.name, once.notes.get("modules", [])) as process:
        assert process.first == {"ready": True}
        for _ in range(2):
            assert process.discover().outcome() == once.outcome()


APP = """
import csv, email.message, json, os, sys
import modal
print("imported by", __name__, sys.argv, sys.path[0], os.getcwd(), sys.stdin.read())
app = modal.App("x")

@app.function()
@modal.fastapi_endpoint()
def f(): ...
"""


@pytest.mark.parametrize(
    "change",
    [
        "def f(:\n",
        "import nowhere\n",
        "1 / 0\n",
        "import os\nos._exit(7)\n",
        "raise SystemExit(3)\n",
        "",
        APP,
    ],
)
def test_mistakes_and_mends_are_told_the_same(project: Project, change: str) -> None:
    project.write("program.py", APP)
    modules = afresh(project.folder, "program.py").notes["modules"]
    assert "email.message" in modules
    with warm(project.folder, "program.py", modules) as process:
        project.write("program.py", change)
        assert process.discover().outcome() == afresh(project.folder, "program.py").outcome()
        project.write("program.py", APP)
        assert process.discover().outcome() == afresh(project.folder, "program.py").outcome()


def test_a_fork_that_is_killed_is_told_and_is_nobody_elses(project: Project) -> None:
    project.write("program.py", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    with warm(project.folder, "program.py", []) as process:
        assert process.discover().status == -signal.SIGKILL
        assert process.discover().status == -signal.SIGKILL


def test_the_users_own_modules_are_read_anew_and_never_kept(project: Project) -> None:
    project.write("part.py", "TEXT = 'one'\n")
    project.write("program.py", APP + "import part\napp.tags = print(part.TEXT)\n")
    modules = afresh(project.folder, "program.py").notes["modules"]
    assert "part" not in modules
    with warm(project.folder, "program.py", modules) as process:
        for text in ("one", "two"):
            project.write("part.py", f"TEXT = {text!r}\n")
            assert process.discover().printed.endswith(f"{text}\n")


def test_a_users_module_that_goes_before_an_imported_one(project: Project) -> None:
    project.write("program.py", APP)
    modules = afresh(project.folder, "program.py").notes["modules"]
    with warm(project.folder, "program.py", modules) as process:
        process.discover()
        project.write("email.py")
        assert process.stale() == "email is a file beside the program"


def test_a_program_that_changes_what_its_imports_see_says_so(project: Project) -> None:
    project.write("program.py", "import os\nos.environ['MODE'] = 'x'\n" + APP)
    assert afresh(project.folder, "program.py").notes["changed"]
    project.write("program.py", APP)
    assert not afresh(project.folder, "program.py").notes["changed"]


def packages(project: Project, name: str, text: str) -> dict[str, str]:
    """A folder of installed packages with this module, as an environment."""
    project.write(f"../installed/{name}.py", text)
    return {"PILOTLIGHT_DISCOVERY_PATH": str(project.folder.parent / "installed")}


@pytest.mark.parametrize(
    ("text", "obstacle"),
    [
        (
            "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n",
            "threads",
        ),
        ("import socket\nkept = socket.socket()\n", "files or sockets"),
        ("import subprocess\nkept = subprocess.Popen(['sleep', '0'])\n", "processes"),
        ("print('hello')\n", "prints"),
        ("import sys\nsys.path.append('/x')\n", "module path"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("import of_the_users\n", "ModuleNotFoundError"),
    ],
)
def test_modules_that_a_fork_would_break_are_an_obstacle(project: Project, text: str, obstacle: str) -> None:
    environment = packages(project, "package", text)
    project.write("of_the_users.py")
    project.write("program.py", APP)
    with warm(project.folder, "program.py", ["package"], **environment) as process:
        assert obstacle in process.first["obstacle"]
        assert process.printed() == ""


@pytest.mark.parametrize("how", ["edited", "installed"])
def test_what_is_installed_changes(project: Project, how: str) -> None:
    environment = packages(project, "package", "VALUE = 1\n")
    project.write("program.py", APP + "import package\nprint(package.VALUE)\n")
    modules = afresh(project.folder, "program.py", **environment).notes["modules"]
    assert "package" in modules
    with warm(project.folder, "program.py", modules, **environment) as process:
        assert process.discover().printed.endswith("1\n")
        packages(project, "package" if how == "edited" else "another", "VALUE = 22\n")
        assert process.stale() == "the interpreter or what is installed changed"


def test_its_fork_ends_with_the_socket(project: Project) -> None:
    project.write("program.py", "import time\ntime.sleep(600)\n")
    with warm(project.folder, "program.py", []) as process:
        message, pipe = process.ask()
        process.control.shutdown(socket.SHUT_RDWR)
        # The pipe ends when nobody can write to it any more.
        assert read(pipe) == b""
        with pytest.raises(ProcessLookupError):
            process.process.wait(timeout=60)
            os.kill(message["child"], 0)


def test_ctrl_c_is_the_forks(project: Project) -> None:
    project.write("program.py", "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    with warm(project.folder, "program.py", []) as process:
        process.process.send_signal(signal.SIGINT)
        assert process.discover().outcome() == afresh(project.folder, "program.py").outcome()
