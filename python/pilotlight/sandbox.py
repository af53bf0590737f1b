"""`Sandbox` and what belongs to it: containers that a program starts itself. Declared only."""

from __future__ import annotations

from typing import Any

from ._later import unbuilt_static
from ._public import public
from .object import Manager

__all__ = ["Probe", "Sandbox", "SandboxSnapshot"]


@public
class Sandbox:
    """A container that a program starts itself. What would give one raises `NotBuiltError`."""

    objects = Manager("Sandbox")

    @unbuilt_static
    @staticmethod
    def create(*args: Any, **kwargs: Any) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt_static
    @staticmethod
    def from_id(sandbox_id: str, client: Any = None) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt_static
    @staticmethod
    def from_name(
        app_name: str, name: str, *, environment_name: str | None = None, client: Any = None
    ) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt_static
    @staticmethod
    def list(*, app_id: str | None = None, tags: Any = None, client: Any = None) -> Any:
        """Not built yet: raises `NotBuiltError`."""


@public
class SandboxSnapshot:
    """A sandbox as it was at some time. Not built yet."""

    @unbuilt_static
    @staticmethod
    def from_id(sandbox_snapshot_id: str, client: Any = None) -> Any:
        """Not built yet: raises `NotBuiltError`."""


@public
class Probe:
    """How a sandbox shows that it is ready. Not built yet."""

    @unbuilt_static
    @staticmethod
    def with_tcp(port: int, **options: Any) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt_static
    @staticmethod
    def with_exec(*command: str, **options: Any) -> Any:
        """Not built yet: raises `NotBuiltError`."""
