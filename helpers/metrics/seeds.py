"""The mean of several seeds and its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from helpers.metrics.scores import LEVEL


def aggregate_seeds(values: list[float | None]) -> dict[str, float | int | None]:
    """Summarise one metric over the seeds of a run.

    Args:
        values: one value a seed; None where the metric is undefined.

    Returns:
        mean, sd (ddof = 1), n, and low, high: the 95 % t interval of the mean over training seeds
        (not of the test images). One seed has no sd and no interval; a metric that is undefined for
        one seed is undefined as a whole.

    Raises:
        ValueError: no values.
    """
    n = len(values)
    if n == 0:
        raise ValueError("aggregate_seeds needs the value of at least one seed, got none.")
    summary = {"mean": None, "sd": None, "n": n, "low": None, "high": None}
    if any(value is None or np.isnan(value) for value in values):
        return summary
    summary["mean"] = mean = float(np.mean(values))
    if n > 1:
        summary["sd"] = sd = float(np.std(values, ddof=1))
        half_width = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * sd / np.sqrt(n)
        summary["low"], summary["high"] = float(mean - half_width), float(mean + half_width)
    return summary


@dataclass(frozen=True)
class SeedMean:
    """A proportion averaged over seeds.

    Attributes:
        mean: 0 to 1.
        sd: standard deviation over seeds (ddof = 1), None for one seed.
        low: lower end of the interval (see `seed_mean`).
        high: upper end.
        n_seeds: how many runs.
        n_images: how many test images each was scored on.
    """

    mean: float
    sd: float | None
    low: float
    high: float
    n_seeds: int
    n_images: int


def seed_mean(values: Sequence[float], *, n_images: int) -> SeedMean:
    """Average a proportion over seeds, with a 95 % interval for test images and seeds together.

    All seeds are scored on the same images, so more seeds do not shrink the first of the two
    parts: Wilson's interval at the mean for `n_images` (a little wide, since a mean over seeds
    varies less from image to image than a single run), and Student's t interval of the mean over
    seeds. Their distances from the mean are added in quadrature on each side (MOVER, Zou & Donner
    2008, Stat. Med. 27:1693). With one seed the second part is unknown and left out.

    Args:
        values: the proportion of each seed, 0 to 1.
        n_images: how many images each proportion is of.

    Raises:
        ValueError: no values, a value outside 0 .. 1, or no images.
    """
    if not values or not all(0 <= v <= 1 for v in values):
        raise ValueError(f"expected proportions between 0 and 1, got {list(values)}.")
    if n_images < 1:
        raise ValueError(f"n_images must be at least 1, got {n_images}.")
    seeds = aggregate_seeds(list(values))
    mean = seeds["mean"]
    low, high = _wilson(mean, n_images)
    if seeds["sd"] is not None:
        by_seeds = seeds["high"] - mean
        low = max(0.0, mean - math.hypot(mean - low, by_seeds))
        high = min(1.0, mean + math.hypot(high - mean, by_seeds))
    return SeedMean(mean, seeds["sd"], low, high, len(values), n_images)


def _wilson(p: float, n: int) -> tuple[float, float]:
    """Wilson's interval of a proportion that need not be a whole number of images."""
    from statsmodels.stats.proportion import proportion_confint  # a second, which training can save

    low, high = proportion_confint(p * n, n, alpha=1 - LEVEL, method="wilson")
    # Rounding must not push the interval off the mean at 0 and at 1.
    return min(p, float(low)), max(p, float(high))
