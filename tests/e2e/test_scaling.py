"""Scaling a deployed function without a new deployment."""

from __future__ import annotations

import subprocess

from test_pool import runners
from tools import Server, request, wait_until

PROGRAM = """
    import modal

    app = modal.App("scaled")

    @app.function(scaledown_window=2)
    @modal.fastapi_endpoint()
    def f():
        return "here"
"""


def test_a_deployed_function_is_scaled_live(program, server: Server, python: str, sdk: str) -> None:
    file = program(PROGRAM)
    server.deploy(file, "scaled")
    pid = server.pid()

    def run(call: str) -> subprocess.CompletedProcess[str]:
        text = f"import modal; f = modal.Function.from_name('scaled', 'f'); f.{call}"
        return subprocess.run(
            [python, "-c", text],
            env=server.environment.variables(PYTHONPATH=sdk),
            capture_output=True,
            text=True,
            timeout=120,
        )

    wait_until(lambda: runners(pid) == 0)
    assert run("autoscaler.update(min_containers=2)").returncode == 0
    wait_until(lambda: runners(pid) == 2)
    assert run("keep_warm(1)").returncode == 0
    wait_until(lambda: runners(pid) == 1)
    # It holds over a restart, and what is said later goes on top.
    server.stop()
    server.start()
    pid = server.pid()
    wait_until(lambda: runners(pid) == 1)
    assert run("update_autoscaler(max_containers=5)").returncode == 0
    server.stop()
    server.start()
    pid = server.pid()
    wait_until(lambda: runners(pid) == 1)
    failed = run("update_autoscaler(max_containers=1, min_containers=3)")
    assert "InvalidError" in failed.stderr
    assert "min_containers (3) is more than max_containers (1)" in failed.stderr
    # The next deployment begins with what the program says.
    server.deploy(file, "scaled")
    wait_until(lambda: runners(pid) == 0)


def test_a_deployed_class_is_scaled_by_its_web_methods(
    program, server: Server, python: str, sdk: str
) -> None:
    text = """
        import modal

        app = modal.App("classy")

        @app.cls()
        class C:
            @modal.fastapi_endpoint()
            def f(self):
                return "f"

            @modal.fastapi_endpoint()
            def g(self):
                return "g"
    """
    server.deploy(program(text), "classy")
    pid = server.pid()
    lines = [
        "import modal",
        "c = modal.Cls.from_name('classy', 'C')()",
        "c.update_autoscaler(min_containers=1)",
        "print(c.g.get_web_url())",
    ]
    told = subprocess.run(
        [python, "-c", "\n".join(lines)],
        env=server.environment.variables(PYTHONPATH=sdk),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 0, told.stderr
    wait_until(lambda: runners(pid) == 2)
    assert request(told.stdout.strip()).json() == "g"


def test_the_command_says_what_it_did_and_what_is_missing(program, server: Server) -> None:
    server.deploy(program(PROGRAM), "scaled")
    scale = ("app", "scale", "scaled")
    done = server.environment.run(*scale, "f", "--scaledown-window", "300")
    assert (done.returncode, done.stderr) == (0, "✓ Scaled f of scaled, until its next deployment\n")
    for words, told in [
        (("g", "--min-containers", "1"), "the app `scaled` has no web endpoint `g`"),
        (("f",), "nothing was said to change"),
        (("f", "--max-containers", "0"), "max_containers: 0 is not a number from 1 to 10000"),
    ]:
        done = server.environment.run(*scale, *words)
        assert done.returncode != 0 and told in done.stderr, done.stderr
