"""Figures of stored runs by seed, their mean where nothing but the seed varies, and both in words.

A seed that was trained again on another processor has several draws, and enters with their mean.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy import stats

from helpers.metrics.scores import LEVEL
from helpers.runs.groups import Group, common_seeds
from helpers.runs.store import Run
from study.table import HasInterval, number, span

# Seeds from which anything is judged.
ENOUGH = 5
Score = Callable[[Run], float]
# Two figures of the same seeds.
Sides = tuple[Sequence[float], Sequence[float]]


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
        """Write it with its interval and sign, also of what rounds to zero."""
        value, low, high = (f"{scale * v:+.{digits}f}" for v in (self.value, self.low, self.high))
        return f"{value} ({low} to {high}, n = {self.n})"


def with_interval(found: HasInterval, *, digits: int = 3, scale: float = 1, note: str = "") -> str:
    """Write a difference with its sign and, if it has one, its interval; a note stands behind."""
    form = {"spec": f"+.{digits}f", "scale": scale}
    written = number(found.value, **form)
    if found.low is None:
        return written
    behind = f", {note}" if note else ""
    return f"{written} ({span(found.low, found.high, **form)}{behind})"


def mean_over_seeds(values: Sequence[float], *, by_images: float = 0.0) -> Mean:
    """Average one value per seed; at least two.

    `by_images` is the variance that the images add to the mean, 0 where all is said of these very
    images.

    Raises:
        ValueError: fewer than two values.
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"an interval over seeds needs two values, got {n}.")
    mean, error = statistics.fmean(values), math.sqrt(statistics.variance(values) / n + by_images)
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    return Mean(mean, mean - half, mean + half, n)


# --- two figures of each seed --------------------------------------------------------------------


def at_epoch(name: str, epoch: int) -> Score:
    """Return what reads a figure of the history after an epoch, counted from 1."""
    return lambda run: run.record["history"][epoch - 1][name]


def both_scores(group: Group | None, first: Score, second: Score) -> Sides:
    """Return two scores of each seed of a protocol; none without runs."""
    if group is None:
        return [], []
    return [*group.by_seed(first).values()], [*group.by_seed(second).values()]


def paired(a: Group | None, b: Group | None, score: Score) -> Sides:
    """Return a score of the seeds that both sides have; none without runs."""
    if a is None or b is None:
        return [], []
    seeds = common_seeds(a, b)
    first, second = (group.by_seed(score) for group in (a, b))
    return [first[seed] for seed in seeds], [second[seed] for seed in seeds]


def second_less_first(sides: Sides, *, by_images: float = 0.0) -> Mean:
    """Average the second figure less the first; `by_images` as in `mean_over_seeds`."""
    apart = [second - first for first, second in zip(*sides, strict=True)]
    return mean_over_seeds(apart, by_images=by_images)


def too_few(*sides: Sides, least: int = ENOUGH) -> bool:
    """Say whether some figures are of fewer seeds than are judged."""
    return any(len(figures) < least for both in sides for figures in both)


def sides_text(sides: Sides) -> str:
    """Write the means of both figures, and how far the second is above the first."""
    first, second = map(statistics.fmean, sides)
    return f"{first:.3f} against {second:.3f}, {second_less_first(sides).text()}"
