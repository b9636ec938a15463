"""Checks of what a visitor sent: the widgets enforce nothing over the raw API."""

import math
from collections.abc import Collection
from typing import Any

from vidpred.errors import BadInput

MAX_SEED = 2**31 - 1
MAX_TEMPERATURE = 2.0
LONGEST_NAME = 40  # of an unknown name, in what is said about it


def whole_number(value: Any, what: str, low: int, high: int) -> int:
    """A whole number in [low, high]; 3.0 is one, 1.7, NaN, True and "3" are not."""
    number = finite(value)
    if number is None or number != int(number) or not low <= number <= high:
        raise BadInput(f"{what} must be a whole number from {low:,} to {high:,}")
    return int(number)


def number_between(value: Any, what: str, low: float, high: float) -> float:
    """A number in [low, high]."""
    number = finite(value)
    if number is None or not low <= number <= high:
        raise BadInput(f"{what} must be a number from {low:g} to {high:g}")
    return float(number)


def seed(value: Any, what: str = "The seed") -> int:
    """A seed of any noise."""
    return whole_number(value, what, 0, MAX_SEED)


def temperature(value: Any) -> float:
    """By which the noise is multiplied."""
    return number_between(value, "The temperature", 0, MAX_TEMPERATURE)


def within(value: Any, low: int, high: int, otherwise: int) -> int:
    """The whole number of [low, high] that is nearest to a value; of what is no number, the one in its place."""
    number = finite(value)
    return min(max(int(otherwise if number is None else number), low), high)


def choice(value: Any, what: str, known: Collection[str]) -> str:
    """One of the known names."""
    if not isinstance(value, str):
        raise BadInput(f"Please choose a {what} from the list")
    if value not in known:
        printed = "".join(c if c.isprintable() else " " for c in value[: 4 * LONGEST_NAME])  # in a line, and in UTF-8
        name = " ".join(printed.split())[:LONGEST_NAME]
        raise BadInput(f"There is no {what} “{name}” here: please choose a {what} from the list")
    return value


def several(values: Any, what: str, known: Collection[str]) -> list[str]:
    """Known names, each once."""
    if not isinstance(values, (list, tuple)) or len(values) > len(known):
        raise BadInput(f"Please choose {what}s from the list")
    return list(dict.fromkeys(choice(name, what, known) for name in values))


def switch(value: Any, what: str) -> bool:
    """On or off."""
    if not isinstance(value, bool):
        raise BadInput(f"{what} is either on or off")
    return value


def finite(value: Any) -> float | int | None:
    """The value if it is a finite number, one that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None
