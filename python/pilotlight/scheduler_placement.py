"""`SchedulerPlacement`: where containers run. Declared only: here all run on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._public import public

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SchedulerPlacement"]


@public
class SchedulerPlacement:
    """Where containers run; without effect, and a notice of the function that is given it says so."""

    def __init__(
        self,
        region: str | Sequence[str] | None = None,
        zone: str | None = None,
        spot: bool | None = None,
        instance_type: str | Sequence[str] | None = None,
    ) -> None:
        self.region, self.zone, self.spot, self.instance_type = region, zone, spot, instance_type
