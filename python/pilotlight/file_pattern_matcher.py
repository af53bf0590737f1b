"""`FilePatternMatcher`: which files of a folder are meant, in the words of a `.dockerignore` file.

Source of the rules: the Dockerfile reference, https://docs.docker.com/build/concepts/context/#dockerignore-files.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple, cast

from ._public import public

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class _Pattern(NamedTuple):
    regex: re.Pattern[str]
    negated: bool


@public
class FilePatternMatcher:
    """A function of a path, relative to a folder: whether a pattern means it, or a folder that it is in.

    `*` and `?` stay within one part of a path, `**` spans any number, `!` takes back what came before it; the
    last pattern that fits decides. `~matcher` is the opposite. Raises `TypeError` for what is no string and
    `ValueError` for a pattern that cannot be read.
    """

    def __init__(self, *pattern: str) -> None:
        self.patterns = [_compiled(text) for text in pattern if text.strip()]
        self._texts = pattern
        self._inverted = False

    @classmethod
    def from_file(cls, file_path: str | os.PathLike[str]) -> FilePatternMatcher:
        """The patterns of a file, one a line; lines that begin with `#` are comments."""
        from . import _files

        path = _files.absolute(file_path)
        _files.note_read(path)
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        return cls(*(line for line in lines if not line.startswith("#")))

    def __call__(self, file_path: str | os.PathLike[str]) -> bool:
        """Whether the patterns mean this path."""
        parts = [
            part for part in os.fspath(file_path).replace(os.sep, "/").split("/") if part not in ("", ".")
        ]
        found = False
        for pattern in self.patterns:
            if found == pattern.negated and _fits(pattern.regex, parts):
                found = not pattern.negated
        return found != self._inverted

    def __invert__(self) -> FilePatternMatcher:
        """The matcher of all other files."""
        other = FilePatternMatcher(*self._texts)
        other._inverted = not self._inverted
        return other

    def can_prune_directories(self) -> bool:
        """Whether everything below a folder that is meant is meant too, so that nobody need look."""
        return not self._inverted and not any(pattern.negated for pattern in self.patterns)

    def __repr__(self) -> str:
        texts = ", ".join(map(repr, self._texts))
        return f"{'~' if self._inverted else ''}FilePatternMatcher({texts})"


def as_ignore(where: str, ignore: object) -> Callable[[Path], bool] | None:
    """What an `ignore=` argument says, as a function of the relative path; None when it says nothing.

    It is a function itself, or a list of patterns. Raises `InvalidError` for anything else.
    """
    from .exception import InvalidError

    if callable(ignore):
        return cast("Callable[[Path], bool]", ignore)
    if isinstance(ignore, str) or not isinstance(ignore, (list, tuple, set, frozenset)):
        raise InvalidError(f"{where}: ignore= takes a list of patterns or a function, not {ignore!r}")
    patterns: list[str] = []
    for pattern in ignore:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(pattern, str):
            raise InvalidError(f"{where}: ignore must only contain strings, not {pattern!r}")
        patterns.append(pattern)
    return FilePatternMatcher(*patterns) if patterns else None


def _fits(regex: re.Pattern[str], parts: list[str]) -> bool:
    return any(regex.fullmatch("/".join(parts[:end])) for end in range(len(parts), 0, -1))


def _compiled(text: str) -> _Pattern:
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"FilePatternMatcher: a pattern is a string, not {text!r}")
    pattern = text.strip()
    negated = pattern.startswith("!")
    pattern = os.path.normpath(pattern[1:].strip() if negated else pattern).lstrip("/")
    try:
        return _Pattern(re.compile(_regex(pattern)), negated)
    except (re.error, IndexError):
        raise ValueError(f"FilePatternMatcher: {text!r} is no pattern") from None


def _regex(pattern: str) -> str:
    found, at = "", 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if pattern.startswith("**", at - 1):
            at += 1
            if pattern.startswith("/", at):
                at += 1
                found += "(?:.*/)?"
            else:
                found += ".*"
        elif letter == "*":
            found += "[^/]*"
        elif letter == "?":
            found += "[^/]"
        elif letter == "[":
            end = pattern.index("]", at + 1) if "]" in pattern[at + 1 :] else len(pattern)
            inner = pattern[at:end]
            found += f"[{inner}]" if end < len(pattern) else "["
            at = end + 1
        elif letter == "\\":
            found += re.escape(pattern[at])
            at += 1
        else:
            found += re.escape(letter)
    return found


#: The default of `Image.add_local_python_source(ignore=…)`: everything but Python source.
NON_PYTHON_FILES = ~FilePatternMatcher("**/*.py")
