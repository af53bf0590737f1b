"""Everything public tells a wrong keyword by its public name, as `pilotlight._public` does."""

from __future__ import annotations

import inspect
from typing import Any

import pilotlight
import pytest
from pilotlight import _aio

from .surface import GIVEN, surface
from .test_complete import find

#: What has no class of ours to stand before it: a tuple, an enumeration, exceptions.
PLAIN = (BaseException, tuple, int)


def takes_no_such(value: Any) -> bool:
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return False
    return all(one.kind is not one.VAR_KEYWORD for one in parameters)


CALLED = [
    path
    for path in surface()
    if path not in GIVEN
    and callable(value := find(path))
    and takes_no_such(value)
    and not (inspect.isclass(value) and (issubclass(value, PLAIN) or value.__init__ is object.__init__))
]


@pytest.mark.parametrize("path", CALLED)
def test_a_wrong_keyword_names_what_was_called(path: str) -> None:
    value = find(path)
    last = path.rpartition(".")[2].replace("S3Mount", "CloudBucketMount")
    owner = find(path.rpartition(".")[0]) if "." in path else pilotlight
    # A method is called of its class, with something in the place of the object.
    given = (object(),) if isinstance(inspect.getattr_static(owner, last, None), _aio.Method) else ()
    given = (object(),) if inspect.isclass(owner) and inspect.isfunction(value) else given
    with pytest.raises(TypeError) as raised:
        value(*given, no_such_keyword=1)
    said = str(raised.value)
    assert "got an unexpected keyword argument 'no_such_keyword'; " in said
    assert last in said.partition(" got ")[0]
