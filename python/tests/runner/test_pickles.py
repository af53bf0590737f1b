"""Functions and classes that were pickled by value: nothing is imported."""

from __future__ import annotations

import base64
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


def described(pickle: bytes, **more: object) -> dict:
    """A function as the host describes it."""
    return {"pickle": base64.b64encode(pickle).decode(), "python": platform.python_version(), **more}


def test_a_function_with_what_it_closes_over(run, pickled):
    source = """
        def make(greeting):
            count = [0]

            def f(name: str):
                import sys

                count[0] += 1
                return [greeting, name, count[0], "cloudpickle" in sys.modules]

            return f
    """
    function = described(pickled(source, "make('hello')"))
    runner = run("raise AssertionError('imported')", "make.<locals>.f", function=function).ready()
    assert runner.get("/?name=ann").json == ["hello", "ann", 1, False]
    assert runner.get("/?name=ann").json == ["hello", "ann", 2, False]


def test_a_class_with_hooks(run, pickled):
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
    function = described(pickled(source, "Model"), cls="Model", name="Model.web")
    runner = run("", "Model.web", function=function).ready()
    assert runner.get().json == "loaded"
    assert runner.drain() == "left\n"


def test_the_images_own_cloudpickle_is_not_used_and_stays(run, pickled):
    source = """
        def f():
            import cloudpickle

            return cloudpickle.__name__ + cloudpickle.MINE
    """
    files = {"cloudpickle.py": "MINE = ' of the image'"}
    runner = run("", "f", files=files, function=described(pickled(source, "f"))).ready()
    assert runner.get().json == "cloudpickle of the image"


def test_another_python_is_said(run, pickled):
    function = described(pickled("def f(): pass", "f"), python="3.99.1")
    message = run("", "f", function=function).failed()
    here = ".".join(platform.python_version_tuple()[:2])
    assert message["stage"] == "import"
    assert message["summary"] == (
        f"`f` was serialized by Python 3.99, and its image has Python {here}: with `serialized=True` they "
        f'must be the same; use an image with python_version="3.99", or run pilotlight with Python {here}'
    )


def test_what_the_pickle_needs_and_the_image_lacks_is_said(run, pickled):
    source = """
        import types

        helper = types.ModuleType("helper")
        helper.answer = type("answer", (), {"__module__": "helper", "__qualname__": "answer"})
        sys.modules["helper"] = helper

        def f():
            return helper.answer
    """
    source = source.replace("return helper", "return answer") + "\n        answer = helper.answer"
    message = run("", "f", function=described(pickled(source, "f"))).failed()
    assert message["summary"] == "ModuleNotFoundError: No module named 'helper'"
    assert "_pilotlight_runner" not in message["traceback"]


def test_a_pickle_that_is_broken_is_said(run):
    assert run("", "f", function=described(b"no pickle")).failed()["stage"] == "import"


def test_a_large_pickle_comes_whole(run, pickled):
    source = """
        data = bytes(12 * 1024 * 1024)

        def f():
            return len(data)
    """
    assert run("", "f", function=described(pickled(source, "f"))).ready().get().json == 12 * 1024 * 1024
