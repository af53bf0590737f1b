"""`modal.billing`: what an account with Modal costs. There is nothing to pay here: declared only."""

from __future__ import annotations

from typing import Any

from ._later import unbuilt_static
from ._public import public

__all__ = ["workspace_billing_report"]


@public
@unbuilt_static
def workspace_billing_report(
    *, start: Any, end: Any = None, resolution: str = "d", tag_names: Any = None
) -> Any:
    """Not built yet: raises `NotBuiltError`."""
