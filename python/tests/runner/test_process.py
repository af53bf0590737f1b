"""The process: what user code sees of it, and how it ends."""

from __future__ import annotations

import signal

from .harness import ASGI, DEADLINE

#: A held request ends when the test answers at the gate.
HELD = """
import os, socket
from contextlib import asynccontextmanager

from fastapi import FastAPI


@asynccontextmanager
async def lifespan(app):
    yield
    print("down")


app = FastAPI(lifespan=lifespan)


@app.get("/")
def held():
    print("held")
    with socket.socket(socket.AF_UNIX) as gate:
        gate.connect(os.environ["GATE"])
        gate.recv(1)
    print("finished")
    return "late"


def f():
    return app
"""


def test_user_code_sees_the_images_versions_of_hidden_libraries(run, tmp_path):
    image = tmp_path / "image"
    image.mkdir()
    for name in ("h11", "click", "uvicorn"):
        (image / f"{name}.py").write_text("version = 'of the image'\n")
    source = """
import importlib.util, sys

import click, h11, uvicorn

AT_IMPORT = sorted(sys.modules)

def f():
    import h11 as again

    found = {name: bool(importlib.util.find_spec(name)) for name in ("a2wsgi", "uvloop")}
    left = [name for name in AT_IMPORT if name.partition(".")[0] in ("uvloop", "httptools", "a2wsgi")]
    assert again is h11
    return [click.version, h11.version, uvicorn.version, found, left]
"""
    runner = run(source, env={"PYTHONPATH": str(image)}).ready()
    assert runner.get("/").json == ["of the image"] * 3 + [{"a2wsgi": False, "uvloop": False}, []]


def test_the_path_of_user_code(run, tmp_path):
    source = "import sys\n\nPATH = list(sys.path)\n\ndef f():\n    return PATH\n"
    runner = run(source, env={"PYTHONPATH": str(tmp_path)}).ready()
    path = runner.get("/").json
    assert path[0] == str(runner.root)
    assert path[1].endswith("tests/runner/sdk")
    assert path[2] == str(tmp_path)
    assert not any(entry.endswith("/python") for entry in path)


def test_a_file_of_the_users_does_not_shadow_what_the_runner_imports(run):
    shadow = "raise AssertionError('imported by the runner')\n"
    files = {f"{name}.py": shadow for name in ("control", "socket", "queue", "h11", "logging", "traceback")}
    source = """
async def app(scope, receive, send):
    raise TypeError

def f():
    return app
"""
    runner = run(source, web=ASGI, files=files).ready()
    assert "imported by the runner" not in runner.drain()


def test_the_sockets_stay_in_the_process(run):
    source = """
import os, subprocess, sys

LIST = '''
import os

open_now = [f"/proc/self/fd/{d}" for d in (3, 4) if os.path.exists(f"/proc/self/fd/{d}")]
print([path for path in open_now if "socket" in os.readlink(path)])
'''

def f():
    spawned = subprocess.check_output([sys.executable, "-c", LIST], close_fds=False, text=True)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, ",".join(os.readlink(f"/proc/self/fd/{d}") for d in (3, 4)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return [spawned.strip(), os.read(read, 1000).decode()]
"""
    assert run(source).ready().get("/").json == ["[]", "/dev/null,/dev/null"]


def test_processes_of_user_code(run):
    source = """
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor


def double(x):
    return x * 2


def f():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        doubled = pool.submit(double, 21).result(20)
    code = "import modal, signal; print(modal.Stub, signal.getsignal(signal.SIGINT).__name__)"
    return [doubled, subprocess.check_output([sys.executable, "-c", code], text=True)]
"""
    runner = run(source).ready()
    assert runner.get("/").json == [42, "<class 'modal.Stub'> default_int_handler\n"]


def test_async_subprocesses_work_on_the_servers_loop(run):
    source = """
import asyncio

async def f():
    process = await asyncio.create_subprocess_exec("echo", "hi", stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0].decode()
"""
    assert run(source).ready().get("/").json == "hi\n"


def test_an_event_loop_policy_of_the_users_is_left_alone(run):
    source = """
import asyncio, warnings

warnings.simplefilter("ignore")

class Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self):
        raise AssertionError("asked for the server's loop")

asyncio.set_event_loop_policy(Policy())

async def f():
    await asyncio.sleep(0)
    return "fine"
"""
    assert run(source).ready().get("/").json == "fine"


def test_output_is_there_when_it_is_printed(run):
    runner = run("def f():\n    print('one'); print('two', end='')\n").ready()
    runner.get("/")
    assert runner.log() == "one\ntwo"


def test_drain_finishes_what_is_held(run):
    runner = run(HELD, web=ASGI).ready()
    idle = runner.connect()
    assert idle.ask("GET", "/docs").status == 200
    held = runner.connect()
    held.request("GET", "/")
    handler = runner.visitor()
    runner.tell({"type": "drain"})
    runner.expect("draining")
    assert idle.sock.recv(1) == b"", "an idle connection is closed"
    handler.send(b".")
    assert held.getresponse().read() == b'"late"'
    assert runner.process.wait(DEADLINE) == 0
    assert runner.log() == "held\nfinished\ndown\n"


def test_a_request_sent_before_the_drain_is_answered(run):
    runner = run(HELD, web=ASGI).ready()
    connection = runner.connect()
    connection.request("GET", "/docs")
    runner.tell({"type": "drain"})
    assert connection.getresponse().status == 200
    assert runner.process.wait(DEADLINE) == 0


def test_sigterm_drains(run):
    runner = run(HELD, web=ASGI).ready()
    runner.process.send_signal(signal.SIGTERM)
    runner.expect("draining")
    assert runner.process.wait(DEADLINE) == 0
    assert runner.log() == "down\n"


def test_sigint_is_not_for_us(run):
    runner = run(HELD, web=ASGI).ready()
    runner.process.send_signal(signal.SIGINT)
    assert runner.get("/docs").status == 200


def test_drain_before_anything_is_served(run):
    runner = run("import threading\nprint('importing')\nthreading.Event().wait()\n")
    runner.expect("hello")
    runner.tell({"type": "drain"})
    assert runner.next() == {}
    assert runner.process.wait(DEADLINE) == 0


def test_the_end_of_the_control_socket_ends_the_process(run):
    source = """
import atexit, threading, time

atexit.register(threading.Event().wait)

async def f():
    time.sleep(1000)
"""
    runner = run(source).ready()
    runner.hang_up()
    assert runner.process.wait(DEADLINE) == 1
    busy = run(source).ready()
    connection = busy.connect()
    connection.request("GET", "/")
    busy.hang_up()
    assert busy.process.wait(DEADLINE) == 1


def test_libraries_that_are_not_there(run, tmp_path):
    failure = run("def f(): pass\n", env={"PILOTLIGHT_DEPS": str(tmp_path)}).failed()
    assert failure["summary"].startswith(
        f"the server's libraries in {tmp_path} do not import: ModuleNotFound"
    )


def test_messages_of_a_newer_host_are_ignored(run):
    runner = run("def f():\n    return 1\n").ready()
    runner.tell({"type": "unheard-of"})
    assert runner.get("/").json == 1
    runner.drain()


def test_what_the_messages_say(run):
    runner = run("def f():\n    return 1\n")
    hello = runner.expect("hello")
    assert (hello["protocol"], hello["python"].count(".")) == (1, 2)
    assert runner.expect("imported")["import_ms"] >= 0
    assert runner.expect("ready")["app_ms"] > 0
