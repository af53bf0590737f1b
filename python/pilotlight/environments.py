"""`Environment` and `Workspace`: parts of an account with Modal. Declared only."""

from __future__ import annotations

from .object import Object

__all__ = ["Environment", "Workspace"]


class Environment(Object):
    """A part of a workspace with apps and objects of its own. Not built yet."""

    _shown = "Environment"


class Workspace(Object):
    """An account. Not built yet."""

    _shown = "Workspace"
