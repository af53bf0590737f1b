"""`clustered` and `Cluster`: functions that run on several machines at once. Declared only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._partial import as_partial
from ._public import public
from .exception import InvalidError
from .object import Object

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._partial import PartialFunction
    from ._typing import P, R

__all__ = ["Cluster", "clustered"]


class Cluster(Object):
    """Several machines that work on one call. Not built yet."""

    _shown = "Cluster"


@public
def clustered(size: int, rdma: bool = False) -> Callable[[Callable[P, R]], PartialFunction[P, R]]:
    """A function that runs in `size` containers at once: accepted with a notice, and not built yet."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"@modal.clustered: size must be a whole number of at least 1, not {size!r}")

    def decorate(target: Any) -> Any:
        partial = as_partial("clustered", target)
        partial._notes += ("@modal.clustered is accepted but not built yet, and has no effect",)
        return partial

    return decorate
