"""`Cron`, `Period`, `Retries` and `RateLimit` check what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import modal
import pytest
from pilotlight.exception import InvalidError


@pytest.mark.parametrize(
    "line",
    ["* * * * *", "0 9 * * mon-fri", "*/5 0-23/2 1,15 JAN-dec 7", " 59  23 31 12 sun ", "0 0 ? * 1-5/2"],
)
def test_cron_lines(line: str) -> None:
    assert modal.Cron(line).cron_string == line
    assert modal.Cron(line).timezone == "UTC"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "has 0 fields"),
        ("* * * *", "has 4 fields"),
        ("* * * * * *", "has 6 fields"),
        ("60 * * * *", "'60' is no minute"),
        ("* 24 * * *", "'24' is no hour"),
        ("* * 0 * *", "'0' is no day of the month"),
        ("* * * foo *", "'foo' is no month"),
        ("* * * * 8", "'8' is no day of the week"),
        ("*/0 * * * *", "is no minute"),
        ("5-1 * * * *", "is no minute"),
        ("1- * * * *", "is no minute"),
        ("1,,2 * * * *", "'' is no minute"),
        ("@daily", "has 1 fields"),
        (5, "takes a string"),
    ],
)
def test_cron_lines_that_cannot_be(line: Any, said: str) -> None:
    with pytest.raises(InvalidError, match=said):
        modal.Cron(line)


def test_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneinfo.available_timezones", lambda: {"Europe/Berlin"})
    assert (
        repr(modal.Cron("0 9 * * *", timezone="Europe/Berlin"))
        == "Cron('0 9 * * *', timezone='Europe/Berlin')"
    )
    for zone in ("Europe/Berln", "", 3):
        with pytest.raises(InvalidError, match="Europe/Berlin"):
            modal.Cron("0 9 * * *", zone)  # pyright: ignore[reportArgumentType]
    # A container without a list of time zones imports the program all the same.
    monkeypatch.setenv("PILOTLIGHT_IS_REMOTE", "1")
    modal.Cron("0 9 * * *", "Europe/Somewhere")


def test_periods_count_by_place_or_name() -> None:
    assert vars(modal.Period(1, 2, 3, 4, 5, 6, 7.5)) == vars(
        modal.Period(years=1, months=2, weeks=3, days=4, hours=5, minutes=6, seconds=7.5)
    )
    assert repr(modal.Period(hours=1)) == "Period(hours=1)"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: modal.Period(), "no time at all"),
        (lambda: modal.Period(days=1.5), "days must be a whole number"),
        (lambda: modal.Period(seconds="1"), "seconds must be a number"),
        (lambda: modal.Period(hours=True), "hours must be a whole number"),
        (lambda: modal.Period(minutes=-1), "goes forward"),
        (lambda: modal.Period(seconds=float("nan")), "goes forward"),
        (lambda: modal.Retries(max_retries=-1), "at least 0"),
        (lambda: modal.Retries(max_retries=1.0), "at least 0"),
        (
            lambda: modal.Retries(max_retries=1, backoff_coefficient=0.5),
            "backoff_coefficient must be a number from 1",
        ),
        (lambda: modal.Retries(max_retries=1, backoff_coefficient=11), "from 1 to 10"),
        (
            lambda: modal.Retries(max_retries=1, initial_delay=61),
            "initial_delay must be a number from 0 to 60",
        ),
        (lambda: modal.Retries(max_retries=1, max_delay=0.5), "max_delay must be a number from 1 to 60"),
        (lambda: modal.RateLimit(), "exactly one"),
        (lambda: modal.RateLimit(per_second=1, per_minute=1), "exactly one"),
        (lambda: modal.RateLimit(per_second=0), "at least 1"),
    ],
)
def test_numbers_that_cannot_be(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(InvalidError, match=said):
        make()


def test_retries_and_rate_limits_keep_their_numbers() -> None:
    assert vars(modal.Retries(max_retries=3)) == {
        "max_retries": 3,
        "backoff_coefficient": 2.0,
        "initial_delay": 1.0,
        "max_delay": 60.0,
    }
    assert repr(modal.RateLimit(per_minute=5)) == "RateLimit(per_minute=5)"
