"""`InputInfo` and `InputStatus`: what `FunctionCall.get_call_graph()` gives; the method is not built yet."""

from __future__ import annotations

import enum
from typing import NamedTuple

__all__ = ["InputInfo", "InputStatus"]


class InputStatus(enum.IntEnum):
    """How a call stands."""

    PENDING = 0
    SUCCESS = 1
    FAILURE = 2
    INIT_FAILURE = 3
    TERMINATED = 4
    TIMEOUT = 5


class InputInfo(NamedTuple):
    """A call in a graph of calls."""

    input_id: str
    function_call_id: str
    task_id: str
    status: InputStatus
    function_name: str
    module_name: str
    children: list[InputInfo]
