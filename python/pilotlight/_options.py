"""The keywords of the function and class decorators, both eras, by name.

The TypedDicts are the only list of keywords: type checkers read them, and so does the check at run time.
Source: Modal's signatures, 2022 to May 2025 (`Stub`) and 1.6 (`App`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from ._public import suggestion
from .exception import DeprecationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .image import Image
    from .mount import Mount
    from .secret import Secret


class _CommonOptions(TypedDict, total=False):
    image: Image | None
    secrets: Sequence[Secret] | None
    gpu: Any
    serialized: bool
    network_file_systems: Mapping[str, Any]
    volumes: Mapping[str, Any]
    cpu: float | tuple[float, float] | None
    memory: int | tuple[int, int] | None
    ephemeral_disk: int | None
    min_containers: int | None
    max_containers: int | None
    buffer_containers: int | None
    scaledown_window: float | None
    proxy: Any
    retries: Any
    startup_timeout: float | None
    total_timeout: float | None
    cloud: str | None
    region: str | Sequence[str] | None
    enable_memory_snapshot: bool
    block_network: bool
    i6pn: bool | None
    max_inputs: int | None
    include_source: bool | None


class AppClsOptions(_CommonOptions, total=False):
    """Keywords of `@app.cls(...)`: today's."""

    timeout: float
    env: Mapping[str, str | None] | None
    routing_region: str | None
    nonpreemptible: bool
    restrict_modal_access: bool
    single_use_containers: bool
    rate_limit: Any
    experimental_options: Any
    _experimental_restrict_output: bool


class AppOptions(AppClsOptions, total=False):
    """Keywords of `@app.function(...)`: today's."""

    schedule: Any
    name: str | None
    is_generator: bool | None


class StubClsOptions(_CommonOptions, total=False):
    """Keywords of `@stub.cls(...)`: 2023 to 2025."""

    timeout: float | None
    secret: Secret | None
    rate_limit: Any
    mounts: Sequence[Mount]
    shared_volumes: Mapping[str, Any]
    allow_cross_region_volumes: bool
    concurrency_limit: int | None
    container_idle_timeout: float | None
    interactive: bool
    keep_warm: bool | int | None
    allow_concurrent_inputs: int | None
    checkpointing_enabled: bool
    _allow_background_volume_commits: bool | None
    _experimental_boost: bool
    _experimental_scheduler: bool
    _experimental_scheduler_placement: Any
    _experimental_gpus: Any
    _experimental_buffer_containers: int | None
    _experimental_proxy_ip: str | None
    _experimental_custom_scaling_factor: float | None


class StubOptions(StubClsOptions, total=False):
    """Keywords of `@stub.function(...)`, `@stub.webhook(...)` and their kin: 2022 to 2025."""

    schedule: Any
    name: str | None
    is_generator: bool | None


#: Old name -> today's. Under `App` the old names are errors that name the new ones (Modal's rule since 1.0).
REPLACED = {
    "keep_warm": "min_containers=",
    "concurrency_limit": "max_containers=",
    "container_idle_timeout": "scaledown_window=",
    "allow_concurrent_inputs": "the @modal.concurrent(max_inputs=…) decorator",
}

#: Names of the past that today's decorators do not have, and what does their work.
RETIRED = {
    "secret": "write secrets=[…]",
    "mounts": "write image.add_local_dir(…), add_local_file(…) or add_local_python_source(…)",
    "mount": "write image.add_local_dir(…), add_local_file(…) or add_local_python_source(…)",
    "shared_volumes": "write volumes={…}",
    "interactive": "use `pilotlight run`",
    "checkpointing_enabled": "write enable_memory_snapshot=True",
    "is_async": "drop it, it is seen from the function",
}

_WEB_NAMES = {
    "@stub.webhook": ("method", "label", "wait_for_response"),
    "@stub.asgi": ("label", "wait_for_response"),
    "@stub.wsgi": ("label", "wait_for_response"),
}


def check_names(era: str, decorator: str, options: Mapping[str, object]) -> None:
    """Refuses keywords the decorator does not have: `TypeError` naming the nearest, or `DeprecationError`."""
    if decorator.endswith(".cls"):
        known = (StubClsOptions if era == "stub" else AppClsOptions).__optional_keys__
    else:
        known = (StubOptions if era == "stub" else AppOptions).__optional_keys__
    for name in options:
        if name in known:
            continue
        if era == "app" and name in REPLACED:
            raise DeprecationError(f"{decorator}: {name}= is now {REPLACED[name]}")
        hint = (
            f"; {RETIRED[name]} instead"
            if era == "app" and name in RETIRED
            else _nearest(decorator, name, known)
        )
        raise TypeError(f"{decorator} got an unexpected keyword argument {name!r}{hint}")


def _nearest(decorator: str, name: str, known: frozenset[str]) -> str:
    if name in ("method", "label", "docs", "custom_domains", "requires_proxy_auth", "wait_for_response"):
        return f"; {name}= belongs to the web decorator under it"
    return suggestion(name, [*known, *_WEB_NAMES.get(decorator, ())])
