"""What a function imports of its image: told by its containers, imported ahead for its next version.

Under `serve` an edit then pays for the user's own modules alone. The zygote that imports ahead has the
image's files and none of the user's, so that whatever it imports is the image's.
"""

from __future__ import annotations

import importlib
import sys
from typing import Callable

from . import places

#: A container tells again when there is more, and no more often than this.
_TELLS_MAX = 8
#: Imported by nobody but a program that means it: they print, or open a window.
_LOUD = frozenset({"antigravity", "this", "turtle"})


class Teller:
    """Tells which modules of the image are imported, when there are more than were told."""

    def __init__(self, tell: Callable[[list[str]], None]) -> None:
        self._tell = tell
        self._seen = 0
        self._left = _TELLS_MAX

    def look(self) -> None:
        """Called after each request, so it does nothing mostly."""
        if len(sys.modules) > self._seen and self._left:
            self._seen = len(sys.modules)
            self._left -= 1
            self._tell(modules())


def modules() -> list[str]:
    """The imported modules of the standard library, of packages and of the SDK, in their order."""
    found: list[str] = []
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        path = getattr(module, "__file__", None)
        # One that goes by another name, too, is made by whoever gave it that name.
        if spec is None or spec.name != name or name.partition(".")[0] in _LOUD or not isinstance(path, str):
            continue
        if places.is_library(path) or path.startswith(places.SDK + "/"):
            found.append(name)
    return found


def load(names: list[str]) -> frozenset[str]:
    """Import them all; the top-level names of what is new. Raises what an import raises."""
    known = set(sys.modules)
    for name in names:
        importlib.import_module(name)
    return frozenset(name.partition(".")[0] for name in set(sys.modules) - known)


def is_patched() -> bool:
    """Whether something replaced parts of the standard library, which modules of before do not notice."""
    return any(name in sys.modules for name in ("gevent.monkey", "eventlet.patcher"))
