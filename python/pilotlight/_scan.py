"""Reads a program's source without importing it: which era it is of, and whether it imports `modal`."""

from __future__ import annotations

import ast


def era(source: bytes) -> str:
    """`"stub"` when the program uses `Stub`, else `"app"`; a file that does not parse is `"app"`."""
    tree = _parse(source)
    if tree is None:
        return "app"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "Stub":
            return "stub"
        if isinstance(node, ast.ImportFrom) and any(alias.name == "Stub" for alias in node.names):
            return "stub"
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


def _is_modal(name: str) -> bool:
    return name.partition(".")[0] == "modal"


def _parse(source: bytes) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
