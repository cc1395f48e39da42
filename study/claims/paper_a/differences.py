"""Differences that no plan names: of any score of the answers, over images and seeds.

They are judged as planned ones are: corrected by Holm over the differences of their claim, and in
both signs. A seed that was trained again on another processor has several draws, and enters with
their mean.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from helpers.metrics import intervals
from helpers.metrics.intervals import Scores, contrast_scores, image_scores, less
from helpers.metrics.scores import Estimate
from helpers.runs.groups import Group, common_seeds
from study.claims.seeds import ENOUGH, with_interval
from study.compare import correct
from study.plans.comparisons import load_plan
from study.plans.verdicts import load_rules
from study.verdicts import on_comparison
from study.words import p_text

# Of labels, int (n,), and probabilities, float (draws, n, 2), scores by draw and image.
Measure = Callable[[np.ndarray, np.ndarray], Scores]


def _right(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return (probabilities.argmax(axis=2) == labels).astype(float)


def sensitivity(labels: np.ndarray, probabilities: np.ndarray) -> Scores:
    """Score each positive image, right or wrong."""
    return image_scores(_right(labels, probabilities)[:, labels == 1])


def leaning(labels: np.ndarray, probabilities: np.ndarray) -> Scores:
    """Score negatives that are right, less positives that are: specificity less sensitivity."""
    return contrast_scores(_right(labels, probabilities), labels == 0)


def by_image(score: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Measure:
    """Return the measure that is a mean of a score of each image.

    Args:
        score: of labels, int (n,), and probabilities, float (draws, n, 2), to float (draws, n).
    """
    return lambda labels, p: image_scores(score(labels, p), bounded=False)


def _of_common_seeds(groups: Sequence[Group | None], measure: Measure) -> list[Scores]:
    """Return a measure of each group, of the seeds that all have; none without runs."""
    if None in groups:
        return []
    seeds = set.intersection(*(set(common_seeds(groups[0], group)) for group in groups))
    return [_of_seeds(group, seeds, measure) for group in groups] if seeds else []


def _of_seeds(group: Group, seeds: Collection[int], measure: Measure) -> Scores:
    draws = [run for run in group.draws if run.config["seed"] in seeds]
    labels, probabilities = zip(*(run.predictions("test") for run in draws), strict=True)
    scores = measure(labels[0], np.stack(probabilities).astype(float))
    return intervals.grouped(scores, [run.config["seed"] for run in draws])


def difference(a: Group | None, b: Group | None, measure: Measure) -> Estimate | None:
    """Return by how much A has more of something than B, paired by seed; None without runs."""
    scores = _of_common_seeds((a, b), measure)
    return intervals.mean(less(*scores)) if scores else None


def difference_of_differences(
    now: tuple[Group | None, Group | None],
    before: tuple[Group | None, Group | None],
    measure: Measure,
) -> Estimate | None:
    """Return by how much A less B has changed, paired by seed; None without runs."""
    scores = _of_common_seeds((*now, *before), measure)
    return intervals.mean(less(less(*scores[:2]), less(*scores[2:]))) if scores else None


# --- judged as a family ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A difference as a member of its family."""

    difference: Estimate
    p: float | None  # after Holm's correction, None where no test is possible
    sign: int  # 1 where it is shown to be above 0, -1 where below, else 0
    verdict: str  # on "above 0", see `verdicts.on_comparison`

    def text(self, *, digits: int = 3, scale: float = 1) -> str:
        """Write it with its interval, seeds and corrected p value."""
        note = f"{self.difference.seeds} seeds, {p_text(self.p)} after correction"
        return with_interval(self.difference, digits=digits, scale=scale, note=note)


def judge_family(differences: Mapping[str, Estimate]) -> dict[str, Member]:
    """Judge differences on other images than the paper's, corrected for their number.

    A difference of fewer seeds than the plan asks for keeps its place, and is not tested.
    """
    min_seeds, rules = load_plan().rule.min_seeds, load_rules()
    tested = [d if (d.seeds or 0) >= min_seeds else None for d in differences.values()]
    found = {}
    for (name, d), one in zip(differences.items(), correct(tested, level=rules.level), strict=True):
        shown = None if one.p_value is None else one.shown
        verdict = on_comparison(d, shown, rules=rules, min_seeds=min_seeds)
        found[name] = Member(d, one.p_value, one.shown, verdict)
    return found


def not_enough(differences: Iterable[Estimate | None]) -> bool:
    """Say whether there is no difference, or one of too few seeds or without an interval."""
    found = list(differences)
    return not found or any(d is None or d.low is None or (d.seeds or 0) < ENOUGH for d in found)
