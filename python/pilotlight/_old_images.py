"""`modal.DebianSlim()` and its kin: images as they were made until the end of 2022."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._public import public
from .image import Image

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence


@public
def DebianSlim(python_version: str | None = None) -> Image:
    """`Image.debian_slim()` as it was called in 2022."""
    return Image.debian_slim(python_version)


@public
def Conda() -> Image:
    """`Image.conda()` as it was called in 2022."""
    return Image.conda()


@public
def DockerhubImage(tag: str, setup_commands: Sequence[str] = (), **kwargs: Any) -> Image:
    """`Image.from_dockerhub()` as it was called in 2022."""
    return Image.from_dockerhub(tag, list(setup_commands), **kwargs)


@public
def DockerfileImage(path: str | os.PathLike[str]) -> Image:
    """`Image.from_dockerfile()` as it was called in 2022."""
    return Image.from_dockerfile(path)
