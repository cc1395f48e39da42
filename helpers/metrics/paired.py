"""Tests of two classifiers on the same images, one run each, and the correction of many tests.

Means over several seeds: `helpers.metrics.intervals`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from helpers.metrics.scores import LEVEL, delong_components


@dataclass(frozen=True)
class DelongResult:
    """Two AUCs on the same images."""

    auc_a: float  # AUC of the first score
    auc_b: float  # AUC of the second score
    difference: float  # auc_a - auc_b
    low: float | None  # lower end of the 95 % interval of the difference
    high: float | None  # upper end of it
    p_value: float | None  # two-sided; None where the difference has no variance, yet is not zero
    n: int  # images


@dataclass(frozen=True)
class McnemarResult:
    """Two accuracies on the same images."""

    only_a: int  # images that only the first classifier gets right
    only_b: int  # images that only the second one gets right
    difference: float  # accuracy of the first minus that of the second
    p_value: float  # two-sided, exact
    n: int  # images


def delong_test(y_true: np.ndarray, y_score_a: np.ndarray, y_score_b: np.ndarray) -> DelongResult:
    """Test whether two scores of the same images have the same AUC.

    DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44:837-845, in the midrank form of Sun & Xu
    (2014), IEEE Signal Process. Lett. 21(11):1389-1393.

    Args:
        y_true: labels 0 or 1, (n,), at least two images of each.
        y_score_a: float (n,), higher means more likely class 1.
        y_score_b: float (n,), likewise, in the same order of images.

    Returns:
        Both AUCs, their difference with its 95 % normal interval, and the p value. Scores that rank
        the images alike differ by 0 with p = 1; a difference without variance (perfect against
        perfectly wrong) has neither interval nor p value.

    Raises:
        ValueError: lengths that differ, labels other than 0 and 1, NaN, or too few images.
    """
    y_true = np.asarray(y_true)
    y_scores = [np.asarray(score, dtype=np.float64) for score in (y_score_a, y_score_b)]
    if y_true.ndim != 1 or any(score.shape != y_true.shape for score in y_scores):
        raise ValueError(
            "The DeLong test is paired: y_true and both scores must be (n,) over the same images; "
            f"got {y_true.shape}, {y_scores[0].shape} and {y_scores[1].shape}."
        )
    if not np.isin(y_true, (0, 1)).all():
        raise ValueError(f"y_true must hold 0 and 1 only, got {np.unique(y_true)[:5].tolist()}.")
    if np.isnan(y_scores).any():
        raise ValueError("A score is NaN; the DeLong test needs a score for each image.")
    positive = y_true == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if min(n_positive, n_negative) < 2:
        raise ValueError(
            f"The DeLong test needs two images of each class, got {n_positive} of class 1 and "
            f"{n_negative} of class 0."
        )
    by_positive, by_negative = delong_components(positive, np.stack(y_scores))
    auc_a, auc_b = by_positive.mean(axis=1)
    difference = float(auc_a - auc_b)
    # The variance of the difference is that of the differences of the components.
    variance = (by_positive[0] - by_positive[1]).var(ddof=1) / n_positive
    variance += (by_negative[0] - by_negative[1]).var(ddof=1) / n_negative
    error = float(np.sqrt(variance))
    low = high = p_value = None
    if error > 1e-12:
        half_width = float(stats.norm.ppf((1 + LEVEL) / 2)) * error
        low, high = difference - half_width, difference + half_width
        p_value = float(2 * stats.norm.sf(abs(difference) / error))
    elif abs(difference) < 1e-12:
        low, high, p_value = 0.0, 0.0, 1.0
    return DelongResult(float(auc_a), float(auc_b), difference, low, high, p_value, len(y_true))


def mcnemar_test(correct_a: np.ndarray, correct_b: np.ndarray) -> McnemarResult:
    """Test whether two classifiers are equally often right on the same images.

    McNemar (1947), Psychometrika 12:153-157, exact: of the images where just one of the two is
    right, each is as likely to be the first's as the second's.

    Args:
        correct_a: bool (n,), whether the first classifier is right on each image.
        correct_b: bool (n,), the second one, in the same order of images.

    Returns:
        The two counts, the difference of the accuracies and the p value (1 where the classifiers
        are right on the same images).

    Raises:
        ValueError: lengths that differ, none at all, or values that are not bool.
    """
    correct_a, correct_b = np.asarray(correct_a), np.asarray(correct_b)
    if correct_a.dtype != bool or correct_b.dtype != bool:
        raise ValueError(
            "mcnemar_test takes whether each image is right, as bool (y_pred == y_true); got "
            f"{correct_a.dtype} and {correct_b.dtype}."
        )
    if correct_a.ndim != 1 or correct_a.shape != correct_b.shape or not correct_a.size:
        raise ValueError(
            "McNemar's test is paired: both arrays must be (n,), n >= 1, over the same images; got "
            f"{correct_a.shape} and {correct_b.shape}."
        )
    only_a, only_b = int((correct_a & ~correct_b).sum()), int((correct_b & ~correct_a).sum())
    discordant = only_a + only_b
    p_value = float(stats.binomtest(only_a, discordant).pvalue) if discordant else 1.0
    difference = (only_a - only_b) / len(correct_a)
    return McnemarResult(only_a, only_b, difference, p_value, len(correct_a))


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
