"""Lists local files that travel with a program, and where they lie in the container. Reads directories."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING, NamedTuple, cast

from .file_pattern_matcher import FilePatternMatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Where a program's own files lie, and the working directory, in the container (Modal: the same since 2022).
ROOT = "/root"

# Caches and version control: never part of a program, and rewritten by tools while it is being served.
_SKIPPED_DIRS = frozenset(
    "__pycache__ .git .hg .svn .mypy_cache .pytest_cache .ruff_cache .hypothesis .tox .venv".split()
)

_read: dict[str, None] = {}


class File(NamedTuple):
    """One file of the program."""

    local: str
    """Absolute path on this machine."""
    remote: str
    """Absolute path in the container."""


def note_read(path: str) -> None:
    """Remembers that a declaration reads this file (a requirements file, a `.env`): a change of it counts."""
    _read[path] = None


def noted() -> list[str]:
    """The files that declarations have read, or looked for, in this process."""
    return list(_read)


def remote_path(path: str | os.PathLike[str]) -> str:
    """`path` as an absolute container path; a relative one counts from `/root`."""
    return posixpath.normpath(posixpath.join(ROOT, os.fspath(path)))


def absolute(path: str | os.PathLike[str]) -> str:
    """A local path, absolute, with `~` expanded."""
    given: str = os.fspath(path)
    return os.path.abspath(os.path.expanduser(given))


def base_name(path: str | os.PathLike[str]) -> str:
    """The last part of a local path."""
    return os.path.basename(absolute(path))


def short(path: str) -> str:
    """`path` as the user would write it from the working directory."""
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative


def walk(folder: str, recursive: bool = True, pruned: Callable[[str], bool] | None = None) -> Iterator[str]:
    """Absolute paths of the files below `folder`, in a stable order, without byte code and caches.

    Links to folders are followed, but not into a folder that the link lies in. `pruned` gets the paths of
    folders, relative to `folder`, and says which ones to leave out whole.
    """
    folder = os.path.abspath(folder)
    yield from _walk(folder, "", recursive, pruned, (os.path.realpath(folder),))


def _walk(
    folder: str, below: str, recursive: bool, pruned: Callable[[str], bool] | None, inside: tuple[str, ...]
) -> Iterator[str]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    dirs: list[os.DirEntry[str]] = []
    for entry in found:
        if entry.is_dir():
            dirs.append(entry)
        elif entry.is_file() and not entry.name.endswith((".pyc", ".pyo")):
            yield entry.path
    for entry in dirs if recursive else ():
        relative = os.path.join(below, entry.name)
        # A virtual environment of whatever name is this machine's, not the program's.
        environment = os.path.exists(os.path.join(entry.path, "pyvenv.cfg"))
        if entry.name in _SKIPPED_DIRS or environment or (pruned is not None and pruned(relative)):
            continue
        real = os.path.realpath(entry.path)
        if real not in inside:
            yield from _walk(entry.path, relative, recursive, pruned, (*inside, real))


def tree(
    folder: str,
    remote_dir: str,
    condition: Callable[[str], bool] | None = None,
    recursive: bool = True,
    ignore: Callable[[Path], bool] | None = None,
) -> Iterator[File]:
    """The files below `folder` with their places below `remote_dir`.

    `condition` gets absolute paths and says what goes along, `ignore` gets paths relative to `folder` and
    says what does not.
    """
    from pathlib import Path

    folder = os.path.abspath(folder)
    prunes = isinstance(ignore, FilePatternMatcher) and ignore.can_prune_directories()
    for path in walk(folder, recursive, cast("FilePatternMatcher", ignore) if prunes else None):
        relative = os.path.relpath(path, folder)
        if (condition is None or condition(path)) and not (ignore is not None and ignore(Path(relative))):
            yield File(path, posixpath.join(remote_path(remote_dir), relative.replace(os.sep, "/")))
