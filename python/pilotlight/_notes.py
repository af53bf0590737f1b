"""What a discovery tells beside the manifest, for the next one (`_warm`). Reads modules and source files."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

from . import _sources

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Imported by nobody but a program that means it: they print, or open a window.
_LOUD = frozenset({"antigravity", "this", "turtle"})
_OURS = frozenset({"modal", "pilotlight", "__main__", "__mp_main__"})

_IMPORT = re.compile(rb"^[ \t]*import[ \t]+([^\n#;]+)", re.MULTILINE)
_FROM = re.compile(
    rb"^[ \t]*from[ \t]+([A-Za-z_][\w.]*)[ \t]+import[ \t]+(?:\(([^)]*)\)|([^\n#;]+))", re.MULTILINE
)

#: The modules of a process that has imported nothing for a program yet; a warm one (`_warm`) fixes it.
base: frozenset[str] | None = None


class Surroundings:
    """What of this process later imports see.

    A program that changes it while it is being imported expects the order of its own lines, which modules
    that were imported before it do not keep.
    """

    def __init__(self) -> None:
        self._seen = (dict(os.environ), [*sys.path], [*sys.meta_path], [*sys.path_hooks], os.getcwd())

    def changed(self) -> bool:
        """Whether it is not as it was when this was made."""
        return Surroundings()._seen != self._seen


def notes(
    known: Iterable[str], changed: bool, files: Iterable[str], excluded: Iterable[str]
) -> dict[str, Any]:
    """Which installed modules are imported, in order, and what the program's own `files` say of imports."""
    own = frozenset(known) if base is None else base
    return {
        "modules": installed(set(sys.modules) - own, excluded),
        "imports": sorted({name for file in files if file.endswith(".py") for name in imported(_read(file))}),
        "changed": changed or any(name in sys.modules for name in ("gevent.monkey", "eventlet.patcher")),
    }


def installed(names: set[str], excluded: Iterable[str]) -> list[str]:
    """Those of `names` that are modules of Python or of installed packages, in the order of import."""
    is_installed = Installed(excluded)
    found: list[str] = []
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        spec = getattr(module, "__spec__", None)
        # One that goes by another name, too, is made by whoever gave it that name.
        if name not in names or top in _OURS or top in _LOUD or spec is None or spec.name != name:
            continue
        path = getattr(module, "__file__", None)
        if is_installed(path) if path else spec.origin in ("built-in", "frozen"):
            found.append(name)
    return found


class Installed:
    """Whether a file is of Python or of an installed package. Looks at each folder once."""

    def __init__(self, excluded: Iterable[str]) -> None:
        self._folders = _sources.installed_folders(excluded)
        self._known: dict[str, bool] = {}

    def __call__(self, path: str) -> bool:
        folder = os.path.dirname(path)
        found = self._known.get(folder)
        if found is None:
            found = self._known[folder] = _sources.is_below_any(path, self._folders)
        return found


def imported(source: bytes) -> list[str]:
    """The dotted names after `import` and `from`, wherever they stand in the text.

    Quick rather than exact: a text is compared with what it was.
    """
    found = [_plain(name) for names in _IMPORT.findall(source) for name in names.split(b",")]
    for module, listed, named in _FROM.findall(source):
        found += [f"{module.decode()}.{_plain(name)}" for name in (listed or named).split(b",")]
    return found


def _plain(name: bytes) -> str:
    words = name.replace(b"\\", b" ").split()
    return words[0].decode("utf-8", "replace") if words else ""


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
