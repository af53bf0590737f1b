"""What the container serves: a function or a class, imported by name or unpickled."""

from __future__ import annotations

import binascii
import importlib
import inspect
import os
import platform
import sys
from typing import Any, Callable

from . import places
from .classes import Instance, Plain
from .errors import StartError

#: Gives the object in a pickle of cloudpickle's.
Unpickle = Callable[[bytes], Any]


def load(function: dict[str, Any], unpickle: Unpickle) -> Plain | Instance:
    """Find what the host describes in `function`.

    Whatever ends the import, `sys.exit` included, becomes a `StartError`: the reason must reach the host.
    """
    module, qualname, cls = function["module"], function["qualname"], function.get("cls")
    # Taken out: what it closes over may be secret, and large.
    pickle = function.pop("pickle", None)
    found = _unpickled(function, pickle, unpickle) if pickle else imported(module, cls or qualname)
    if not cls:
        return Plain(found)
    method = qualname.rpartition(".")[2]
    if not inspect.isclass(found):
        raise StartError.said("import", f"{cls!r} in the module {module!r} is no class inside the container")
    if inspect.getattr_static(found, method, None) is None:
        raise StartError.said("import", _missing(module, qualname))
    return Instance(found, method, function["name"])


def imported(module: str, qualname: str) -> Any:
    """What the user's module has by this name, without a decorator of the SDK's. Raises `StartError`."""
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


def _unpickled(function: dict[str, Any], pickle: str, unpickle: Unpickle) -> Any:
    """The object in `pickle`, which only the Python that made it can read: it holds bytecode."""
    name, made_by = function["name"], function.get("python") or ""
    here = platform.python_version()
    if made_by and _minor(made_by) != _minor(here):
        local, image = _minor(made_by), _minor(here)
        raise StartError.said(
            "import",
            f"`{name}` was serialized by Python {local}, and its image has Python {image}: with "
            f'`serialized=True` they must be the same; use an image with python_version="{local}", or run '
            f"pilotlight with Python {image}",
        )
    try:
        found = unpickle(binascii.a2b_base64(pickle))
    except BaseException as error:
        raise StartError.of("import", error) from None
    return getattr(found, "_pilotlight_raw", found)


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _missing(module: str, qualname: str) -> str:
    origin = getattr(sys.modules.get(module), "__file__", None) or ""
    if places.is_library(origin) or module in sys.builtin_module_names:
        place = os.path.dirname(origin) or "Python itself"
        return f"the name {module!r} belongs to a module at {place}; rename the file"
    return f"the module {module!r} has no {qualname!r} when it is imported inside the container"
