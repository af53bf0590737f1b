"""The user's exceptions as text: their frames, not ours."""

from __future__ import annotations

import os
import traceback

from . import places

#: A summary is one line on a terminal.
SUMMARY_CHARS_MAX = 500


class StartError(Exception):
    """The function cannot be served. `stage` is import, app or lifespan, `text` is for the user to read."""

    def __init__(self, stage: str, summary: str, text: str) -> None:
        super().__init__(summary)
        self.stage = stage
        self.summary = summary
        self.text = text

    @classmethod
    def of(cls, stage: str, error: BaseException) -> StartError:
        """From an exception of the user's code."""
        return cls(stage, summary(error), describe(error))

    @classmethod
    def said(cls, stage: str, sentence: str) -> StartError:
        """From a mistake that one sentence explains better than a traceback."""
        return cls(stage, sentence, f"Error: {sentence}\n")


def summary(error: BaseException) -> str:
    """The exception in one line, as the last line of a traceback has it."""
    kind = type(error).__qualname__
    if isinstance(error, SystemExit):
        return f"SystemExit: the code ended the process with sys.exit({error.code!r})"
    lines = str(error).strip().splitlines()
    text = f"{kind}: {lines[0]}" if lines else kind
    return text[:SUMMARY_CHARS_MAX]


def describe(error: BaseException) -> str:
    """The traceback of an exception, without frames of the runner, its libraries and the import machinery.

    Frames of installed packages that lie above the user's first own frame go as well: how a web framework
    reached the handler says nothing about the mistake. An exception that never touched the user's files keeps
    them.
    """
    formatted = traceback.TracebackException(type(error), error, error.__traceback__)
    _trim(formatted, seen=set())
    if _holds(error.__context__, error):
        # A framework that takes the only exception out of a group and raises it leaves the group as context.
        formatted.__context__ = None
    if not formatted.stack and formatted.__cause__ is None and formatted.__context__ is None:
        return "".join(formatted.format_exception_only())
    return "".join(formatted.format())


def tell(text: str) -> None:
    """Write to the user's log in one piece (threads do not interleave), whatever `sys.stderr` is by now."""
    data = text.encode("utf-8", "backslashreplace")
    while data:
        try:
            data = data[os.write(2, data) :]
        except OSError:
            return


def _holds(group: BaseException | None, error: BaseException) -> bool:
    """Whether `error` is one of an exception group's, at any depth."""
    members = getattr(group, "exceptions", None) or ()
    return any(member is error or _holds(member, error) for member in members)


def _trim(formatted: traceback.TracebackException, seen: set[int]) -> None:
    if id(formatted) in seen:
        return
    seen.add(id(formatted))
    stack = [frame for frame in formatted.stack if not places.is_hidden(frame.filename)]
    own = [index for index, frame in enumerate(stack) if not places.is_library(frame.filename)]
    formatted.stack[:] = stack[own[0] :] if own else stack
    nested = [formatted.__cause__, formatted.__context__, *(getattr(formatted, "exceptions", None) or ())]
    for other in nested:
        if other is not None:
            _trim(other, seen)
