"""What `pip install .` brings, in fresh virtual environments, alone and beside Modal's own client."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import pytest
from tools import PATIENCE, Command, Environment, request

ROOT = Path(__file__).resolve().parents[2]
CLIENT = "modal==1.6.4"

# The first test builds what the build before it has not left in cargo's target directory.
pytestmark = pytest.mark.timeout(900)


def finish(arguments: list[str], environment: dict[str, str], cwd: Path | None = None) -> str:
    """Runs a command that must succeed; what it prints."""
    done = subprocess.run(
        arguments, env=environment, cwd=cwd, capture_output=True, text=True, timeout=3 * PATIENCE
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass
class Venv:
    """A virtual environment, used the way a user does: by its `python`, `pip` and `pilotlight`."""

    folder: Path
    environment: Environment

    @property
    def variables(self) -> dict[str, str]:
        """The tests' environment without their binary: what is installed is what is tested."""
        variables = self.environment.variables()
        del variables["PILOTLIGHT_BINARY"]
        return variables

    def tool(self, name: str) -> str:
        """The path of one of its commands."""
        return str(self.folder / "bin" / name)

    def pip(self, *arguments: str) -> None:
        """Runs its pip, which overwrites what another distribution has installed without a word."""
        finish([self.tool("python"), "-m", "pip", "--quiet", *arguments], self.variables)

    def python(self, code: str, *options: str) -> str:
        """What a piece of code prints, run from an empty folder."""
        empty = self.folder / "empty"
        empty.mkdir(exist_ok=True)
        return finish([self.tool("python"), *options, "-c", code], self.variables, empty).strip()

    def run(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Runs one of its commands to the end."""
        name, *rest = arguments
        return subprocess.run(
            [self.tool(name), *rest],
            env=self.variables | extra,
            cwd=self.environment.cwd,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    @property
    def packages(self) -> Path:
        """Its site-packages."""
        return next(self.folder.glob("lib/python3*/site-packages"))

    def changed(self, distribution: str) -> list[str]:
        """The files of a distribution that are not as its wheel brought them."""
        record = next(self.packages.glob(f"{distribution}-*.dist-info/RECORD"))
        wrong = []
        for name, digest, _ in csv.reader(record.read_text().splitlines()):
            file = self.packages / name
            if not file.is_file():
                wrong.append(name)
            elif digest:
                found = urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).decode().rstrip("=")
                wrong += [name] if digest != f"sha256={found}" else []
        return wrong


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that `pip install .` makes, but from the unoptimised build that is tested here anyway."""
    target = os.environ.get("CARGO_TARGET_DIR") or str(ROOT / "target")
    out = tmp_path_factory.mktemp("wheel")
    maturin = [sys.executable, "-m", "maturin", "build", "--quiet", "--locked", "--profile", "dev"]
    # Stripping would be another build, and leave another binary where the other tests have theirs.
    options = ["--strip", "false", "--target-dir", target, "--out", str(out)]
    finish([*maturin, *options], dict(os.environ), ROOT)
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def uv(shared: Environment) -> str:
    """The uv that makes virtual environments: `UV`, else the one that pilotlight brings."""
    if "UV" in os.environ:
        return os.environ["UV"]
    done = shared.run("tool", "uv")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def make(uv: str, folder: Path, environment: Environment) -> Venv:
    """A fresh virtual environment with nothing but pip."""
    settings = {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    base = getattr(sys, "_base_executable", sys.executable)
    arguments = [uv, "--quiet", "--no-config", "venv", "--seed", "--python", base, str(folder)]
    finish(arguments, environment.variables(**settings))
    return Venv(folder, environment)


@pytest.fixture(scope="session")
def alone(uv: str, wheel: Path, shared: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that has only us, made once."""
    venv = make(uv, tmp_path_factory.mktemp("alone") / "venv", shared)
    venv.pip("install", str(wheel))
    return venv.folder


@pytest.fixture
def installed(alone: Path, home: Environment) -> Venv:
    """The environment that has only us, for one test."""
    return Venv(alone, home)


@pytest.fixture
def venv(uv: str, home: Environment, tmp_path: Path) -> Venv:
    """A fresh virtual environment for one test to change."""
    return make(uv, tmp_path / "venv", home)


@pytest.fixture
def start() -> Iterator[Callable[..., Command]]:
    """Starts a command of a virtual environment; every one is ended with the test."""
    running: list[Command] = []

    def begin(venv: Venv, *arguments: str) -> Command:
        name, *rest = arguments
        command = Command([venv.tool(name), *rest], venv.variables, venv.environment.cwd)
        running.append(command)
        return command

    yield begin
    for command in running:
        command.end()


def imported_from(venv: Venv) -> str:
    """What `import modal` gives: the name of the package that `modal.App` comes from."""
    return venv.python("import modal; print(modal.App.__module__.partition('.')[0])", "-W", "error")


# Alone


def test_a_wheel_brings_the_command_and_two_names(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    distribution = "-".join(wheel.name.split("-")[:2])
    assert {name.partition("/")[0] for name in names} == {
        "modal.py",
        "pilotlight",
        f"{distribution}.data",
        f"{distribution}.dist-info",
    }
    assert f"{distribution}.data/scripts/pilotlight" in names
    assert "pilotlight/py.typed" in names
    assert not [name for name in names if "__pycache__" in name]


def test_an_installed_command_is_of_the_packages_version(installed: Venv) -> None:
    version = installed.python("import pilotlight; print(pilotlight.__version__)")
    assert version in installed.run("pilotlight", "--version").stdout
    assert installed.changed("pilotlight") == []


def test_both_names_are_one_package(installed: Venv) -> None:
    code = """
import importlib, pkgutil, sys
import modal.exception
from modal.image import Image
import modal, pilotlight
assert modal is pilotlight and Image is pilotlight.Image
for found in pkgutil.iter_modules(pilotlight.__path__):
    if found.name != "_discover":
        ours = importlib.import_module("pilotlight." + found.name)
        assert importlib.import_module("modal." + found.name) is ours, found.name
        assert getattr(modal, found.name) is ours
print(len([name for name in sys.modules if name.startswith("modal.")]))
"""
    assert int(installed.python(code, "-W", "error")) > 10


@pytest.mark.parametrize("words", [("python",), ("pilotlight", "serve")], ids=" ".join)
def test_a_script_serves(words: tuple[str, ...], installed: Venv, start, seed: Path) -> None:
    # The runner is in no wheel: the command brings it into the container.
    command = start(installed, *words, str(seed / "hello.py"))
    command.wait_serving()
    answer = request(command.url("f"))
    assert (answer.status, answer.json()) == (200, "Hello world!")
    assert command.interrupt() == 0
    assert "Traceback" not in command.output


# Beside Modal's own client


def test_the_client_installed_later_goes_first_and_comes_off(venv: Venv, wheel: Path) -> None:
    venv.pip("install", str(wheel))
    assert imported_from(venv) == "pilotlight"
    venv.pip("install", CLIENT)
    assert imported_from(venv) == "modal"
    assert (venv.changed("modal"), venv.changed("pilotlight")) == ([], [])
    # Something of the client's folder may stay behind.
    (venv.packages / "modal" / "left.txt").touch()
    venv.pip("uninstall", "--yes", "modal")
    assert (venv.packages / "modal").is_dir()
    assert imported_from(venv) == "pilotlight"
    assert venv.changed("pilotlight") == []


def test_the_client_installed_earlier_is_not_touched(
    venv: Venv, wheel: Path, start, seed: Path, home: Environment
) -> None:
    venv.pip("install", CLIENT)
    venv.pip("install", str(wheel))
    assert (venv.changed("modal"), venv.changed("pilotlight")) == ([], [])
    assert imported_from(venv) == "modal"
    venv.python("import pilotlight; pilotlight.App", "-W", "error")

    # The command's `modal` is ours all the same, and it says what `python FILE` would find.
    command = start(venv, "pilotlight", "serve", str(seed / "hello.py"))
    command.wait_serving()
    command.wait_for(r"`import modal` is pilotlight here; modal 1\.6\.4, .*not changed")
    command.wait_for("pip uninstall modal")
    assert request(command.url("f")).json() == "Hello world!"
    assert command.interrupt() == 0

    venv.pip("uninstall", "--yes", "pilotlight")
    assert venv.changed("modal") == []
    assert imported_from(venv) == "modal"
    assert not (venv.packages / "modal.py").exists()


def test_a_client_that_ours_hides_is_named(venv: Venv, wheel: Path, tmp_path: Path) -> None:
    # As in a virtual environment that sees the system's packages: ours first, the client's folder behind.
    system = tmp_path / "system"
    venv.pip("install", "--no-deps", "--target", str(system), CLIENT)
    venv.pip("install", "--no-deps", str(wheel))
    (venv.packages / "system.pth").write_text(f"{system}\n")
    done = venv.run("python", "-c", "import modal; print(modal.App.__module__)")
    assert done.stdout == "pilotlight.app\n"
    assert f"modal 1.6.4 is installed in {system} as well; it is not changed" in done.stderr
    assert "`pip uninstall modal`" in done.stderr and "`pip uninstall pilotlight`" in done.stderr
    quiet = venv.run("python", "-c", "import modal", PILOTLIGHT_IS_REMOTE="1")
    assert (quiet.returncode, quiet.stderr) == (0, "")


def test_a_users_own_modal_is_diagnosed(installed: Venv, program) -> None:
    own = program("x = 1\n", "modal.py")
    file = program("import modal\nstub = modal.Stub()\n@stub.webhook\ndef f():\n    return 1\n")
    done = installed.run("pilotlight", "serve", str(file))
    assert done.returncode == 1
    assert f"`import modal` finds {own}, your own file" in done.stderr
    assert "rename that file" in done.stderr
