"""Figures of stored runs by seed, of one protocol or paired of two.

A seed that was trained again on another processor has several draws, and enters with their mean.
"""

import statistics
from collections.abc import Callable

from helpers.runs.groups import Group, common_seeds
from helpers.runs.store import Run
from study.claims.paper_a.planned import ENOUGH, pair
from study.claims.seeds import Mean, mean_over_seeds

Score = Callable[[Run], float]
# Two figures of the same seeds.
Sides = tuple[list[float], list[float]]


def framework() -> Group | None:
    """Return the runs of the framework on as many images as the paper has."""
    return pair("table4", "over_resnet18").a


def one_cycle_runs() -> Group | None:
    """Return the runs under the recovered schedule to its end, with torch's momentum cycle."""
    return pair("stopping_momentum", "at_target").b


def without_cycle() -> Group | None:
    """Return those without the momentum cycle."""
    return pair("stopping", "at_target").b


def at_epoch(name: str, epoch: int) -> Score:
    """Return what reads a figure of the history after an epoch, counted from 1."""
    return lambda run: run.record["history"][epoch - 1][name]


def by_seed(group: Group | None, score: Score) -> list[float]:
    """Return a score of each seed; none without runs."""
    return [] if group is None else [*group.by_seed(score).values()]


def paired(a: Group | None, b: Group | None, score: Score) -> Sides:
    """Return a score of the seeds that both sides have; none without runs."""
    if a is None or b is None:
        return [], []
    seeds = common_seeds(a, b)
    first, second = (group.by_seed(score) for group in (a, b))
    return [first[seed] for seed in seeds], [second[seed] for seed in seeds]


def second_less_first(sides: Sides) -> Mean:
    """Average the second figure less the first."""
    return mean_over_seeds([second - first for first, second in zip(*sides, strict=True)])


def too_few(*sides: Sides, least: int = ENOUGH) -> bool:
    """Say whether some figures are of fewer seeds than are judged."""
    return any(len(figures) < least for both in sides for figures in both)


def sides_text(sides: Sides) -> str:
    """Write the means of both figures, and how far the second is above the first."""
    first, second = map(statistics.fmean, sides)
    return f"{first:.3f} against {second:.3f}, {second_less_first(sides).text()}"
