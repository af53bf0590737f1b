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
    suffix = {{"suffix": value for value in [os.environ.get("PILOTLIGHT_DEV_SUFFIX")] if value}}
    json.dump({{"argv": sys.argv[1:], "cwd": os.getcwd(), "script": script, **suffix}}, file)
does = os.environ.get("FAKE_DOES", "0")
def report():
    if "FAKE_REPORT" in os.environ:
        with open("/dev/fd/" + sys.argv[sys.argv.index("--report-fd") + 1], "w") as file:
            print(os.environ["FAKE_REPORT"], file=file)
if does == "wait":
    def stop(number, frame):
        print("stopped by", number, flush=True)
        os._exit(0)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    print("serving", flush=True)
    report()
    while True:
        signal.pause()
report()
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


def test_settings_of_modals_file_go_with_it(launch: Launch) -> None:
    file = launch.project.write("modal.toml", '[default]\ndev_suffix = "me"\nserve_timeout = 3\n')
    _, record = launch.run("serve()", MODAL_CONFIG_PATH=str(file))
    assert record["suffix"] == "me"
    assert record["argv"][record["argv"].index("--timeout") + 1] == "3"
    _, record = launch.run("serve()", MODAL_CONFIG_PATH=str(file), MODAL_DEV_SUFFIX="other")
    assert record["suffix"] == "other"


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


REPORT = json.dumps(
    {"app": {"id": "ap-1", "name": "named", "version": 1}, "urls": {"f": "http://localhost:1"}}
)

RUNS = """
import modal
stub = modal.Stub("named")

@stub.webhook
def f(): ...

if __name__ == "__main__":
    with stub.run() as app:
        print(app.app_id, stub.app.app_id, f.web_url, app.f is f, flush=True)
        {body}
    print("after", stub.app, f.web_url)
"""


def run(launch: Launch, body: str = "", **environment: str) -> tuple[Any, Any]:
    launch.project.write("program.py", RUNS.format(body=body))
    launch.record.unlink(missing_ok=True)
    run = launch.project.run("program.py", **{"PILOTLIGHT_BINARY": str(launch.binary), **environment})
    return run, json.loads(launch.record.read_text()) if launch.record.exists() else None


def test_run_serves_while_the_block_lasts(launch: Launch) -> None:
    found, record = run(launch, FAKE_DOES="wait", FAKE_REPORT=REPORT, MODAL_SERVE_TIMEOUT="3")
    assert found.stdout == "ap-1 ap-1 http://localhost:1 True\nafter None None\n"
    # What the command prints is not the script's output.
    assert (found.returncode, found.stderr) == (0, "serving\nstopped by 2\n")
    assert record["argv"][:4] == ["serve", "program.py", "--no-reload", "--report-fd"]
    assert record["argv"][5:] == ["--python", sys.executable]


def test_an_error_in_the_block_ends_the_app_and_is_the_users(launch: Launch) -> None:
    found, _ = run(launch, "1 / 0", FAKE_DOES="wait", FAKE_REPORT=REPORT)
    assert (found.returncode, "stopped by 2\n" in found.stderr) == (1, True)
    assert "ZeroDivisionError" in found.stderr and "_launch" not in found.stderr


def test_the_block_may_end_the_app_itself(launch: Launch) -> None:
    found, _ = run(launch, "app.stop(); print(stub.app)", FAKE_DOES="wait", FAKE_REPORT=REPORT)
    assert (found.returncode, found.stdout.splitlines()[1:]) == (0, ["None", "after None None"])


def test_an_app_that_cannot_be_served_ends_the_script_as_the_command_did(launch: Launch) -> None:
    found, _ = run(launch, FAKE_DOES="3")
    assert (found.returncode, found.stdout, found.stderr) == (3, "", "")
    found, _ = run(launch, FAKE_DOES="0")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.splitlines()[-1].endswith("ExecutionError: the app was ended before it served")
    assert "_launch" not in found.stderr


def test_deploying_from_a_script_gives_the_urls(launch: Launch) -> None:
    body = "app = stub.deploy(); print(f.web_url, app.app_id)"
    launch.project.write("program.py", PROGRAM.format(call="x").replace("stub.x", body))
    binary = {"PILOTLIGHT_BINARY": str(launch.binary)}
    found = launch.project.run("program.py", FAKE_REPORT=REPORT, **binary)
    assert (found.stdout, found.stderr) == ("http://localhost:1 ap-1\nafter\n", "")
    found = launch.project.run("program.py", FAKE_DOES="1", **binary)
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "")


def test_an_app_of_another_module_is_run_from_there(launch: Launch) -> None:
    launch.project.write("defined.py", RUNS.format(body="").replace("stub", "mine"))
    program = launch.project.write("main.py", "import defined\nwith defined.mine.run(): pass\n")
    environment = {"FAKE_DOES": "wait", "FAKE_REPORT": REPORT, "PILOTLIGHT_BINARY": str(launch.binary)}
    found = launch.project.run(program.name, **environment)
    assert (found.returncode, found.stdout) == (0, "")
    assert json.loads(launch.record.read_text())["argv"][:2] == ["serve", "defined.py::mine"]
