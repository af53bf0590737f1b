"""What a runner tells of what it has imported, and what a zygote imports ahead."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

from .harness import PACKAGES

SOURCE = """
import csv, own

def f():
    import xml.dom.minidom
    return own.VALUE
"""
OWN = {"own.py": "import html\nVALUE = 1\n"}


def test_modules_are_told_after_the_request_that_imported_them(run) -> None:
    runner = run(SOURCE, files=OWN, function={"tells": True})
    runner.ready()
    assert runner.get().status == 200
    told = runner.next()
    assert told["type"] == "modules"
    names = told["modules"]
    assert {"csv", "html", "xml.dom.minidom", "fastapi"} <= set(names)
    assert not {"own", "main", "uvicorn", "_pilotlight_runner", "__main__"} & set(names)
    assert names.index("csv") < names.index("html") < names.index("xml.dom.minidom")
    # Once: nothing is new.
    assert runner.get().status == 200
    runner.tell({"type": "drain"})
    assert runner.next()["type"] == "draining"


def test_nobody_is_told_who_did_not_ask(run) -> None:
    runner = run(SOURCE, files=OWN)
    runner.ready()
    assert runner.get().status == 200
    runner.tell({"type": "drain"})
    assert runner.next()["type"] == "draining"


def told(script: str) -> str:
    """What a script prints that has the runner's package."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGES)}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_modules_are_imported_ahead_by_name() -> None:
    script = """
        import sys
        from _pilotlight_runner import ahead
        assert "xml.dom.minidom" not in sys.modules
        print(sorted(name for name in ahead.load(["xml.dom.minidom"]) if name == "xml"))
        assert "xml.dom.minidom" in ahead.modules()
    """
    assert told(script) == "['xml']"


def test_changes_of_what_later_imports_see_are_found() -> None:
    script = """
        import os, sys
        from _pilotlight_runner.surroundings import Surroundings
        for path in ([], sys.path, sys.meta_path, sys.path_hooks):
            before = Surroundings()
            path.append("x")
            print(before.changed(), before.would_be_lost(), end=" ")
        before = Surroundings()
        os.environ["X"] = "1"
        print(before.changed(), before.would_be_lost())
    """
    assert told(script) == "False False True True True False True False True True"
