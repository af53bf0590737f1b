"""Thirty programs as users write them, half in the style of 2022, half of today: each serves and deploys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools import Command, Environment, Server, ports

pytest.register_assert_rewrite("checks_now", "checks_then")

import checks_now  # noqa: E402
import checks_then  # noqa: E402

PROGRAMS = Path(__file__).parent / "programs"
CHECKS = checks_then.CHECKS | checks_now.CHECKS

# How each script is run by its `python` and what it does in its main block.
SCRIPTS = ["then/converter.py", "then/blog/blog.py", "then/todo/serve_todo.py"]


@pytest.fixture(scope="module")
def daemon(shared: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One daemon that all programs are deployed to."""
    folder = tmp_path_factory.mktemp("daemon")
    server = Server(shared.fresh(folder, next(ports), "layers", "tools", "discovery", "cache"))
    server.start()
    yield server
    server.stop()


def named(program: str) -> tuple[Path, list[str]]:
    """Where a program is started, and how it is named there: a file, or a module with `-m`."""
    folder, name = (PROGRAMS / program).parent, program.rsplit("/", 1)[1]
    return folder, [name] if name.endswith(".py") else ["-m", name]


def deployed(output: str) -> dict[str, str]:
    """The URL of each function that `deploy` printed."""
    return dict(re.findall(r"Deployed (\S+) => (http://\S+)", output))


class Served(dict[str, str]):
    """The URLs that a running `serve` prints, by function."""

    def __init__(self, command: Command) -> None:
        super().__init__()
        self.command = command

    def __missing__(self, function: str) -> str:
        self.command.wait_serving()
        return self.command.url(function)


def test_there_are_fifteen_of_each_era() -> None:
    assert [len(checks_then.CHECKS), len(checks_now.CHECKS)] == [15, 15]
    for program in CHECKS:
        folder, (*module, name) = named(program)
        text = (folder / (name.replace(".", "/") + ".py" if module else name)).read_text()
        assert text.startswith('"""')
        assert ("modal.Stub(" in text or "import stub" in text) == program.startswith("then/")


@pytest.mark.parametrize("program", CHECKS)
def test_serves(program: str, shared: Environment) -> None:
    folder, reference = named(program)
    command = shared.at(folder, next(ports)).command("serve", *reference, STAGE="tests")
    try:
        CHECKS[program](Served(command))
        assert command.interrupt() == 0
    finally:
        command.end()
        print(command.output)


@pytest.mark.parametrize("program", CHECKS)
def test_deploys(program: str, daemon: Server) -> None:
    folder, reference = named(program)
    environment = daemon.environment.at(folder, daemon.environment.port)
    # One program leaves its name to the command line, as it is called there without one.
    unnamed = ["--name", "slack-bot"] if program == "then/slack_bot.py" else []
    done = environment.run("deploy", *reference, *unnamed, STAGE="tests")
    assert done.returncode == 0, done.stdout + done.stderr
    CHECKS[program](deployed(done.stdout))


@pytest.mark.parametrize("program", SCRIPTS)
def test_scripts_serve_themselves(program: str, shared: Environment, python: str, sdk: str) -> None:
    folder, (name,) = named(program)
    environment = shared.at(folder, next(ports))
    command = Command([python, name], environment.variables(PYTHONPATH=sdk), folder)
    try:
        CHECKS[program](Served(command))
        assert command.interrupt() == 0
    finally:
        command.end()
        print(command.output)


def test_a_module_of_a_package_serves_itself(shared: Environment, python: str, sdk: str) -> None:
    environment = shared.at(PROGRAMS / "then", next(ports))
    command = Command([python, "-m", "toolbox.main"], environment.variables(PYTHONPATH=sdk), environment.cwd)
    try:
        checks_then.toolbox(Served(command))
        assert command.interrupt() == 0
    finally:
        command.end()
        print(command.output)


@pytest.mark.parametrize("program", ["then/newsletter.py", "then/slack_bot.py", "now/dice.py"])
def test_scripts_deploy_themselves(program: str, daemon: Server, python: str, sdk: str) -> None:
    variables = daemon.environment.variables(PYTHONPATH=sdk)
    command = Command([python, str(PROGRAMS / program)], variables, daemon.environment.cwd)
    try:
        assert command.wait() == 0, command.output
        CHECKS[program](deployed(command.output))
    finally:
        command.end()
        print(command.output)
