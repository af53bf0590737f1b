"""Makes `modal` another name of `pilotlight`: the same module objects, sub-modules included.

Two copies of a class would break `isinstance` and `except`, so nothing is re-exported: the import system is
told that `modal.x` *is* `pilotlight.x`.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

ALIAS = "modal"
TARGET = "pilotlight"


def install() -> ModuleType:
    """Puts the alias in place and returns the package; `modal.py` and discovery call it."""
    if not any(isinstance(finder, _AliasFinder) for finder in sys.meta_path):
        # In front, because the path finder would load pilotlight's files a second time as `modal.*`.
        sys.meta_path.insert(0, _AliasFinder())
    package = importlib.import_module(TARGET)
    sys.modules[ALIAS] = package
    return package


class _AliasFinder:
    """A meta path finder that answers for `modal.*` only; no `importlib.abc`, which is slow to import."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(ALIAS + ".") or sys.modules.get(ALIAS) is not sys.modules.get(TARGET):
            return None
        real_name = TARGET + fullname[len(ALIAS) :]
        try:
            module = importlib.import_module(real_name)
        except ModuleNotFoundError as error:
            if error.name != real_name:
                raise
            return None
        return importlib.machinery.ModuleSpec(fullname, cast("Any", _AliasLoader(module)))


class _AliasLoader:
    """Hands out a module that is loaded already."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        # A throw-away module: returning the real one here would overwrite its `__spec__`.
        return None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = self._module
