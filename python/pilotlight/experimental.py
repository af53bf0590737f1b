"""`modal.experimental`: what Modal tries out. `clustered` can be declared; nothing else is built yet."""

from __future__ import annotations

from typing import Any

from ._later import not_built, unbuilt_static
from ._public import public
from .cluster import clustered

__all__ = [
    "clustered",
    "get_cluster_info",
    "get_local_input_concurrency",
    "list_deployed_apps",
    "set_local_input_concurrency",
    "stop_fetching_inputs",
]


@public
@unbuilt_static
def stop_fetching_inputs() -> Any:
    """Not built yet: raises `NotBuiltError`."""


@public
@unbuilt_static
def get_local_input_concurrency() -> Any:
    """Not built yet: raises `NotBuiltError`."""


@public
@unbuilt_static
def set_local_input_concurrency(concurrency: int) -> Any:
    """Not built yet: raises `NotBuiltError`."""


@public
@unbuilt_static
def get_cluster_info() -> Any:
    """Not built yet: raises `NotBuiltError`."""


@public
@unbuilt_static
def list_deployed_apps(environment_name: str = "", client: Any = None) -> Any:
    """Not built yet: raises `NotBuiltError`."""


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    raise AttributeError(str(not_built(f"modal.experimental.{name}")))
