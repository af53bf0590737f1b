"""GPUs: the classes of `modal.gpu` (2022 to 2025), and `parse_gpu`, which checks what `gpu=` is given.

They are checked, so that a program stays right for the day GPUs are built; functions run without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ._public import public, suggestion
from .exception import InvalidError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["A10G", "A100", "H100", "L4", "L40S", "T4", "Any"]

#: Modal's names of 2022 to today.
_NAMES = (
    "T4 L4 L40S A10 A10G A100 A100-20G A100-40GB A100-80GB H100 H100! H200 B200 B200+ B300 RTX-PRO-6000 INF2 "
    "ANY"
).split()
_COUNT_MAX = 8
_A100_GIB = {0: "A100", 20: "A100-20G", 40: "A100-40GB", 80: "A100-80GB"}


@public
class _GPU:
    """One or more GPUs of a kind. Raises `InvalidError` for a count that is not 1 to 8."""

    _name = ""

    def __init__(self, *, count: int = 1) -> None:
        self.count = _count(f"modal.gpu.{type(self).__name__}", count)

    def __str__(self) -> str:
        return self._name if self.count == 1 else f"{self._name}:{self.count}"

    def __repr__(self) -> str:
        return f"GPU({self})"


class T4(_GPU):
    """An NVIDIA T4: today `gpu="T4"`."""

    _name = "T4"


class L4(_GPU):
    """An NVIDIA L4: today `gpu="L4"`."""

    _name = "L4"


class L40S(_GPU):
    """An NVIDIA L40S: today `gpu="L40S"`."""

    _name = "L40S"


class A10G(_GPU):
    """An NVIDIA A10G: today `gpu="A10G"`."""

    _name = "A10G"


class H100(_GPU):
    """An NVIDIA H100: today `gpu="H100"`."""

    _name = "H100"


class Any(_GPU):
    """Whichever GPU there is: today `gpu="any"`."""

    _name = "ANY"


@public
class A100(_GPU):
    """An NVIDIA A100 of `memory` GiB (0 for any, 20, 40 or 80), or of `size` "40GB" or "80GB"."""

    def __init__(self, *, count: int = 1, memory: int = 0, size: str | None = None) -> None:
        super().__init__(count=count)
        wanted = f"A100-{size}".upper() if size is not None else _A100_GIB.get(memory)
        if wanted not in _A100_GIB.values():
            given = f"memory={memory!r}" if size is None else f"size={size!r}"
            raise InvalidError(
                f"modal.gpu.A100({given}): there are memory=20, 40 and 80, and size='40GB' and '80GB'"
            )
        self._name = wanted
        self.memory = memory


def parse_gpu(where: str, value: object, era: str = "app") -> tuple[str, ...]:
    """What `gpu=` means: names such as `A100-40GB:2`, the most wanted first; empty for none.

    `where` opens each message. Raises `InvalidError` for what is no GPU; `True` is one under `Stub` only.
    """
    if isinstance(value, (list, tuple)):
        wanted = [parse_gpu(where, one, era) for one in cast("Sequence[object]", value)]
        return tuple(name for names in wanted for name in names)
    if value is None or value is False:
        return ()
    if value is True and era == "stub":
        return ("ANY",)
    if isinstance(value, _GPU):
        return (str(value),)
    if not isinstance(value, str):
        raise InvalidError(f'{where}: gpu= takes a string such as "A100" or "H100:2", not {value!r}')
    name, colon, count = value.upper().partition(":")
    if colon and not (count.isdecimal() and 1 <= int(count) <= _COUNT_MAX):
        raise InvalidError(
            f"{where}: {value!r}: the count of a GPU is a whole number from 1 to {_COUNT_MAX}, such as "
            f'"{name}:2"'
        )
    if name not in _NAMES:
        hint = suggestion(name, _NAMES) or f": there are {', '.join(_NAMES)}"
        raise InvalidError(f"{where}: there is no GPU {value!r}{hint}")
    return (name + colon + count,)


def _count(where: str, count: object) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _COUNT_MAX:
        raise InvalidError(f"{where}: count must be a whole number from 1 to {_COUNT_MAX}, not {count!r}")
    return count
