"""Functions with `serialized=True`: pickled by value, so that the container imports nothing of the "
"program."""

from __future__ import annotations

import posixpath
import re
import sys
from typing import TYPE_CHECKING, Any

from . import _files
from .exception import InvalidError

if TYPE_CHECKING:
    from .functions import Function

_FOLDER = posixpath.join(_files.ROOT, ".pilotlight")
# Modal's limits.
_BYTES_MAX = 16 * 1024 * 1024
_BYTES_TO_TELL = 256 * 1024
_MODE = 0o644


class Pickles:
    """The pickles of one manifest, as files of it."""

    def __init__(self) -> None:
        self.files: list[dict[str, Any]] = []
        self._places: dict[int, str] = {}

    def add(self, function: Function[..., Any], notices: list[str]) -> str | None:
        """Where the container finds the function, or its class; None unless it has `serialized=True`.

        Raises `InvalidError` when it cannot be pickled, or is too large.
        """
        spec = function._spec
        if not spec.settings.serialized:
            return None
        target = _target(function)
        if id(target) in self._places:
            return self._places[id(target)]
        name = spec.name if spec.cls is None else spec.cls
        content = _dumps(name, target)
        if len(content) > _BYTES_MAX:
            raise InvalidError(
                f"{name}: serialized=True: it is {len(content) / 2**20:.1f} MiB with what it refers to, "
                "and at most 16 MiB can be sent: load large data in the function, or put it into the image"
            )
        if len(content) > _BYTES_TO_TELL:
            notices.append(
                f"{name}: serialized=True sends {len(content) // 1024} KiB; load large data in the function"
            )
        remote = self._place(name)
        self._places[id(target)] = remote
        self.files.append(_file(remote, content))
        return remote

    def _place(self, name: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        taken = set(self._places.values())
        candidates = [plain, *(f"{plain}-{number}" for number in range(2, len(taken) + 3))]
        places = [posixpath.join(_FOLDER, candidate + ".pickle") for candidate in candidates]
        return next(place for place in places if place not in taken)


def _target(function: Function[..., Any]) -> Any:
    """What is pickled: the function, or the class whose method it is."""
    spec = function._spec
    if spec.cls is None:
        return function._pilotlight_raw
    home = function._home
    cls = home._classes.get(spec.cls.rpartition(".")[2]) if home else None
    if cls is None or cls._raw is None:
        raise InvalidError(
            f"{spec.name}: serialized=True is not for a method with @stub.function: use "
            "@stub.cls(serialized=True)"
        )
    return cls._raw


def _dumps(name: str, target: Any) -> bytes:
    try:
        import cloudpickle  # pyright: ignore[reportMissingImports, reportMissingTypeStubs]
    except ImportError:
        raise InvalidError(
            f"{name}: serialized=True needs cloudpickle on this machine too: "
            "`python -m pip install cloudpickle`"
        ) from None
    pickler: Any = cloudpickle  # pyright: ignore[reportUnknownVariableType]
    module = sys.modules.get(target.__module__)
    # By value: the module of the program is not to be imported in the container.
    registered = module is not None and module.__name__ not in pickler.list_registry_pickle_by_value()
    if registered:
        pickler.register_pickle_by_value(module)
    try:
        return pickler.dumps(target)
    except Exception as error:
        raise InvalidError(
            f"{name}: serialized=True: it cannot be pickled with what it refers to: {error}"
        ) from None
    finally:
        if registered:
            pickler.unregister_pickle_by_value(module)


def _file(remote: str, content: bytes) -> dict[str, Any]:
    import base64

    return {
        "remote": remote,
        "local": "",
        "content": base64.b64encode(content).decode("ascii"),
        "mode": _MODE,
        "digest": None,
        "size": None,
    }
