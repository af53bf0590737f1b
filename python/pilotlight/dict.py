"""`Dict`: a dictionary that containers share. Declared only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from ._later import not_built, unbuilt, unbuilt_static
from .exception import InvalidError
from .object import Manager, Object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Dict", "DictHandle"]


class Dict(Object):
    """A dictionary that containers share; keys and values are any that pickle. Using it is not built yet."""

    _shown = "Dict"
    objects = Manager("Dict")

    def __init__(self, data: Mapping[Any, Any] | None = None) -> None:
        if data is not None and not hasattr(data, "items"):
            raise InvalidError(f"Dict(data=…) takes a dict, not {data!r}")
        super().__init__()

    @unbuilt_static
    @staticmethod
    def ephemeral(
        data: Mapping[Any, Any] | None = None, client: Any = None, environment_name: str | None = None
    ) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def get(self, key: Any, default: Any = None) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def contains(self, key: Any) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def len(self) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def update(self, other: Mapping[Any, Any] | None = None, /, **kwargs: Any) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def put(self, key: Any, value: Any, *, skip_if_exists: bool = False) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def pop(self, key: Any, default: Any = None) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def keys(self) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def values(self) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def items(self) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def clear(self) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    @unbuilt
    def info(self) -> Any:
        """Not built yet: raises `NotBuiltError`."""

    def __getitem__(self, key: Any) -> Any:
        self._refuse(f"[{key!r}]")

    def __setitem__(self, key: Any, value: Any) -> None:
        self._refuse(f"[{key!r}]")

    def __delitem__(self, key: Any) -> None:
        self._refuse(f"[{key!r}]")

    def __contains__(self, key: Any) -> bool:
        self._refuse(f".contains({key!r})")

    def __iter__(self) -> Iterator[Any]:
        self._refuse(".keys")

    def _refuse(self, used: str) -> NoReturn:
        raise not_built(f"{self._shown}{used}")


#: What `stub.run()` and `container_app` gave for a Dict in 2022.
DictHandle = Dict
