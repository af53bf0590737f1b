"""`%load_ext modal.extensions.ipython`: the line command `%modal from APP import FUNCTION` of notebooks."""

from __future__ import annotations

from typing import Any

from .._lookup import lookup
from .._public import public
from ..exception import InvalidError

__all__ = ["load_ipython_extension"]

_USAGE = "write `%modal from my-app import my_function`"


@public
def load_ipython_extension(ipython: Any) -> None:
    """Registers the line command; IPython calls it."""

    def modal(line: str) -> None:
        _import(ipython, line)

    ipython.register_magic_function(modal, "line", "modal")


def _import(ipython: Any, line: str) -> None:
    """`from APP import f, g`: puts deployed functions into the notebook, else raises `NotFoundError`."""
    words = line.replace(",", " ").split()
    if len(words) < 4 or words[0] != "from" or words[2] != "import":
        raise InvalidError(f"%modal {line}: {_USAGE}")
    ipython.push({name: lookup(words[1], name) for name in words[3:]})
