"""`Proxy`: an outbound address that stays the same. Declared only."""

from __future__ import annotations

from .object import Object

__all__ = ["Proxy"]


class Proxy(Object):
    """An outbound address that stays the same: `proxy=modal.Proxy.from_name("my-proxy")`. Not built yet."""

    _shown = "Proxy"
