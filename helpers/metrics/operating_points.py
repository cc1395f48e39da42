"""Sensitivity at a given specificity, and the reverse, of one class against the rest.

A network is used at one threshold. Where that is read off the test images' own ROC, it is the best
that could have been chosen with the answers known; where it is chosen on validation images and then
kept, it is what a user would get, and may miss its target.

`positive` is bool (n,), True for images of the positive class; `y_score` is float (n,), higher for
images more likely positive. No image, arrays that do not fit and NaN are a `ValueError`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from helpers.metrics.scores import (
    Estimate,
    bootstrap_estimate,
    check_predictions,
    proportion,
    stratified_blocks,
)

METRICS = ("sensitivity", "specificity")
# What is held, and where; the other of the two is read.
TARGETS = (
    ("specificity", 0.90),
    ("specificity", 0.95),
    ("sensitivity", 0.90),
    ("sensitivity", 0.95),
)


@dataclass(frozen=True)
class OperatingPoint:
    """One class against the rest, at one target.

    Attributes:
        label: The positive class.
        held: Which metric has the target, "sensitivity" or "specificity".
        target: Its value, 0 to 1.
        on_curve: The other metric, where the threshold is read off the test ROC.
        threshold: The one chosen on validation images: as high a score, or higher, is positive;
            None where no validation score reaches the target.
        sensitivity: On test images at that threshold.
        specificity: On test images at that threshold.
    """

    label: int
    held: str
    target: float
    on_curve: Estimate
    threshold: float | None
    sensitivity: Estimate
    specificity: Estimate

    @property
    def read(self) -> str:
        """The metric that is read at the target."""
        return METRICS[1 - METRICS.index(self.held)]


def operating_points(
    val: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    n_resamples: int = 2000,
    seed: int = 0,
) -> list[OperatingPoint]:
    """Return the operating points of a run at all `TARGETS`.

    With two classes they are those of class 1. With more, those of each class: a class has its own
    threshold, so that a mean over the classes would belong to no classifier at all.

    Args:
        val: labels, integers (n,), and probabilities (n, K) of the validation images.
        test: the same of the test images.
        n_resamples: bootstrap resamples for the points on the curve; 0 leaves the intervals out.
        seed: seed of the bootstrap.

    Raises:
        ValueError: arrays that do not fit, or another number of classes in `val` than in `test`.
    """
    val, test = check_predictions(*val), check_predictions(*test)
    num_classes = test[1].shape[1]
    if val[1].shape[1] != num_classes:
        raise ValueError(
            f"The validation predictions have {val[1].shape[1]} classes, those of the test split "
            f"{num_classes}; both must come from one run."
        )
    points = []
    for label in (1,) if num_classes == 2 else range(num_classes):
        (val_positive, val_score), (positive, y_score) = (
            (y_true == label, probabilities[:, label]) for y_true, probabilities in (val, test)
        )
        curve = points_on_curve(positive, y_score, n_resamples=n_resamples, seed=seed)
        for (held, target), on_curve in zip(TARGETS, curve, strict=True):
            threshold = choose_threshold(val_positive, val_score, held=held, target=target)
            both = at_threshold(positive, y_score, threshold)
            points.append(OperatingPoint(label, held, target, on_curve, threshold, *both))
    return points


def choose_threshold(
    positive: np.ndarray, y_score: np.ndarray, *, held: str, target: float
) -> float | None:
    """Return the score from which on an image is called positive, or None.

    Of all thresholds where the held metric reaches the target, it is the one where the other metric
    is highest, and of those the one where the held metric is highest. None if the target is reached
    only by calling all images alike, or if a class is missing.

    `held` is the metric with the target, "sensitivity" or "specificity", and `target` its value,
    above 0 and below 1; all else is a `ValueError`.
    """
    _check(positive, y_score)
    hits, alarms, scores = _steps(positive, y_score)
    step = _chosen(hits, alarms, held=held, target=target)
    return None if step is None else float(scores[step])


def at_threshold(
    positive: np.ndarray, y_score: np.ndarray, threshold: float | None
) -> tuple[Estimate, Estimate]:
    """Return sensitivity and specificity with their Wilson intervals; undefined without threshold.

    A score as high as the threshold or higher is called positive.
    """
    _check(positive, y_score)
    if threshold is None:
        none = Estimate(None, None, None, len(positive), "Wilson: undefined, no threshold")
        return none, none
    if math.isnan(threshold):
        raise ValueError("threshold is NaN; expected a score, or None where there is no threshold.")
    called = y_score >= threshold
    negative = ~positive
    return (
        proportion(np.count_nonzero(called & positive), np.count_nonzero(positive)),
        proportion(np.count_nonzero(~called & negative), np.count_nonzero(negative)),
    )


def points_on_curve(
    positive: np.ndarray, y_score: np.ndarray, *, n_resamples: int = 2000, seed: int = 0
) -> list[Estimate]:
    """Return, for each of `TARGETS`, the other metric on this ROC, with a bootstrap interval.

    The ROC is not interpolated: its value is one that a threshold has. A resample has a threshold
    of its own, so the interval covers the choice of threshold, but still a choice on the images
    that it is judged by. Undefined where the target is reached only by calling all images alike, or
    where a class is missing. Arguments as for `operating_points`.
    """
    _check(positive, y_score)
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        undefined = Estimate(None, None, None, len(positive), "undefined, one class only")
        return [undefined] * len(TARGETS)
    sizes = {"specificity": n_positive, "sensitivity": n_negative}  # of what is read
    resampled = [[] for _ in TARGETS]
    for hits, alarms in _resampled_steps(positive, y_score, n_resamples, seed):
        for values, (held, target) in zip(resampled, TARGETS, strict=True):
            values.append(_read(hits, alarms, held, target) / sizes[held])
    estimates = []
    hits, alarms, _ = _steps(positive, y_score)
    for values, (held, target) in zip(resampled, TARGETS, strict=True):
        step = _chosen(hits, alarms, held=held, target=target)
        value = np.nan
        if step is not None:
            of_negatives = 1 - alarms[step] / n_negative
            value = hits[step] / n_positive if held == "specificity" else of_negatives
        estimates.append(bootstrap_estimate(value, np.concatenate([[], *values]), n=sizes[held]))
    return estimates


def _check(positive: np.ndarray, y_score: np.ndarray) -> None:
    if positive.dtype != bool or positive.ndim != 1 or positive.shape != y_score.shape:
        raise ValueError(
            "expected positive as bool (n,) and a score each, got "
            f"{positive.dtype} {positive.shape} and {y_score.shape}."
        )
    if not len(positive):
        raise ValueError("There is no image; an operating point needs at least one.")
    if np.isnan(y_score).any():
        raise ValueError("A score is NaN; an operating point needs a score for each image.")


def _steps(positive: np.ndarray, y_score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return hits, false alarms and score at each threshold, from the highest score down."""
    order, ends = _order(y_score)
    hits = np.cumsum(positive[order])[ends]
    alarms = np.cumsum(~positive[order])[ends]
    return hits, alarms, y_score[order][ends]


def _order(y_score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the images by falling score, and the last place of each distinct score."""
    order = np.argsort(-y_score, kind="stable")
    return order, np.flatnonzero(np.append(np.diff(y_score[order]) != 0, True))


def _allowed(n: int, target: float) -> int:
    """Return how many of n images may be wrong where a share of `target` must be right."""
    # 0.9 of 10 images are 9, whatever the last bit of the product says.
    return n - math.ceil(target * n - 1e-9)


def _chosen(hits: np.ndarray, alarms: np.ndarray, *, held: str, target: float) -> int | None:
    """Return the step of `choose_threshold`."""
    if held not in METRICS or not 0 < target < 1:
        raise ValueError(
            f"expected a target between 0 and 1 for {' or '.join(METRICS)}, got {held!r}, {target}."
        )
    n_positive, n_negative = hits[-1], alarms[-1]
    if not n_positive or not n_negative:
        return None
    # The last step calls everything positive.
    hits, alarms = hits[:-1], alarms[:-1]
    if held == "specificity":
        possible = np.flatnonzero(alarms <= _allowed(n_negative, target))
        # The last one has the most hits; the first with as many has the fewest alarms.
        best = possible[hits[possible] == hits[possible[-1:]]]
    else:
        possible = np.flatnonzero(hits >= n_positive - _allowed(n_positive, target))
        # The first one has the fewest alarms; the last with as few has the most hits.
        best = possible[alarms[possible] == alarms[possible[:1]]][::-1]
    return int(best[0]) if len(best) else None


def _resampled_steps(
    positive: np.ndarray, y_score: np.ndarray, n_resamples: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield blocks of hits and false alarms at each threshold, (thresholds + 1, R), from none."""
    order, ends = _order(y_score)
    sign = positive[order][:, None]
    for counts in stratified_blocks(positive, n_resamples, seed=seed):
        counts = counts[order]
        hits, alarms = (np.cumsum(counts * part, axis=0)[ends] for part in (sign, ~sign))
        none = np.zeros((1, counts.shape[1]), counts.dtype)
        yield np.concatenate([none, hits]), np.concatenate([none, alarms])


def _read(hits: np.ndarray, alarms: np.ndarray, held: str, target: float) -> np.ndarray:
    """Return, for each resample, how many images the metric that is read has right, (R,).

    A resample that reaches the target only by calling all images alike has none right.
    """
    n_positive, n_negative = int(hits[-1, 0]), int(alarms[-1, 0])
    if held == "specificity":
        last = (alarms <= _allowed(n_negative, target)).sum(axis=0) - 1
        return np.take_along_axis(hits, last[None], axis=0)[0]
    first = (hits < n_positive - _allowed(n_positive, target)).sum(axis=0)
    return n_negative - np.take_along_axis(alarms, first[None], axis=0)[0]
