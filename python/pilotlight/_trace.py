"""Formats a user's exception without our frames and the import system's. Reads source lines only."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING

from ._neighbours import PACKAGE_DIR

if TYPE_CHECKING:
    from types import TracebackType


def format_exception(error: BaseException) -> str:
    """The traceback as Python prints it, causes included, beginning at the user's first frame."""
    formatted = traceback.TracebackException.from_exception(error)
    _trim(formatted, set())
    return "".join(formatted.format())


def is_ours(error: BaseException) -> bool:
    """Whether this package raised the exception itself: the user's mistake, found by us."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and _of_ours(frames[-1].filename)


def last_user_place(error: BaseException) -> tuple[str, int] | None:
    """File and line of the innermost frame that is the user's, or None."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not _hidden(frame.filename) and os.path.isfile(frame.filename) and frame.lineno is not None:
            return frame.filename, frame.lineno
    return None


def files(error: BaseException) -> list[str]:
    """The user's files that the traceback runs through."""
    found: list[str] = []
    trace: TracebackType | None = error.__traceback__
    for frame in traceback.extract_tb(trace):
        if not _hidden(frame.filename) and os.path.isfile(frame.filename):
            found.append(os.path.abspath(frame.filename))
    return found


def _trim(formatted: traceback.TracebackException, seen: set[int]) -> None:
    if id(formatted) in seen:
        return
    seen.add(id(formatted))
    formatted.stack = traceback.StackSummary.from_list(
        [frame for frame in formatted.stack if not _hidden(frame.filename)]
    )
    for chained in (formatted.__cause__, formatted.__context__):
        if chained is not None:
            _trim(chained, seen)


def _hidden(filename: str) -> bool:
    return _of_ours(filename) or filename.startswith("<frozen ") or "/importlib/" in filename


def _of_ours(filename: str) -> bool:
    return os.path.abspath(filename).startswith(PACKAGE_DIR + os.sep)
