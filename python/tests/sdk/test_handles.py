"""What a decorated name, a `Stub` and an `App` are to the program that holds them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import modal
import pytest
from modal.exception import (
    ConnectionError,
    DeprecationError,
    ExecutionError,
    InvalidError,
    NotBuiltError,
    NotFoundError,
)
from pilotlight._running import State

stub = modal.Stub("era")
app = modal.App("today")


@stub.webhook
def add(a: int, b: int = 1) -> int:
    """Adds."""
    return a + b


@app.function()
@modal.fastapi_endpoint()
async def double(a: int) -> int:
    return 2 * a


@app.function()
def plain(a: int) -> int:
    return a


@app.function()
def many() -> Iterator[int]:
    yield 1


@stub.generator
def yielding() -> Iterator[int]:
    yield 1


def test_a_handle_keeps_what_the_function_says_of_itself() -> None:
    assert isinstance(add, modal.Function)
    assert (add.__name__, add.__doc__, add.__module__) == ("add", "Adds.", __name__)
    assert add.get_raw_f() is add.__wrapped__ is add._pilotlight_raw
    assert add.web_url is None
    assert isinstance(add, modal.functions.FunctionHandle)
    assert issubclass(modal.functions.FunctionHandle, modal.Function)
    assert repr(add) == f"<FunctionHandle {__name__}.add>"


def test_direct_calls() -> None:
    assert add(1) == add.local(1) == 2
    assert asyncio.run(double.local(2)) == 4
    with pytest.raises(TypeError, match=r"double\.local\(…\) runs it in this process"):
        double(2)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda: plain.remote(1),
            NotBuiltError,
            r"plain\.remote\(…\) is not built yet.*plain\.local\(…\) runs it",
        ),
        (lambda: plain.call(1), NotBuiltError, r"under stub\.run\(\) and app\.run\(\) too"),
        (lambda: plain.spawn(1), NotBuiltError, r"plain\.spawn"),
        (lambda: plain.map([1]), NotBuiltError, r"plain\.map"),
        (lambda: plain.starmap([(1,)]), NotBuiltError, r"plain\.starmap"),
        (lambda: plain.for_each([1]), NotBuiltError, r"plain\.for_each"),
        (lambda: plain.spawn_map([1]), NotBuiltError, r"plain\.spawn_map"),
        (lambda: plain.remote_gen(1), InvalidError, r"plain is no generator: use remote\(…\)"),
        (lambda: double.remote(1), InvalidError, r"double is a web endpoint.*double\.local\(…\)"),
        (lambda: add.call(1), InvalidError, r"add is a web endpoint"),
        (lambda: many.remote(), InvalidError, r"many is a generator: use remote_gen\(…\)"),
        (lambda: many.map([1]), InvalidError, "cannot be mapped"),
        (lambda: many.spawn(), InvalidError, "no one result"),
        (lambda: many.remote_gen(), NotBuiltError, r"many\.remote_gen"),
        (lambda: yielding.map([1], order_outputs=True), ValueError, "order_outputs=True"),
        (lambda: yielding.map([1]), NotBuiltError, r"yielding\.map"),
        (lambda: plain.submit(1), DeprecationError, r"plain\.submit\(…\) is now plain\.spawn\(…\)"),
        (lambda: plain.enqueue(1), DeprecationError, r"is now plain\.spawn"),
        (lambda: plain.shell(), NotBuiltError, r"Function\.shell"),
        (lambda: plain.with_options(cpu=2), NotBuiltError, r"give the options to @app\.function"),
        (lambda: plain.with_concurrency(max_inputs=2), NotBuiltError, r"use @modal\.concurrent"),
        (lambda: plain.with_batching(max_batch_size=2, wait_ms=1), NotBuiltError, "with_batching"),
        (lambda: plain.update_autoscaler(min_containers=1), InvalidError, "was not looked up"),
        (lambda: plain.autoscaler.update(min_containers=1), InvalidError, "was not looked up"),
        (lambda: plain.autoscaler.settings(), NotBuiltError, "autoscaler"),
        (lambda: plain.keep_warm(1), InvalidError, "was not looked up"),
        (lambda: plain.get_current_stats(), NotBuiltError, "get_current_stats"),
        (lambda: add.nonsense, AttributeError, "no attribute 'nonsense'"),
        (lambda: modal.Function.from_id("fu-1"), NotBuiltError, r"Function\.from_name"),
        (lambda: modal.Function.from_id("x"), InvalidError, r"fu-…"),
        (lambda: modal.Function.from_name("a", "f").local(), ExecutionError, "deployed function is not here"),
        (lambda: modal.Function.from_name("a"), InvalidError, "needs the name of a function"),
        (lambda: modal.FunctionCall.from_id("fc-1").get(), NotBuiltError, r"FunctionCall\.get"),
        (lambda: modal.FunctionCall.from_id("1"), InvalidError, r"fc-…"),
        (lambda: modal.FunctionCall(), InvalidError, r"f\.spawn"),
        (lambda: modal.FunctionCall.gather(), NotBuiltError, "gather"),
        (lambda: modal.functions.gather(), NotBuiltError, "gather"),
    ],
)
def test_what_is_not_here_says_what_to_do(use: Any, error: type[BaseException], message: str) -> None:
    with pytest.raises(error, match=message):
        use()


def test_urls_are_those_of_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    assert double.get_web_url() is None
    app._begin(State("ap-1", {"double": "http://localhost:8001"}, None))
    assert (double.get_web_url(), double.web_url) == ("http://localhost:8001", "http://localhost:8001")
    with pytest.raises(InvalidError, match="answers at http://localhost:8001"):
        double.remote(1)
    app._end()
    assert double.get_web_url() is None
    monkeypatch.setenv("PILOTLIGHT_IS_REMOTE", "1")
    assert double.get_web_url() is None
    monkeypatch.setenv("PILOTLIGHT_WEB_URLS", json.dumps({"double": "http://x.pilotlight.internal:10213"}))
    assert double.get_web_url() == "http://x.pilotlight.internal:10213"
    assert plain.get_web_url() is None


def deployed_apps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str, code: int = 0) -> None:
    """Puts a command in place of `pilotlight` that gives this answer."""
    script = tmp_path / "pilotlight"
    script.write_text(f"#!{sys.executable}\nimport sys\nprint({answer!r})\nsys.exit({code})\n")
    script.chmod(0o755)
    monkeypatch.setenv("PILOTLIGHT_BINARY", str(script))


def test_a_deployed_function_has_its_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    functions = [{"name": "f", "url": "http://localhost:8002"}, {"name": "g", "url": None}, {"name": "C.f"}]
    apps = [{"name": "shop", "id": "ap-7", "state": "deployed", "version": 1, "functions": functions}]
    deployed_apps(monkeypatch, tmp_path, json.dumps(apps))
    function = modal.Function.from_name("shop", "f")
    assert function.get_web_url() == function.web_url == "http://localhost:8002"
    assert modal.Function.lookup("shop", "g").get_web_url() is None
    assert (repr(function), modal.App.lookup("shop").app_id) == ("<Function shop/f>", "ap-7")
    with pytest.raises(InvalidError, match="answers at http://localhost:8002"):
        function.remote()
    with pytest.raises(NotBuiltError, match=r"g\.remote"):
        modal.Function.from_name("shop", "g").remote()
    assert repr(modal.Cls.lookup("shop", "C")) == "<Cls C>"
    assert modal.Cls.lookup("shop", "C")().f.get_web_url() is None
    with pytest.raises(NotFoundError, match=r"has no function 'C\.g'"):
        _ = modal.Cls.from_name("shop", "C").g.web_url
    with pytest.raises(NotFoundError, match="the app 'shop' has no class 'D'"):
        modal.Cls.lookup("shop", "D")
    with pytest.raises(NotFoundError, match="the app 'shop' has no function 'h'"):
        modal.Function.lookup("shop", "h")
    with pytest.raises(
        NotFoundError, match="no app 'shoe' is deployed: `pilotlight deploy FILE --name shoe`"
    ):
        modal.Function.lookup("shoe", "f")
    with pytest.raises(NotFoundError, match="no app 'shoe'"):
        modal.App.lookup("shoe")
    with pytest.raises(NotBuiltError, match="create_if_missing"):
        modal.App.lookup("shoe", create_if_missing=True)


def test_without_a_server_nothing_can_be_looked_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deployed_apps(monkeypatch, tmp_path, "", code=1)
    with pytest.raises(ConnectionError, match="'shop' cannot be looked up"):
        modal.Function.lookup("shop", "f")


def test_declared_objects_refuse_to_be_used() -> None:
    volume = modal.Volume.from_name("v", create_if_missing=True)
    with pytest.raises(NotBuiltError, match=r"Volume\.listdir is not built yet"):
        volume.listdir("/")
