"""Wrong calls are told by the names that users know, with the nearest right one, and without our frames."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import modal
import modal.aio
import pytest
from sdk_project import Project

# What is wrong here is what type checkers find.
stub: Any = modal.Stub("x")
app: Any = modal.App("y")
m: Any = modal

CALLS: list[tuple[Callable[[], Any], str, str | None]] = [
    (lambda: stub.serve(timout=3), "Stub.serve", "timeout"),
    (lambda: stub.run(detatch=True), "Stub.run", "detach"),
    (lambda: app.deploy(nam="x"), "App.deploy", "name"),
    (lambda: app.run(detatch=True), "App.run", "detach"),
    (lambda: app.run.aio(detatch=True), "App.run", "detach"),
    (lambda: m.App("t", imge=1), "App", "image"),
    (lambda: m.Secret(env_dct={}), "Secret", "env_dict"),
    (lambda: m.Secret.from_dotenv(file_name=".env"), "Secret.from_dotenv", "filename"),
    (lambda: m.Mount(local_dr="x"), "Mount", "local_dir"),
    (lambda: m.Image.debian_slim(python_versoin="3.11"), "Image.debian_slim", "python_version"),
    (lambda: m.Image.debian_slim().pip_install(package=[]), "Image.pip_install", "packages"),
    (lambda: m.Image.debian_slim().apt_install("x", forcebuild=1), "Image.apt_install", "force_build"),
    (lambda: m.Image.debian_slim().add_local_dir("x", remote="/"), "Image.add_local_dir", "remote_path"),
    (lambda: m.Function.from_name(ap_name="x"), "Function.from_name", "app_name"),
    (lambda: m.Dict.from_name("x", create_if_mising=1), "Dict.from_name", "create_if_missing"),
    (lambda: m.Queue.from_name("x").put(1, partitoin="x"), "Queue.put", "partition"),
    (lambda: m.gpu.T4(cont=1), "T4", "count"),
    (lambda: m.lookup(app_nam="x"), "lookup", "app_name"),
    (lambda: m.asgi_app(labl="x"), "@modal.asgi_app", "label"),
    (lambda: m.enter(snp=True), "@modal.enter", "snap"),
    (lambda: m.aio.AioDict.from_name(lable="x").send(None), "AioDict.from_name", None),
]


@pytest.mark.parametrize(("call", "where", "nearest"), CALLS)
def test_a_wrong_keyword_is_told_with_the_nearest(
    call: Callable[[], Any], where: str, nearest: str | None
) -> None:
    with pytest.raises(TypeError) as raised:
        call()
    said = str(raised.value)
    assert said.startswith(f"{where} got an unexpected keyword argument '")
    assert said.endswith(f"'; did you mean {nearest!r}?") if nearest else "; it takes " in said


def test_a_keyword_that_is_near_to_none_is_told_with_all() -> None:
    with pytest.raises(TypeError, match=r"^App.stop got an unexpected .* 'now'; it takes client$"):
        app.stop(now=True)
    with pytest.raises(TypeError, match=r"^Cron got .* 'x'; it takes cron_string, timezone$"):
        m.Cron(x=1)


def test_other_wrong_arguments_are_told_by_the_same_names() -> None:
    with pytest.raises(TypeError, match=r"^App.deploy: too many positional arguments$"):
        app.deploy("name")
    with pytest.raises(TypeError, match=r"^Cron: missing a required argument: 'cron_string'$"):
        m.Cron()
    with pytest.raises(TypeError, match=r"^Image.from_registry: missing a required argument: 'tag'$"):
        m.Image.from_registry()


def test_the_words_of_the_users_own_code_stay() -> None:
    @stub.function(serialized=True)
    def f(a: int) -> int:
        return a

    with pytest.raises(TypeError, match=r"f\(\) got an unexpected keyword argument 'b'"):
        f.local(b=1)
    with pytest.raises(TypeError, match="unsupported operand"):
        m.Image.debian_slim().pipe(lambda image: image + 1)


def test_signatures_and_words_stay_visible() -> None:
    assert list(inspect.signature(modal.App).parameters)[:2] == ["name", "tags"]
    assert "timeout" in inspect.signature(stub.serve).parameters
    assert (modal.App.deploy.__name__, modal.App.deploy.__doc__ is None) == ("deploy", False)


ATTRIBUTES: list[tuple[Callable[[], Any], tuple[type[Exception], ...], str]] = [
    (lambda: stub.webook, (KeyError, AttributeError), "did you mean 'webhook'?"),
    (lambda: stub["functoin"], (KeyError,), "did you mean 'function'?"),
    (lambda: app.functon, (AttributeError,), "did you mean 'function'?"),
    (
        lambda: app.webhook,
        (AttributeError,),
        "'webhook'; under App it is @app.function() and @modal.fastapi_endpoint() under it",
    ),
    (lambda: app.asgi, (AttributeError,), "@app.function() and @modal.asgi_app() under it"),
    (lambda: m.Ap, (AttributeError,), "module 'pilotlight' has no attribute 'Ap'; did you mean 'App'?"),
    (lambda: m.webook, (AttributeError,), "did you mean 'webhook'?"),
]


@pytest.mark.parametrize(("ask", "kinds", "said"), ATTRIBUTES)
def test_a_wrong_name_is_told_with_the_nearest(
    ask: Callable[[], Any], kinds: tuple[type[Exception], ...], said: str
) -> None:
    with pytest.raises(kinds) as raised:
        ask()
    assert all(isinstance(raised.value, kind) for kind in kinds)
    assert str(raised.value).endswith(said)


def test_scripts_show_the_users_line_and_one_suggestion(project: Project) -> None:
    project.write("call.py", "import modal\nstub = modal.Stub('x')\nstub.serve(timout=3)\n")
    shown = project.run("call.py").stderr
    assert shown.count('File "') == 1 and "call.py" in shown and "_public" not in shown
    assert shown.rstrip().endswith("did you mean 'timeout'?")
    project.write("name.py", "import modal\nmodal.Ap\n")
    shown = project.run("name.py").stderr
    assert shown.lower().count("did you mean") == 1 and "__init__" not in shown


def test_an_awaited_call_shows_no_thread(project: Project) -> None:
    project.write(
        "program.py",
        """
        import asyncio, modal
        stub = modal.Stub("x")
        async def main():
            await stub.serve.aio(timout=3)
        asyncio.run(main())
        """,
    )
    shown = project.run("program.py").stderr
    assert "Stub.serve got an unexpected keyword argument 'timout'" in shown
    assert "thread" not in shown and "_aio" not in shown
    error = project.discover("program.py")["error"]
    assert error["message"].startswith("program.py:5: Stub.serve got an unexpected keyword")


def test_what_is_under_no_main_is_told_at_the_users_line(project: Project) -> None:
    error = project.error(
        """
        import asyncio, modal
        stub = modal.Stub("x")
        async def main():
            await stub.serve.aio()
        asyncio.run(main())
        """
    )
    assert error["message"].startswith("program.py:5: stub.serve() was called while the file was")


def test_at_import_they_are_told_at_the_users_line(project: Project) -> None:
    error = project.error("import modal\nstub = modal.Stub('x')\n@stub.webook\ndef f(): ...\n")
    assert error["kind"] == "import"
    assert "the stub has nothing named 'webook'; did you mean 'webhook'?" in error["message"]
    assert error["message"].lower().count("did you mean") == 1
    error = project.error("import modal\nstub = modal.App('x', imge=1)\n")
    assert error["message"] == (
        "program.py:2: App got an unexpected keyword argument 'imge'; did you mean 'image'?"
    )


def test_nothing_of_it_is_loaded_before_a_mistake(project: Project) -> None:
    code = "import sys, modal; print({'inspect', 'difflib'} & set(sys.modules))"
    assert project.run("-S", "-c", code).stdout == "set()\n"
    assert sys.modules["modal"] is sys.modules["pilotlight"]
