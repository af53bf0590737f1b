"""`SharedVolume`: a file system that containers share (2022). Declared only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from ._later import unbuilt
from .object import Mountable

if TYPE_CHECKING:
    import os

__all__ = ["SharedVolume", "SharedVolumeHandle"]


class SharedVolume(Mountable):
    """A file system that containers share: `shared_volumes={"/data": volume}`. Using it is not built yet."""

    _shown = "SharedVolume"

    def __init__(self, cloud_provider: Any = None) -> None:
        super().__init__()

    @unbuilt
    def write_file(self, remote_path: str, fp: BinaryIO) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def read_file(self, path: str) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def iterdir(self, path: str) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def listdir(self, path: str) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def remove_file(self, path: str, recursive: bool = False) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def add_local_file(
        self, local_path: str | os.PathLike[str], remote_path: str | os.PathLike[str] | None = None
    ) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def add_local_dir(
        self, local_path: str | os.PathLike[str], remote_path: str | os.PathLike[str] | None = None
    ) -> Any:
        """Not built yet: raises `NotBuiltError`."""


#: What `stub.run()` and `container_app` gave for a SharedVolume in 2022.
SharedVolumeHandle = SharedVolume
