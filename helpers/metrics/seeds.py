"""The mean of several values, one a seed."""

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
