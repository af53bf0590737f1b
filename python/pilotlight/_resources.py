"""Checks the keywords that ask for what this version does not give yet: GPUs, schedules, retries, places.

What cannot be is refused as Modal refuses it, so that a program stays right for the day it is given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from .exception import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Modal's names of 2022 to today.
_GPUS = frozenset(
    "a10 a10g a100 a100-20g a100-40gb a100-80gb any b200 b200+ b300 h100 h100! h200 inf2 l4 l40s "
    "rtx-pro-6000 t4".split()
)
_RETRIES_MAX = 10


def check(era: str, where: str, options: Mapping[str, Any]) -> None:
    """Raises `InvalidError` for a value of `options` that Modal would refuse."""
    gpus = options.get("gpu")
    if isinstance(gpus, (list, tuple)):
        for gpu in cast("list[object]", gpus):
            _check_gpu(era, where, gpu)
    else:
        _check_gpu(era, where, gpus)
    _check_retries(where, options.get("retries"))
    _check_objects(where, options)
    for name in ("cloud", "routing_region", "_experimental_proxy_ip"):
        value = options.get(name)
        if value is not None and (not isinstance(value, str) or not value):
            raise InvalidError(f"{where}: {name} must be a string, not {value!r}")
    region = options.get("region")
    regions = cast("list[object]", region) if isinstance(region, (list, tuple)) else [region]
    if region is not None and not all(isinstance(one, str) and one for one in regions):
        raise InvalidError(f"{where}: region must be a string or a list of strings, not {region!r}")
    _check_at_least_one(where, "ephemeral_disk", options.get("ephemeral_disk"))
    _check_at_least_one(where, "max_inputs", options.get("max_inputs"))


def check_schedule(name: str, schedule: object, required: list[str]) -> None:
    """Raises `InvalidError` for a schedule of the wrong type, or of a function that needs arguments."""
    if schedule is None:
        return
    if type(schedule).__name__ not in ("Cron", "Period"):
        raise InvalidError(f"{name}: schedule= takes modal.Cron(…) or modal.Period(…), not {schedule!r}")
    if required:
        raise InvalidError(
            f"{name}: a function with a schedule is called without arguments, and {', '.join(required)} has "
            "no default: give it one, or drop schedule="
        )


def _check_gpu(era: str, where: str, gpu: object) -> None:
    if gpu is None or gpu is False or (gpu is True and era == "stub"):
        return
    if not isinstance(gpu, str):
        # The objects of `modal.gpu`, 2022 to 2025.
        if type(gpu).__module__.startswith("pilotlight."):
            return
        raise InvalidError(f'{where}: gpu= takes a string such as "A100" or "H100:2", not {gpu!r}')
    name, colon, count = gpu.partition(":")
    if colon and not re.fullmatch(r"[1-9]\d?", count):
        raise InvalidError(f'{where}: {gpu!r}: the count of a GPU is a whole number, such as "{name}:2"')
    if name.lower() not in _GPUS:
        import difflib

        nearest = difflib.get_close_matches(name.lower(), sorted(_GPUS), n=1)
        hint = f"; did you mean {nearest[0].upper()!r}?" if nearest else ""
        raise InvalidError(f"{where}: there is no GPU {gpu!r}{hint}")


def _check_retries(where: str, retries: object) -> None:
    if retries is None:
        return
    many = retries
    if type(retries).__name__ == "Retries":
        many = vars(retries).get("max_retries", 0)
    if isinstance(many, bool) or not isinstance(many, int):
        raise InvalidError(
            f"{where}: retries must be a whole number from 0 to {_RETRIES_MAX} or modal.Retries(…), "
            f"not {retries!r}"
        )
    if not 0 <= many <= _RETRIES_MAX:
        raise InvalidError(f"{where}: retries must be from 0 to {_RETRIES_MAX}, not {many}")


def _check_objects(where: str, options: Mapping[str, Any]) -> None:
    for name, kind in (("proxy", "Proxy"), ("rate_limit", "RateLimit")):
        value = options.get(name)
        if value is not None and type(value).__name__ != kind:
            raise InvalidError(f"{where}: expected a modal.{kind} for {name}=, not {value!r}")


def _check_at_least_one(where: str, name: str, value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise InvalidError(f"{where}: {name} must be a whole number of at least 1, not {value!r}")
