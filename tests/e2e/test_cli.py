"""The command line: references, `run`, scripts that run their app, old spellings, exit codes."""

from __future__ import annotations

import secrets
from pathlib import Path

from tools import Command, Environment, request

HELLO = """
    import modal

    app = modal.App("hello")


    @app.function()
    @modal.fastapi_endpoint()
    def f():
        return "hello"
"""


def test_the_manifest_is_on_no_disk(program, home: Environment, tmp_path: Path) -> None:
    token = f"hush-{secrets.token_hex(16)}"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    # The program itself looks at what discovery was started with, and where its manifest will go.
    file = program(
        """
        import os
        import sys
        import time

        import modal

        app = modal.App("keeper")
        if modal.is_local():
            print("scratch:", os.listdir(os.environ["TMPDIR"]), flush=True)
            output = sys.orig_argv if hasattr(sys, "orig_argv") else sys.argv
            print("files:", [argument for argument in output if argument.endswith(".json")], flush=True)
            print("stdin:", repr(sys.stdin.read()), flush=True)
            # It holds the manifest's pipe for longer than the import lasts.
            if os.fork() == 0:
                time.sleep(3)
                os._exit(0)


        values = {"TOKEN": os.environ.get("TOKEN", ""), "BIG": "x" * 100_000}


        @app.function(secrets=[modal.Secret.from_dict(values)])
        @modal.fastapi_endpoint()
        def f():
            return [os.environ["TOKEN"], len(os.environ["BIG"])]
        """
    )
    command: Command = home.command("serve", str(file), TOKEN=token, TMPDIR=str(scratch))
    try:
        command.wait_serving()
        assert request(command.url("f")).json() == [token, 100_000]
        assert "scratch: []" in command.output
        assert "files: []" in command.output
        assert "stdin: ''" in command.output
        assert token not in command.output
    finally:
        command.end()
