"""What names a program: a file or a module, and a variable in it. Looks whether files and modules exist.

    FILE  FILE::NAME  FILE:NAME (Modal 2022)  -m PKG.MOD  -m PKG.MOD::NAME  PKG.MOD (until Modal 1.4)

NAME is the variable of the App or Stub, or `NAME.FUNCTION`.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from . import _import

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


class Reference(NamedTuple):
    """A program, and what is meant in it."""

    file: str | None
    """The path, or None for a module."""
    module: str | None
    """The dotted name, or None for a file."""
    variable: str | None
    """The variable of the App or Stub, or None when it is to be found."""
    function: str | None
    """The function of that App or Stub, or None."""
    notice: str | None
    """What to tell the user about how they wrote it."""

    def shown(self) -> str:
        """The program as the user would name it again."""
        return self.file if self.file is not None else f"-m {self.module}"


def parse(program: str | None, module: str | None, name: str | None) -> Reference:
    """Takes a reference apart; `name` was given by itself and goes before one that the reference holds."""
    if module is not None:
        place, named = _split(module)
        return _reference(None, place, name or named, None)
    place, named = _split(str(program))
    if not os.path.exists(place) and _MODULE.fullmatch(place) and not place.endswith(".py"):
        found = _import.find_spec(place, [os.getcwd()]) is not None
        if found:
            notice = f"{place} is no file, and taken as a module: that is written `-m {place}` today"
            return _reference(None, place, name or named, notice)
    return _reference(place, None, name or named, None)


def _reference(file: str | None, module: str | None, name: str | None, notice: str | None) -> Reference:
    variable, _, function = (name or "").partition(".")
    return Reference(file, module, variable or None, function or None, notice)


def _split(text: str) -> tuple[str, str | None]:
    """The place and the name in it. A file whose own name has a colon is meant before anything else."""
    if os.path.exists(text):
        return text, None
    for separator in ("::", ":"):
        place, found, name = text.rpartition(separator)
        if found and place and (not name or _NAME.fullmatch(name)):
            return place, name or None
    return text, None
