"""What a decorated name, a `Stub` and an `App` are to the program that holds them."""

from __future__ import annotations

import asyncio

import modal
import pytest
from modal.exception import InvalidError, NotBuiltError

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


def test_a_handle_keeps_what_the_function_says_of_itself() -> None:
    assert isinstance(add, modal.Function)
    assert (add.__name__, add.__doc__, add.__module__) == ("add", "Adds.", __name__)
    assert add.get_raw_f() is add.__wrapped__ is add._pilotlight_raw
    assert add.web_url is None
    assert modal.functions.FunctionHandle is modal.Function


def test_direct_calls() -> None:
    assert add(1) == add.local(1) == 2
    assert asyncio.run(double.local(2)) == 4
    with pytest.raises(TypeError, match=r"use double\.local\(…\)"):
        double(2)


def test_remote_calls_are_not_built_yet() -> None:
    with pytest.raises(NotBuiltError, match=r"Function\.remote is not built yet"):
        double.remote(1)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        add.nonsense  # noqa: B018


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


def test_declared_objects_refuse_to_be_used() -> None:
    volume = modal.Volume.from_name("v", create_if_missing=True)
    with pytest.raises(NotBuiltError, match=r"Volume\.listdir is not built yet"):
        volume.listdir("/")
