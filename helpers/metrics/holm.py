"""The correction of many tests on the same images.

The tests are those of differences in `helpers.metrics.intervals`; with one run a side that of two
AUCs is DeLong's.
"""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjust p values for their number, step-down.

    Holm (1979), Scand. J. Stat. 6:65-70: the chance of any false rejection stays below the level,
    whatever the tests have to do with each other.

    Args:
        p_values: float (m,), within 0 .. 1.

    Returns:
        float (m,), adjusted, in the order given: reject where it is at most the level.

    Raises:
        ValueError: values outside 0 .. 1, or NaN.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise ValueError(f"p values must be a list of numbers within 0 .. 1, got {p_values}.")
    # statsmodels' multipletests gives the same, and collects the garbage of the whole interpreter
    # at each call: a second of a long session, thousands of times.
    order = np.argsort(p_values, kind="stable")
    steps = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(steps, 1)
    return adjusted
