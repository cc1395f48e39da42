"""A mean over seeds, where nothing but the seed varies, and a difference in words."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from helpers.metrics.scores import LEVEL
from study.table import HasInterval, number, span


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with its 95 % t interval."""

    value: float
    low: float
    high: float
    n: int

    def text(self, *, digits: int, scale: float = 1) -> str:
        """Write it with its interval and sign."""
        value, low, high = (f"{scale * v:+.{digits}f}" for v in (self.value, self.low, self.high))
        return f"{value} ({low} to {high}, n = {self.n})"


def with_interval(found: HasInterval, *, digits: int = 3, scale: float = 1, note: str = "") -> str:
    """Write a difference with its sign and, if it has one, its interval; a note stands behind."""
    form = {"spec": f"+.{digits}f", "scale": scale}
    value = number(found.value, **form)
    if found.low is None:
        return value
    ends = span(found.low, found.high, **form)
    return f"{value} ({ends}, {note})" if note else f"{value} ({ends})"


def mean_over_seeds(values: Sequence[float]) -> Mean:
    """Average one value per seed; at least two.

    Raises:
        ValueError: fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"an interval over seeds needs two values, got {len(values)}.")
    mean, error = statistics.fmean(values), statistics.stdev(values) / np.sqrt(len(values))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * error)
    return Mean(mean, mean - half, mean + half, len(values))
