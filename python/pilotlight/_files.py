"""Lists local files that travel with a program, and where they lie in the container. Reads directories."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Where a program's own files lie, and the working directory, in the container (Modal: the same since 2022).
ROOT = "/root"

# Caches and version control: never part of a program, and rewritten by tools while it is being served.
_SKIPPED_DIRS = frozenset(
    {"__pycache__", ".git", ".hg", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv"}
)


class File(NamedTuple):
    """One file of the program."""

    local: str
    """Absolute path on this machine."""
    remote: str
    """Absolute path in the container."""


def remote_path(path: str) -> str:
    """`path` as an absolute container path; a relative one counts from `/root`."""
    return posixpath.normpath(posixpath.join(ROOT, path))


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


def walk(folder: str, recursive: bool = True) -> Iterator[str]:
    """Absolute paths of the files below `folder`, in a stable order, without byte code and caches."""
    for parent, dirs, names in os.walk(os.path.abspath(folder)):
        dirs[:] = sorted(name for name in dirs if name not in _SKIPPED_DIRS) if recursive else []
        for name in sorted(names):
            path = os.path.join(parent, name)
            if not name.endswith((".pyc", ".pyo")) and os.path.isfile(path):
                yield path


def tree(
    folder: str, remote_dir: str, condition: Callable[[str], bool] | None = None, recursive: bool = True
) -> Iterator[File]:
    """The files below `folder` with their places below `remote_dir`; `condition` gets absolute paths."""
    folder = os.path.abspath(folder)
    for path in walk(folder, recursive):
        if condition is None or condition(path):
            relative = os.path.relpath(path, folder).replace(os.sep, "/")
            yield File(path, posixpath.join(remote_path(remote_dir), relative))
