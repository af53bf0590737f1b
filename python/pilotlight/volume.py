"""`Volume`: a file system that outlives its containers. Declared only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from . import _later
from ._later import unbuilt, unbuilt_static
from .exception import InvalidError
from .object import Manager, Mountable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

__all__ = ["Volume"]

_VERSIONS = (None, 1, 2)


class Volume(Mountable):
    """A file system that outlives its containers: `volumes={"/data": volume}`. Using it is not built yet."""

    _shown = "Volume"
    objects = Manager("Volume")

    @classmethod
    def from_name(
        cls,
        name: str | None = None,
        tag: str | None = None,
        namespace: Any = None,
        client: Any = None,
        *,
        app_name: str | None = None,
        environment_name: str | None = None,
        create_if_missing: bool = False,
        version: int | None = None,
        create_options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Refers to the deployed volume of this name. Raises `InvalidError` for a name that cannot be."""
        if version not in _VERSIONS:
            raise InvalidError(f"Volume.from_name: version must be 1 or 2, not {version!r}")
        return cls._reference("from_name", name if app_name is None else app_name, tag)

    @unbuilt_static
    @staticmethod
    def ephemeral(client: Any = None, environment_name: str | None = None, version: int | None = None) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def commit(self) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def reload(self) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def iterdir(self, path: str, *, recursive: bool = True) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def listdir(self, path: str, *, recursive: bool = False) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def read_file(self, path: str) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def read_file_into_fileobj(self, path: str, fileobj: BinaryIO) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def remove_file(self, path: str, recursive: bool = False) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def copy_files(self, src_paths: Sequence[str], dst_path: str, recursive: bool = False) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def batch_upload(self, force: bool = False) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt_static
    @staticmethod
    def rename(
        old_name: str, new_name: str, *, client: Any = None, environment_name: str | None = None
    ) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def info(self) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    def read_only(self) -> Self:
        """The volume, to be read only."""
        return self._variant("read_only()")

    def with_mount_options(self, *, read_only: bool | None = None, sub_path: str | None = None) -> Self:
        """The volume, or a folder of it. Raises `InvalidError` for a path that cannot be."""
        if sub_path is not None and ".." in sub_path.split("/"):
            raise InvalidError(f"Volume.with_mount_options: sub_path {sub_path!r} leaves the volume")
        given = [("read_only", read_only), ("sub_path", sub_path)]
        shown = ", ".join(f"{name}={value!r}" for name, value in given if value is not None)
        return self._variant(f"with_mount_options({shown})")

    def _variant(self, call: str) -> Self:
        _later.withdraw(self._declared)
        made = self.__new__(type(self))
        made._declare(f"{self._declared}.{call}")
        return made
