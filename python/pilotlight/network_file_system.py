"""`NetworkFileSystem`: `SharedVolume` as it was called from 2023 on. Declared only."""

from __future__ import annotations

from typing import Any

from ._later import unbuilt_static
from .object import Manager
from .shared_volume import SharedVolume

__all__ = ["NetworkFileSystem"]


class NetworkFileSystem(SharedVolume):
    """A file system that containers share: `network_file_systems={"/data": nfs}`. Not built yet."""

    _shown = "NetworkFileSystem"
    objects = Manager("NetworkFileSystem")

    @unbuilt_static
    @staticmethod
    def ephemeral(client: Any = None, environment_name: str | None = None) -> Any:
        """Not built yet: raises `NotBuiltError`."""
