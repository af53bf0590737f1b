"""`FunctionCall`, the handle of a call that runs elsewhere: declared, since calls are not built yet."""

from __future__ import annotations

from typing import Any

from ._aio import dual, dual_context, dual_static
from ._later import not_built
from ._public import public
from .exception import InvalidError


@public
class FunctionCall:
    """A call in progress. `from_id` checks its argument; whatever would ask about it is `NotBuiltError`."""

    def __init__(self) -> None:
        raise InvalidError("FunctionCall() makes no call: it is what f.spawn(…) returns")

    @staticmethod
    def from_id(function_call_id: str, client: Any = None) -> FunctionCall:
        """The call with the id `fc-…`; `InvalidError` for anything else."""
        if not isinstance(function_call_id, str) or not function_call_id.startswith("fc-"):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"FunctionCall.from_id: {function_call_id!r} is not the id of a call (fc-…)")
        call = object.__new__(FunctionCall)
        call._id = function_call_id
        return call

    _id: str

    @property
    def object_id(self) -> str:
        """The id, `fc-…`."""
        return self._id

    @dual
    def get(self, timeout: float | None = None, *, index: int = 0) -> Any:
        """Not built yet: raises `NotBuiltError`."""
        raise not_built("FunctionCall.get")

    @dual_context
    def iter(self, *, start: int = 0, end: int | None = None) -> Any:
        """Not built yet: raises `NotBuiltError`."""
        raise not_built("FunctionCall.iter")

    @dual
    def num_inputs(self) -> int:
        """Not built yet: raises `NotBuiltError`."""
        raise not_built("FunctionCall.num_inputs")

    @dual
    def get_call_graph(self) -> Any:
        """Not built yet: raises `NotBuiltError`."""
        raise not_built("FunctionCall.get_call_graph")

    @dual
    def cancel(self, terminate_containers: bool = False) -> None:
        """Not built yet: raises `NotBuiltError`."""
        raise not_built("FunctionCall.cancel")

    @dual_static
    @staticmethod
    def gather(*function_calls: FunctionCall) -> Any:
        """Not built yet: raises `NotBuiltError`."""
        raise not_built("FunctionCall.gather")

    def __getattr__(self, name: str) -> Any:
        if name == "logs":
            raise not_built("FunctionCall.logs")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


@public
@dual_static
def gather(*function_calls: FunctionCall) -> Any:
    """`FunctionCall.gather` as it was called from 2022 to 2025; not built yet."""
    raise not_built("gather")
