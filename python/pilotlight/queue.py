"""`Queue`: a queue that containers share. Declared only."""

from __future__ import annotations

from typing import Any

from ._later import unbuilt, unbuilt_static
from .object import Manager, Object

__all__ = ["Queue", "QueueHandle"]


class Queue(Object):
    """A queue that containers share, first in, first out. Using it is not built yet."""

    _shown = "Queue"
    objects = Manager("Queue")

    @unbuilt_static
    @staticmethod
    def ephemeral(client: Any = None, environment_name: str | None = None) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def get(self, block: bool = True, timeout: float | None = None, *, partition: str | None = None) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def get_many(
        self,
        n_values: int,
        block: bool = True,
        timeout: float | None = None,
        *,
        partition: str | None = None,
    ) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def put(
        self,
        v: Any,
        block: bool = True,
        timeout: float | None = None,
        *,
        partition: str | None = None,
        partition_ttl: int = 86400,
    ) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def put_many(
        self,
        vs: list[Any],
        block: bool = True,
        timeout: float | None = None,
        *,
        partition: str | None = None,
        partition_ttl: int = 86400,
    ) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def len(self, *, partition: str | None = None, total: bool = False) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def iterate(self, *, partition: str | None = None, item_poll_timeout: float = 0.0) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def clear(self, *, partition: str | None = None, all: bool = False) -> Any:
        """Not built yet: raises `NotBuiltError`."""


#: What `stub.run()` and `container_app` gave for a Queue in 2022.
QueueHandle = Queue
