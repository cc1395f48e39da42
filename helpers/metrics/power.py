"""What a test set can resolve: intervals, power, and the best that a pairing could do.

Two systems scored on the same images are a paired comparison, but papers print the two accuracies
alone, not where the systems differ. What can be said then: the interval as if the images were
different ones (Newcombe), and the smallest p value that any overlap of errors could give.
"""

import math

import numpy as np
from scipy import stats

from helpers.metrics.scores import LEVEL, Estimate, proportion


def newcombe(k1: int, n1: int, k2: int, n2: int) -> Estimate:
    """Return k1/n1 - k2/n2 with its 95 % interval.

    Newcombe (1998), Stat. Med. 17:873-890, method 10: Wilson's limits of both proportions, their
    distances joined in quadrature; for independent samples.

    Raises:
        ValueError: a count that is not whole or outside 0 .. n, or no images.
    """
    if not n1 or not n2:
        raise ValueError(f"expected n >= 1 on both sides, got {k1} of {n1} and {k2} of {n2}.")
    a, b = proportion(k1, n1), proportion(k2, n2)
    value = a.value - b.value
    low = value - math.hypot(a.value - a.low, b.high - b.value)
    high = value + math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(value, low, high, n1 + n2, "Newcombe, independent samples")


def power(p1: float, p2: float, n: int) -> float:
    """Return how often two systems with true accuracies p1 and p2 are told apart at 5 %.

    Exact, by summing over all outcomes: each is scored on `n` images of its own, and the pooled
    z test of two proportions is made, two-sided.

    Raises:
        ValueError: accuracies outside 0 .. 1, no images, or no whole number of them.
    """
    if not (0 <= p1 <= 1 and 0 <= p2 <= 1) or n % 1 or n < 1:
        raise ValueError(
            f"expected accuracies within 0 .. 1 and whole n >= 1, got {p1}, {p2}, {n}."
        )
    counts = np.arange(n + 1)
    pooled = (counts[:, None] + counts[None, :]) / (2 * n)
    error = np.sqrt(pooled * (1 - pooled) * 2 / n)
    apart = np.abs(counts[:, None] - counts[None, :]) / n
    rejected = apart > stats.norm.ppf((1 + LEVEL) / 2) * error
    chances = stats.binom.pmf(counts, n, p1)[:, None] * stats.binom.pmf(counts, n, p2)[None, :]
    return float(chances[rejected].sum())


def detectable_gain(p: float, n: int, *, wanted: float = 0.8) -> float | None:
    """Return the smallest gain over the accuracy `p` that is found with a power of `wanted`.

    Each system has `n` images. The gain is 0 to 1, to a tenth of a point; None where even a perfect
    system would not be told apart.

    Raises:
        ValueError: as `power`.
    """
    power(p, p, n)  # refuses what is no accuracy, and no number of images
    gains = (tenths / 1000 for tenths in range(1, math.floor(1000 * (1 - p) + 1e-9) + 1))
    return next((gain for gain in gains if power(p, min(1.0, p + gain), n) >= wanted), None)


def best_mcnemar(k1: int, k2: int) -> float:
    """Return the smallest p of McNemar's exact test that two counts on the same images allow.

    It is that of the most favourable overlap: all that the lower one has right, the higher has too.

    Raises:
        ValueError: counts that are no whole numbers from 0.
    """
    if k1 % 1 or k2 % 1 or not min(k1, k2) >= 0:
        raise ValueError(f"expected two counts of images, whole numbers from 0, got {k1} and {k2}.")
    return float(min(1.0, 2 * 0.5 ** abs(k1 - k2)))


def auc_error(auc: float, positive: int, negative: int) -> float:
    """Return the standard error of an AUC (0 to 1) from the numbers of images of both classes.

    Hanley & McNeil (1982), Radiology 143:29-36.

    Raises:
        ValueError: an AUC outside 0 .. 1, an empty class, or no whole number of images.
    """
    if not 0 <= auc <= 1 or positive % 1 or negative % 1 or not min(positive, negative) >= 1:
        raise ValueError(
            "expected an AUC within 0 .. 1 and whole numbers of images from 1 in both classes, got "
            f"{auc}, {positive} and {negative}."
        )
    by_positive = auc / (2 - auc) - auc**2
    by_negative = 2 * auc**2 / (1 + auc) - auc**2
    spread = (positive - 1) * by_positive + (negative - 1) * by_negative
    return math.sqrt((auc * (1 - auc) + spread) / (positive * negative))
