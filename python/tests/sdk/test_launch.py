"""`stub.serve()` and `stub.deploy()` start the command and end with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sdk_project import Project, sdk_environment

# Stands in for the command: writes down how it was started, then does what FAKE_DOES says.
FAKE = """#!{python}
import json, os, signal, sys
with open({record!r}, "w") as file:
    script = os.environ["PILOTLIGHT_SCRIPT_ARGUMENTS"]
    json.dump({{"argv": sys.argv[1:], "cwd": os.getcwd(), "script": script}}, file)
does = os.environ.get("FAKE_DOES", "0")
if does == "wait":
    def stop(number, frame):
        print("stopped by", number, flush=True)
        os._exit(0)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    print("serving", flush=True)
    while True:
        signal.pause()
sys.exit(int(does))
"""

PROGRAM = """
import modal
stub = modal.Stub("named")

@stub.webhook
def f(): ...

if __name__ == "__main__":
    stub.{call}
    print("after")
"""


class Launch:
    def __init__(self, project: Project) -> None:
        self.project = project
        self.record = project.folder / "record.json"
        self.binary = project.folder / "fake-pilotlight"
        self.binary.write_text(FAKE.format(python=sys.executable, record=str(self.record)))
        self.binary.chmod(0o755)

    def run(self, call: str, *arguments: str, **environment: str) -> tuple[Any, Any]:
        self.project.write("program.py", PROGRAM.format(call=call))
        arguments = arguments or ("program.py",)
        run = self.project.run(*arguments, **{"PILOTLIGHT_BINARY": str(self.binary), **environment})
        return run, json.loads(self.record.read_text()) if self.record.exists() else None


@pytest.fixture
def launch(project: Project) -> Launch:
    return Launch(project)


def test_serve_hands_the_script_over_and_returns(launch: Launch) -> None:
    run, record = launch.run("serve()", "program.py", "--flag", "x y")
    assert (run.returncode, run.stdout, run.stderr) == (0, "after\n", "")
    assert record["argv"] == ["serve", "program.py", "--python", sys.executable]
    assert json.loads(record["script"]) == ["--flag", "x y"]
    assert record["cwd"] == str(launch.project.folder)


def test_serve_with_a_timeout(launch: Launch) -> None:
    assert launch.run("serve(timeout=2.5)")[1]["argv"][2:4] == ["--timeout", "2.5"]
    assert launch.run("serve()", MODAL_SERVE_TIMEOUT="7")[1]["argv"][2:4] == ["--timeout", "7"]


def test_serve_of_a_module_and_of_another_variable(launch: Launch) -> None:
    record = launch.run("serve()", "-m", "program")[1]
    assert record["argv"][:3] == ["serve", "program.py", "--python"]
    launch.project.write("other.py", PROGRAM.format(call="serve()").replace("stub", "mine"))
    record = launch.run("serve()", "other.py")[1]
    assert record["argv"][:2] == ["serve", "other.py::mine"]


def test_deploy(launch: Launch) -> None:
    assert launch.run("deploy()")[1]["argv"][:4] == ["deploy", "program.py", "--name", "named"]
    assert launch.run("deploy('other')")[1]["argv"][3] == "other"


def test_a_failure_of_the_command_is_ours(launch: Launch) -> None:
    run, _ = launch.run("serve()", FAKE_DOES="3")
    assert (run.returncode, run.stdout, run.stderr) == (3, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_command_first(launch: Launch, number: signal.Signals) -> None:
    launch.project.write("program.py", PROGRAM.format(call="serve()"))
    process = subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=launch.project.folder,
        env=sdk_environment(PILOTLIGHT_BINARY=str(launch.binary), FAKE_DOES="wait"),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "serving\n"
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # As a terminal does.
    else:
        process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert output.splitlines()[0].startswith("stopped by")
    assert (output.splitlines()[-1], process.returncode) == ("after", 0)


@pytest.mark.parametrize("name", ["MODAL_IS_REMOTE", "PILOTLIGHT_IS_REMOTE"])
def test_in_a_container_it_is_refused(launch: Launch, name: str) -> None:
    run, record = launch.run("serve()", **{name: "1"})
    assert record is None
    assert 'if __name__ == "__main__":\n        stub.serve()' in run.stderr


def test_at_import_it_is_refused_with_the_remedy(project: Project) -> None:
    error = project.error("import modal\nstub = modal.Stub()\nstub.serve()\n")
    assert error["kind"] == "invalid"
    assert error["message"].startswith(
        "program.py:3: stub.serve() was called while the file was being imported"
    )
    assert 'if __name__ == "__main__":' in error["message"]


def test_the_command_is_found_beside_python_then_on_path(project: Project, tmp_path: Path) -> None:
    code = "from pilotlight._launch import find_binary; print(find_binary())"
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "pilotlight").write_text("")
    (folder / "pilotlight").chmod(0o755)
    environment = {"PATH": str(folder), "HOME": str(tmp_path)}
    assert project.run("-c", code, **environment).stdout == f"{folder}/pilotlight\n"
    (folder / "python").symlink_to(sys.executable)
    run = project.run("-c", code, python=str(folder / "python"), **{**environment, "PATH": "/nonexistent"})
    assert run.stdout == f"{folder}/pilotlight\n"
    run = project.run("-c", code, **{**environment, "PATH": "/nonexistent"})
    assert "run `pip install pilotlight`, or name it in PILOTLIGHT_BINARY" in run.stderr
