"""`Stub` under the module name it had in 2022."""

from __future__ import annotations

from .app import Stub

__all__ = ["Stub"]
