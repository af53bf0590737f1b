"""`enable_output`: shows progress and logs of what the program runs. Here both are shown always."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ._public import public

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["enable_output"]


@contextlib.contextmanager
@public
def enable_output(show_progress: bool = True) -> Generator[None, None, None]:
    """`with modal.enable_output():` around `app.run()` or `app.deploy()`, which show their output anyway."""
    yield
