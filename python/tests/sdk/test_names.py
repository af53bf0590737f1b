"""`modal` and `pilotlight` are one package: the same objects, sub-modules included, quick to import."""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import subprocess
import sys

import modal
import pilotlight
import pytest
from sdk_project import SDK_DIR, Project, sdk_environment

SUBMODULES = [
    info.name for info in pkgutil.iter_modules([str(SDK_DIR / "pilotlight")]) if info.name != "_discover"
]


def test_every_name_is_the_same_object() -> None:
    assert set(pilotlight.__all__) <= set(dir(pilotlight))
    for name in pilotlight.__all__:
        assert getattr(modal, name) is getattr(pilotlight, name)


@pytest.mark.parametrize("name", SUBMODULES)
def test_submodules_are_the_same_modules(name: str) -> None:
    theirs, ours = importlib.import_module(f"modal.{name}"), importlib.import_module(f"pilotlight.{name}")
    assert theirs is ours
    assert ours.__name__ == f"pilotlight.{name}"
    assert ours.__spec__ is not None and ours.__spec__.name == f"pilotlight.{name}"


@pytest.mark.parametrize("first", ["modal.functions", "pilotlight.functions", "modal", "modal.exception"])
def test_sameness_does_not_depend_on_what_is_imported_first(project: Project, first: str) -> None:
    code = f"""
import {first}
import modal, pilotlight, modal.functions, pilotlight.functions, modal.exception
from modal.exception import InvalidError
assert modal is pilotlight
assert modal.functions is pilotlight.functions and pilotlight.exception is modal.exception
assert InvalidError is pilotlight.exception.InvalidError
"""
    assert project.run("-c", code).stderr == ""


def test_missing_submodule_is_named_as_the_user_wrote_it() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"modal\.nonsense"):
        importlib.import_module("modal.nonsense")


def test_names_not_built_yet_say_so() -> None:
    with pytest.raises(AttributeError, match=r"Sandbox is not built yet"):
        modal.Sandbox  # noqa: B018
    assert not hasattr(modal, "Sandbox")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        modal.nonsense  # noqa: B018


def test_star_import_gives_all_names(project: Project) -> None:
    code = "from modal import *; print(Stub.__module__, App.__name__, Image.__name__)"
    assert project.run("-c", code).stdout == "pilotlight.stub App Image\n"


def test_import_is_quick_and_pulls_in_no_server_library(project: Project) -> None:
    code = """
import sys, time
before = time.process_time()
import modal
print(time.process_time() - before)
print([n for n in ("fastapi", "pydantic", "asyncio", "socket", "ssl", "http", "inspect") if n in sys.modules])
"""
    # As an installed package is: with its byte code, which the first run writes.
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(project.folder / "cache")}
    runs = [project.run("-S", "-c", code, **compiled).stdout.splitlines() for _ in range(5)]
    assert {run[1] for run in runs} == {"[]"}
    assert min(float(run[0]) for run in runs) <= 0.050


def pythons() -> list[str]:
    """Every supported Python here: this one, and those on PATH that run (a stand-in may not)."""
    found = {sys.version_info[1]: sys.executable}
    for minor in range(9, 15):
        python = shutil.which(f"python3.{minor}")
        if python and not subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode:
            found.setdefault(minor, python)
    return [found[minor] for minor in sorted(found)]


@pytest.mark.parametrize("python", pythons())
def test_every_supported_python_imports_and_discovers(project: Project, python: str) -> None:
    project.write("hello.py", HELLO)
    output = project.folder / "out.json"
    run = subprocess.run(
        [python, "-W", "error", "-m", "pilotlight._discover", "--output", str(output), "hello.py"],
        cwd=project.folder,
        env=sdk_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert '"name": "f"' in output.read_text()


HELLO = """
import modal

stub = modal.Stub()


@stub.webhook
def f():
    return "Hello world!"


if __name__ == "__main__":
    stub.serve()
"""
