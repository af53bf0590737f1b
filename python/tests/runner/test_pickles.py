"""Functions and classes that were pickled by value: nothing is imported."""

from __future__ import annotations

import platform
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .harness import SDK

MAKE = """
import sys

sys.path[:0] = [{deps!r}, {sdk!r}]
import cloudpickle
{source}
sys.stdout.buffer.write(cloudpickle.dumps({name}))
"""


@pytest.fixture
def pickled(deps: Path):
    """Pickle what `name` is in a script, as a user's machine does it."""

    def make(source: str, name: str) -> bytes:
        script = MAKE.format(deps=str(deps), sdk=str(SDK), source=textwrap.dedent(source), name=name)
        return subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE).stdout

    return make


def described(runner_root: Path, **more: object) -> dict:
    return {"pickled": str(runner_root / "f.pickle"), "python": platform.python_version(), **more}


def root(tmp_path: Path, number: int = 0) -> Path:
    """Where the fixture `run` puts the files of its runner with this number."""
    return tmp_path / str(number) / "root"


def test_a_function_with_what_it_closes_over(run, pickled, tmp_path):
    source = """
        def make(greeting):
            count = [0]

            def f(name: str):
                import sys

                count[0] += 1
                return [greeting, name, count[0], "cloudpickle" in sys.modules]

            return f
    """
    files = {"f.pickle": pickled(source, "make('hello')")}
    runner = run(
        "raise AssertionError('imported')", "make.<locals>.f", files=files, function=described(root(tmp_path))
    ).ready()
    assert runner.get("/?name=ann").json == ["hello", "ann", 1, False]
    assert runner.get("/?name=ann").json == ["hello", "ann", 2, False]


def test_a_class_with_hooks(run, pickled, tmp_path):
    source = """
        import modal

        class Model:
            @modal.enter()
            def load(self):
                self.told = "loaded"

            @modal.web
            def web(self):
                return self.told

            @modal.exit()
            def leave(self):
                print("left")
    """
    files = {"f.pickle": pickled(source, "Model")}
    function = described(root(tmp_path), cls="Model", name="Model.web")
    runner = run("", "Model.web", files=files, function=function).ready()
    assert runner.get().json == "loaded"
    assert runner.drain() == "left\n"


def test_the_images_own_cloudpickle_is_not_used_and_stays(run, pickled, tmp_path):
    source = """
        def f():
            import cloudpickle

            return cloudpickle.__name__ + cloudpickle.MINE
    """
    files = {"f.pickle": pickled(source, "f"), "cloudpickle.py": "MINE = ' of the image'"}
    runner = run("", "f", files=files, function=described(root(tmp_path))).ready()
    assert runner.get().json == "cloudpickle of the image"


def test_another_python_is_said(run, pickled, tmp_path):
    files = {"f.pickle": pickled("def f(): pass", "f")}
    function = {**described(root(tmp_path)), "python": "3.99.1"}
    message = run("", "f", files=files, function=function).failed()
    here = ".".join(platform.python_version_tuple()[:2])
    assert message["stage"] == "import"
    assert message["summary"] == (
        f"`f` was serialized by Python 3.99, and its image has Python {here}: with `serialized=True` they "
        f'must be the same; use an image with python_version="3.99", or run pilotlight with Python {here}'
    )


def test_what_the_pickle_needs_and_the_image_lacks_is_said(run, pickled, tmp_path):
    source = """
        import types

        helper = types.ModuleType("helper")
        helper.answer = type("answer", (), {"__module__": "helper", "__qualname__": "answer"})
        sys.modules["helper"] = helper

        def f():
            return helper.answer
    """
    files = {
        "f.pickle": pickled(
            source.replace("return helper", "return answer") + "\n        answer = helper.answer", "f"
        )
    }
    message = run("", "f", files=files, function=described(root(tmp_path))).failed()
    assert message["summary"] == "ModuleNotFoundError: No module named 'helper'"
    assert "_pilotlight_runner" not in message["traceback"]


def test_a_pickle_that_is_gone_or_broken_is_said(run, tmp_path):
    message = run("", "f", function=described(root(tmp_path))).failed()
    assert message["summary"].startswith("FileNotFoundError")
    files = {"f.pickle": b"no pickle"}
    assert run("", "f", files=files, function=described(root(tmp_path, 1))).failed()["stage"] == "import"
