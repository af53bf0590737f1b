"""`Retries`: how often a failed call is tried again. Checked and declared; calls are not built yet."""

from __future__ import annotations

from ._public import public
from .exception import InvalidError

__all__ = ["Retries"]

#: The most a function may ask for.
RETRIES_MAX = 10
_SECONDS_MAX = 60.0
_COEFFICIENT_MAX = 10.0


@public
class Retries:
    """How often a failed call is tried again, and after how many seconds.

    The first time after `initial_delay`, then each time after `backoff_coefficient` times as long, at most
    `max_delay`. Raises `InvalidError` for numbers out of Modal's ranges.
    """

    def __init__(
        self,
        *,
        max_retries: int,
        backoff_coefficient: float = 2.0,
        initial_delay: float = 1.0,
        max_delay: float = 60.0,
    ) -> None:
        if isinstance(max_retries, bool) or not isinstance(max_retries, int) or max_retries < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(
                f"Retries: max_retries must be a whole number of at least 0, not {max_retries!r}"
            )
        self.max_retries = max_retries
        self.backoff_coefficient = _within("backoff_coefficient", backoff_coefficient, 1.0, _COEFFICIENT_MAX)
        self.initial_delay = _within("initial_delay", initial_delay, 0.0, _SECONDS_MAX)
        self.max_delay = _within("max_delay", max_delay, 1.0, _SECONDS_MAX)

    def __repr__(self) -> str:
        return f"Retries({', '.join(f'{name}={value}' for name, value in vars(self).items())})"


def check_retries(where: str, value: object) -> None:
    """Raises `InvalidError` unless `retries=` was given None, a whole number from 0 to 10, or `Retries`."""
    if value is None:
        return
    many = value.max_retries if isinstance(value, Retries) else value
    if isinstance(many, bool) or not isinstance(many, int):
        raise InvalidError(
            f"{where}: retries must be a whole number from 0 to {RETRIES_MAX} or modal.Retries(…), "
            f"not {value!r}"
        )
    if not 0 <= many <= RETRIES_MAX:
        raise InvalidError(f"{where}: retries must be from 0 to {RETRIES_MAX}, not {many}")


def _within(name: str, value: object, low: float, high: float) -> float:
    # Written so that `nan` fails too.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise InvalidError(f"Retries: {name} must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)
