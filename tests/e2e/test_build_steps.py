"""Build steps that need local files, variables and secrets, and the lines of a Dockerfile, built for real."""

from __future__ import annotations

import io
import re
import socket
import subprocess
import tarfile

from tools import Command, Server, request

SECRET = "hush-hush-4711"


def test_lines_of_a_dockerfile_are_built(program, serve, tmp_path) -> None:
    for name, text in {
        "conf/a.txt": "from a file\n",
        "conf/b.md": "no",
        ".dockerignore": "**/*.md\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    text = '''
        import os
        import pathlib
        import textwrap

        import modal

        LINES = """
        # what a Dockerfile may say
        ARG WHO=nobody
        ENV PLACE=/srv/app PATH=/srv/app/bin:$PATH
        WORKDIR $PLACE
        COPY --chmod=750 conf ./conf/
        COPY <<'EOF' bin/hello
        #!/bin/sh
        echo "hello $1"
        EOF
        RUN chmod +x bin/hello \\\\
            && hello "$WHO" > said
        SHELL ["/bin/bash", "-c"]
        RUN [[ -n $BASH_VERSION ]] && cat conf/a.txt <(echo from bash) >> said
        RUN ["touch", "with space"]
        """

        app = modal.App()
        image = modal.Image.debian_slim().dockerfile_commands(
            textwrap.dedent(LINES), build_args={"WHO": "world"}
        )

        @app.function(image=image)
        @modal.fastapi_endpoint()
        def f():
            here = pathlib.Path(".")
            return {
                "cwd": os.getcwd(),
                "said": (here / "said").read_text(),
                "files": sorted(map(str, here.rglob("*"))),
                "mode": oct((here / "conf/a.txt").stat().st_mode & 0o777),
                "variables": [os.environ["PLACE"], os.environ.get("WHO"), os.environ["PATH"].split(":")[0]],
            }
    '''
    command = serve(program(text))
    assert request(command.url()).json() == {
        "cwd": "/srv/app",
        "said": "hello world\nfrom a file\nfrom bash\n",
        "files": ["bin", "bin/hello", "conf", "conf/a.txt", "said", "with space"],
        "mode": "0o750",
        "variables": ["/srv/app", None, "/srv/app/bin"],
    }
    assert command.interrupt() == 0


def test_archives_that_are_added_are_unpacked(program, serve, tmp_path) -> None:
    def entry(name: str, **fields) -> tarfile.TarInfo:
        found = tarfile.TarInfo(name)
        for field, value in fields.items():
            setattr(found, field, value)
        return found

    with tarfile.open(tmp_path / "one.tar.gz", "w:gz") as made:
        made.addfile(entry("sub/run", mode=0o751, size=1, uid=1000), io.BytesIO(b"1"))
        made.addfile(entry("sub/twin", mode=0o751, type=tarfile.LNKTYPE, linkname="sub/run"))
        made.addfile(entry("sub/link", type=tarfile.SYMTYPE, linkname="run"))
        made.addfile(entry("../../outside", size=1), io.BytesIO(b"2"))
        made.addfile(entry("/absolute", size=1), io.BytesIO(b"3"))
        made.addfile(entry("disk", type=tarfile.BLKTYPE))
    with tarfile.open(tmp_path / "two.txz", "w:xz") as made:
        made.addfile(entry("two", size=1), io.BytesIO(b"4"))
    (tmp_path / "none.tar").write_text("5")
    text = """
        import os
        import pathlib

        import modal

        app = modal.App()
        image = modal.Image.debian_slim().dockerfile_commands(
            "WORKDIR /srv", "ADD one.tar.gz two.txz none.tar here", "COPY two.txz there/"
        )

        @app.function(image=image)
        @modal.fastapi_endpoint()
        def f():
            root = pathlib.Path("/srv")
            found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
            told = {name: [path.read_text(), oct(path.stat().st_mode & 0o777)]
                    for name, path in found.items() if "there" not in name}
            return [told, "there/two.txz" in found, os.path.exists("/outside")]
    """
    command = serve(program(text))
    told, copied, outside = request(command.url()).json()
    modes = {"here/sub/run": ["1", "0o751"], "here/sub/twin": ["1", "0o751"], "here/sub/link": ["1", "0o751"]}
    assert {name: told.pop(name) for name in modes} == modes
    plain = {"outside": "2", "absolute": "3", "two": "4", "none.tar": "5"}
    assert {name: text for name, (text, _) in told.items()} == {f"here/{at}": w for at, w in plain.items()}
    assert copied and not outside
    assert command.interrupt() == 0
    whole = (tmp_path / "one.tar.gz").read_bytes()
    (tmp_path / "one.tar.gz").write_bytes(whole[: len(whole) // 2])
    command = serve(tmp_path / "program.py", wait=False)
    assert command.wait() != 0
    assert "cannot unpack one.tar.gz: " in command.output and "Traceback" not in command.output


def test_a_line_that_cannot_be_built_is_told_by_its_number(program, serve) -> None:
    text = """
        import modal

        app = modal.App()
        image = modal.Image.debian_slim().dockerfile_commands("RUN true", "COPY none.txt /x")

        @app.function(image=image)
        @modal.fastapi_endpoint()
        def f():
            return 1
    """
    command = serve(program(text), wait=False)
    assert command.wait() != 0
    said = "dockerfile_commands: line 2: `none.txt` is not in the build context, or ignored there"
    assert said in command.output and "Traceback" not in command.output


def test_a_file_that_cannot_be_put_into_the_image_is_named(program, serve, tmp_path) -> None:
    (tmp_path / "a.txt").write_text("a")
    text = """
        import modal

        app = modal.App()
        image = modal.Image.debian_slim().add_local_file("a.txt", "/proc/a.txt", copy=True)
        image = image.run_commands("true")

        @app.function(image=image)
        @modal.fastapi_endpoint()
        def f():
            return 1
    """
    command = serve(program(text), wait=False)
    assert command.wait() != 0
    assert "cannot put a file into the image: /proc/a.txt: " in command.output
    assert "Traceback" not in command.output


def test_a_step_has_its_own_variables_and_no_layer_keeps_a_secret(program, server: Server) -> None:
    text = """
        import os

        import modal

        app = modal.App("steps")
        image = modal.Image.debian_slim().run_commands(
            'echo "$GREETING ${#TOKEN}" > /said',
            env={"GREETING": "hi"},
            secrets=[modal.Secret.from_local_environ(["TOKEN"])],
        )

        @app.function(image=image)
        @modal.fastapi_endpoint()
        def f():
            return [open("/said").read(), os.environ.get("GREETING"), os.environ.get("TOKEN")]
    """
    deployed = server.environment.run("deploy", str(program(text)), TOKEN=SECRET)
    assert deployed.returncode == 0, deployed.stderr
    assert SECRET not in deployed.stdout + deployed.stderr
    url = re.findall(r"Deployed f => (http://\S+)", deployed.stdout)[0]
    assert request(url).json() == [f"hi {len(SECRET)}\n", None, None]
    state = server.environment.state
    layers = (state / "layers").resolve()
    for path in [*state.rglob("*"), *layers.glob("*/meta.json"), *layers.glob("*/fs/said")]:
        if path.is_file() and not path.is_symlink():
            assert SECRET.encode() not in path.read_bytes(), path


def test_a_build_step_sees_the_files_that_were_copied_before_it(program, serve, tmp_path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/numbers.txt").write_text("1\n2\n3\n")
    text = """
        import modal

        app = modal.App()
        image = (
            modal.Image.debian_slim()
            .run_commands("mkdir /srv/real && ln -s real /srv/link")
            # As /lib is in Debian: what is copied behind a link must not take its place.
            .add_local_dir("data", "/srv/link/data", copy=True)
            .run_commands("wc -l < /srv/real/data/numbers.txt > /count", "test -L /srv/link")
        )

        @app.function(image=image)
        @modal.fastapi_endpoint()
        def f():
            return open("/count").read().strip()
    """
    command = serve(program(text))
    assert request(command.url()).json() == "3"
    (tmp_path / "data/numbers.txt").write_text("1\n")
    command.wait_for("Updated in")
    assert request(command.url()).json() == "1"
    assert command.interrupt() == 0


def test_a_function_is_run_while_the_image_is_built(program, serve, home, tmp_path) -> None:
    text = """
        import os
        import pathlib

        import modal

        import helper

        app = modal.App()
        PLACE = pathlib.Path("/models")

        async def download(name, *, size):
            PLACE.mkdir()
            seen = f" {len(os.environ['TOKEN'])} {modal.is_local()}"
            (PLACE / name).write_text(helper.WORD * size + seen)

        image = modal.Image.debian_slim().run_function(
            download,
            args=("m.bin",),
            kwargs={"size": 3},
            secrets=[modal.Secret.from_local_environ(["TOKEN"])],
        )

        @app.function(image=image)
        @modal.fastapi_endpoint()
        def f():
            return [(PLACE / "m.bin").read_text(), os.environ.get("TOKEN"), helper.WORD]
    """
    (tmp_path / "helper.py").write_text('WORD = "a"\n')
    command = serve(program(text), TOKEN=SECRET)
    made = f"aaa {len(SECRET)} False"
    assert request(command.url()).json() == [made, None, "a"]
    # The program is what it is imported from, and not what it does.
    mark = command.mark()
    (tmp_path / "helper.py").write_text('WORD = "b"\n')
    command.wait_for("Updated in", after=mark)
    assert request(command.url()).json() == [made, None, "b"]
    # Bytecode of the program in a layer would count for a later file of the same size and second.
    assert not list((home.state / "layers").glob("*/fs/root/__pycache__"))
    assert command.interrupt() == 0


def test_a_function_that_fails_in_a_build_shows_its_own_lines(program, serve) -> None:
    text = """
        import modal

        app = modal.App()

        def download():
            raise RuntimeError("no such model")

        @app.function(image=modal.Image.debian_slim().run_function(download))
        @modal.fastapi_endpoint()
        def f():
            return 1
    """
    command = serve(program(text), wait=False)
    assert command.wait() != 0
    assert "RuntimeError: no such model" in command.output and "program.py" in command.output
    assert "_pilotlight_runner" not in command.output


PROJECT = """
[project]
name = "mine"
version = "1"
requires-python = ">=3.9"
dependencies = ["six==1.16.0"]

[dependency-groups]
extra = ["idna==3.6"]
"""

VERSIONS = """
    import importlib.metadata

    import modal

    app = modal.App()
    image = modal.Image.debian_slim().{}

    @app.function(image=image)
    @modal.fastapi_endpoint()
    def f():
        found = {{}}
        for name in {}:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found[name] = None
        return found
"""


def test_what_a_project_locks_is_installed(program, serve, home, tmp_path) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    uv = home.run("tool", "uv").stdout.strip()
    subprocess.run([uv, "lock", "--quiet", "--project", tmp_path], check=True)
    command = serve(program(VERSIONS.format('uv_sync(groups=["extra"])', ["six", "idna", "mine"])))
    found = request(command.url()).json()
    assert found == {"six": "1.16.0", "idna": "3.6", "mine": None}
    assert command.interrupt() == 0


def test_a_poetry_project_is_installed(program, serve, home, tmp_path) -> None:
    # The index by the protocol that every mirror speaks; the one that Poetry prefers, many do not.
    source = '[[tool.poetry.source]]\nname = "simple"\nurl = "https://pypi.org/simple/"\n'
    (tmp_path / "pyproject.toml").write_text(PROJECT + source)
    uv = home.run("tool", "uv").stdout.strip()
    lock = [
        uv,
        "tool",
        "run",
        "--from",
        "poetry==2.5.1",
        "poetry",
        "--directory",
        tmp_path,
        "lock",
        "--quiet",
    ]
    subprocess.run(lock, check=True, env=home.variables())
    call = 'poetry_install_from_file("pyproject.toml", poetry_version="2.5.1")'
    command = serve(program(VERSIONS.format(call, ["six", "poetry", "mine"])))
    assert request(command.url()).json() == {"six": "1.16.0", "poetry": None, "mine": None}
    assert command.interrupt() == 0


def test_a_date_keeps_newer_packages_out(program, serve) -> None:
    text = VERSIONS.format('pip_install("toolz")', ["toolz"])
    command = serve(program(text), PILOTLIGHT_EXCLUDE_NEWER="2022-11-30")
    assert request(command.url()).json() == {"toolz": "0.12.0"}
    assert command.interrupt() == 0


MEETING = """
    import modal

    app = modal.App()
    MEET = "import socket; socket.create_connection(('127.0.0.1', {port})).recv(1)"
    base = modal.Image.debian_slim()

    @app.function(image=base.run_commands(f'python -c "{{MEET}} or exit(1)" # one'))
    @modal.fastapi_endpoint()
    def one():
        return 1

    @app.function(image=base.run_commands(f'python -c "{{MEET}} or exit(1)" # two'))
    @modal.fastapi_endpoint()
    def two():
        return 2
"""


def test_independent_images_are_built_side_by_side(program, serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(120)
        port = listener.getsockname()[1]
        # A setting of uv's own family, by which a build step reaches the port.
        door = {"UV_INDEX_MEETING_PLACE": f"http://127.0.0.1:{port}"}
        command = serve(program(MEETING.format(port=port)), wait=False, **door)
        # Neither step ends before both are under way.
        met = [listener.accept()[0] for _ in range(2)]
        for one in met:
            with one:
                one.sendall(b"x")
        command.wait_serving()
    assert [request(command.url(name)).json() for name in ("one", "two")] == [1, 2]
    assert command.interrupt() == 0


SHARED = """
    import modal

    app = modal.App()
    MEET = "import socket; socket.create_connection(('127.0.0.1', {port})).recv(1)"
    image = modal.Image.debian_slim().run_commands(f'python -c "{{MEET}} or exit(1)" # {{name}}')

    @app.function(image=image)
    @modal.fastapi_endpoint()
    def f():
        return 1
"""


def test_a_client_that_leaves_ends_its_build_unless_another_waits_for_it(program, server, again) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(120)
        port = listener.getsockname()[1]
        again(UV_INDEX_MEETING_PLACE=f"http://127.0.0.1:{port}")

        def build(name: str, step: str) -> Command:
            path = program(SHARED.format(port=port).replace("{name}", step), f"{name}.py")
            return server.environment.command("image", "build", str(path))

        first = build("one", "shared")
        met, _ = listener.accept()
        second = build("two", "shared")
        second.wait_for("… run python")
        first.interrupt()
        met.sendall(b"x")
        assert second.wait() == 0, second.output
        third = build("three", "alone")
        # The next that comes here is the next step: the one that was shared ran once.
        alone, _ = listener.accept()
        third.interrupt()
        with met, alone:
            alone.settimeout(60)
            assert alone.recv(1) == b""


FORCED = """
    import modal

    app = modal.App("forced")
    STAMP = "mkdir -p /stamps; cat /proc/sys/kernel/random/uuid > /stamps/"
    image = (
        modal.Image.debian_slim()
        .run_commands(STAMP + "kept")
        .run_commands(STAMP + "anew", force_build=True)
        .run_commands(STAMP + "after")
    )

    @app.function(image=image)
    @modal.fastapi_endpoint()
    def f():
        stamps = {name: open(f"/stamps/{name}").read() for name in ("kept", "anew", "after")}
        return {"word": "one", **stamps}
"""


def test_a_forced_build_is_made_anew_by_each_command(program, serve) -> None:
    found = []
    for _ in range(2):
        command = serve(program(FORCED))
        first = request(command.url("f")).json()
        # Of one command all saves have the same.
        program(FORCED.replace('"one"', '"two"'))
        command.wait_for("Updated in")
        again = request(command.url("f")).json()
        assert again == {**first, "word": "two"}
        found.append(first)
        command.end()
    one, two = found
    assert one["kept"] == two["kept"]
    assert one["anew"] != two["anew"] and one["after"] != two["after"]


def test_a_deployment_keeps_what_its_forced_build_made(program, server: Server) -> None:
    url = server.deploy(program(FORCED), "forced")["f"]
    before = request(url).json()
    server.stop()
    server.start()
    assert request(url).json() == before
    again = request(server.deploy(program(FORCED), "forced")["f"]).json()
    assert again["kept"] == before["kept"] and again["anew"] != before["anew"]
