"""Says which local files the lines of a Dockerfile may copy. The server reads the lines themselves."""

from __future__ import annotations

import os
import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from . import _files
from .exception import InvalidError
from .file_pattern_matcher import FilePatternMatcher, as_ignore
from .mount import Mount

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

# Up to a line that does not end in the escape character; comments between continued lines go.
_CONTINUED = re.compile(r"[\\`][ \t]*\n([ \t]*#[^\n]*\n|[ \t]*\n)*")
_COPY = re.compile(r"^[ \t]*(?:COPY|ADD)[ \t]+(.*)$", re.IGNORECASE | re.MULTILINE)
_FLAG = re.compile(r"--[a-z]+(=\S*)?\s+")


class Context(NamedTuple):
    """Where the files of a build are looked for."""

    files: Mapping[str, str | os.PathLike[str]] | None = None
    mount: Mount | None = None
    folder: str | os.PathLike[str] | None = None
    ignore: Sequence[str] | Callable[[Path], bool] | None = None

    def mounts(self, method: str, lines: Sequence[str]) -> tuple[Mount, ...]:
        """The files that `lines` may copy, placed as in the root of the build context.

        Without any `COPY` or `ADD` in them there are none. The files of `folder`, by default the current one,
        count as far as a line names them and its `.dockerignore`, or `ignore`, does not. Raises
        `InvalidError` where one of them is a link that leads elsewhere.
        """
        wanted = sources(lines)
        found: list[Mount] = []
        if wanted and (self.folder is not None or not (self.files or self.mount)):
            folder = _files.absolute(self.folder if self.folder is not None else ".")
            skip = self._skipped(method, folder)
            names = None if any(_is_everything(name) for name in wanted) else FilePatternMatcher(*wanted)

            root = os.path.realpath(folder)

            def left_out(path: Path) -> bool:
                if (names is not None and not names(path)) or (skip is not None and skip(path)):
                    return True
                # Somebody else's Dockerfile comes with somebody else's links: none copies this user's keys.
                real = os.path.realpath(os.path.join(root, path))
                if os.path.commonpath((root, real)) != root:
                    raise InvalidError(
                        f"{method}: {path} is a link that leads out of the build context, to {real}: name it "
                        "in context_files= or in .dockerignore"
                    )
                return False

            found.append(Mount().add_local_dir(folder, remote_path="/")._ignoring(left_out))
        if self.mount is not None:
            found.append(self.mount)
        for name, local in (self.files or {}).items():
            found.append(Mount().add_local_file(local, posixpath.join("/", name)))
        return tuple(found)

    def _skipped(self, method: str, folder: str) -> Callable[[Path], bool] | None:
        if self.ignore is not None:
            return as_ignore(method, self.ignore)
        listed = os.path.join(folder, ".dockerignore")
        if os.path.isfile(listed):
            return FilePatternMatcher.from_file(listed)
        _files.note_read(listed)
        return None


def sources(lines: Sequence[str]) -> list[str]:
    """What the `COPY` and `ADD` among `lines` take from the build context: paths and patterns."""
    found: list[str] = []
    for line in _COPY.findall(_CONTINUED.sub(" ", "\n".join(lines))):
        rest = line.strip()
        staged = False
        flag = _FLAG.match(rest)
        while flag is not None:
            staged = staged or flag.group().startswith("--from=")
            rest = rest[flag.end() :]
            flag = _FLAG.match(rest)
        words = _words(rest)[:-1]
        found += [] if staged else [word for word in words if not word.startswith("<<") and "://" not in word]
    return found


def _words(text: str) -> list[str]:
    if text.startswith("["):
        # Imported here: a program may be called json.py, and is told so later.
        import json

        try:
            return [str(word) for word in json.loads(text)]
        except ValueError:
            pass
    return [word.strip("'\"") for word in text.split()]


def _is_everything(name: str) -> bool:
    # What a variable holds is known to the server.
    return "$" in name or posixpath.normpath(name).strip("/") in ("", ".")
