"""Reads a program's source without importing it: which era it is of, and whether it imports `modal`."""

from __future__ import annotations

import ast
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# So many of the program's modules are read at most; what names `Stub` is among the first.
_MODULES_MAX = 100


def era(path: str, folders: list[str]) -> str:
    """`"stub"` when the program or a module of its own that it imports uses `Stub`, else `"app"`.

    Modules are looked for in `folders`; a file that cannot be read or does not parse says nothing.
    """
    waiting, seen = [os.path.abspath(path)], set[str]()
    while waiting and len(seen) < _MODULES_MAX:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        tree = _parse(_read(path))
        if tree is None:
            continue
        if _uses_stub(tree):
            return "stub"
        waiting += _imported(tree, path, folders)
    return "app"


def imports_modal(source: bytes) -> bool:
    """Whether the program itself imports `modal`."""
    tree = _parse(source)
    if tree is None:
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(_is_modal(alias.name) for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and not node.level and _is_modal(node.module or ""):
            return True
    return False


def _uses_stub(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "Stub":
            return True
        if isinstance(node, ast.ImportFrom) and any(alias.name == "Stub" for alias in node.names):
            return True
    return False


def _imported(tree: ast.Module, path: str, folders: list[str]) -> Iterator[str]:
    """The files in `folders` that the module at `path` may import, in order."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files_of(alias.name.split("."), folders)
        elif isinstance(node, ast.ImportFrom):
            inside, name = folders, node.module.split(".") if node.module else []
            if node.level:
                folder = os.path.dirname(path)
                for _ in range(node.level - 1):
                    folder = os.path.dirname(folder)
                inside = [folder]
            if name:
                yield from _files_of(name, inside)
            for alias in node.names:
                yield from _files_of([*name, alias.name], inside)


def _files_of(name: list[str], folders: list[str]) -> Iterator[str]:
    for folder in folders:
        place = os.path.join(folder, *name)
        for path in (place + ".py", os.path.join(place, "__init__.py")):
            if os.path.isfile(path):
                yield path
                return


def _is_modal(name: str) -> bool:
    return name.partition(".")[0] == "modal"


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _parse(source: bytes) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
