"""Programs that say whether their memory may be forked, and what runs before and after."""

from __future__ import annotations

from test_zygotes import at_once, path
from tools import Server, request

HOOKS = """
    import os, socket, time, uuid

    import modal

    app = modal.App("hooks")

    @app.cls(enable_memory_snapshot={snapshot})
    class C:
        @modal.enter(snap={snapshot})
        async def early(self):
            self.early = [uuid.uuid4().hex, os.environ["MODAL_TASK_ID"]]
            self.connection, self.other = socket.socketpair()
            {extra}

        @modal.enter()
        def late(self):
            self.late = [uuid.uuid4().hex, os.environ["MODAL_TASK_ID"]]
            # One end of a connection of before the fork is like one that the other side has closed.
            self.heard = self.connection.recv(1) if {snapshot} else b""

        @modal.exit()
        def last(self):
            print("ended", self.late[1], flush=True)

        @modal.fastapi_endpoint()
        def web(self):
            time.sleep(0.3)
            return dict(early=self.early, late=self.late, host=os.uname().nodename, heard=len(self.heard))
"""

THREAD = (
    """import threading; threading.Thread(target=threading.Event().wait, name="poll", daemon=True).start()"""
)

CHECKPOINT = """
    import os, uuid

    import modal

    stub = modal.Stub("checkpoint")

    @stub.cls(checkpointing_enabled=True)
    class C:
        def __init__(self):
            self.made = uuid.uuid4().hex

        def __enter__(self):
            self.entered = os.environ["MODAL_TASK_ID"]

        @modal.web_endpoint()
        def web(self):
            import time

            time.sleep(0.3)
            return [self.made, self.entered]

    @stub.function(checkpointing_enabled=True, secret=modal.Secret({"PYTHONHASHSEED": "1"}))
    @modal.web_endpoint()
    def seeded():
        return hash("x")
"""

REFUSED = """
    import modal

    app = modal.App("refused")

    @app.cls(enable_memory_snapshot=True)
    class C:
        @modal.enter(snap=True)
        def early(self):
            raise ValueError("no such model")

        @modal.fastapi_endpoint()
        def web(self): ...
"""


def test_snap_hooks_run_once_for_all_containers(program, server: Server) -> None:
    url = server.deploy(program(HOOKS.format(snapshot=True, extra="")), "hooks")["C.web"]
    answers = at_once(url, 3)
    assert {path(answer) for answer in answers} == {"function-zygote"}
    told = [answer.json() for answer in answers]
    assert len({tuple(one["early"]) for one in told}) == 1, "they ran before the fork"
    assert len({one["host"] for one in told}) == 3
    for one in told:
        assert one["early"][1] != one["host"]
        assert (one["late"][1], one["heard"]) == (one["host"], 0)
    assert len({one["late"][0] for one in told}) == 3


def test_no_snapshot_imports_in_each_container(program, server: Server) -> None:
    answer = request(server.deploy(program(HOOKS.format(snapshot=False, extra="")), "hooks")["C.web"])
    assert path(answer) == "image-zygote"
    assert answer.json()["early"][1] == answer.json()["host"]
    assert "fork" not in server.environment.run("app", "logs", "hooks").stdout


def test_what_no_snapshot_can_have_is_told_and_its_hooks_run_in_each_container(
    program, server: Server
) -> None:
    url = server.deploy(
        program(HOOKS.format(snapshot=True, extra=THREAD).replace("recv(1)", "fileno(), b''")), "hooks"
    )["C.web"]
    answers = at_once(url, 2)
    assert {path(answer) for answer in answers} == {"image-zygote"}
    for one in (answer.json() for answer in answers):
        assert one["early"][1] == one["late"][1] == one["host"]
    logs = server.environment.run("app", "logs", "hooks").stdout
    said = (
        "no snapshot is taken of the program's memory, since a fork would break the thread 'poll'; each "
        "container imports it and runs its snap hooks by itself"
    )
    assert logs.count(said) == 1, logs


def test_a_class_of_2023_is_made_before_the_fork_and_entered_after_it(program, server: Server) -> None:
    urls = server.deploy(program(CHECKPOINT), "checkpoint")
    answers = at_once(urls["C.web"], 2)
    assert {path(answer) for answer in answers} == {"function-zygote"}
    assert len({answer.json()[0] for answer in answers}) == 1
    assert len({answer.json()[1] for answer in answers}) == 2
    # Its interpreter must be started with the variable.
    assert path(request(urls["seeded"])) == "plain"
    logs = server.environment.run("app", "logs", "checkpoint").stdout
    assert "seeded | no snapshot is taken of the program's memory: one of its variables is read" in logs


def test_a_snap_hook_that_fails_is_the_users_mistake(program, server: Server) -> None:
    done = server.environment.run("deploy", str(program(REFUSED)), "--name", "refused")
    assert done.returncode == 1
    assert "`C.web` does not start: ValueError: no such model" in done.stderr
    assert "_pilotlight_runner" not in done.stderr
