"""`Mount`: local files and folders that are put into a function's container."""

from __future__ import annotations

import importlib.util
import os
import posixpath
from typing import TYPE_CHECKING, NamedTuple

from . import _files, config
from .exception import InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class _Source(NamedTuple):
    local: str
    remote: str
    is_dir: bool
    condition: Callable[[str], bool] | None
    recursive: bool


class Mount:
    """Local files with their places in the container. Immutable: each `add_…` returns a new one.

    Modal's rules: exactly one of `local_dir` and `local_file`; `condition` gets the absolute local path; a
    relative place counts from `/root`. Caches (`__pycache__`, `.git`, …) are left out.

    Raises `InvalidError`, and `FileNotFoundError` or `NotADirectoryError` for a source that is not there
    (checked on the user's machine only).
    """

    def __init__(
        self,
        remote_dir: str | None = None,
        *,
        local_dir: str | os.PathLike[str] | None = None,
        local_file: str | os.PathLike[str] | None = None,
        condition: Callable[[str], bool] | None = None,
        recursive: bool = True,
    ) -> None:
        self._sources: tuple[_Source, ...] = ()
        if remote_dir is None and local_dir is None and local_file is None:
            return  # `Mount().add_local_dir(…)`, the fluent form of 2023.
        if (local_dir is None) == (local_file is None):
            raise InvalidError("Mount needs exactly one of local_dir= and local_file=")
        if local_dir is not None:
            self._sources = (_dir_source(local_dir, remote_dir, condition, recursive),)
        elif local_file is not None:
            name = _files.base_name(local_file)
            self._sources = (_file_source(local_file, posixpath.join(remote_dir or "", name)),)

    @staticmethod
    def from_local_dir(
        local_path: str | os.PathLike[str],
        *,
        remote_path: str | None = None,
        condition: Callable[[str], bool] | None = None,
        recursive: bool = True,
    ) -> Mount:
        """A folder; at `/root/<its name>` unless `remote_path` says otherwise."""
        return Mount().add_local_dir(
            local_path, remote_path=remote_path, condition=condition, recursive=recursive
        )

    @staticmethod
    def from_local_file(local_path: str | os.PathLike[str], remote_path: str | None = None) -> Mount:
        """One file; at `/root/<its name>` unless `remote_path` says otherwise."""
        return Mount().add_local_file(local_path, remote_path)

    def add_local_dir(
        self,
        local_path: str | os.PathLike[str],
        *,
        remote_path: str | None = None,
        condition: Callable[[str], bool] | None = None,
        recursive: bool = True,
    ) -> Mount:
        """This mount and a folder."""
        return self._extended((_dir_source(local_path, remote_path, condition, recursive),))

    def add_local_file(self, local_path: str | os.PathLike[str], remote_path: str | None = None) -> Mount:
        """This mount and one file."""
        return self._extended((_file_source(local_path, remote_path),))

    def extend(self, *mounts: Mount) -> Mount:
        """This mount and the others in one."""
        return self._extended(tuple(source for mount in mounts for source in mount._sources))

    def _extended(self, sources: tuple[_Source, ...]) -> Mount:
        mount = Mount()
        mount._sources = self._sources + sources
        return mount

    def _files(self) -> Iterator[_files.File]:
        for source in self._sources:
            if source.is_dir:
                yield from _files.tree(source.local, source.remote, source.condition, source.recursive)
            else:
                yield _files.File(source.local, source.remote)


def create_package_mounts(module_names: Iterable[str]) -> list[Mount]:
    """A mount per module, each importable in the container by its name (Modal: the same, 2022 to 2024).

    Raises `NotFoundError` for a module that does not exist here. Empty inside a container.
    """
    return [_package_mount(name) for name in module_names] if config.is_local() else []


def _package_mount(name: str) -> Mount:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        spec = None
    if spec is None:
        raise NotFoundError(f"there is no module {name!r} to mount")
    place = name.replace(".", "/")
    mount = Mount()
    if spec.submodule_search_locations is not None:
        for folder in spec.submodule_search_locations:
            mount = mount.add_local_dir(folder, remote_path=place)
        return mount
    if spec.origin is None or not os.path.isfile(spec.origin):
        raise NotFoundError(f"module {name!r} has no file to mount")
    return mount.add_local_file(spec.origin, place + ".py")


def _dir_source(
    local_path: str | os.PathLike[str],
    remote_path: str | None,
    condition: Callable[[str], bool] | None,
    recursive: bool,
) -> _Source:
    local = _files.absolute(local_path)
    if config.is_local():
        if not os.path.exists(local):
            raise FileNotFoundError(f"local_dir {local} does not exist")
        if not os.path.isdir(local):
            raise NotADirectoryError(f"local_dir {local} is not a directory")
    remote = _files.remote_path(remote_path if remote_path is not None else os.path.basename(local))
    return _Source(local, remote, True, condition, recursive)


def _file_source(local_path: str | os.PathLike[str], remote_path: str | None) -> _Source:
    local = _files.absolute(local_path)
    if config.is_local() and not os.path.isfile(local):
        raise FileNotFoundError(f"local_file {local} does not exist")
    remote = _files.remote_path(remote_path if remote_path is not None else os.path.basename(local))
    return _Source(local, remote, False, None, False)
