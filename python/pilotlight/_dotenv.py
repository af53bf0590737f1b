"""Reads `.env` files: `NAME=value` lines with quotes, escapes, `export`, comments and `${NAME}`.

The rules are those of the package python-dotenv, whose files these are: https://saurabh-kumar.com/python-dotenv/.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from .exception import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

_BLANK = re.compile(r"\s*(?:#[^\n]*(?:\n|$))?")
_NAME = re.compile(r"(?:export[^\S\n]+)?(?:'([^'\n]+)'|([^=#\s]+))[^\S\n]*")
# A value in quotes may go on over lines.
_SINGLE = re.compile(r"'((?:\\'|[^'])*)'")
_DOUBLE = re.compile(r'"((?:\\"|[^"])*)"')
_BARE = re.compile(r"[^\n]*")
_REST = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|$)")
_COMMENT = re.compile(r"\s+#.*")
_SINGLE_ESCAPE = re.compile(r"\\([\\'])")
_DOUBLE_ESCAPE = re.compile(r"\\([\\'\"abfnrtv])")
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_VARIABLE = re.compile(r"\$\{([^}:]+)(?::-([^}]*))?\}")


def parse(text: str, path: str) -> dict[str, str]:
    """The variables of a file; a name without `=` is left out. A later line wins.

    Raises `InvalidError` that names the line, and never what is in it: it may be half of a secret.
    """
    found: dict[str, str] = {}
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    place = 0
    while True:
        while (blank := _BLANK.match(text, place)) is not None and blank.end() > place:
            place = blank.end()
        if place >= len(text):
            return found
        line = text.count("\n", 0, place) + 1
        name = _NAME.match(text, place)
        if name is None:
            raise InvalidError(f"{path}:{line}: this line is not NAME=value")
        place = name.end()
        value = None
        if text[place : place + 1] == "=":
            value, place = _value(text, place + 1)
        rest = _REST.match(text, place)
        if rest is None:
            raise InvalidError(f"{path}:{line}: this line is not NAME=value: is a quote or a `=` missing?")
        place = rest.end()
        if value is not None:
            found[name.group(1) or name.group(2)] = _expanded(value, found)


def find(start: str, filename: str) -> str | None:
    """The path of `filename` in the folder `start` or the nearest one above it."""
    folder = os.path.abspath(start)
    while True:
        path = os.path.join(folder, filename)
        if os.path.isfile(path):
            return path
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _value(text: str, place: int) -> tuple[str, int]:
    while text[place : place + 1] in (" ", "\t"):
        place += 1
    quote = text[place : place + 1]
    if quote == "'":
        quoted = _SINGLE.match(text, place)
        if quoted:
            return _SINGLE_ESCAPE.sub(r"\1", quoted.group(1)), quoted.end()
    elif quote == '"':
        quoted = _DOUBLE.match(text, place)
        if quoted:
            return _DOUBLE_ESCAPE.sub(_unescaped, quoted.group(1)), quoted.end()
    bare = _BARE.match(text, place)
    assert bare is not None
    if quote in ("'", '"') and quote:
        # A quote that is never closed: left for the caller to refuse.
        return "", place
    # A `#` that begins the value, or follows white space, begins a comment.
    return _COMMENT.sub("", " " + bare.group()).strip(), bare.end()


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPED.get(found.group(1), found.group(1))


def _expanded(value: str, found: Mapping[str, str]) -> str:
    def look_up(reference: re.Match[str]) -> str:
        name, otherwise = reference.groups()
        # The file's own value wins over this machine's, as in a shell that reads the file.
        return found.get(name, os.environ.get(name, otherwise or ""))

    return _VARIABLE.sub(look_up, value)
