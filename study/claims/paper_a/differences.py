"""Differences that no plan names: of any score of the answers, over images and seeds.

They are judged as planned ones are: corrected by Holm over the differences of their claim, and in
both signs. A seed that was trained again on another processor has several draws, and enters with
their mean.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from helpers.metrics import intervals
from helpers.metrics.intervals import Scores, contrast_scores, image_scores, less
from helpers.metrics.scores import Estimate
from helpers.runs.groups import Group, common_seeds
from study.claims.paper_a.planned import ENOUGH
from study.claims.seeds import with_interval
from study.compare import correct, power_for
from study.plans.comparisons import load_plan
from study.plans.verdicts import load_rules
from study.verdicts import SHOWN, SHOWN_REVERSED, on_comparison
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


def _of_seeds(group: Group, seeds: Sequence[int], measure: Measure) -> Scores:
    draws = [run for run in group.draws if run.config["seed"] in seeds]
    labels, probabilities = zip(*(run.predictions("test") for run in draws), strict=True)
    scores = measure(labels[0], np.stack(probabilities).astype(float))
    return intervals.grouped(scores, [run.config["seed"] for run in draws])


def difference(a: Group | None, b: Group | None, measure: Measure) -> Estimate | None:
    """Return by how much A has more of something than B, paired by seed; None without runs."""
    if a is None or b is None or not (seeds := common_seeds(a, b)):
        return None
    return intervals.mean(less(*(_of_seeds(group, seeds, measure) for group in (a, b))))


def difference_of_differences(
    now: tuple[Group | None, Group | None],
    before: tuple[Group | None, Group | None],
    measure: Measure,
) -> Estimate | None:
    """Return by how much A less B has changed, paired by seed; None without runs."""
    groups = (*now, *before)
    if None in groups:
        return None
    seeds = [s for s in common_seeds(*now) if s in common_seeds(*before)]
    if not seeds or not common_seeds(now[0], before[0]):
        return None
    a, b, old_a, old_b = (_of_seeds(group, seeds, measure) for group in groups)
    return intervals.mean(less(less(a, b), less(old_a, old_b)))


# --- judged as a family ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A difference as a member of its family."""

    difference: Estimate
    p: float | None  # after Holm's correction, None where no test is possible
    verdict: str  # on "above 0", see `verdicts.on_comparison`
    power: float | None  # for the size that the rules fix for a share, None where nothing varies

    @property
    def sign(self) -> int:
        """1 where it is shown to be above 0, -1 where below, else 0."""
        return {SHOWN: 1, SHOWN_REVERSED: -1}.get(self.verdict, 0)

    def text(self, *, digits: int = 3, scale: float = 1) -> str:
        """Write it with its interval, seeds and corrected p value."""
        note = f"{self.difference.seeds} seeds, {p_text(self.p)} after correction"
        return with_interval(self.difference, digits=digits, scale=scale, note=note)


def judge_family(differences: Mapping[str, Estimate]) -> dict[str, Member]:
    """Judge differences on other images than the paper's, corrected for their number.

    A difference of fewer seeds than the plan asks for keeps its place, and is not tested.
    """
    rule, rules = load_plan().rule, load_rules()
    tested = [d if (d.seeds or 0) >= rule.min_seeds else None for d in differences.values()]
    found = {}
    for (name, d), one in zip(differences.items(), correct(tested, level=rules.level), strict=True):
        verdict = on_comparison(
            d,
            None if one.p_value is None else one.shown,
            rules=rules,
            paper=rule.paper,
            min_seeds=rule.min_seeds,
            same_images=rule.same_images,
        )
        found[name] = Member(d, one.p_value, verdict, power_for(d, rules.size["accuracy"]))
    return found


def not_enough(differences: Iterable[Estimate | None]) -> bool:
    """Say whether there is no difference, or one of too few seeds or without an interval."""
    found = list(differences)
    return not found or any(d is None or d.low is None or (d.seeds or 0) < ENOUGH for d in found)
