"""Type variables that Python 3.9 has no `typing` names for: real for type checkers, absent at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Generic, TypeVar

    from typing_extensions import ParamSpec, dataclass_transform

    P = ParamSpec("P")
    Q = ParamSpec("Q")
    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)
    T = TypeVar("T")
else:

    class Generic:
        """So that `class X(Generic[P, R])` is a plain class, and `X[...]` in an annotation is `X`."""

        def __class_getitem__(cls, item):
            return cls

    def dataclass_transform(**options):
        """Says how instances are made, to type checkers only."""
        return lambda decorator: decorator

    P = Q = R = R_co = T = None

__all__ = ["Generic", "P", "Q", "R", "R_co", "T", "dataclass_transform"]
