"""References: every way in which a program is named on the command line."""

from __future__ import annotations

import pytest
from sdk_project import Project

TWO = """
import modal
one = modal.App("one")
two = modal.App("two")

@one.function()
@modal.fastapi_endpoint()
def f(): ...

@one.function()
@modal.fastapi_endpoint()
def g(): ...
"""


@pytest.fixture
def two(project: Project) -> Project:
    project.write("pkg/__init__.py")
    project.write("pkg/sub/__init__.py")
    project.write("pkg/sub/mod.py", TWO)
    project.write("program.py", TWO)
    project.write("a:b/odd:one.py", TWO)
    return project


@pytest.mark.parametrize(
    "reference",
    [
        ["program.py::one"],
        ["program.py:one"],
        ["program.py", "--name", "one"],
        ["./program.py::one"],
        ["a:b/odd:one.py::one"],
        ["a:b/odd:one.py:one"],
        ["pkg/sub/mod.py:one"],
        ["-m", "pkg.sub.mod::one"],
        ["-m", "pkg.sub.mod:one"],
        ["-m", "pkg.sub.mod", "--name", "one"],
    ],
)
def test_every_spelling(two: Project, reference: list[str]) -> None:
    found = two.discover(*reference)
    assert (found["app"]["name"], found["notices"]) == ("one", [])


def test_a_file_whose_name_has_a_colon_is_meant_first(two: Project) -> None:
    error = two.discover("a:b/odd:one.py")["error"]
    assert error["hint"] == "name one: a:b/odd:one.py::one, a:b/odd:one.py::two"


@pytest.mark.parametrize("reference", ["pkg.sub.mod::one", "pkg.sub.mod:one"])
def test_a_module_without_m_is_taken_and_told(two: Project, reference: str) -> None:
    found = two.discover(reference)
    assert found["app"]["name"] == "one"
    assert found["notices"] == [
        "pkg.sub.mod is no file, and taken as a module: that is written `-m pkg.sub.mod` today"
    ]


def test_what_is_neither_file_nor_module(two: Project) -> None:
    for reference in ("pkg.nowhere", "nowhere.py::one", "nowhere"):
        error = two.discover(reference)["error"]
        assert (error["kind"], error["message"]) == (
            "not_found",
            f"there is no file {reference.partition('::')[0]}",
        )


def test_a_function_of_an_app(two: Project) -> None:
    found = two.discover("program.py::one.f")
    assert [function["name"] for function in found["functions"]] == ["f", "g"]
    assert found["notices"] == ["program.py::one: all of its functions are taken, not f alone"]
    error = two.discover("program.py::one.h")["error"]
    assert error["message"] == "program.py::one has no function h"
    assert error["hint"] == "name one: program.py::one.f, program.py::one.g"
    assert "it has none" in two.discover("program.py::two.h")["error"]["hint"]


def test_a_missing_variable_names_the_others(two: Project) -> None:
    error = two.discover("pkg/sub/mod.py::stub")["error"]
    assert error["message"] == "pkg/sub/mod.py has no App or Stub named stub"
    assert error["hint"] == "name one: pkg/sub/mod.py::one, pkg/sub/mod.py::two"
    error = two.discover("-m", "pkg.sub.mod")["error"]
    assert error["hint"] == "name one: -m pkg.sub.mod::one, -m pkg.sub.mod::two"


@pytest.mark.parametrize("arguments", [["main.py::app"], ["-m", "main"], ["pkg/late.py"], ["-m", "pkg.late"]])
def test_the_era_of_a_stub_that_another_file_declares(project: Project, arguments: list[str]) -> None:
    project.write("common.py", "import modal\nstub = modal.Stub()\n")
    project.write("main.py", "from common import stub as app\nraise SystemExit\n")
    project.write("pkg/__init__.py")
    project.write("pkg/shared.py", "from modal import Stub\n")
    project.write("pkg/late.py", "from . import shared\n")
    run = project.run("-m", "pilotlight._discover", "--era", *arguments)
    assert (run.returncode, run.stdout, run.stderr) == (0, "stub\n", "")
