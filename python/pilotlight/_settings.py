"""Checks the values of the decorators' keywords, and maps both eras' to the one specification they become."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from . import _resources
from .exception import InvalidError
from .image import Image
from .mount import Mount
from .object import Mountable
from .secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._lookup import Reference
    from .rate_limit import RateLimit


class Settings(NamedTuple):
    """What a function asks for, in today's words; seconds, cores and MiB."""

    image: Image | None
    secrets: tuple[Secret, ...]
    mounts: tuple[Mount, ...]
    min_containers: int
    max_containers: int | None
    buffer_containers: int
    scaledown_window: float
    timeout: float
    total_timeout: float | None
    startup_timeout: float | None
    max_inputs: int
    target_inputs: int | None
    single_use: bool
    cpu: float | None
    memory: int | None
    ephemeral_disk: int | None
    rate_limit: RateLimit | None
    serialized: bool
    include_source: bool | None
    """None is the application's own choice."""
    block_network: bool
    snapshot: bool | None
    """Whether containers are forks of one that has imported the program; None is the server's choice."""
    unbuilt: tuple[str, ...]
    """Keywords that were given and are not built yet."""


_BUILT = frozenset(
    "image secret secrets env mounts cpu memory ephemeral_disk min_containers max_containers "
    "buffer_containers _experimental_buffer_containers single_use_containers max_inputs scaledown_window "
    "timeout total_timeout startup_timeout name rate_limit is_generator serialized include_source "
    "block_network keep_warm concurrency_limit container_idle_timeout allow_concurrent_inputs "
    "allow_cross_region_volumes nonpreemptible enable_memory_snapshot checkpointing_enabled".split()
)

SCALEDOWN_SECONDS_DEFAULT = 60.0
TIMEOUT_SECONDS_DEFAULT = 300.0
#: A day: the longest an input may take, and a start.
SECONDS_MAX = 86_400
#: The most inputs one container handles at a time.
INPUTS_MAX = 1000
#: Why a container cannot be for a single use and handle several inputs at a time.
SINGLE_AND_MANY = "a container for a single use handles one input, never several at a time"
# `keep_warm=True` meant two containers (Modal 2022).
KEEP_WARM_TRUE = 2
_SCALEDOWN_SECONDS_MAX = 3600
_CORES_MAX = 1024
_MIB_MAX = 16_777_216
# As Modal's: 3 TiB.
_DISK_MIB_MAX = 3_145_728


def settings(era: str, where: str, options: Mapping[str, Any]) -> Settings:
    """Maps checked keywords of either era to `Settings`. `where` opens each message.

    Raises `InvalidError` for values that cannot be.
    """
    _resources.check(era, where, options)
    for name in ("volumes", "shared_volumes", "network_file_systems"):
        check_volumes(where, name, options.get(name))
    low, high, spare = _containers(where, options)
    timeout = options.get("timeout", TIMEOUT_SECONDS_DEFAULT)
    if timeout is None:
        if era == "app":
            raise InvalidError(f"{where}: timeout must be a number of seconds from 1 to 86400, not None")
        timeout = TIMEOUT_SECONDS_DEFAULT
    window = _spelling(options, "scaledown_window", "container_idle_timeout")
    snapshot = _spelling(options, "enable_memory_snapshot", "checkpointing_enabled")
    inputs = whole(where, "allow_concurrent_inputs", options.get("allow_concurrent_inputs"), 1, INPUTS_MAX)
    return Settings(
        image=_image(where, options.get("image")),
        secrets=_secrets(where, options),
        mounts=_mounts(where, options.get("mounts", ())),
        min_containers=low,
        max_containers=high,
        buffer_containers=spare,
        scaledown_window=_number(
            where, window, options.get(window), 2 if era == "app" else 1, _SCALEDOWN_SECONDS_MAX
        )
        or SCALEDOWN_SECONDS_DEFAULT,
        timeout=_number(where, "timeout", timeout, 1, SECONDS_MAX) or TIMEOUT_SECONDS_DEFAULT,
        total_timeout=_number(where, "total_timeout", options.get("total_timeout"), 1, SECONDS_MAX),
        startup_timeout=_number(where, "startup_timeout", options.get("startup_timeout"), 1, SECONDS_MAX),
        max_inputs=inputs or 1,
        target_inputs=None,
        single_use=_single_use(where, options),
        cpu=_number(where, "cpu", _pair(where, "cpu", options.get("cpu")), 0, _CORES_MAX) or None,
        memory=whole(where, "memory", _pair(where, "memory", options.get("memory")), 1, _MIB_MAX),
        ephemeral_disk=whole(where, "ephemeral_disk", options.get("ephemeral_disk"), 1, _DISK_MIB_MAX),
        rate_limit=options.get("rate_limit"),
        serialized=_flag(where, "serialized", options.get("serialized")) or False,
        include_source=_flag(where, "include_source", options.get("include_source")),
        block_network=_flag(where, "block_network", options.get("block_network")) or False,
        snapshot=_flag(where, snapshot, options.get(snapshot)),
        unbuilt=tuple(name for name, value in options.items() if name not in _BUILT and _given(value)),
    )


def as_secrets(where: str, secrets: object) -> tuple[Secret, ...]:
    """`secrets` as a tuple; `InvalidError` when one is not a Secret."""
    if isinstance(secrets, Secret):
        raise InvalidError(f"{where}: secrets= takes a list: secrets=[…]")
    found = _items(where, "secrets", secrets)
    return tuple(_secret(where, secret) for secret in found)


def _secret(where: str, secret: object) -> Secret:
    if isinstance(secret, Secret):
        return secret
    if type(secret).__name__ == "Reference":
        # `modal.ref("my-secret")` of 2022: here it shows what it refers to.
        return cast("Reference", secret).as_secret()
    raise InvalidError(f"{where}: expected modal.Secret objects in secrets=, not {secret!r}")


def whole(where: str, name: str, value: Any, low: int, high: int = 10_000) -> int | None:
    """`value` when it is a whole number from `low` to `high`, or None; else `InvalidError`."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidError(f"{where}: {name} must be a whole number from {low} to {high}, not {value!r}")
    return value


def check_volumes(where: str, name: str, volumes: object) -> None:
    """`InvalidError` unless it maps canonical absolute paths to declared objects (Modal's rule)."""
    if volumes is None:
        return
    if not isinstance(volumes, dict):
        raise InvalidError(f'{where}: {name}= takes a dict of paths: {name}={{"/data": …}}, not {volumes!r}')
    for path, volume in cast("dict[object, object]", volumes).items():
        text = str(path)
        if not text.startswith("/") or posixpath.normpath(text) != text:
            raise InvalidError(
                f"{where}: {name}=: {text!r} must be a canonical, absolute path, such as '/data'"
            )
        if text in ("/", "/tmp"):
            raise InvalidError(
                f"{where}: {name}=: nothing can be mounted at {text!r}; choose a folder below /"
            )
        if not isinstance(volume, Mountable):
            raise InvalidError(f"{where}: {name}=: expected a modal.Volume for {text!r}, not {volume!r}")


def _containers(where: str, options: Mapping[str, Any]) -> tuple[int, int | None, int]:
    low = _spelling(options, "min_containers", "keep_warm")
    value = options.get(low)
    if low == "keep_warm" and isinstance(value, bool):
        value = value * KEEP_WARM_TRUE
    min_containers = whole(where, low, value, 0) or 0
    high = _spelling(options, "max_containers", "concurrency_limit")
    max_containers = whole(where, high, options.get(high), 1)
    if max_containers is not None and min_containers > max_containers:
        raise InvalidError(f"{where}: {low} ({min_containers}) is more than {high} ({max_containers})")
    spare = _spelling(options, "buffer_containers", "_experimental_buffer_containers")
    return min_containers, max_containers, whole(where, spare, options.get(spare), 0) or 0


def _single_use(where: str, options: Mapping[str, Any]) -> bool:
    # `max_inputs=1` before Modal 1.3; it never took another number.
    total = options.get("max_inputs")
    if total is not None and (isinstance(total, bool) or total != 1):
        raise InvalidError(
            f"{where}: max_inputs=, the inputs of a container's whole life, can only be 1, not {total!r}; "
            "how many it handles at a time is for @modal.concurrent(max_inputs=…)"
        )
    asked = _flag(where, "single_use_containers", options.get("single_use_containers")) or total is not None
    if asked and (options.get("allow_concurrent_inputs") or 1) > 1:
        raise InvalidError(f"{where}: {SINGLE_AND_MANY}: drop allow_concurrent_inputs=")
    return asked


def _image(where: str, image: object) -> Image | None:
    if image is None or isinstance(image, Image):
        return image
    raise InvalidError(f"{where}: expected modal.Image object for image=, not {image!r}")


def _secrets(where: str, options: Mapping[str, Any]) -> tuple[Secret, ...]:
    # The single `secret` comes first, `env` last; a later one wins where names clash (Modal 2023, 1.x).
    single = options.get("secret")
    first = as_secrets(where, [single] if single is not None else ())
    variables = options.get("env")
    if variables is not None and not hasattr(variables, "items"):
        raise InvalidError(
            f'{where}: env= takes a dict of strings: env={{"NAME": "value"}}, not {variables!r}'
        )
    last = (Secret(variables),) if variables else ()
    return first + as_secrets(where, options.get("secrets")) + last


def _mounts(where: str, mounts: object) -> tuple[Mount, ...]:
    if isinstance(mounts, Mount):
        raise InvalidError(f"{where}: mounts= takes a list: mounts=[…]")
    found = _items(where, "mounts", mounts)
    for mount in found:
        if not isinstance(mount, Mount):
            raise InvalidError(f"{where}: expected modal.Mount objects in mounts=, not {mount!r}")
    return cast("tuple[Mount, ...]", found)


def _items(where: str, name: str, values: object) -> tuple[object, ...]:
    if values is None:
        return ()
    if isinstance(values, (str, dict)) or not hasattr(values, "__iter__"):
        raise InvalidError(f"{where}: {name}= takes a list, not {values!r}")
    return tuple(cast("Sequence[object]", values))


def _spelling(options: Mapping[str, Any], today: str, old: str) -> str:
    """Which of two names of one keyword the user gave, for its value and for what is said about it."""
    return old if options.get(today) is None and options.get(old) is not None else today


def _flag(where: str, name: str, value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise InvalidError(f"{where}: {name} must be True or False, not {value!r}")


def _pair(where: str, name: str, value: Any) -> Any:
    """Of a pair (request, limit) the limit: it is what a container is held to."""
    if not isinstance(value, tuple):
        return value
    pair = cast("tuple[Any, ...]", value)
    if len(pair) != 2:
        raise InvalidError(f"{where}: {name}= takes a number or a pair (request, limit), not {value!r}")
    if (
        _number(where, name, pair[0], 0, _MIB_MAX) is None
        or _number(where, name, pair[1], 0, _MIB_MAX) is None
    ):
        raise InvalidError(f"{where}: both numbers of {name}=(request, limit) are needed, not {value!r}")
    if pair[0] > pair[1]:
        raise InvalidError(f"{where}: {name}: the request ({pair[0]}) is more than the limit ({pair[1]})")
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
