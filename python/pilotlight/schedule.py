"""`Cron` and `Period`: when a function runs by itself. Checked and declared; schedules are not built yet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import config
from ._public import public, suggestion
from .exception import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Cron", "Period"]

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_DAYS = "sun mon tue wed thu fri sat".split()
#: The fields of a cron line: what each is, its lowest and highest number, names for numbers. See crontab(5).
_FIELDS: tuple[tuple[str, int, int, Mapping[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_PART = re.compile(r"(?:(\*|\?)|(\w+)(?:-(\w+))?)(?:/(\d+))?", re.ASCII)


@public
class Cron:
    """Times in the words of crontab(5): `Cron("0 9 * * mon-fri")`, in UTC or in `timezone`.

    Raises `InvalidError` for a line or a time zone that cannot be.
    """

    def __init__(self, cron_string: str, timezone: str = "UTC") -> None:
        _check_cron(cron_string)
        _check_timezone(timezone)
        self.cron_string = cron_string
        self.timezone = timezone

    def __repr__(self) -> str:
        zone = "" if self.timezone == "UTC" else f", timezone={self.timezone!r}"
        return f"Cron({self.cron_string!r}{zone})"


@public
class Period:
    """A time between runs, in the calendar's steps: `Period(hours=1)`. Only seconds may be a fraction.

    Raises `InvalidError` for a number that cannot be, and for no time at all.
    """

    def __init__(
        self,
        years: int = 0,
        months: int = 0,
        weeks: int = 0,
        days: int = 0,
        hours: int = 0,
        minutes: int = 0,
        seconds: float = 0,
    ) -> None:
        self.years, self.months, self.weeks, self.days = years, months, weeks, days
        self.hours, self.minutes, self.seconds = hours, minutes, seconds
        given = vars(self)
        for name, value in given.items():
            kinds = (int, float) if name == "seconds" else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds):
                what = "a number" if name == "seconds" else "a whole number"
                raise InvalidError(f"Period: {name} must be {what}, not {value!r}")
            # Written so that `nan` fails too.
            if not 0 <= value < float("inf"):
                raise InvalidError(f"Period: {name} cannot be {value!r}: a period goes forward")
        if not any(given.values()):
            raise InvalidError("Period() is no time at all: write Period(hours=1), for example")

    def __repr__(self) -> str:
        return f"Period({', '.join(f'{name}={value}' for name, value in vars(self).items() if value)})"


def _check_cron(line: object) -> None:
    if not isinstance(line, str):
        raise InvalidError(f'Cron takes a string such as "0 9 * * *", not {line!r}')
    fields = line.split()
    if len(fields) != len(_FIELDS):
        raise InvalidError(
            f"Cron({line!r}) has {len(fields)} fields: write five, minute, hour, day of the month, month and "
            'day of the week, such as "0 9 * * *"'
        )
    for field, (what, low, high, names) in zip(fields, _FIELDS):
        for part in field.lower().split(","):
            found = _PART.fullmatch(part)
            step = found and found.group(4)
            numbers = [_number(text, names) for text in found.groups()[1:3] if text] if found else [None]
            good = all(number is not None and low <= number <= high for number in numbers)
            if not good or step == "0" or (len(numbers) == 2 and _backward(numbers)):
                raise InvalidError(
                    f"Cron({line!r}): {part!r} is no {what}: {low} to {high}, *, a-b, a,b, */n"
                )


def _number(text: str, names: Mapping[str, int]) -> int | None:
    return int(text) if text.isdecimal() else names.get(text)


def _backward(numbers: Sequence[int | None]) -> bool:
    first, last = numbers
    return first is not None and last is not None and first > last


def _check_timezone(timezone: object) -> None:
    if not isinstance(timezone, str) or not timezone:
        raise InvalidError(f'Cron: timezone= takes a name such as "Europe/Berlin", not {timezone!r}')
    # A container may have no list of time zones, and the place to find a slip is here.
    if timezone == "UTC" or not config.is_local():
        return
    import zoneinfo

    known = zoneinfo.available_timezones()
    if known and timezone not in known:
        raise InvalidError(f"Cron: there is no time zone {timezone!r}{suggestion(timezone, known)}")
