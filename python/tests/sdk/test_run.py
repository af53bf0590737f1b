"""`python -m pilotlight._run`: which entrypoint runs, and how its parameters are given."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sdk_project import Project

# Serves until it is told to end.
FAKE = """#!{python}
import json, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
extra = [word for word in sys.argv if word in ("--quiet", "--name=z")]
print("asked:", *sys.argv[1:3], *extra, flush=True)
report = {{"app": {{"id": "ap-1", "name": "x", "version": 1}}, "urls": {{"f": "http://localhost:1"}}}}
with open("/dev/fd/" + sys.argv[sys.argv.index("--report-fd") + 1], "w") as file:
    print(json.dumps(report), file=file)
signal.sigwait([signal.SIGINT])
"""

APP = """
import datetime
from typing import Literal, Optional
import modal
app = modal.App("x")

@app.function()
@modal.fastapi_endpoint()
def f(): ...

@app.local_entrypoint()
"""


@pytest.fixture
def run(project: Project):
    """Writes a program and runs it as `pilotlight run` does."""
    binary = project.folder / "fake-pilotlight"
    binary.write_text(FAKE.format(python=sys.executable))
    binary.chmod(0o755)

    def start(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        project.write("program.py", text)
        where = (
            arguments
            if "program.py" in " ".join(arguments) or "-m" in arguments
            else ("program.py", *arguments)
        )
        return project.run("-m", "pilotlight._run", *where, PILOTLIGHT_BINARY=str(binary))

    return start


def test_the_entrypoint_runs_while_the_app_is_served(run) -> None:
    done = run(APP + "def main():\n    print('here', f.get_web_url(), modal.is_local(), __name__)\n")
    assert (done.returncode, done.stdout) == (0, "here http://localhost:1 True program\n")
    assert "asked: serve program.py::app\n" in done.stderr


def test_an_async_entrypoint(run) -> None:
    done = run(APP + "async def main():\n    print('here')\n")
    assert (done.returncode, done.stdout) == (0, "here\n")


def test_parameters_become_options(run) -> None:
    text = APP + (
        "def main(text, some_number: int, *, ratio: float = 0.5, on: bool = False, off: bool = True,\n"
        "         day: datetime.datetime = None, kind: Literal['a', 1] = 'a', maybe: Optional[int] = None):\n"
        "    print((text, some_number, ratio, on, off, day and day.isoformat(), kind, maybe))\n"
    )
    done = run(text, "program.py", "--", "--text", "x", "--some-number", "3")
    assert done.stdout == "('x', 3, 0.5, False, True, None, 'a', None)\n", done.stderr
    arguments = (
        "--text=-x --some-number=-3 --ratio 1e3 --on --no-off --day 2026-01-31T12:30:00 --kind 1 --maybe 7"
    )
    done = run(text, "program.py", "--", *arguments.split())
    assert done.stdout == "('-x', -3, 1000.0, True, False, '2026-01-31T12:30:00', 1, 7)\n", done.stderr
    for wrong, told in [
        ([], "the following arguments are required: --text, --some-number"),
        (["--text", "x", "--some-number", "y"], "argument --some-number: invalid int value: 'y'"),
        (["--text", "x", "--some-number", "1", "--kind", "c"], "argument --kind: 'c' is not one of a, 1"),
        (
            ["--text", "x", "--some-number", "1", "--day", "soon"],
            "argument --day: 'soon' is no date and time",
        ),
        (["--text", "x", "--some-number", "1", "rest"], "unrecognized arguments: rest"),
    ]:
        done = run(text, "program.py", "--", *wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"error: {told}"), done.stderr
        assert done.stderr.endswith("hint: `pilotlight run program.py --help` lists the options\n")
    done = run(text, "program.py", "--", "--help")
    assert done.returncode == 0 and "--some-number NUMBER" in done.stdout and "default: 0.5" in done.stdout


def test_annotations_that_are_text(run) -> None:
    text = "from __future__ import annotations\n" + APP.replace(
        "@app.local", "import collections as c\n\n@app.local"
    )
    done = run(
        text + "def main(a: int | None = None, b: Literal['x'] = 'x'):\n    print(a, b)\n",
        "program.py",
        "--",
        "--a=3",
    )
    assert (done.returncode, done.stdout) == (0, "3 x\n"), done.stderr
    done = run(text + "def main(a: c.OrderedDict): ...\n")
    assert done.stderr.startswith("error: main: the parameter a is a OrderedDict, which")


def test_the_rest_of_the_arguments(run) -> None:
    text = APP + "def main(first: int = 1, *rest: str):\n    print(first, rest)\n"
    assert run(text, "program.py", "--", "a", "b").stdout == "1 ('a', 'b')\n"
    assert run(text, "program.py", "--", "--first", "2", "a").stdout == "2 ('a',)\n"


def test_a_parameter_that_no_option_can_give(run) -> None:
    done = run(APP + "def main(x: list): ...\n", "program.py")
    assert done.returncode == 1
    assert done.stderr.startswith("error: main: the parameter x is a list, which cannot be given")


TWO = (
    APP
    + "def main():\n    print('main')\n\n"
    + "@app.local_entrypoint(name='other')\ndef second():\n    print('second')\n"
)


def test_one_of_several_is_named(run) -> None:
    done = run(TWO)
    assert (done.returncode, done.stderr) == (
        1,
        "error: program.py has several to run\nhint: name one: program.py::main, program.py::second\n",
    )
    for name, printed in [("main", "main"), ("app.main", "main"), ("other", "second"), ("second", "second")]:
        assert run(TWO, "program.py", "--name", name).stdout == printed + "\n"
        assert run(TWO, f"program.py::{name}").stdout == printed + "\n"
    done = run(TWO, "program.py::third")
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "error: program.py has no third to run")


def test_modules_and_options_for_serve(run) -> None:
    done = run(
        APP + "def main(): ...\n", "-m", "program", "--serve-option=--quiet", "--serve-option=--name=z"
    )
    assert done.returncode == 0, done.stderr
    assert "asked: serve -m --quiet --name=z\n" in done.stderr


def test_functions_are_refused_with_what_to_do(run) -> None:
    web = APP[: APP.index("@app.local")]
    done = run(web)
    assert done.returncode == 1
    assert done.stderr.startswith("error: f is a web endpoint: requests run it, not `pilotlight run`\nhint: ")
    assert "`pilotlight serve program.py`" in done.stderr
    plain = web.replace("@modal.fastapi_endpoint()", "")
    done = run(plain)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: f cannot be run in a container: calling functions is not built yet\n"
    )
    assert "f.local(…)" in done.stderr


def test_errors_of_the_entrypoint_are_the_users_lines(run) -> None:
    done = run(APP + "def main():\n    1 / 0\n")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr and "_run.py" not in done.stderr
    done = run(APP + "def main():\n    f.remote()\n")
    assert done.returncode == 1
    assert "error: program.py:13: " in done.stderr and "Traceback" not in done.stderr
    assert run(APP + "def main():\n    raise SystemExit(7)\n").returncode == 7


def test_what_cannot_be_imported_is_told_as_serve_does(run) -> None:
    done = run("import nowhere\n")
    assert done.returncode == 1
    assert "error: program.py cannot be imported: ModuleNotFoundError" in done.stderr
    assert "_run.py" not in done.stderr
    done = run("import modal\napp = modal.App()\napp.run().__enter__()\n")
    assert "app.run() was called while the file was being imported" in done.stderr


def test_the_result_is_written(run, project: Project) -> None:
    text = APP + "def main(kind: str):\n    return {'text': 'x', 'bytes': b'y'}.get(kind, 3)\n"
    out = project.folder / "out"
    for kind, content in [("text", b"x"), ("bytes", b"y")]:
        assert run(text, "program.py", "--write-result", str(out), "--", "--kind", kind).returncode == 0
        assert out.read_bytes() == content
    done = run(text, "program.py", "--write-result", str(out), "--", "--kind", "z")
    assert done.returncode == 1 and "main returned a int" in done.stderr
