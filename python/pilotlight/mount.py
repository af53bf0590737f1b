"""`Mount`: local files and folders that are put into a function's container."""

from __future__ import annotations

import importlib.util
import os
import posixpath
from typing import TYPE_CHECKING, NamedTuple

from . import _files, config
from ._later import not_built
from ._public import public
from .exception import InvalidError, NotFoundError
from .file_pattern_matcher import NON_PYTHON_FILES, as_ignore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

#: Where `create_package_mounts` puts packages: on the module path, behind the program's own files.
PACKAGES = "/pkg"

_COMPILED = (".so", ".pyd", ".dylib")


class _Source(NamedTuple):
    local: str
    remote: str
    is_dir: bool
    condition: Callable[[str], bool] | None = None
    recursive: bool = True
    ignore: Callable[[Path], bool] | None = None

    def files(self) -> Iterator[_files.File]:
        if self.is_dir:
            yield from _files.tree(self.local, self.remote, self.condition, self.recursive, self.ignore)
        elif self.condition is None or self.condition(self.local):
            yield _files.File(self.local, self.remote)


@public
class Mount:
    """Local files with their places in the container. Immutable: each `add_…` returns a new one.

    Modal's rules: exactly one of `local_dir` and `local_file`; `condition` gets the absolute local path; a
    relative place counts from `/root`. Links are followed; byte code, caches, `.git` and virtual environments
    are left out. Files that come later take the places of earlier ones.

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
        self._unbuilt: str | None = None
        if remote_dir is None and local_dir is None and local_file is None:
            return  # `Mount().add_local_dir(…)`, the fluent form of 2023.
        if (local_dir is None) == (local_file is None):
            given = "both" if local_dir is not None else "neither"
            raise InvalidError(f"Mount needs exactly one of local_dir= and local_file=, not {given}")
        _check_condition(condition)
        if local_dir is not None:
            self._sources = (_dir_source(local_dir, remote_dir, condition, recursive),)
        elif local_file is not None:
            remote = posixpath.join(remote_dir or "", _files.base_name(local_file))
            self._sources = (_file_source(local_file, remote, condition),)

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

    @staticmethod
    def from_local_python_packages(
        *module_names: str,
        remote_dir: str = _files.ROOT,
        condition: Callable[[str], bool] | None = None,
        ignore: Sequence[str] | Callable[[Path], bool] | None = None,
    ) -> Mount:
        """Modules by name, importable in the container; only `*.py` unless `condition` or `ignore` is given.

        Raises `NotFoundError` for one that does not exist here, `InvalidError` for one with compiled files.
        """
        where = "Mount.from_local_python_packages"
        skip = as_ignore(where, ignore) if ignore is not None else None
        if ignore is None and condition is None:
            skip = NON_PYTHON_FILES
        return of_modules(where, module_names, skip, remote_dir, condition)

    @staticmethod
    def from_name(*args: object, **kwargs: object) -> Mount:
        """A mount stored on the server: not built yet (`NotBuiltError` when a function uses it)."""
        mount = Mount()
        mount._unbuilt = f"Mount.from_name({', '.join(map(repr, args))})"
        return mount

    def persist(self, *args: object, **kwargs: object) -> Mount:
        """This mount; it is stored with the functions that use it, and under no name of its own."""
        return self

    def add_local_dir(
        self,
        local_path: str | os.PathLike[str],
        *,
        remote_path: str | None = None,
        condition: Callable[[str], bool] | None = None,
        recursive: bool = True,
    ) -> Mount:
        """This mount and a folder."""
        _check_condition(condition)
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
        mount._unbuilt = self._unbuilt
        return mount

    def _ignoring(self, ignore: Callable[[Path], bool] | None) -> Mount:
        mount = Mount()
        mount._sources = tuple(source._replace(ignore=ignore) for source in self._sources)
        mount._unbuilt = self._unbuilt
        return mount

    def _below(self, folder: str) -> Mount:
        """The same files with `folder` as the root of their places: what a build's COPY does with a mount."""
        mount = Mount()
        mount._sources = tuple(
            source._replace(remote=posixpath.normpath(posixpath.join(folder, source.remote.lstrip("/"))))
            for source in self._sources
        )
        mount._unbuilt = self._unbuilt
        return mount

    def _files(self) -> Iterator[_files.File]:
        """Every file with its place; `NotBuiltError` for a mount that is stored on the server."""
        if self._unbuilt:
            raise not_built(self._unbuilt)
        for source in self._sources:
            yield from source.files()

    def _watched(self) -> Iterator[str]:
        """The folders in which new files count; files are watched by themselves."""
        return (source.local for source in self._sources if source.is_dir)

    def _places(self) -> Iterator[str]:
        """The local files and folders that were named."""
        return (source.local for source in self._sources)


@public
def create_package_mounts(module_names: Iterable[str]) -> list[Mount]:
    """A mount per module, at `/pkg`, importable in the container by its name (Modal: the same, 2022 to 2024).

    Everything in a package goes along but byte code and names that begin with a dot. Raises `NotFoundError`
    for a module that is not here, `InvalidError` for one with compiled files. Empty inside a container.
    """
    if isinstance(module_names, str):
        raise InvalidError(f"create_package_mounts takes a list: create_package_mounts([{module_names!r}])")
    if not config.is_local():
        return []
    where = "create_package_mounts"
    return [Mount()._extended(module_sources(where, name, PACKAGES, _hidden, None)) for name in module_names]


@public
def create_package_mount(module_name: str) -> Mount:
    """The mount of one module, as `create_package_mounts` makes it (Modal 2022). Empty inside a container."""
    mounts = create_package_mounts([module_name])
    return mounts[0] if mounts else Mount()


def of_modules(
    where: str,
    names: Iterable[str],
    skip: Callable[[Path], bool] | None,
    remote_dir: str = _files.ROOT,
    condition: Callable[[str], bool] | None = None,
) -> Mount:
    """A mount of modules; errors name `where`, which asked for them."""
    sources = (module_sources(where, name, remote_dir, skip, condition) for name in names)
    return Mount()._extended(tuple(source for module in sources for source in module))


def module_sources(
    where: str,
    name: object,
    remote_dir: str,
    ignore: Callable[[Path], bool] | None,
    condition: Callable[[str], bool] | None,
) -> tuple[_Source, ...]:
    """Where the files of module `name` are, and where they go below `remote_dir`; nothing in a container.

    Raises `InvalidError` for a name that is no string and for compiled files, `NotFoundError`.
    """
    if not isinstance(name, str):
        raise InvalidError(f"{where}: modules must only contain strings, not {name!r}")
    if not config.is_local():
        return ()
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise NotFoundError(f"{where}: there is no module {name!r} here to mount")
    place = posixpath.join(remote_dir, name.replace(".", "/"))
    if spec.submodule_search_locations is not None:
        folders = list(spec.submodule_search_locations)
        for path in (path for folder in folders for path in _files.walk(folder)):
            _refuse_compiled(where, name, path)
        return tuple(
            _Source(os.path.abspath(folder), place, True, condition, True, ignore) for folder in folders
        )
    if spec.origin is None or not os.path.isfile(spec.origin):
        raise NotFoundError(f"{where}: the module {name!r} has no file to mount")
    _refuse_compiled(where, name, spec.origin)
    return (_Source(os.path.abspath(spec.origin), place + ".py", False, condition),)


def _refuse_compiled(where: str, name: str, path: str) -> None:
    if path.endswith(_COMPILED):
        raise InvalidError(
            f"{where}: {name} has a file that is compiled for this machine, {path}: install it in the image "
            "instead, with pip_install"
        )


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _check_condition(condition: object) -> None:
    if condition is not None and not callable(condition):
        raise InvalidError(f"Mount: condition= takes a function of the local path, not {condition!r}")


def _dir_source(
    local_path: str | os.PathLike[str],
    remote_path: str | None,
    condition: Callable[[str], bool] | None,
    recursive: bool,
) -> _Source:
    local = _files.absolute(local_path)
    if config.is_local():
        if not os.path.exists(local):
            _files.note_read(local)
            raise FileNotFoundError(f"local_dir {local} does not exist")
        if not os.path.isdir(local):
            raise NotADirectoryError(f"local_dir {local} is not a directory")
    remote = _files.remote_path(remote_path if remote_path is not None else os.path.basename(local))
    return _Source(local, remote, True, condition, recursive)


def _file_source(
    local_path: str | os.PathLike[str],
    remote_path: str | None,
    condition: Callable[[str], bool] | None = None,
) -> _Source:
    local = _files.absolute(local_path)
    if config.is_local() and not os.path.isfile(local):
        if os.path.isdir(local):
            raise IsADirectoryError(f"local_file {local} is a directory: use local_dir= or add_local_dir")
        _files.note_read(local)
        raise FileNotFoundError(f"local_file {local} does not exist")
    remote = _files.remote_path(remote_path if remote_path is not None else os.path.basename(local))
    return _Source(local, remote, False, condition)
