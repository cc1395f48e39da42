"""A mean over seeds, where nothing but the seed varies, and a difference in words."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from helpers.metrics.scores import LEVEL
from study.table import HasInterval, number


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with its 95 % t interval."""

    value: float
    low: float
    high: float
    n: int

    @property
    def sign(self) -> int:
        """The sign where the interval leaves 0 out, else 0."""
        return (self.low > 0) - (self.high < 0)

    def text(self, *, digits: int = 3, scale: float = 1) -> str:
        """Write it with its interval and sign."""
        value, low, high = (f"{scale * v:+.{digits}f}" for v in (self.value, self.low, self.high))
        return f"{value} ({low} to {high}, n = {self.n})"


def with_interval(found: HasInterval, *, digits: int = 3, scale: float = 1, note: str = "") -> str:
    """Write a difference with its sign and, if it has one, its interval; a note stands behind."""

    def write(value: float) -> str:
        return number(value, spec=f"+.{digits}f", scale=scale)

    if found.low is None:
        return write(found.value)
    behind = f", {note}" if note else ""
    return f"{write(found.value)} ({write(found.low)} to {write(found.high)}{behind})"


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
