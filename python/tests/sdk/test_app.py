"""What `Stub` and `App` hold, how they run, and where they may not."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import modal
import pytest
from modal.exception import InvalidError, NotBuiltError
from pilotlight import _launch, config
from sdk_project import Project

stub = modal.Stub("era")
app = modal.App("today")


@stub.webhook
def add(a: int, b: int = 1) -> int:
    return a + b


@app.function()
@modal.fastapi_endpoint()
def double(a: int) -> int:
    return 2 * a


def plain(a: int) -> int:
    return a


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is handed to the command, which is not there."""
    calls: list[Any] = []

    @contextlib.contextmanager
    def run(app: Any) -> Iterator[dict[str, Any]]:
        calls.append(("run", app))
        name = "add" if app is stub else "double"
        yield {"app": {"id": "ap-1", "name": app.name, "version": 1}, "urls": {name: "http://localhost:8001"}}
        calls.append(("end", app))

    def deploy(app: Any, name: str) -> dict[str, Any]:
        calls.append(("deploy", app, name))
        urls = {"add": "http://localhost:8002", "double": "http://localhost:8003"}
        return {"app": {"id": "ap-2", "name": name, "version": 1}, "urls": urls}

    monkeypatch.setattr(_launch, "run", run)
    monkeypatch.setattr(_launch, "deploy", deploy)
    monkeypatch.setattr(_launch, "serve", lambda app, timeout: calls.append(("serve", app, timeout)))
    return calls


def test_a_stub_holds_objects() -> None:
    image = modal.Image.debian_slim()
    other = modal.Stub("x", thing=1, image=image)
    other.second = 2
    other["third"] = 3
    assert (other.thing, other["second"], other.third, other.image) == (1, 2, 3, image)
    with pytest.raises(KeyError):
        other.nothing  # noqa: B018
    assert not hasattr(other, "nothing")
    assert stub.add is add and stub["add"] is add
    assert stub.registered_web_endpoints == ["add"]
    assert (other.name, stub.is_inside()) == ("x", False)


def test_a_stubs_image_may_come_later() -> None:
    other = modal.Stub()
    other.image = modal.Image.debian_slim()
    assert other._settings.image is other.image
    with pytest.raises(InvalidError, match=r"expected modal\.Image"):
        other.image = "debian"


def test_deploying_needs_a_good_name() -> None:
    with pytest.raises(InvalidError, match=r'stub\.deploy\("my-app"\), or modal\.Stub\("my-app"\)'):
        modal.Stub().deploy()
    with pytest.raises(InvalidError, match="'a b' cannot be the name of an app"):
        modal.App().deploy(name="a b")


@pytest.mark.parametrize("name", ["x" * 65, "", "a/b", "ä", 3])
def test_names_of_apps(name: str) -> None:
    with pytest.raises(InvalidError, match="1 to 64 letters"):
        modal.App(name)


def test_registered_functions_read_as_in_each_year() -> None:
    other = modal.Stub()
    other.webhook(add.get_raw_f())
    assert other.registered_functions == ["add"]
    assert (other.registered_functions[0], list(other.registered_functions)) == ("add", ["add"])
    assert other.registered_functions["add"] is other.add
    assert other.registered_functions == {"add": other.add} and other.registered_functions != ["x"]
    assert app.registered_functions == {"double": double}


def test_local_entrypoints_are_plain_functions_that_are_found() -> None:
    other, today = modal.Stub(), modal.App()

    @other.local_entrypoint
    def bare(a: int) -> int:
        return a + 1

    @other.local_entrypoint(name="named")
    def called() -> str:
        return "x"

    @today.local_entrypoint()
    def main() -> str:
        return "main"

    assert (bare(1), called(), main()) == (2, "x", "main")
    assert set(other.registered_entrypoints) == {bare.__qualname__, "named"}
    assert today.registered_entrypoints == {main.__qualname__: main}
    assert isinstance(main, modal.app.LocalEntrypoint) and main.raw_f is main.__wrapped__
    with pytest.raises(InvalidError, match="two local entrypoints named 'named'"):
        other.local_entrypoint(name="named")(lambda: None)
    with pytest.raises(InvalidError, match="make two functions"):
        today.local_entrypoint()(double)
    with pytest.raises(InvalidError, match="is for functions, not 3"):
        today.local_entrypoint()(3)


def test_running_gives_what_each_era_gave(launched: list[Any]) -> None:
    with stub.run(show_progress=False) as running:
        assert running.add is running["add"] is add
        assert (running.app_id, stub.app_id, stub.app.app_id) == ("ap-1", "ap-1", "ap-1")
        assert add.web_url == "http://localhost:8001"
        with pytest.raises(InvalidError, match=r"log_url is not built yet.*: the log is on the terminal"):
            running.log_url()
        with pytest.raises(KeyError):
            running.nothing  # noqa: B018
    assert (stub.app, add.web_url) == (None, None)
    with app.run() as running_app:
        assert running_app is app and app.app_id == "ap-1"
        assert double.get_web_url() == "http://localhost:8001"
        app.stop()
        assert launched[-1] == ("end", app)
    assert launched == [("run", stub), ("end", stub), ("run", app), ("end", app)]

    async def both() -> list[str | None]:
        async with app.run():
            first = double.get_web_url()
        async with app.run.aio():
            return [first, await double.get_web_url.aio()]

    assert asyncio.run(both()) == ["http://localhost:8001"] * 2
    with pytest.raises(NotBuiltError, match=r"plain\.remote"):
        asyncio.run(app.function()(plain).remote.aio(1))


def test_an_app_ends_when_its_block_fails(launched: list[Any]) -> None:
    with pytest.raises(ZeroDivisionError), stub.run() as running:
        running.stop()
        _ = 1 / 0
    assert launched == [("run", stub), ("end", stub)]
    assert stub.app is None


def test_deploying_gives_urls(launched: list[Any]) -> None:
    deployed = stub.deploy("shop", show_progress=False)
    assert (deployed.add.web_url, launched[-1]) == ("http://localhost:8002", ("deploy", stub, "shop"))
    with pytest.raises(InvalidError, match="pilotlight app stop NAME"):
        deployed.stop()
    assert app.deploy(name="other") is app and app.app_id
    assert double.get_web_url() == "http://localhost:8003"
    assert app.deploy() is app and launched[-1] == ("deploy", app, "today")
    app._end()
    stub._end()


def test_serving_hands_over(launched: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    stub.serve(timeout=3)
    stub.serve(None, None, True, 4)
    stub.run_forever()
    monkeypatch.setenv("MODAL_SERVE_TIMEOUT", "2.5")
    app.serve()
    assert launched == [("serve", stub, 3), ("serve", stub, 4), ("serve", stub, None), ("serve", app, 2.5)]


@pytest.mark.parametrize("verb", ["serve", "deploy"])
def test_nesting_is_explained(launched: list[Any], verb: str) -> None:
    with stub.run():
        with pytest.raises(
            InvalidError, match=rf"stub\.{verb}\(\) was called inside `with stub\.run\(\):`.*ap-1"
        ):
            getattr(stub, verb)()


def test_an_app_runs_once(launched: list[Any]) -> None:
    with app.run():
        with pytest.raises(InvalidError, match=r"app\.run\(\): the app runs already \(ap-1\)"), app.run():
            pass


@pytest.mark.parametrize("verb", ["run", "serve", "deploy"])
@pytest.mark.parametrize("era", [stub, app])
@pytest.mark.parametrize("place", ["container", "import"])
def test_containers_and_imports_do_not_start_apps(
    verb: str, era: Any, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "container":
        monkeypatch.setenv("MODAL_IS_REMOTE", "1")
    else:
        monkeypatch.setattr(config, "discovering", True)
    where = "in a container" if place == "container" else "being imported"
    with pytest.raises(InvalidError, match=rf"{verb}\(\) was called.*{where}") as caught:
        with contextlib.ExitStack() as stack:
            found = getattr(era, verb)()
            stack.enter_context(found)
    assert 'if __name__ == "__main__":' in str(caught.value)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: modal.App(tags={"a b": "c"}), InvalidError, "'a b' cannot be part of a tag"),
        (lambda: modal.App(tags=["a"]), InvalidError, "tags= takes a dict"),
        (lambda: modal.App("ap-" + "a" * 22), InvalidError, "looks like the id of an app"),
        (lambda: modal.App(image="debian"), InvalidError, r"App: expected modal\.Image"),
        (lambda: modal.App(secrets=["s"]), InvalidError, r"App: expected modal\.Secret"),
        (lambda: modal.App(volumes={"v": 1}), InvalidError, "canonical, absolute path"),
        (lambda: modal.App("x", "y"), TypeError, "positional"),
        (lambda: modal.App(mounts=[]), TypeError, "mounts"),
        (lambda: modal.Stub(3), InvalidError, "Stub: the name must be a string, not 3"),
        (lambda: app.deploy(tag="x" * 51), InvalidError, "at most 50"),
        (lambda: app.deploy(tag="v1"), NotBuiltError, r"app\.deploy\(tag=…\)"),
        (lambda: app.deploy(strategy="slow"), InvalidError, '"rolling" or "recreate"'),
        (lambda: app.deploy(strategy="recreate"), NotBuiltError, "recreate"),
        (lambda: app.run(detach=True), NotBuiltError, r"app\.run\(detach=…\)"),
        (lambda: stub.run(detach=True), NotBuiltError, r"stub\.run\(detach=True\)"),
        (lambda: app.stop(), InvalidError, "does not run here"),
        (lambda: app.set_tags({"a": "b"}), NotBuiltError, r"App\.set_tags"),
        (lambda: app.get_tags(), NotBuiltError, r"App\.get_tags"),
        (lambda: app.logs, NotBuiltError, r"App\.logs"),
        (lambda: app.info, NotBuiltError, r"App\.info"),
        (lambda: app.server(), NotBuiltError, r"@app\.server"),
        (lambda: app.nonsense, AttributeError, "nonsense"),
        (lambda: stub.interactive_shell(), NotBuiltError, r"stub\.interactive_shell"),
        (lambda: app.include(stub), InvalidError, "takes another App"),
        (lambda: app.include(app), InvalidError, "takes another App"),
        (
            lambda: modal.App().deploy(),
            InvalidError,
            r'app\.deploy\(name="my-app"\), or modal\.App\("my-app"\)',
        ),
    ],
)
def test_what_cannot_be_says_what_to_do(use: Any, error: type[BaseException], message: str) -> None:
    with pytest.raises(error, match=message):
        use()


def test_included_apps_keep_their_own_image_and_secrets(project: Project) -> None:
    project.write(
        "shop.py",
        """
        import modal
        app = modal.App("shop", image=modal.Image.debian_slim().env({"A": "1"}),
                        secrets=[modal.Secret.from_dict({"TOKEN": "t"})])

        @app.function()
        @modal.fastapi_endpoint()
        def cart(): ...

        @app.cls()
        class Till:
            @modal.fastapi_endpoint()
            def pay(self): ...
        """,
    )
    found = project.manifest(
        """
        import modal
        import shop
        app = modal.App("main", tags={"team": "web"}).include(shop.app)

        @app.function()
        @modal.fastapi_endpoint()
        def home(): ...
        """
    )
    assert [(one["name"], one["module"], one["env"]) for one in found["functions"]] == [
        ("cart", "shop", {"TOKEN": "t"}),
        ("Till.pay", "shop", {"TOKEN": "t"}),
        ("home", "program", {}),
    ]
    assert [len(found["images"][one["image"]]["steps"]) for one in found["functions"]] == [1, 1, 0]
    assert found["notices"] == ["App(tags=…) is accepted but not built yet, and has no effect"]


def test_is_inside_compares_declarations(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = modal.Image.debian_slim().pip_install("a"), modal.Image.debian_slim().pip_install("b")
    held = modal.Stub(image=mine, extra=other)
    assert not held.is_inside(mine) and not held.is_inside()
    with pytest.raises(InvalidError, match="this image is not on the stub"):
        held.is_inside(modal.Image.debian_slim())
    monkeypatch.setenv("PILOTLIGHT_IS_REMOTE", "1")
    monkeypatch.setenv(
        "PILOTLIGHT_CONTEXT", json.dumps({"app": None, "function": "f", "image": mine._identity()})
    )
    again = modal.Stub(image=modal.Image.debian_slim().pip_install("a"), extra=other)
    assert again.is_inside() and again.is_inside(again.image) and not again.is_inside(other)


def test_container_app_gives_the_objects_of_its_app(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidError, match="inside containers only"):
        modal.container_app.f  # noqa: B018
    monkeypatch.setenv("PILOTLIGHT_IS_REMOTE", "1")
    monkeypatch.setenv("PILOTLIGHT_CONTEXT", json.dumps({"app": "mine", "function": "g", "image": "x"}))
    monkeypatch.setattr("pilotlight._context.declared", [])
    with pytest.raises(InvalidError, match="does not exist yet"):
        modal.container_app["f"]
    mine, other = modal.Stub("mine", table=modal.Dict()), modal.Stub("other")
    handles = [one.function(name="g")(add.get_raw_f()) for one in (mine, other)]
    assert modal.container_app.g is modal.container_app["g"] is handles[0]
    with pytest.raises(NotBuiltError, match=r"Dict\.get"):
        modal.container_app.table.get("x")
    with pytest.raises(KeyError):
        modal.container_app.nothing  # noqa: B018
