"""How many images there were: the set sizes for which printed percentages are whole counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.claims.arithmetic import scale_of
from study.published import Published, last_digit

LARGEST = 1000  # sets of this many images and more are not looked for


@dataclass(frozen=True)
class SizeSearch:
    """The search for the size of a set."""

    sizes: tuple[int, ...]  # all that fit, ascending
    counts: tuple[int, ...]  # of the smallest one, the images of each share; empty if none fits
    # How likely it is that at least one size up to the smallest fits shares that have nothing to
    # do with it (an upper bound: the sum over the sizes).
    chance: float
    n_shares: int  # different shares that were printed


def search_sizes(printed: Sequence[Published], *, largest: int = LARGEST) -> SizeSearch:
    """Find the sizes below `largest` at which each printed share of a set is a whole count.

    The chance of an accidental fit takes each share as drawn evenly from all that can be printed,
    0.00 to 100.00 %: a size of N images reaches about N + 1 of these 10,001.

    Raises:
        ValueError: no shares, or printed with different digits.
    """
    shares, digit = _shares(printed)
    sizes = np.arange(1, largest)
    fitting = sizes[misfit(printed, sizes) <= 1 + 2e-6]
    counts = ()
    if len(fitting):
        smallest = int(fitting[0])
        counts = tuple(round(value.fraction * smallest) for value in printed)
        sizes = sizes[:smallest]
    printable = round(1 / digit) + 1
    reached = np.minimum(sizes + 1, printable) / printable
    chance = float(min(1.0, (reached ** len(shares)).sum()))
    return SizeSearch(tuple(fitting.tolist()), counts, chance, len(shares))


def misfit(printed: Sequence[Published], sizes: np.ndarray) -> np.ndarray:
    """Return how far the worst printed share is from a whole count, float (sizes,).

    The unit is half the last printed digit: up to 1, rounding explains it. The sizes, int, are at
    least 1; errors as of `search_sizes`.
    """
    shares, digit = _shares(printed)
    counts = np.rint(shares[None, :] * sizes[:, None])
    return np.abs(counts / sizes[:, None] - shares[None, :]).max(axis=1) / (digit / 2)


def _shares(printed: Sequence[Published]) -> tuple[np.ndarray, float]:
    shares = np.array(sorted({value.fraction for value in printed}))
    digits = {last_digit(value) / scale_of(value) for value in printed}
    if len(digits) != 1:
        raise ValueError(f"expected shares of one set with the same digits, got {digits}.")
    return shares, digits.pop()
