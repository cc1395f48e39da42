"""Arithmetic with printed numbers: each stands for all values that round to it.

A printed number is kept as text, so 85.00 and 85.0 differ: the first stands for 84.995 .. 85.005.
"""

from dataclasses import dataclass
from decimal import Decimal

from study.published import Published

# Ends of rounding intervals are compared with this slack, relative to the last printed digit: half
# a digit exactly may have been rounded either way, and binary fractions are not exact.
_HAIR = 1e-6


def last_digit(printed: Published) -> float:
    """Return the unit of the last printed digit: 0.01 of "85.00", 1e-6 of "5.25e-4".

    Raises:
        ValueError: no plain number is printed.
    """
    if printed.value is None:
        raise ValueError(f"{printed.printed!r} ({printed.source}) is no plain number.")
    return float(Decimal(1).scaleb(Decimal(printed.printed).as_tuple().exponent))


def rounding(printed: Published) -> tuple[float, float]:
    """Return the lowest and the highest value that a printed number may stand for."""
    half = last_digit(printed) / 2
    return printed.value - half, printed.value + half


def agrees(computed: float, printed: Published) -> bool:
    """Say whether a number is the printed one within the printed digits, or in its range.

    A number half a digit away agrees: it may be rounded up or to even.

    Args:
        computed: in the unit of `printed`.
        printed: a number, a range or a bound.

    Raises:
        ValueError: what is printed is none of them.
    """
    if printed.value is not None:
        digit = last_digit(printed)
        return abs(computed - printed.value) <= digit * (0.5 + _HAIR)
    if printed.low is None and printed.high is None:
        raise ValueError(f"{printed.printed!r} ({printed.source}) cannot be compared.")
    above = printed.low is None or computed >= printed.low
    return above and (printed.high is None or computed <= printed.high)


def points(a: Published, b: Published) -> float:
    """Return a - b of two printed shares in percentage points, free of binary rounding.

    Raises:
        ValueError: no plain numbers, or different units.
    """
    return round(difference(a, b) * (100 if a.unit == "fraction" else 1), 10)


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


def overlaps(low: float, high: float, printed: Published) -> bool:
    """Say whether a range of values holds one that rounds to the printed number."""
    printed_low, printed_high = rounding(printed)
    slack = _HAIR * last_digit(printed)
    return low <= printed_high + slack and high >= printed_low - slack


@dataclass(frozen=True)
class Count:
    """A printed share as a count of images.

    Attributes:
        images: the count nearest to it.
        n: of how many.
        fits: whether that count gives the printed digits.
    """

    images: int
    n: int
    fits: bool


def images(printed: Published, n: int) -> Count:
    """Return the count of `n` images that is nearest to a printed share.

    Raises:
        ValueError: no images, or no share is printed.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}.")
    if printed.fraction is None:
        raise ValueError(f"{printed.printed!r} ({printed.source}) is no plain number.")
    count = round(printed.fraction * n)
    scale = 1 if printed.unit == "fraction" else 100
    return Count(count, n, agrees(scale * count / n, printed))
