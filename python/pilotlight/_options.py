"""The keywords of the function decorators, both eras, and the one function specification they become.

The TypedDicts are the only list of keywords: type checkers read them, and so does the check at run time.
Source: Modal's signatures, 2022 to May 2025 (`Stub`) and 1.6 (`App`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, cast

from .exception import DeprecationError, InvalidError
from .image import Image
from .mount import Mount
from .secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class _CommonOptions(TypedDict, total=False):
    image: Image | None
    schedule: Any
    secrets: Sequence[Secret] | None
    gpu: Any
    serialized: bool
    network_file_systems: Any
    volumes: Any
    cpu: float | tuple[float, float] | None
    memory: int | tuple[int, int] | None
    ephemeral_disk: int | None
    min_containers: int | None
    max_containers: int | None
    buffer_containers: int | None
    scaledown_window: float | None
    proxy: Any
    retries: Any
    timeout: float | None
    startup_timeout: float | None
    name: str | None
    is_generator: bool | None
    cloud: str | None
    region: str | Sequence[str] | None
    enable_memory_snapshot: bool
    block_network: bool
    i6pn: bool | None
    max_inputs: int | None


class AppOptions(_CommonOptions, total=False):
    """Keywords of `@app.function(...)`: today's."""

    env: Mapping[str, str | None] | None
    routing_region: str | None
    nonpreemptible: bool
    restrict_modal_access: bool
    single_use_containers: bool
    include_source: bool | None
    experimental_options: Any
    _experimental_restrict_output: bool


class StubOptions(_CommonOptions, total=False):
    """Keywords of `@stub.function(...)`, `@stub.webhook(...)` and their kin: 2022 to 2025."""

    secret: Secret | None
    rate_limit: Any
    mounts: Sequence[Mount]
    shared_volumes: Any
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


class Settings(NamedTuple):
    """What a function asks for, in today's words; seconds, cores and MiB."""

    image: Image | None
    secrets: tuple[Secret, ...]
    mounts: tuple[Mount, ...]
    min_containers: int
    max_containers: int | None
    scaledown_window: float
    timeout: float
    startup_timeout: float | None
    max_inputs: int
    cpu: float | None
    memory: int | None
    serialized: bool
    unbuilt: tuple[str, ...]
    """Keywords that were given and are not built yet."""


#: Old name -> today's. Under `App` the old names are errors that name the new ones (Modal's rule since 1.0).
REPLACED = {
    "keep_warm": "min_containers",
    "concurrency_limit": "max_containers",
    "container_idle_timeout": "scaledown_window",
    "allow_concurrent_inputs": "the @modal.concurrent(max_inputs=…) decorator",
}

_BUILT = frozenset(
    "image secret secrets env mounts cpu memory min_containers max_containers scaledown_window timeout "
    "startup_timeout name is_generator serialized include_source keep_warm concurrency_limit "
    "container_idle_timeout allow_concurrent_inputs allow_cross_region_volumes nonpreemptible "
    "checkpointing_enabled".split()
)

SCALEDOWN_SECONDS_DEFAULT = 60.0
TIMEOUT_SECONDS_DEFAULT = 300.0
#: A day: the longest an input may take, and a start.
SECONDS_MAX = 86_400
#: The most inputs one container handles at a time.
INPUTS_MAX = 1000
# `keep_warm=True` meant two containers (Modal 2022).
KEEP_WARM_TRUE = 2


def check_names(
    era: str, decorator: str, options: Mapping[str, object], web_names: Sequence[str] = ()
) -> None:
    """Refuses keywords the decorator does not have: `TypeError` naming the nearest, or `DeprecationError`.

    `web_names` are keywords of the decorator that are taken care of elsewhere.
    """
    table = StubOptions if era == "stub" else AppOptions
    known = table.__optional_keys__
    for name in options:
        if name in known:
            continue
        if name in REPLACED:
            raise DeprecationError(f"{decorator}: {name}= is now {_instead(name)}")
        import difflib

        nearest = difflib.get_close_matches(name, [*known, *web_names], n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise TypeError(f"{decorator} got an unexpected keyword argument {name!r}{hint}")


def settings(era: str, where: str, options: Mapping[str, Any]) -> Settings:
    """Maps checked keywords of either era to `Settings`. `where` opens each message.

    Raises `InvalidError` for values that cannot be.
    """
    keep_warm = options.get("keep_warm")
    low = options.get("min_containers")
    if low is None and keep_warm is not None:
        low = keep_warm * KEEP_WARM_TRUE if isinstance(keep_warm, bool) else keep_warm
    min_containers = whole(where, "min_containers", low, 0) or 0
    max_containers = whole(
        where, "max_containers", _either(options, "max_containers", "concurrency_limit"), 1
    )
    if max_containers is not None and min_containers > max_containers:
        raise InvalidError(
            f"{where}: min_containers ({min_containers}) is more than max_containers ({max_containers})"
        )
    window = _either(options, "scaledown_window", "container_idle_timeout")
    window_low = 2 if era == "app" else 1
    timeout = options.get("timeout", TIMEOUT_SECONDS_DEFAULT)
    if timeout is None:
        if era == "app":
            raise InvalidError(f"{where}: timeout must be a number of seconds from 1 to 86400, not None")
        timeout = TIMEOUT_SECONDS_DEFAULT
    return Settings(
        image=_image(where, options.get("image")),
        secrets=_secrets(where, options),
        mounts=_mounts(where, options.get("mounts", ())),
        min_containers=min_containers,
        max_containers=max_containers,
        scaledown_window=_number(where, "scaledown_window", window, window_low, 3600)
        or SCALEDOWN_SECONDS_DEFAULT,
        timeout=_number(where, "timeout", timeout, 1, SECONDS_MAX) or TIMEOUT_SECONDS_DEFAULT,
        startup_timeout=_number(where, "startup_timeout", options.get("startup_timeout"), 1, SECONDS_MAX),
        max_inputs=whole(
            where, "allow_concurrent_inputs", options.get("allow_concurrent_inputs"), 1, INPUTS_MAX
        )
        or 1,
        cpu=_number(where, "cpu", _limit(where, "cpu", options.get("cpu")), 0, 1024) or None,
        memory=whole(where, "memory", _limit(where, "memory", options.get("memory")), 1, 16_777_216),
        serialized=bool(options.get("serialized")),
        unbuilt=tuple(name for name, value in options.items() if name not in _BUILT and _given(value)),
    )


def as_secrets(where: str, secrets: object) -> tuple[Secret, ...]:
    """`secrets` as a tuple; `InvalidError` when one is not a Secret."""
    if isinstance(secrets, Secret):
        raise InvalidError(f"{where}: secrets= takes a list: secrets=[…]")
    found = tuple(cast("Sequence[Any]", secrets or ()))
    for secret in found:
        if not isinstance(secret, Secret):
            raise InvalidError(f"{where}: expected modal.Secret objects in secrets=, not {secret!r}")
    return found


def whole(where: str, name: str, value: Any, low: int, high: int = 10_000) -> int | None:
    """`value` when it is a whole number from `low` to `high`, or None; else `InvalidError`."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidError(f"{where}: {name} must be a whole number from {low} to {high}, not {value!r}")
    return value


def _image(where: str, image: object) -> Image | None:
    if image is None or isinstance(image, Image):
        return image
    raise InvalidError(f"{where}: expected modal.Image object for image=, not {image!r}")


def _secrets(where: str, options: Mapping[str, Any]) -> tuple[Secret, ...]:
    # The single `secret` comes first, `env` last; a later one wins where names clash (Modal 2023, 1.x).
    single = options.get("secret")
    first = as_secrets(where, [single] if single is not None else ())
    variables = options.get("env")
    last = (Secret(variables),) if variables else ()
    return first + as_secrets(where, options.get("secrets")) + last


def _mounts(where: str, mounts: object) -> tuple[Mount, ...]:
    found = tuple(cast("Sequence[Any]", mounts or ()))
    for mount in found:
        if not isinstance(mount, Mount):
            raise InvalidError(f"{where}: expected modal.Mount objects in mounts=, not {mount!r}")
    return found


def _instead(name: str) -> str:
    today = REPLACED[name]
    return today if " " in today else today + "="


def _either(options: Mapping[str, Any], today: str, old: str) -> Any:
    value = options.get(today)
    return options.get(old) if value is None else value


def _limit(where: str, name: str, value: Any) -> Any:
    """Of a pair (request, limit) the limit: it is what a container is held to."""
    if not isinstance(value, tuple):
        return value
    pair = cast("tuple[Any, ...]", value)
    if len(pair) != 2:
        raise InvalidError(f"{where}: {name}= takes a number or a pair (request, limit)")
    return pair[1]


def _number(where: str, name: str, value: Any, low: float, high: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidError(f"{where}: {name} must be a number, not {value!r}")
    # Written so that `nan` fails too.
    if not low <= value <= high:
        raise InvalidError(f"{where}: {name} must be a number from {low} to {high}, not {value!r}")
    return float(value)


def _given(value: object) -> bool:
    return value is not None and value is not False and value not in ((), [], {}, "")
