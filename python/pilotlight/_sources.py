"""Finds the local files of a program, and where they lie in the container. Reads `sys.modules` and folders.

The rule is Modal's automount (A7 of 2023), for both eras: the program's own file, the modules of its
functions, and every local module it imported, packages whole with their data, below `/root` so that they are
importable there by the same names. The standard library and installed packages are the image's business.
Today's Modal takes the function's own file or package alone and expects the rest from
`Image.add_local_python_source`; a program that says so gets the same files from both. `MODAL_AUTOMOUNT=0`
gives today's rule, `include_source=False` leaves a function without any of it.
"""

from __future__ import annotations

import os
import posixpath
import sys
import sysconfig
from typing import TYPE_CHECKING, NamedTuple

from . import _files
from ._neighbours import SDK_DIR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

_OUR_PACKAGES = frozenset({"pilotlight", "_pilotlight_runner", "__main__", "__mp_main__"})


class Program(NamedTuple):
    """The user's file, and how it is imported, here and in the container."""

    path: str
    """Absolute path of the file."""
    root: str
    """The folder that stands first on `sys.path`."""
    module: str
    """The dotted name it is imported by."""


class Sources(NamedTuple):
    """The program's own files."""

    files: list[_files.File]
    """The program's file first, each place in the container once."""
    folders: list[str]
    """The packages' folders: a new file in one belongs to the program as well."""


def locate(path: str) -> Program:
    """The name a file is imported by: its own, with the packages it lies in before it."""
    path = os.path.abspath(path)
    root, name = os.path.split(path)
    parts = [name[: -len(".py")] if name.endswith(".py") else name]
    if parts == ["__init__"]:
        root, name = os.path.split(root)
        parts = [name]
    while os.path.isfile(os.path.join(root, "__init__.py")) and os.path.basename(root).isidentifier():
        root, package = os.path.split(root)
        parts.insert(0, package)
    return Program(path, root, ".".join(parts))


def collect(
    program: Program,
    imported: Iterable[str],
    required: Iterable[str],
    search_path: Iterable[str],
    excluded: Iterable[str],
) -> Sources:
    """The program's files and folders.

    `imported` are the modules that go along if they are local, `required` those of the functions, which go
    along wherever they are; `search_path` was `sys.path` before the import (the program's root first), and
    `excluded` are folders beside the Python's own that hold installed packages.
    """
    found = {_own_place(program): program.path}
    folders = _own_packages(program)
    for folder in folders:
        for file in _files.tree(folder, os.path.basename(folder)):
            found.setdefault(file.remote, file.local)
    local = _LocalModules(program, list(search_path), [*excluded])
    for names, anywhere in ((sorted(set(required)), True), (sorted(set(imported)), False)):
        for name in names:
            for file in local.files(name, sys.modules.get(name), anywhere):
                found.setdefault(file.remote, file.local)
    files = [_files.File(path, remote) for remote, path in found.items()]
    return Sources(files, list(dict.fromkeys(folders + local.folders)))


def imported_local_files(known: Iterable[str], excluded: Iterable[str]) -> list[str]:
    """The files of the local modules imported so far, also those of an import that failed halfway."""
    own = installed_folders(excluded)
    found: list[str] = []
    for name in sorted(set(sys.modules) - set(known)):
        path = _source_of(sys.modules[name])
        if path and name.partition(".")[0] not in _OUR_PACKAGES and not is_below_any(path, own):
            found.append(path)
    return found


class _LocalModules:
    def __init__(self, program: Program, search_path: list[str], excluded: list[str]) -> None:
        self._program = program
        self._search_path = {os.path.realpath(folder or os.curdir) for folder in search_path}
        self._installed = installed_folders(excluded)
        self._done: set[str] = set()
        self.folders: list[str] = []

    def files(self, name: str, module: ModuleType | None, anywhere: bool) -> Iterator[_files.File]:
        top = name.partition(".")[0]
        if top in _OUR_PACKAGES or top in self._done or module is None:
            return
        top_module = sys.modules.get(top) or module
        package_dirs = [folder for folder in _package_dirs(top_module) if anywhere or self._is_local(folder)]
        if package_dirs:
            self._done.add(top)
            self.folders += package_dirs
            for folder in package_dirs:
                yield from self._placed(folder, top, _files.tree(folder, top))
        else:
            path = _source_of(module)
            if path and (anywhere or self._is_local(path)):
                remote = _files.remote_path(name.replace(".", "/") + os.path.splitext(path)[1])
                yield from self._placed(path, name, [_files.File(path, remote)])

    def _is_local(self, path: str) -> bool:
        return not is_below_any(path, self._installed)

    def _placed(self, path: str, name: str, files: Iterable[_files.File]) -> Iterator[_files.File]:
        """`files` where they are importable: by name, or as in the program's folder when the program itself
        extended `sys.path` (it will do so in the container too, relative to its file)."""
        folder = path
        for _ in name.split("."):
            folder = os.path.dirname(folder)
        root = self._program.root
        by_name = os.path.realpath(folder) in self._search_path or not is_below_any(
            path, [os.path.realpath(root)]
        )
        for file in files:
            if by_name:
                yield file
            else:
                yield _files.File(file.local, _files.remote_path(os.path.relpath(file.local, root)))


def _own_place(program: Program) -> str:
    relative = os.path.relpath(program.path, program.root).replace(os.sep, "/")
    return posixpath.join(_files.ROOT, relative)


def _own_packages(program: Program) -> list[str]:
    top, dot, _ = program.module.partition(".")
    is_package = dot or os.path.basename(program.path) == "__init__.py"
    return [os.path.join(program.root, top)] if is_package else []


def _package_dirs(module: ModuleType) -> list[str]:
    try:
        folders = [str(folder) for folder in module.__path__]
    except (AttributeError, TypeError):
        return []
    return [os.path.abspath(folder) for folder in folders if os.path.isdir(folder)]


def _source_of(module: ModuleType | None) -> str | None:
    path = getattr(module, "__file__", None)
    return os.path.abspath(path) if isinstance(path, str) and os.path.isfile(path) else None


def _python_folders() -> list[str]:
    """The folders of this Python and of what is installed into it."""
    paths = sysconfig.get_paths()
    folders = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix}:
        if os.path.realpath(prefix) in ("/", "/usr", "/usr/local"):
            # A system's prefix holds other things as well: containers often keep programs in /usr/src.
            folders.update(os.path.join(prefix, name) for name in ("lib", "lib64", "local/lib", "bin"))
        else:
            folders.add(prefix)
    return [os.path.realpath(folder) for folder in folders]


def installed_folders(excluded: Iterable[str]) -> list[str]:
    """The real paths of the folders of this Python, and of those in `excluded`."""
    return _python_folders() + [os.path.realpath(folder) for folder in excluded]


def is_below_any(path: str, folders: Iterable[str]) -> bool:
    """Whether a file is in one of `folders`, or in a place where packages are installed."""
    real = os.path.realpath(path)
    if f"{os.sep}site-packages{os.sep}" in real or f"{os.sep}dist-packages{os.sep}" in real:
        return True
    if any(_is_below(real, os.path.join(SDK_DIR, name)) for name in ("pilotlight", "modal")):
        return True
    return any(_is_below(real, folder) for folder in folders)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
