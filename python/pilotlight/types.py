"""`modal.types`: the types of what calls and statistics give."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FunctionStats"]


class FunctionStats(NamedTuple):
    """What `Function.get_current_stats()` gives; the method is not built yet."""

    backlog: int
    num_total_runners: int
