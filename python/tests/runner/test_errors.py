"""The user's mistakes: told once, by their own frames, and to the host where they prevent a start."""

from __future__ import annotations

import http.client

import pytest

from .harness import ASGI

RAISING = """
from fastapi import FastAPI


def f(q: int = 0):
    return 1 // q


async def g():
    raise SystemExit(3)


def app():
    made = FastAPI()
    made.get("/{name}")(g)
    return made
"""

CUT = """
from fastapi.responses import StreamingResponse


def parts():
    yield b"first"
    raise ValueError("midway")


def f():
    return StreamingResponse(parts())
"""


def test_an_exception_in_a_handler_is_answered_and_told_once(run):
    runner = run(RAISING).ready()
    connection = runner.connect()
    answer = connection.ask("GET", "/?q=0")
    assert (answer.status, answer.text) == (500, "Internal Server Error")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    # The connection is still good: the gateway may have sent its next request already.
    assert connection.sock is not None
    assert connection.ask("GET", "/?q=1").json == 1
    lines = runner.drain().splitlines()
    assert lines[:3] == [
        "Error in f: GET /",
        "Traceback (most recent call last):",
        f'  File "{runner.root}/main.py", line 6, in f',
    ]
    assert lines[-1] == "ZeroDivisionError: integer division or modulo by zero"
    assert sum("Traceback" in line for line in lines) == 1
    assert not any("_pilotlight_runner" in line or "uvicorn" in line for line in lines)


def test_sys_exit_in_a_handler_ends_the_request_only(run):
    runner = run(RAISING, "app", ASGI).ready()
    assert runner.get("/a%0Ab").status == 500
    assert runner.get("/docs").status == 200
    log = runner.drain()
    assert log.startswith("Error in app: GET /a%0Ab\n")
    assert log.endswith("SystemExit: 3\n")


def test_an_app_that_raises_before_it_answers(run):
    source = """
async def app(scope, receive, send):
    raise KeyError(scope["type"])

def f():
    return app
"""
    runner = run(source, web=ASGI).ready()
    answer = runner.get("/x")
    assert (answer.status, answer.text) == (500, "Internal Server Error")
    assert runner.drain().count("KeyError: 'http'") == 1


def test_an_answer_cut_short_ends_the_connection(run):
    runner = run(CUT).ready()
    with pytest.raises(http.client.IncompleteRead) as raised:
        runner.get("/")
    assert raised.value.partial == b"first"
    log = runner.drain()
    assert log.startswith("Error in f: GET /\n")
    assert log.count("ValueError: midway") == log.count("Error in") == 1


def test_the_users_logging_does_not_wake_the_servers(run):
    source = """
import logging

logging.basicConfig(level=logging.DEBUG, format="%(name)s")
for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):
    logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger(name).addHandler(logging.StreamHandler())

def f():
    raise ValueError("once")
"""
    runner = run(source).ready()
    assert runner.get("/").status == 500
    log = runner.drain()
    assert "uvicorn" not in log
    assert log.count("ValueError: once") == 1


def test_a_module_that_does_not_import(run):
    runner = run("import x_missing\n")
    failure = runner.failed()
    assert (failure["stage"], failure["summary"]) == (
        "import",
        "ModuleNotFoundError: No module named 'x_missing'",
    )
    assert failure["traceback"].splitlines() == [
        "Traceback (most recent call last):",
        f'  File "{runner.root}/main.py", line 1, in <module>',
        "    import x_missing",
        "ModuleNotFoundError: No module named 'x_missing'",
    ]
    assert runner.log() == failure["traceback"]


def test_a_module_with_a_syntax_error(run):
    runner = run("def f(:\n    pass\n")
    failure = runner.failed()
    assert failure["summary"].startswith("SyntaxError: ")
    assert failure["traceback"].startswith(f'  File "{runner.root}/main.py", line 1\n')


def test_the_cause_of_an_exception_is_trimmed_too(run):
    source = (
        "try:\n    import x_missing\nexcept ImportError as error:\n    raise RuntimeError('bad') from error\n"
    )
    failure = run(source).failed()
    assert failure["traceback"].count("Traceback") == 2
    assert "direct cause" in failure["traceback"]
    assert "importlib" not in failure["traceback"]


@pytest.mark.parametrize(
    "code", ["raise SystemExit(0)", "import sys; sys.exit('no key')", "raise KeyboardInterrupt"]
)
def test_a_module_that_exits(run, code):
    failure = run(f"print('before')\n{code}\n").failed()
    assert failure["stage"] == "import"
    assert failure["summary"].startswith(("SystemExit: the code ended the process", "KeyboardInterrupt"))


def test_a_module_that_leaves_without_a_word(run):
    runner = run("import os\nos._exit(9)\n")
    runner.expect("hello")
    assert runner.next() == {}
    assert runner.process.wait(30) == 9


def test_a_failed_start_does_not_wait_for_threads(run):
    source = """
import threading

threading.Thread(target=threading.Event().wait).start()
raise ValueError("late")
"""
    assert run(source).failed()["summary"] == "ValueError: late"


def test_a_function_that_is_not_there(run):
    assert run("g = 1\n").failed()["summary"] == (
        "the module 'main' has no 'f' when it is imported inside the container"
    )


def test_a_module_named_like_one_of_pythons(run):
    failure = run("def f(): pass\n", module="json").failed()
    assert failure["summary"].startswith("the name 'json' belongs to a module at ")
