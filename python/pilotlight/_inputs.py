"""Which request a function is working on, and talking to it from a terminal. Not built yet in containers."""

from __future__ import annotations

from . import config
from ._later import not_built
from ._public import public
from .exception import InvalidError


@public
def current_input_id() -> str | None:
    """The id of the input that the caller works on: None outside of containers, where it is not built yet."""
    if not config.is_local():
        raise not_built("current_input_id")
    return None


@public
def current_function_call_id() -> str | None:
    """The id of the call that the caller works on: None outside of containers, where it is not built yet."""
    if not config.is_local():
        raise not_built("current_function_call_id")
    return None


@public
def interact() -> None:
    """Hands a container's terminal to the user: `InvalidError` outside, not built yet in containers."""
    if config.is_local():
        raise InvalidError("interact: it is for functions that run in a container with a terminal")
    raise not_built("interact")
