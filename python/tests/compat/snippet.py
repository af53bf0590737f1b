"""Runs a row's snippet in a fork of this process, as discovery does or as `python FILE` does."""

from __future__ import annotations

import json
import os
import runpy
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from pilotlight import _discover, config
from pilotlight._failure import Failure

REPOSITORY = Path(__file__).resolve().parents[3]


def binary() -> str:
    """The command under test: `PILOTLIGHT_BINARY`, else the debug build of this tree."""
    return os.environ.get("PILOTLIGHT_BINARY") or str(REPOSITORY / "target/debug/pilotlight")


class Outcome(NamedTuple):
    """What became of a program."""

    error: str
    """The class of what it raised, or nothing."""
    said: str
    manifest: dict[str, Any]


def program(snippet: str) -> str:
    """The snippet as a whole program: imports, an application and a function are added where it has none."""
    lines = ["import modal", "from modal.exception import *"]
    for variable, made in (("stub", "Stub('x')"), ("app", "App('x')")):
        if f"{variable}." in snippet and f"{variable} =" not in snippet:
            lines.append(f"{variable} = modal.{made}")
    last = snippet.rstrip().rpartition("\n")[2]
    for decorator in ("@stub.function(", "@app.function("):
        if last.startswith(decorator):
            snippet += "\n@modal.fastapi_endpoint()"
    body = "\ndef f(): ..." if last.startswith("@") else ""
    return "\n".join(lines) + "\n" + snippet + body + "\n"


def run(snippet: str, how: str, folder: Path, environment: Mapping[str, str]) -> Outcome:
    """Runs it in `folder`, in a process of its own."""
    (folder / "program.py").write_text(program(snippet), encoding="utf-8")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _answer(writing, how, folder, environment)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    assert answer, "the snippet's process ended without an answer"
    return Outcome(*json.loads(answer))


def plain() -> dict[str, str]:
    """This process's environment without what would change the SDK's defaults or the command's."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("PILOTLIGHT_", "MODAL_"))
    }


def _answer(writing: int, how: str, folder: Path, environment: Mapping[str, str]) -> NoReturn:
    warnings.simplefilter("ignore")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    os.chdir(folder)
    for name in os.environ.keys() - plain().keys():
        del os.environ[name]
    os.environ.update(environment)
    sys.argv = ["program.py"]
    try:
        outcome = _discovered() if how == "discover" else _ran()
    except BaseException as error:
        outcome = Outcome(_kind(error), str(error), {})
    with os.fdopen(writing, "w", encoding="utf-8") as pipe:
        json.dump(outcome, pipe)
    os._exit(0)


def _discovered() -> Outcome:
    config.discovering = True
    try:
        return Outcome("", "", _discover.discover("program.py"))
    except Failure as failure:
        cause = failure.__context__
        said = failure.message if cause is None else str(cause)
        hint = "" if failure.hint is None else f"\n{failure.hint}"
        return Outcome(_kind(cause or failure), said + hint, {})


def _kind(error: BaseException) -> str:
    """Its class, by a name that users know."""
    return next(base.__name__ for base in type(error).__mro__ if not base.__name__.startswith("_"))


def _ran() -> Outcome:
    sys.path.insert(0, os.getcwd())
    runpy.run_path("program.py", run_name="__main__")
    return Outcome("", "", {})
