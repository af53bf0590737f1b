"""`modal.aio` (2022 to 2023): the same classes, with their blocking methods to be awaited by plain names.

From May 2023 on, each method has its own `.aio` instead: `await stub.deploy.aio()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._aio import AsyncMirror
from ._context import container_app as aio_container_app
from ._lookup import lookup
from ._running import RunningApp as AioApp
from .dict import Dict
from .functions import FunctionHandle
from .image import Image as AioImage
from .mount import Mount as AioMount
from .queue import Queue
from .secret import Secret as AioSecret
from .shared_volume import SharedVolume
from .stub import Stub

__all__ = [
    "AioApp",
    "AioDict",
    "AioFunctionHandle",
    "AioImage",
    "AioMount",
    "AioQueue",
    "AioSecret",
    "AioSharedVolume",
    "AioStub",
    "aio_container_app",
    "aio_lookup",
]

aio_lookup = lookup.aio

if TYPE_CHECKING:
    # What they return is awaited, which the classes they come from do not say.
    AioDict = AioFunctionHandle = AioQueue = AioSharedVolume = AioStub = Any
else:

    class AioStub(AsyncMirror, Stub):
        """`Stub`, whose `run` is for `async with`, and whose `serve` and `deploy` are awaited."""

    class AioFunctionHandle(AsyncMirror, FunctionHandle):
        """`FunctionHandle`, whose calls are awaited."""

    class AioDict(AsyncMirror, Dict):
        """`Dict`, whose methods are awaited."""

    class AioQueue(AsyncMirror, Queue):
        """`Queue`, whose methods are awaited."""

    class AioSharedVolume(AsyncMirror, SharedVolume):
        """`SharedVolume`, whose methods are awaited."""
