"""What the containers of an image begin with."""

from __future__ import annotations

from tools import request

PROGRAM = r'''
    import os
    import pathlib

    import modal

    app = modal.App()
    ENTER = """
    #!/bin/sh
    export ENTERED="$1 in $(pwd)"
    echo once >> /entered
    shift
    exec "$@"
    """
    image = (
        modal.Image.debian_slim()
        .dockerfile_commands("COPY --chmod=755 <<'EOF' /usr-enter", *ENTER.strip().splitlines(), "EOF")
        {chain}
    )

    @app.function(image=image)
    @modal.fastapi_endpoint()
    def f():
        entered = pathlib.Path("/entered")
        count = len(entered.read_text().splitlines()) if entered.exists() else 0
        return [os.environ.get("ENTERED"), count, pathlib.Path("/of-a-step").exists()]
'''


def program_with(program, chain: str):
    return program(PROGRAM.replace("{chain}", chain))


def test_each_container_begins_with_the_entrypoint_and_build_steps_do_not(program, serve) -> None:
    chain = '.entrypoint(["/usr-enter", "word"]).run_commands("[ -z $ENTERED ] && touch /of-a-step")'
    command = serve(program_with(program, chain))
    assert request(command.url()).json() == ["word in /root", 1, True]
    assert command.interrupt() == 0


def test_an_entrypoint_can_be_taken_away(program, serve) -> None:
    chain = '.dockerfile_commands("USER app", \'ENTRYPOINT ["/bin/false"]\').entrypoint([])'
    command = serve(program_with(program, chain))
    assert request(command.url()).json() == [None, 0, False]
    assert "its USER app is not taken: build steps and containers run as their own root" in command.output
    assert command.interrupt() == 0


def test_an_entrypoint_that_runs_nothing_is_told(program, serve) -> None:
    command = serve(program_with(program, '.entrypoint(["/bin/true", "x"])'))
    said = "before it was ready; its image's entrypoint `/bin/true x` has to run its arguments"
    answer = request(command.url())
    assert (answer.status, said in answer.text) == (503, True), answer.text
    command.wait_for(said, timeout=20)
    assert "Traceback" not in command.output
