"""Objects that are declared and not built yet, and the names around them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import modal
import modal.aio
import modal.runner
import pytest
from pilotlight import _deployed
from pilotlight.exception import InvalidError, NotBuiltError, NotFoundError
from sdk_project import Project

KINDS = ["Dict", "Queue", "Volume", "SharedVolume", "NetworkFileSystem"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_to_declare_one(kind: str) -> None:
    cls = getattr(modal, kind)
    made = [
        cls(),
        cls().persist("x"),
        cls.persisted("x"),
        cls.new(),
        cls.from_name("x", create_if_missing=True, environment_name="main"),
        cls.from_name("app", "tag"),
        cls.from_name(app_name="x"),
        cls.lookup("x", create_if_missing=True),
    ]
    assert [type(one) for one in made] == [cls] * len(made)
    assert repr(made[1]) == f"<{kind}.persist('x')>"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_there_is_not_found(kind: str) -> None:
    cls = getattr(modal, kind)
    for find in (cls.lookup, cls.from_app, cls.from_id):
        with pytest.raises(NotFoundError, match=f"no {kind} .* 'x'"):
            find("x")
        with pytest.raises(NotFoundError):
            asyncio.run(find.aio("x"))
    for bad in ("a b", "", "x" * 65, 3):
        with pytest.raises(InvalidError, match="cannot be the name"):
            cls.from_name(bad)
    with pytest.raises(InvalidError, match="needs a name"):
        cls.from_name()


def methods(kind: str) -> list[str]:
    known = (
        "from_name lookup from_app from_id persisted new persist object_id objects read_only "
        "with_mount_options"
    )
    cls = getattr(modal, kind)
    return [name for name in dir(cls) if not name.startswith("_") and name not in known.split()]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in methods(kind)])
def test_using_one_names_itself_and_checks_its_arguments(kind: str, name: str) -> None:
    method = getattr(getattr(modal, kind).from_name("x"), name)
    parameters = inspect.signature(method).parameters.values()
    arguments = [
        "x"
        for one in parameters
        if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    for call in (method, method.aio):
        with pytest.raises(NotBuiltError, match=rf"^\w+\.{name} is not built yet"):
            call(*arguments)
        with pytest.raises(TypeError):
            call(*arguments, nonsense=1) if name != "update" else call(1, 2, 3)


@pytest.mark.parametrize(
    "use",
    [
        lambda d: d["a"],
        lambda d: d.__setitem__("a", 1),
        lambda d: d.__delitem__("a"),
        lambda d: "a" in d,
        lambda d: list(d),
        lambda d: type(d).objects.create("x"),
        lambda d: modal.Volume.objects.delete("x"),
        lambda d: modal.Sandbox.create("true"),
        lambda d: modal.ref("x").get(),
        lambda d: modal.runner.interactive_shell(d),
        lambda d: modal.billing.workspace_billing_report(start=1),
        lambda d: modal.experimental.stop_fetching_inputs(),
        lambda d: modal.Client.from_env().hello(),
        lambda d: modal.sessioned(),
    ],
)
def test_other_uses_are_refused_too(use: Callable[[Any], Any]) -> None:
    with pytest.raises(NotBuiltError):
        use(modal.Dict.from_name("x"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: modal.Dict(3), "takes a dict"),  # pyright: ignore[reportArgumentType]
        (lambda: modal.Volume.from_name("x", version=3), "version must be 1 or 2"),
        (lambda: modal.Volume.from_name("x").with_mount_options(sub_path="a/../.."), "leaves the volume"),
        (lambda: modal.CloudBucketMount(""), "needs the name of a bucket"),
        (lambda: modal.CloudBucketMount("b", key_prefix="a"), "ends with '/'"),
        (lambda: modal.CloudBucketMount("b", requester_pays=True), "needs the requester's secret="),
        (lambda: modal.CloudBucketMount("b", secret="s"), "expected a modal.Secret"),  # pyright: ignore[reportArgumentType]
        (lambda: modal.Proxy.from_name("a b"), "cannot be the name"),
        (lambda: modal.clustered(0), "size must be"),
        (lambda: modal.forward(0), "port must be"),
        (lambda: modal.forward(1, h2_enabled=True, unencrypted=True), "goes over TLS"),
        (lambda: modal.forward(8000), "inside a function"),
        (modal.interact, "in a container"),
    ],
)
def test_arguments_that_cannot_be(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(InvalidError, match=said) as error:
        make()
    assert not isinstance(error.value, NotBuiltError)


def test_a_program_that_declares_them_serves_and_is_told_once_of_each(project: Project) -> None:
    manifest = project.manifest(
        """
        import modal

        d = modal.Dict.from_name("x", create_if_missing=True)
        again = modal.Dict.from_name("x", create_if_missing=True)
        stub = modal.Stub(q=modal.Queue())
        stub.volume = modal.SharedVolume().persist("v")
        proxy = modal.Proxy.from_name("p")
        volumes = {"/data": modal.Volume.from_name("v").read_only(), "/s3": modal.S3Mount("b")}

        @stub.function(volumes=volumes, gpu=modal.gpu.T4(), secret=modal.ref("s"))
        @modal.clustered(size=2)
        @modal.web_endpoint()
        def f(): ...
        """
    )
    used = " is accepted but not built yet: using it raises modal.exception.NotBuiltError"
    no_effect = " is accepted but not built yet, and has no effect"
    assert manifest["notices"] == [
        f"Dict.from_name('x'){used}",
        f"Queue(){used}",
        f"SharedVolume.persist('v'){used}",
        f"Proxy.from_name('p'){used}",
        f"Volume.from_name('v').read_only(){used}",
        f"CloudBucketMount('b'){used}",
        f"f: volumes={no_effect}",
        f"f: gpu={no_effect}",
        f"f: @modal.clustered{no_effect}",
        "f: Secret.from_name('s') is accepted but not built yet: its variables are not set (use "
        "Secret.from_dotenv() or Secret.from_local_environ([…]))",
    ]
    assert manifest["functions"][0]["env"] == {}


@pytest.mark.parametrize("value", ["v", None, {}, 3])
def test_volumes_hold_volumes(value: object) -> None:
    with pytest.raises(InvalidError, match=r"expected a modal\.Volume for '/data'"):
        modal.App(volumes={"/data": value})


def test_lookup_and_ref_find_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    app = {"name": "a", "state": "deployed", "functions": [{"name": "f", "url": "http://f.localhost"}]}
    monkeypatch.setattr(_deployed, "find", lambda name: app if name == "a" else None)
    assert modal.lookup("a", "f").get_web_url() == "http://f.localhost"
    assert modal.ref("a", "f").get_web_url() == "http://f.localhost"
    assert asyncio.run(modal.aio.aio_lookup("a", "f")).get_web_url() == "http://f.localhost"
    for arguments, said in [
        (("a",), r"lookup\('a', 'f'\)"),
        (("a", "g"), "no function 'g'"),
        (("b",), "'b'"),
    ]:
        with pytest.raises(NotFoundError, match=said):
            modal.lookup(*arguments)
    with pytest.raises(InvalidError, match="cannot be the name"):
        modal.lookup("a b")


def test_aio_classes_await_by_plain_names() -> None:
    stub = modal.aio.AioStub("x")
    assert isinstance(stub, modal.Stub) and stub.name == "x"
    served = stub.serve()
    assert inspect.iscoroutine(served)
    served.close()
    with pytest.raises(NotBuiltError, match=r"^Dict\.get "):
        modal.aio.AioDict().get("x")


def test_runner_hands_over_to_the_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(modal.Stub, "_deploy", lambda self, name: seen.append(name))
    monkeypatch.setattr(modal.App, "_deploy", lambda self, name: seen.append(name))
    stub, app = modal.Stub("s"), modal.App("a")
    modal.runner.deploy_stub(stub, "n")
    assert modal.runner.deploy_app(app, name="m") is app
    assert seen == ["n", "m"]
    assert type(modal.runner.run_stub(stub)) is type(modal.runner.run_app(app)) is type(stub.run())


def test_what_is_only_known_in_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert modal.current_input_id() is modal.current_function_call_id() is None
    with modal.enable_output():
        pass
    monkeypatch.setenv("PILOTLIGHT_IS_REMOTE", "1")
    for call in (
        modal.current_input_id,
        modal.current_function_call_id,
        modal.interact,
        lambda: modal.forward(8000),
    ):
        with pytest.raises(NotBuiltError):
            call()


@pytest.mark.parametrize(
    ("make", "same"),
    [
        (lambda: modal.DebianSlim("3.11"), lambda: modal.Image.debian_slim("3.11")),
        (lambda: modal.DockerhubImage("python:3.11"), lambda: modal.Image.from_dockerhub("python:3.11")),
        (lambda: modal.Conda(), lambda: modal.Image.conda()),
    ],
)
def test_images_of_2022_are_those_of_today(make: Callable[[], Any], same: Callable[[], Any]) -> None:
    assert make()._manifest() == same()._manifest()


def test_ipython_extension_brings_in_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    import modal.extensions.ipython

    class IPython:
        def register_magic_function(self, function: Callable[[str], None], kind: str, name: str) -> None:
            self.line, self.name = function, name

        def push(self, variables: dict[str, Any]) -> None:
            self.variables = variables

    monkeypatch.setattr(modal.Function, "lookup", lambda app, tag: (app, tag))
    ipython = IPython()
    modal.extensions.ipython.load_ipython_extension(ipython)
    ipython.line("from a import f, g")
    assert (ipython.name, ipython.variables) == ("modal", {"f": ("a", "f"), "g": ("a", "g")})
    with pytest.raises(InvalidError, match="write `%modal"):
        ipython.line("import f")
