"""Shows a user's exception without our frames and the import system's. Reads source lines only."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ._neighbours import PACKAGE_DIR
from .exception import DeprecationError, Error

if TYPE_CHECKING:
    import traceback
    from types import TracebackType

    from ._typing import T


def install() -> None:
    """Makes uncaught exceptions of `python FILE` show the user's lines only.

    The hook that was there before still does the printing; a mistake of ours is left whole.
    """
    previous = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Any:
        trim(error)
        return previous(kind, error, error.__traceback__ or trace)

    sys.excepthook = show


def trim(error: BaseException) -> None:
    """Takes our frames out of the traceback of `error` and of its causes, when the mistake is a user's."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if _is_told(current) or not is_ours(current):
            current.__traceback__ = _without_ours(current.__traceback__)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _is_told(error: BaseException) -> bool:
    """Whether it is of a kind that we raise to tell the user of a mistake."""
    if isinstance(error, (Error, DeprecationError, TypeError, KeyError, ValueError, OSError)):
        return True
    return isinstance(error, AttributeError) and _last_frame_is("__getattr__", error.__traceback__)


def _last_frame_is(name: str, trace: TracebackType | None) -> bool:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_name == name


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """`trace` with the links around our frames; as it is when there is no other frame."""
    links: list[TracebackType] = []
    current = trace
    while current is not None:
        links.append(current)
        current = current.tb_next
    kept = _of_others(links, [link.tb_frame.f_code.co_filename for link in links])
    for index, one in enumerate(kept):
        one.tb_next = kept[index + 1] if index + 1 < len(kept) else None
    return kept[0] if kept else trace


def _of_others(frames: list[T], filenames: list[str]) -> list[T]:
    """The frames that are neither ours nor, as an `.aio`'s thread is, of Python's between two of ours."""
    ours = [index for index, filename in enumerate(filenames) if _of_ours(filename)]
    between = range(ours[0], ours[-1]) if ours else range(0)
    return [
        frame
        for index, (frame, filename) in enumerate(zip(frames, filenames))
        if not (_of_ours(filename) or (index in between and _of_python(filename)))
    ]


def format_exception(error: BaseException) -> str:
    """The traceback as Python prints it, causes included, beginning at the user's first frame."""
    import traceback

    formatted = traceback.TracebackException.from_exception(error)
    _trim(formatted, set())
    return "".join(formatted.format())


def is_ours(error: BaseException) -> bool:
    """Whether this package raised the exception itself: the user's mistake, found by us."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and _of_ours(trace.tb_frame.f_code.co_filename)


def last_user_place(error: BaseException) -> tuple[str, int] | None:
    """File and line of the innermost frame that is the user's, or None."""
    import traceback

    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _is_users(frame.filename) and frame.lineno is not None:
            return frame.filename, frame.lineno
    return None


def files(error: BaseException) -> list[str]:
    """The user's files that the traceback runs through."""
    import traceback

    found: list[str] = []
    trace: TracebackType | None = error.__traceback__
    for frame in traceback.extract_tb(trace):
        if _is_users(frame.filename):
            found.append(os.path.abspath(frame.filename))
    return found


def _trim(formatted: traceback.TracebackException, seen: set[int]) -> None:
    if id(formatted) in seen:
        return
    seen.add(id(formatted))
    import traceback

    frames = [frame for frame in formatted.stack if not _is_of_imports(frame.filename)]
    formatted.stack = traceback.StackSummary.from_list(
        _of_others(frames, [frame.filename for frame in frames])
    )
    for chained in (formatted.__cause__, formatted.__context__):
        if chained is not None:
            _trim(chained, seen)


def _is_users(filename: str) -> bool:
    hidden = _of_ours(filename) or _is_of_imports(filename) or _of_python(filename)
    return not hidden and os.path.isfile(filename)


def _is_of_imports(filename: str) -> bool:
    return filename.startswith("<frozen ") or "/importlib/" in filename


def _of_ours(filename: str) -> bool:
    return os.path.abspath(filename).startswith(PACKAGE_DIR + os.sep)


def _of_python(filename: str) -> bool:
    """Whether it is of the standard library; what is installed stands in a folder of it."""
    path = os.path.abspath(filename)
    return path.startswith(_PYTHON_DIR + os.sep) and "-packages" + os.sep not in path


_PYTHON_DIR = os.path.dirname(os.path.abspath(os.__file__))
