"""The methods of `Image` that put local files into a container."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING

from . import _files
from ._image_chain import Chain, absolute
from ._public import public
from .exception import InvalidError
from .file_pattern_matcher import NON_PYTHON_FILES, as_ignore
from .mount import Mount, of_modules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from typing_extensions import Self


@public
class LocalFiles(Chain):
    """Local files: added when a container starts, or copied, as a part of the image.

    Copied files that no build step comes after are put in place at the start as well, which looks the same
    and builds nothing again when one of them changes.
    """

    def add_local_file(
        self, local_path: str | os.PathLike[str], remote_path: str, *, copy: bool = False
    ) -> Self:
        """Puts a local file into the container at an absolute path; one that ends in `/` is a folder.

        Build steps may follow with `copy=True` only. Raises `InvalidError`, and `FileNotFoundError` or
        `IsADirectoryError` for a file that is none.
        """
        remote = absolute("add_local_file", remote_path)
        if remote.endswith("/"):
            remote += _files.base_name(local_path)
        mount = Mount().add_local_file(local_path, remote)
        return self._local("add_local_file", [remote_path], mount, copy)

    def add_local_dir(
        self,
        local_path: str | os.PathLike[str],
        remote_path: str,
        *,
        copy: bool = False,
        ignore: Sequence[str] | Callable[[Path], bool] = (),
    ) -> Self:
        """Puts a local folder into the container at an absolute path.

        `ignore` are patterns as in a `.dockerignore` file, or a function that gets each path relative to the
        folder. Raises as `add_local_file` does, and `NotADirectoryError`.
        """
        remote = absolute("add_local_dir", remote_path)
        skip = as_ignore("add_local_dir", ignore)
        mount = Mount().add_local_dir(local_path, remote_path=remote)._ignoring(skip)
        return self._local("add_local_dir", [remote_path], mount, copy)

    def add_local_python_source(
        self,
        *modules: str,
        copy: bool = False,
        ignore: Sequence[str] | Callable[[Path], bool] = NON_PYTHON_FILES,
    ) -> Self:
        """Puts local modules, by name, where the container can import them (`/root`); only `*.py` by default.

        Raises `NotFoundError` for a module that is not here, `InvalidError` for one with compiled files.
        """
        skip = as_ignore("add_local_python_source", ignore)
        mount = of_modules("Image.add_local_python_source", modules, skip or _nothing)
        return self._local("add_local_python_source", [*modules], mount, copy)

    def copy(self, mount: Mount, remote_path: str | os.PathLike[str] = ".") -> Self:
        """Copies a mount's files into the image, their places taken below `remote_path` (Modal 2023)."""
        return self._copy_mount("copy", mount, remote_path)

    def copy_mount(self, mount: Mount, remote_path: str | os.PathLike[str] = ".") -> Self:
        """`copy` by its name of 2023 to 2025."""
        return self._copy_mount("copy_mount", mount, remote_path)

    def copy_local_file(
        self, local_path: str | os.PathLike[str], remote_path: str | os.PathLike[str] = "./"
    ) -> Self:
        """Copies a local file into the image; a path that ends in `/` or `.` is a folder (Modal 2023)."""
        remote = self._placed(remote_path)
        if str(remote_path) in (".", "..") or str(remote_path).endswith(("/", "/.")):
            remote = posixpath.join(remote, _files.base_name(local_path))
        mount = Mount().add_local_file(local_path, remote)
        return self._add_files("copy_local_file", [str(remote_path)], mount, copied=True)

    def copy_local_dir(
        self,
        local_path: str | os.PathLike[str],
        remote_path: str | os.PathLike[str] = ".",
        ignore: Sequence[str] | Callable[[Path], bool] = (),
    ) -> Self:
        """Copies what is in a local folder into the image, at `remote_path` (Modal 2023)."""
        skip = as_ignore("copy_local_dir", ignore)
        mount = Mount().add_local_dir(local_path, remote_path=self._placed(remote_path))._ignoring(skip)
        return self._add_files("copy_local_dir", [str(remote_path)], mount, copied=True)

    def _local(self, method: str, said: list[str], mount: Mount, copy: bool) -> Self:
        return self._add_files(method, [said, bool(copy)], mount, bool(copy))

    def _copy_mount(self, method: str, mount: object, remote_path: str | os.PathLike[str]) -> Self:
        if not isinstance(mount, Mount):
            raise InvalidError(f"Image.{method} takes a modal.Mount, not {mount!r}")
        placed = mount._below(self._placed(remote_path))
        return self._add_files(method, [str(remote_path)], placed, copied=True)

    def _placed(self, path: str | os.PathLike[str]) -> str:
        return posixpath.normpath(posixpath.join(self._directory(), os.fspath(path)))


def _nothing(path: Path) -> bool:
    return False
