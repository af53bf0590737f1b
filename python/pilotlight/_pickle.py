"""Functions with `serialized=True`: pickled by value, and the container imports nothing of the program."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .exception import InvalidError

if TYPE_CHECKING:
    from .functions import Function

# Modal's limits.
_BYTES_MAX = 16 * 1024 * 1024
_BYTES_TO_TELL = 256 * 1024


class Pickles:
    """The pickles of one manifest: in it and in no file, for what they close over may be secret."""

    def __init__(self) -> None:
        self.described: dict[str, str] = {}
        self._names: dict[int, str] = {}

    def add(self, function: Function[..., Any], notices: list[str]) -> str | None:
        """The name of what holds the function, or its class; None unless it has `serialized=True`.

        Raises `InvalidError` when it cannot be pickled, or is too large.
        """
        spec = function._spec
        if not spec.settings.serialized:
            return None
        target = _target(function)
        if id(target) in self._names:
            return self._names[id(target)]
        name = spec.name if spec.cls is None else spec.cls
        import base64

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
        # Two classes may have one name.
        key = name if name not in self.described else f"{name} {len(self.described)}"
        self._names[id(target)] = key
        self.described[key] = base64.b64encode(content).decode("ascii")
        return key


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
