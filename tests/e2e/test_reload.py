"""Live updates: a save is served at the same URL, a broken file leaves the last good version."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

from tools import children, request, wait_until

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


def test_a_save_is_read_as_by_a_process_of_its_own(program, serve, tmp_path: Path) -> None:
    """Whatever changes between two saves, a discovery prints what a process of its own would."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    text = """
        import modal
        try:
            import late
            found = late.TEXT
        except ImportError:
            found = "nothing"
        print("found", found, {turn})
        app = modal.App()

        @app.function()
        @modal.fastapi_endpoint()
        def f():
            return {turn}
    """

    def save(turn: int, found: str) -> None:
        mark = command.mark()
        program(text.format(turn=turn))
        command.wait_for(f"found {found} {turn}", after=mark)
        command.wait_for("Updated", after=mark)
        assert request(url).json() == turn

    command = serve(program(text.format(turn=0)), "--python", str(venv / "bin" / "python"))
    url = command.url()
    save(1, "nothing")
    save(2, "nothing")
    # Installed in between.
    (packages / "late.py").write_text("TEXT = 'one'\n")
    save(3, "one")
    save(4, "one")
    (packages / "late.py").write_text("TEXT = 'two two'\n")
    save(5, "two two")
    save(6, "two two")
    # One that a fork would break.
    thread = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    (packages / "late.py").write_text(thread + "TEXT = f'{threading.active_count()} threads'\n")
    for turn in range(7, 10):
        save(turn, "2 threads")
    (packages / "late.py").unlink()
    save(10, "nothing")


def test_what_is_not_imported_any_more_is_not_there(program, serve) -> None:
    text = """
        import modal
        {imports}
        app = modal.App()

        @app.function()
        @modal.fastapi_endpoint()
        def f():
            {more}
            return len(xml.dom.minidom.parseString("<a/>").childNodes), {turn}
    """
    whole = {"imports": "import xml.dom.minidom", "more": "pass"}
    command = serve(program(text.format(turn=0, **whole)))
    url = command.url()
    assert request(url).json() == [1, 0]
    for turn in range(1, 4):
        mark = command.mark()
        program(text.format(turn=turn, **whole))
        command.wait_for("Updated", after=mark)
        assert request(url).json() == [1, turn]
    for imports, more, status in [
        ("import xml", "pass", 500),
        ("import xml.dom.minidom", "pass", 200),
        ("import xml", "import xml.dom.minidom", 200),
    ]:
        mark = command.mark()
        program(text.format(turn=9, imports=imports, more=more))
        command.wait_for("Updated", after=mark)
        assert request(url).status == status, (imports, more)


def test_packages_of_the_image_are_imported_ahead_and_the_users_modules_never(program, serve) -> None:
    text = """
        import os, time
        import modal
        import part
        WRITE = (
            "import sysconfig, pathlib; place = pathlib.Path(sysconfig.get_path('purelib'), 'stamp.py');"
            "place.write_text('import time; STAMP = time.time_ns()')"
        )
        image = modal.Image.debian_slim().run_commands(f'python -c "{{WRITE}}"')
        app = modal.App()
        OWN = time.time_ns()

        @app.function(image=image)
        @modal.fastapi_endpoint()
        def f():
            import stamp
            return {turn}, stamp.STAMP, OWN, part.OWN, os.environ["MODAL_TASK_ID"]
    """
    program("import time\nOWN = time.time_ns()\n", "part.py")
    command = serve(program(text.format(turn=0)))
    url = command.url()
    seen = [request(url).json()]
    assert request(url).json() == seen[0]

    def is_ahead() -> bool:
        mark = command.mark()
        program(text.format(turn=len(seen)))
        command.wait_for("Updated", after=mark)
        seen.append(request(url).json())
        return seen[-1][1] == seen[-2][1]

    wait_until(is_ahead)
    assert [answer[0] for answer in seen] == [*range(len(seen))]
    # Each version has its own of all that is the user's.
    for place in (2, 3, 4):
        assert len({answer[place] for answer in seen}) == len(seen)


def test_many_saves_leave_no_process_and_no_file_open(program, serve) -> None:
    program("TEXT = 'x'\n", "part.py")
    command = serve(program(PROGRAM.format(text="0")))
    url = command.url()

    def save(turn: int) -> None:
        mark = command.mark()
        program(PROGRAM.format(text=str(turn)))
        command.wait_for("Updated", after=mark)
        assert request(url).json() == [str(turn), "x"]

    for turn in range(1, 4):
        save(turn)
    processes, files = held(command.process.pid)
    for turn in range(4, 54):
        save(turn)
    wait_until(lambda: held(command.process.pid)[0] <= processes)
    wait_until(lambda: held(command.process.pid)[1] <= files)
    everything = children(command.process.pid)
    assert command.interrupt() == 0
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in everything))


def held(pid: int) -> tuple[int, int]:
    """How many processes are below `pid`, and how many files it and they have open."""
    below = children(pid)
    files = 0
    for one in [pid, *below]:
        with contextlib.suppress(OSError):
            files += len(os.listdir(f"/proc/{one}/fd"))
    return len(below), files
