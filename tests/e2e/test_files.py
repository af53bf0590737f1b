"""Supporting files: packages, mounts, templates and settings travel with a program, and are watched."""

from __future__ import annotations

import shutil

from tools import request


def test_a_package_with_relative_imports_and_a_template_that_is_edited(program, home) -> None:
    program("", "shop/__init__.py")
    program("from .parts import NAME\n", "shop/names.py")
    program("NAME = 'parts'\n", "shop/parts.py")
    page = program("one", "shop/pages/page.html")
    program(
        """
        import pathlib
        import modal
        from .names import NAME

        stub = modal.Stub()

        @stub.webhook
        def f():
            pages = pathlib.Path(__file__).parent / "pages"
            return [NAME, __name__, {path.name: path.read_text() for path in pages.iterdir()}]
        """,
        "shop/web/main.py",
    )
    program("", "shop/web/__init__.py")
    text = (home.cwd / "shop/web/main.py").read_text().replace("from .names", "from ..names")
    (home.cwd / "shop/web/main.py").write_text(text.replace(".parent /", ".parent.parent /"))
    command = home.command("serve", "-m", "shop.web.main")
    try:
        command.wait_serving()
        url = command.url()
        assert request(url).json() == ["parts", "shop.web.main", {"page.html": "one"}]

        mark = command.mark()
        page.write_text("two")
        command.wait_for(r"page\.html changed", after=mark)
        command.wait_for("Updated", after=mark)
        assert request(url).json()[2] == {"page.html": "two"}

        # A file that was not there before, in a folder that was not.
        mark = command.mark()
        program("skipped", "shop/pages/__pycache__/x.pyc")
        program("new", "shop/pages/new.html")
        command.wait_for("Updated", after=mark)
        assert request(url).json()[2] == {"page.html": "two", "new.html": "new"}

        mark = command.mark()
        shutil.rmtree(home.cwd / "shop/pages")
        program("last", "shop/pages/last.html")
        command.wait_for("Updated", after=mark)
        assert request(url).json()[2] == {"last.html": "last"}
    finally:
        command.end()


def test_mounts_and_settings_of_2022(program, serve) -> None:
    for name in ("data/a.txt", "data/b.skip", "data/sub/c.txt", "mine/__init__.py", "mine/page.txt"):
        program("", name)
    env = program("GREETING=hello\n", ".env")
    command = serve(
        program(
            """
            import os
            import modal

            data = modal.Mount("/data", local_dir="data", condition=lambda path: not path.endswith(".skip"))
            stub = modal.Stub(mounts=[data], secrets=[modal.Secret.from_dotenv()])
            packages = modal.create_package_mounts(["mine"])

            def listed(folder):
                return sorted(
                    os.path.relpath(os.path.join(parent, name), folder)
                    for parent, _, names in os.walk(folder)
                    for name in names
                    if "__pycache__" not in parent
                )

            @stub.webhook(mounts=packages)
            def f():
                import mine
                return [listed("/data"), mine.__file__, listed("/pkg"), os.environ["GREETING"]]

            @stub.webhook
            def g():
                return listed("/data") + (listed("/pkg") if os.path.exists("/pkg") else [])
            """
        )
    )
    url = command.url("f")
    assert request(url).json() == [
        ["a.txt", "sub/c.txt"],
        "/pkg/mine/__init__.py",
        ["mine/__init__.py", "mine/page.txt"],
        "hello",
    ]
    # What is mounted into one function is not in the other's containers.
    assert request(command.url("g")).json() == ["a.txt", "sub/c.txt"]
    mark = command.mark()
    env.write_text("GREETING=again\n")
    command.wait_for(r"\.env changed", after=mark)
    command.wait_for("Updated", after=mark)
    assert request(url).json()[3] == "again"


def test_local_files_of_an_image_of_today(program, serve) -> None:
    for name in ("static/a.css", "static/a.map", "static/deep/b.css", "lib/__init__.py", "lib/notes.txt"):
        program("", name)
    program("VALUE = 'lib'\n", "lib/value.py")
    program("one line", "settings.toml")
    command = serve(
        program(
            """
            import os
            import modal

            image = (
                modal.Image.debian_slim()
                .env({"HOW": "env"})
                .workdir("/app")
                .add_local_dir("static", "/static", ignore=["**/*.map", "deep"])
                .add_local_file("settings.toml", "/app/")
                .add_local_python_source("lib")
            )
            base = modal.Image.debian_slim()
            copied = base.add_local_file("settings.toml", "/etc/settings.toml", copy=True)
            app = modal.App("files", image=image)

            with image.imports():
                import lib.value

            @app.function()
            @modal.fastapi_endpoint()
            def f():
                there = sorted(os.listdir("/static")), sorted(os.listdir("/root/lib"))
                return [there, lib.value.VALUE, open("settings.toml").read(), os.environ["HOW"]]

            @app.function(image=copied)
            @modal.fastapi_endpoint()
            def g():
                return [open("/etc/settings.toml").read(), os.path.exists("/static")]
            """
        )
    )
    found = request(command.url("f")).json()
    assert found[0][0] == ["a.css"]
    assert {"__init__.py", "value.py"} <= set(found[0][1])
    assert found[1:] == ["lib", "one line", "env"]
    assert request(command.url("g")).json() == ["one line", False]


def test_several_files_of_one_stub(program, serve) -> None:
    program("import modal\nstub = modal.Stub()\n", "common.py")
    part = """
        from common import stub
        from texts import {text}

        @stub.webhook
        def {name}():
            return [__name__, {text}]
        """
    program("FIRST, SECOND = 'one', 'two'\n", "texts.py")
    program(part.format(name="f", text="FIRST"), "first.py")
    program(part.format(name="g", text="SECOND"), "more/second.py")
    command = serve(program("from common import stub\nimport first, more.second\n", "main.py"))
    assert request(command.url("f")).json() == ["first", "one"]
    assert request(command.url("g")).json() == ["more.second", "two"]
