"""Differences of two protocols in any score of their answers, over images and seeds.

A seed that was trained again on another processor has several draws, and enters with their mean.
"""

from collections.abc import Callable, Sequence

import numpy as np

from helpers.metrics import intervals
from helpers.metrics.intervals import Scores, contrast_scores, image_scores, less
from helpers.metrics.scores import Estimate
from helpers.runs.groups import Group, common_seeds

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
