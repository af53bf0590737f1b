"""Live updates: a save is served at the same URL, a broken file leaves the last good version."""

from __future__ import annotations

import contextlib
import os
import threading

from tools import request

PROGRAM = """
    import modal
    import part

    stub = modal.Stub()

    @stub.webhook
    def f():
        return [{text!r}, part.TEXT]
"""


def test_a_save_of_the_script_and_of_an_import(program, serve) -> None:
    part = program("TEXT = 'one'\n", "part.py")
    command = serve(program(PROGRAM.format(text="first")))
    url = command.url()
    assert request(url).json() == ["first", "one"]

    mark = command.mark()
    program(PROGRAM.format(text="second"))
    command.wait_for(r"program\.py changed", after=mark)
    command.wait_for("Updated", after=mark)
    assert request(url).json() == ["second", "one"]

    # Editors save by renaming a new file over the old one.
    mark = command.mark()
    fresh = program("TEXT = 'two'\n", "part.py.new")
    os.replace(fresh, part)
    command.wait_for(r"part\.py changed", after=mark)
    command.wait_for("Updated", after=mark)
    assert request(url).json() == ["second", "two"]


def test_a_broken_file_leaves_the_last_good_version(program, serve) -> None:
    program("TEXT = 'one'\n", "part.py")
    command = serve(program(PROGRAM.format(text="good")))
    url = command.url()
    assert request(url).json() == ["good", "one"]
    for broken, told in [
        ("def f(:\n", "SyntaxError"),
        ("import nowhere\n", "No module named 'nowhere'"),
        ("1 / 0\n", "ZeroDivisionError"),
    ]:
        mark = command.mark()
        program(broken)
        command.wait_for(told, after=mark)
        command.wait_for("last good version", after=mark)
        assert request(url).json() == ["good", "one"]
    mark = command.mark()
    program(PROGRAM.format(text="better"))
    command.wait_for("Updated", after=mark)
    assert request(url).json() == ["better", "one"]


def test_other_files_in_the_folder_trigger_nothing(program, serve) -> None:
    program("TEXT = 'one'\n", "part.py")
    command = serve(program(PROGRAM.format(text="same")))
    assert request(command.url()).status == 200
    mark = command.mark()
    for name in ("notes.txt", "data.json", ".program.py.swp", "other.py", "__pycache__/x.pyc"):
        program("x", name)
    program(PROGRAM.format(text="same"))  # a save that changes nothing
    # The next real change comes after those events: had they triggered anything, that would be printed first.
    program(PROGRAM.format(text="changed"))
    command.wait_for("Updated", after=mark)
    changes = [line for line in command.lines[mark:] if "changed" in line and "↻" in line]
    assert len(changes) == 1 and "program.py" in changes[0]


def test_new_endpoints_and_settings_arrive_and_old_ones_go(program, serve) -> None:
    text = """
        import modal
        stub = modal.Stub()

        @stub.webhook
        def {name}():
            return "{name}"
    """
    command = serve(program(text.format(name="before")))
    before = command.url("before")
    assert request(before).json() == "before"
    mark = command.mark()
    program(text.format(name="after"))
    command.wait_for("Updated in", after=mark)
    assert request(command.url("after")).json() == "after"
    with contextlib.suppress(ConnectionRefusedError):
        assert request(before).status == 404


def test_no_request_fails_during_updates(program, serve) -> None:
    program("TEXT = 'x'\n", "part.py")
    command = serve(program(PROGRAM.format(text="0")))
    url = command.url()
    assert request(url).status == 200
    statuses: list[int] = []
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            statuses.append(request(url).status)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for round in range(1, 5):
        mark = command.mark()
        program(PROGRAM.format(text=str(round)))
        command.wait_for("Updated", after=mark)
    done.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}, statuses
    assert request(url).json() == ["4", "x"]
