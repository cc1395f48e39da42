"""Arithmetic with printed numbers: each stands for all values that round to it.

A printed number is kept as text, so 85.00 and 85.0 differ: the first stands for 84.995 .. 85.005.
"""

from decimal import Decimal

import numpy as np

from study.published import Published, last_digit, rounding

# Half a digit exactly may have been rounded either way, and binary fractions are not exact.
_SLACK = 1 + 1e-6


def fits(values: np.ndarray, printed: Published) -> np.ndarray:
    """Say which values, in the unit of a printed number, have its digits; bool as `values`."""
    return np.abs(values - printed.value) <= last_digit(printed) / 2 * _SLACK


def scale_of(printed: Published) -> int:
    """Return by what a share from 0 to 1 is multiplied to stand in the unit of a printed one."""
    return 1 if printed.unit == "fraction" else 100


def difference(a: Published, b: Published) -> float:
    """Return a - b of two printed numbers in their unit, free of binary rounding.

    Raises:
        ValueError: no plain numbers, or different units.
    """
    for value in (a, b):
        last_digit(value)
    if a.unit != b.unit:
        raise ValueError(f"{a.printed} {a.unit} and {b.printed} {b.unit} differ in their unit.")
    return float(Decimal(a.printed) - Decimal(b.printed))


def percent_saved(ours: float, theirs: float) -> float:
    """Return how much less `ours` is than `theirs`, in percent of `theirs`; below 0: more.

    Raises:
        ValueError: `theirs` is not above 0.
    """
    if not theirs > 0:
        raise ValueError(f"a saving is a share of something above 0, got {theirs}.")
    return 100 * (1 - ours / theirs)


def saved_range(ours: Published, theirs: Published) -> tuple[float, float]:
    """Return the least and the greatest saving that two printed numbers may stand for, percent."""
    low, high = rounding(ours)
    theirs_low, theirs_high = rounding(theirs)
    return percent_saved(high, theirs_low), percent_saved(low, theirs_high)


def images(printed: Published, n: int) -> int:
    """Return the count of `n` images that is nearest to a printed share.

    Raises:
        ValueError: no images, or no share is printed.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}.")
    if printed.fraction is None:
        raise ValueError(f"{printed.printed!r} ({printed.source}) is no plain number.")
    return round(printed.fraction * n)
