"""Checks the keywords that ask for what this version does not give yet: GPUs, schedules, retries, places.

What cannot be is refused as Modal refuses it, so that a program stays right for the day it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from .exception import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping


def check(era: str, where: str, options: Mapping[str, Any]) -> None:
    """Raises `InvalidError` for a value of `options` that Modal would refuse."""
    if options.get("gpu") is not None:
        from .gpu import parse_gpu

        parse_gpu(where, options["gpu"], era)
    if options.get("retries") is not None:
        from .retries import check_retries

        check_retries(where, options["retries"])
    _check_objects(where, options)
    for name in ("cloud", "routing_region", "_experimental_proxy_ip"):
        value = options.get(name)
        if value is not None and (not isinstance(value, str) or not value):
            raise InvalidError(f"{where}: {name} must be a string, not {value!r}")
    region = options.get("region")
    regions = cast("list[object]", region) if isinstance(region, (list, tuple)) else [region]
    if region is not None and not all(isinstance(one, str) and one for one in regions):
        raise InvalidError(f"{where}: region must be a string or a list of strings, not {region!r}")


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


def _check_objects(where: str, options: Mapping[str, Any]) -> None:
    for name, kind in (("proxy", "Proxy"), ("rate_limit", "RateLimit")):
        value = options.get(name)
        if value is not None and type(value).__name__ != kind:
            raise InvalidError(f"{where}: expected a modal.{kind} for {name}=, not {value!r}")
