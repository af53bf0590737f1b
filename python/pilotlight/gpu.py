"""`modal.gpu` of 2022 to 2024: declarations only, GPUs are not built yet."""

from __future__ import annotations

from ._later import Later


class A10G(Later):
    """An A10G."""


class A100(Later):
    """An A100."""


class Any(Later):
    """Whichever there is."""


class H100(Later):
    """An H100."""


class L4(Later):
    """An L4."""


class T4(Later):
    """A T4."""
