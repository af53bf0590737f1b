"""Classes with `@app.cls()` and `@stub.cls()`, and the methods 2022 decorated one by one."""

from __future__ import annotations

import inspect
from typing import Any

import modal
import pytest
from modal.exception import (
    DeprecationError,
    ExecutionError,
    InvalidError,
    LocalFunctionError,
    NotBuiltError,
)
from sdk_project import Project

app = modal.App("classes")


@app.cls()
class Counter:
    """Counts."""

    start: int = modal.parameter(default=5)
    name: str = modal.parameter(default="n")

    @modal.enter(snap=False)
    def begin(self) -> None:
        self.value = self.start

    @modal.method()
    def add(self, by: int) -> int:
        self.value += by
        return self.value

    @modal.fastapi_endpoint(method="POST", label="counts")
    def web(self, by: int = 1) -> str:
        return f"{self.name} {self.add(by)}"

    @modal.exit()
    def end(self) -> None:
        self.value = -1

    def plain(self) -> int:
        return self.value


def test_methods_run_here_after_the_enter_hooks() -> None:
    assert (Counter.__name__, Counter.__doc__) == ("Counter", "Counts.")
    counter: Any = Counter(start=7)
    assert counter.add.local(2) == 9
    assert counter.web.local(by=1) == "n 10"
    assert counter.plain() == 10
    assert Counter().add.local(1) == 6


def test_an_instance_is_made_when_it_is_needed() -> None:
    counter: Any = Counter()
    assert counter.web.get_web_url() is None
    assert counter._instance is None


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda: Counter().add.remote(1),
            NotBuiltError,
            r"Counter\.add\.remote\(…\) is not built yet.*: \.local",
        ),
        (lambda: Counter().web.remote(1), InvalidError, r"Counter\.web is a web endpoint"),
        (lambda: Counter.add, InvalidError, r"called on an instance: Counter\(\)\.add"),
        (lambda: Counter(stop=1), InvalidError, r"no such parameter \(its own: start, name\)"),
        (lambda: Counter(1), InvalidError, "given by name"),
        (lambda: Counter.remote(), NotBuiltError, r"Counter\.remote"),
        (lambda: Counter.with_options(cpu=1), NotBuiltError, r"Counter\.with_options"),
        (lambda: modal.Cls.from_name("a", "C")().f.local(), ExecutionError, "is not here"),
        (lambda: Counter().update_autoscaler(min_containers=1), InvalidError, "was not looked up"),
        (lambda: Counter().keep_warm(1), InvalidError, r"Cls\.from_name\(APP, 'Counter'\)\(\)\.update"),
        (lambda: modal.Cls.from_name("", "C"), InvalidError, "needs the name of an app"),
    ],
)
def test_other_uses_say_what_to_do(use: Any, error: type[BaseException], message: str) -> None:
    with pytest.raises(error, match=message):
        use()


def test_the_runner_finds_hooks_methods_and_defaults_in_the_users_class() -> None:
    raw: Any = Counter._pilotlight_raw
    hooks = {
        name: one._pilotlight_hook for name, one in vars(raw).items() if hasattr(one, "_pilotlight_hook")
    }
    assert hooks == {"begin": "enter", "add": None, "web": None, "end": "exit"}
    instance = raw()
    assert (instance.start, instance.name) == (5, "n")
    vars(raw)["begin"]._pilotlight_raw(instance)
    bound = instance.web._pilotlight_raw
    assert bound(by=2) == "n 7"
    assert list(inspect.signature(bound).parameters) == ["by"]


def test_web_methods_are_functions_of_the_manifest(project: Project) -> None:
    found = project.manifest(
        """
        import modal
        app = modal.App("x")

        @app.cls(min_containers=1, retries=None, cpu=2, gpu="t4")
        @modal.concurrent(max_inputs=7)
        class Server:
            size: int = modal.parameter(default=3)

            @modal.enter()
            def begin(self): ...

            @modal.fastapi_endpoint(docs=True)
            def hello(self): ...

            @modal.asgi_app(custom_domains=["a.example.com"])
            def whole(self): ...

            @modal.method()
            def other(self): ...
        """
    )
    first, second = found["functions"]
    assert (first["name"], first["qualname"], first["cls"]) == ("Server.hello", "Server.hello", "Server")
    assert first["web"] == {"kind": "endpoint", "method": "GET", "docs": True, "cors": True}
    assert (second["web"], second["custom_domains"]) == ({"kind": "asgi"}, ["a.example.com"])
    for function in (first, second):
        assert (function["min_containers"], function["max_inputs"], function["cpu"]) == (1, 7, 2.0)
    assert found["notices"] == [
        "Server.other: is a method, not a web endpoint; calling methods is not built yet",
        "Server: modal.parameter() in the query of a URL is accepted but not built yet: web endpoints "
        "have the "
        "defaults",
        "Server.hello: gpu= is accepted but not built yet, and has no effect",
        "Server.whole: gpu= is accepted but not built yet, and has no effect",
    ]


def test_hooks_and_methods_of_a_base_class_count(project: Project) -> None:
    found = project.manifest(
        """
        import modal
        app = modal.App("x")

        class Base:
            @modal.enter()
            def begin(self): ...

            @modal.fastapi_endpoint()
            def hello(self): ...

        @app.cls()
        class Server(Base): ...
        """
    )
    assert [(one["name"], one["qualname"]) for one in found["functions"]] == [
        ("Server.hello", "Server.hello")
    ]
    assert found["notices"] == []


@pytest.mark.parametrize("decorator", ["@stub.webhook", "@stub.function()\n    @modal.web_endpoint()"])
def test_methods_of_2022_are_endpoints_of_their_own(project: Project, decorator: str) -> None:
    found = project.manifest(
        f"""
import modal
stub = modal.Stub("x")

class Model:
    def __enter__(self): ...

    {decorator}
    def predict(self, x: int): ...
"""
    )
    (function,) = found["functions"]
    assert (function["name"], function["qualname"], function["cls"]) == (
        "Model.predict",
        "Model.predict",
        "Model",
    )
    assert function["web"]["kind"] == "endpoint"


def test_a_method_of_2022_runs_here() -> None:
    names: dict[str, Any] = {"__name__": "program", "modal": modal}
    exec(
        "stub = modal.Stub()\nclass Model:\n    size = 3\n    @stub.webhook\n    def web(self, x): "
        "return x * self.size",
        names,
    )
    model = names["Model"]()
    assert model.web(2) == model.web.local(2) == model.web._pilotlight_raw(2) == 6
    with pytest.raises(InvalidError, match=r"Model\.web\.call\(…\): Model\.web is a web endpoint"):
        model.web.call(2)


def in_class(era: str, body: str, decorator: str = "") -> str:
    kind = "App('x')" if era == "app" else "Stub()"
    return f"{era} = modal.{kind}\n@{era}.cls({decorator})\nclass C:\n    {body}\n"


WEB = "@modal.fastapi_endpoint()\n    def web(self): ..."


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (in_class("app", "def __init__(self): ..."), InvalidError, r"@modal\.enter\(\), and take values by"),
        (in_class("stub", f"def __init__(self, a): ...\n    {WEB}"), InvalidError, "give a a default"),
        (in_class("app", "@modal.concurrent(max_inputs=2)\n    " + WEB), InvalidError, "stands on the class"),
        (in_class("app", "@modal.build()\n    def b(self): ..."), DeprecationError, r"Image\.run_function"),
        (
            in_class("app", "@modal.enter(snap=True)\n    def e(self): ..."),
            InvalidError,
            "enable_memory_snapshot",
        ),
        (
            in_class("app", "@modal.enter()\n    def e(self, x): ..."),
            InvalidError,
            "nothing but `self`: drop x",
        ),
        (in_class("app", "@modal.exit()\n    def e(): ..."), InvalidError, "which take `self`"),
        (in_class("app", "@modal.exit()\n    def e(self, a, b, c): ..."), InvalidError, "drop the others"),
        (in_class("stub", "@modal.exit()\n    def e(self, a, b): ..."), InvalidError, "drop a, b"),
        (in_class("app", "@modal.enter()\n    def e(self): yield"), InvalidError, "not for generators"),
        (in_class("app", "@modal.enter\n    def e(self): ..."), InvalidError, r"write @modal\.enter\(\)"),
        (in_class("app", "@modal.method\n    def e(self): ..."), InvalidError, r"write @modal\.method\(\)"),
        (in_class("app", "x = modal.parameter()"), InvalidError, "has no annotation"),
        (in_class("app", "x: float = modal.parameter()"), InvalidError, "has the type float"),
        (in_class("app", "x: int = modal.parameter(default='1')"), InvalidError, "the default '1' is no int"),
        (in_class("app", "x: int = modal.parameter(init=False)"), InvalidError, "needs a default="),
        (in_class("app", f"x: int = modal.parameter()\n    {WEB}"), InvalidError, "its web endpoints need x"),
        (in_class("app", WEB, "retries=3"), InvalidError, "retries= is not for web endpoints"),
        (in_class("app", "@modal.asgi_app()\n    def a(self, x=1): ..."), InvalidError, "without parameters"),
        (in_class("app", "@modal.asgi_app()\n    async def a(self): ..."), InvalidError, "drop `async`"),
        (
            in_class("app", "@modal.web_endpoint()\n    def a(self): ..."),
            DeprecationError,
            "fastapi_endpoint",
        ),
        (
            in_class(
                "app",
                "@modal.batched(max_batch_size=2, wait_ms=1)\n    def a(self, x): ...\n"
                "    @modal.method()\n    def b(self): ...",
            ),
            InvalidError,
            r"C\.a: a class with @modal\.batched has no other method: move b elsewhere",
        ),
        ("app = modal.App()\n@app.cls()\ndef f(): ...", TypeError, r"f is none: use @app\.function\(\)"),
        ("app = modal.App()\n@app.cls()\n@app.cls()\nclass C: ...", InvalidError, "decorated already"),
        (
            "app = modal.App()\n@modal.concurrent(max_inputs=1)\n@app.cls()\nclass C: ...",
            InvalidError,
            "class",
        ),
        ("app = modal.App()\ndef f():\n    @app.cls()\n    class C: ...\nf()", LocalFunctionError, "top of"),
    ],
)
def test_misuse_raises_the_listed_error(text: str, error: type[BaseException], message: str) -> None:
    with pytest.raises(error, match=message):
        exec(text, {"__name__": "program", "modal": modal})


@pytest.mark.parametrize(
    "text",
    [
        in_class("app", "@modal.enter(snap=True)\n    def e(self): ...", "enable_memory_snapshot=True"),
        in_class("stub", f"def __init__(self, a=1): ...\n    {WEB}"),
        in_class("stub", "def __init__(self, a): ...\n    @modal.method()\n    def m(self): ..."),
        in_class("stub", "@modal.build()\n    @modal.enter()\n    def e(self): ..."),
        in_class("stub", "@modal.exit()\n    def e(self, exc_type, exc, tb): ..."),
        in_class("stub", "@modal.enter(checkpoint=True)\n    def e(self): ..."),
        in_class("app", "x: bytes = modal.parameter(init=False, default=b'')"),
        in_class("app", "y: 'torch.Tensor'\n    x: int = modal.parameter(default=1)"),
        in_class("app", "x: 'bool' = modal.parameter()\n    @modal.method()\n    def m(self): ..."),
    ],
)
def test_what_an_era_allows_is_allowed(text: str) -> None:
    exec(text, {"__name__": "program", "modal": modal})


def test_decorators_without_the_one_above_are_pointed_out(project: Project) -> None:
    found = project.manifest(
        "import modal\napp = modal.App('x')\n@modal.concurrent(max_inputs=2)\nclass A: ...\n"
        "class B:\n    @modal.enter()\n    def b(self): ..."
    )
    assert found["notices"] == [
        "A: @modal.concurrent alone declares no class: put @app.cls() above it",
        "B: @modal.enter alone declares no class: put @app.cls() above it",
    ]


def test_a_serialized_class_is_sent_once(project: Project) -> None:
    found = project.manifest(
        """
        import modal
        app = modal.App("x")

        def make():
            @app.cls(serialized=True)
            class Server:
                @modal.fastapi_endpoint()
                def a(self): ...

                @modal.fastapi_endpoint()
                def b(self): ...

        make()
        """
    )
    assert [(one["name"], one["cls"], one["pickled"]) for one in found["functions"]] == [
        ("Server.a", "Server", "Server"),
        ("Server.b", "Server", "Server"),
    ]
    assert list(found["pickles"]) == ["Server"]


@pytest.mark.parametrize(
    ("text", "snapshot"),
    [
        (in_class("app", WEB), None),
        (in_class("app", WEB, "enable_memory_snapshot=False"), False),
        (
            in_class("app", "@modal.enter(snap=True)\n    def e(self): ...", "enable_memory_snapshot=True"),
            True,
        ),
        # Under `Stub` the hook alone says yes, and the keyword says more.
        (in_class("stub", "@modal.enter(snap=True)\n    def e(self): ..."), True),
        (
            in_class(
                "stub", "@modal.enter(checkpoint=True)\n    def e(self): ...", "checkpointing_enabled=False"
            ),
            False,
        ),
        (in_class("stub", "@modal.enter()\n    def e(self): ..."), None),
    ],
)
def test_a_snapshot_is_wanted_where_the_program_says_so(text: str, snapshot: bool | None) -> None:
    era = "stub" if "modal.Stub" in text else "app"
    decorator = "fastapi_endpoint" if era == "app" else "web_endpoint"
    if WEB not in text:
        text += f"\n    @modal.{decorator}()\n    def web(self): ..."
    space: dict = {"__name__": "program", "modal": modal}
    exec(text, space)
    assert space["C"].web._spec.settings.snapshot is snapshot
