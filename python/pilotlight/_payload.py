"""Decides which local files go to which function's containers, and what is watched. Reads file modes."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from . import _files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._files import File
    from ._sources import Sources
    from .mount import Mount


class Payload:
    """The files of one manifest: the program's own, and those of each function's mounts."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._of: dict[str, dict[str, str]] = {}
        self._watch = dict.fromkeys([*sources.folders, *(file.local for file in sources.files)])

    def add(self, function: str, mounts: Iterable[Mount], include_source: bool) -> list[str]:
        """Gives `function` the program's own files, unless it wants none, and those of its mounts over them.

        Returns notices: the mounts that have no files.
        """
        found = {file.remote: file.local for file in self._sources.files} if include_source else {}
        empty: list[str] = []
        for mount in mounts:
            files = self.watch_mount(mount)
            found.update((file.remote, file.local) for file in files)
            if not files:
                places = ", ".join(map(_files.short, mount._places())) or "nothing"
                empty.append(f"{function}: a mount of {places} has no files")
        self._of[function] = found
        return empty

    def watch_mount(self, mount: Mount) -> list[File]:
        """The files of `mount`, which are watched from now on."""
        files = list(mount._files())
        # The folders first: a new file in one counts, and a file is watched by itself as well.
        self._watch.update(dict.fromkeys(mount._watched()))
        self._watch.update((file.local, None) for file in files)
        return files

    def files(self) -> list[dict[str, Any]]:
        """The entries of the manifest; one that not every function gets names those that do."""
        if not self._of:
            return [_entry(file.local, file.remote) for file in self._sources.files]
        takers: dict[tuple[str, str], list[str]] = {}
        for function, places in self._of.items():
            for remote, local in places.items():
                takers.setdefault((remote, local), []).append(function)
        return [
            _entry(local, remote) | ({} if len(functions) == len(self._of) else {"functions": functions})
            for (remote, local), functions in takers.items()
        ]

    def watch(self) -> list[str]:
        """Files and folders whose change matters. A link is there with what it leads to."""
        found: dict[str, None] = {}
        for path in (*self._watch, *_files.noted()):
            found[path] = None
            if os.path.islink(path):
                found[os.path.realpath(path)] = None
        return list(found)


def entries(mounts: Iterable[Mount], files: Iterable[File] = ()) -> list[dict[str, Any]]:
    """`files` and those of `mounts` as the manifest has them; of two for one place the later stays."""
    places = {file.remote: file.local for file in files}
    places.update((file.remote, file.local) for mount in mounts for file in mount._files())
    return [_entry(local, remote) for remote, local in places.items()]


def _entry(local: str, remote: str) -> dict[str, Any]:
    # Digest and size are added by the command, which reads the file anyway.
    mode = stat.S_IMODE(os.stat(local).st_mode) & 0o777
    return {"remote": remote, "local": local, "mode": mode, "digest": None, "size": None}
