"""`RateLimit`: how often an endpoint may be asked (Modal 2022, where it was for calls; here of today too)."""

from __future__ import annotations

from ._public import public
from .exception import InvalidError

__all__ = ["RateLimit"]


@public
class RateLimit:
    """How many requests a second or a minute; more of them are answered 429 with `Retry-After`.

    Raises `InvalidError` unless exactly one of the two is given.
    """

    def __init__(self, *, per_second: int | None = None, per_minute: int | None = None) -> None:
        if (per_second is None) == (per_minute is None):
            raise InvalidError("RateLimit needs exactly one of per_second= and per_minute=")
        given = per_minute if per_second is None else per_second
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise InvalidError(f"RateLimit: {given!r} is not a whole number of at least 1")
        self.per_second = per_second
        self.per_minute = per_minute

    def _manifest(self) -> dict[str, int]:
        if self.per_second is not None:
            return {"requests": self.per_second, "seconds": 1}
        return {"requests": self.per_minute or 0, "seconds": 60}

    def __repr__(self) -> str:
        return f"RateLimit({', '.join(f'{name}={value}' for name, value in vars(self).items() if value)})"
