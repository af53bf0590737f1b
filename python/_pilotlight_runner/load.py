"""The user's function: its module imported by name, the raw function taken from the SDK's handle."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from . import places
from .errors import StartError


def load(module: str, qualname: str) -> Any:
    """Import `module` and return what `qualname` names in it, unwrapped.

    Whatever ends the import, `sys.exit` included, becomes a `StartError`: the reason must reach the host.
    """
    try:
        found = importlib.import_module(module)
    except BaseException as error:
        raise StartError.of("import", error) from None
    for part in qualname.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise StartError.said("import", _missing(module, qualname)) from None
        except BaseException as error:
            raise StartError.of("import", error) from None
    return getattr(found, "_pilotlight_raw", found)


def _missing(module: str, qualname: str) -> str:
    origin = getattr(sys.modules.get(module), "__file__", None) or ""
    if places.is_library(origin) or module in sys.builtin_module_names:
        place = os.path.dirname(origin) or "Python itself"
        return f"the name {module!r} belongs to a module at {place}; rename the file"
    return f"the module {module!r} has no {qualname!r} when it is imported inside the container"
