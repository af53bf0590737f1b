"""`Server` and `sessioned` (2026): servers without an input queue. Declared only."""

from __future__ import annotations

from typing import Any, NoReturn

from ._later import not_built, unbuilt
from .object import Object

__all__ = ["Server", "sessioned"]


class Server(Object):
    """The handle of a class with `@app.server()`. Not built yet."""

    _shown = "Server"

    @unbuilt
    def get_url(self) -> Any:
        """Not built yet: raises `NotBuiltError`."""


def sessioned(*args: Any, **kwargs: Any) -> NoReturn:
    """Known, not built yet: raises `NotBuiltError`."""
    raise not_built("@modal.sessioned", "a web decorator under @app.function() serves requests")
