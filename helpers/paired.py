"""Two protocols on the same test images, each trained with the same seeds: the paired difference.

The test images and the seeds are both samples, so a mean difference over seeds has two sources of
chance. Their variances are estimated apart and added (`params/comparisons.yaml` states the rule).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from helpers.metrics import LEVEL, check_predictions, delong_components
from helpers.statistical_tests import McnemarResult, mcnemar_test
from helpers.verdicts import SeedMean


@dataclass(frozen=True)
class Difference:
    """The mean over seeds of A's measure less B's.

    Attributes:
        a: A's measure, mean over seeds.
        b: B's measure, mean over seeds.
        value: a - b.
        sd: standard deviation of the difference over seeds (ddof = 1), None for one seed.
        low: lower end of the 95 % interval, None where the difference has no variance, yet is not
            zero.
        high: upper end, likewise.
        p_value: two-sided, likewise.
        n_seeds: pairs of runs.
        n_images: test images.
    """

    a: float
    b: float
    value: float
    sd: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n_seeds: int
    n_images: int


def auc_difference(y_true: np.ndarray, a: np.ndarray, b: np.ndarray) -> Difference:
    """Compare the AUC of two protocols.

    The part of the images is the DeLong variance of the mean AUC difference of these runs: from
    structural components averaged over the seeds, so the runs' dependence is in it exactly. With
    more than two classes the AUC is the mean over the classes present, each against the rest, and
    an image's share in all of them is taken together. With one seed, or none that scatter, this is
    `statistical_tests.delong_test`.

    Args:
        y_true: labels, int (n,), in 0 .. K-1, at least two images of each class present.
        a: A's probabilities, float (seeds, n, K).
        b: B's, likewise, in the same order of seeds and images.

    Raises:
        ValueError: arrays that do not fit, or too few images or classes.
    """
    y_true, a, b = _check(y_true, a, b)
    auc_a, shares_a = _auc_shares(y_true, a)
    auc_b, shares_b = _auc_shares(y_true, b)
    by_images = _variance(y_true, (shares_a - shares_b).mean(axis=0))
    return _difference(auc_a, auc_b, by_images, n_images=len(y_true))


def mean_auc(y_true: np.ndarray, probabilities: np.ndarray) -> SeedMean:
    """Average the AUC of one protocol over its seeds, with the interval of images and seeds.

    Made as for `auc_difference`, and kept within 0 .. 1; arguments as there. The ends are the value
    itself where nothing varies.
    """
    y_true, probabilities, _ = _check(y_true, probabilities, probabilities)
    aucs, shares = _auc_shares(y_true, probabilities)
    error, df = _error(aucs, _variance(y_true, shares.mean(axis=0)))
    mean, half_width = float(aucs.mean()), float(stats.t.ppf((1 + LEVEL) / 2, df)) * error
    sd = float(aucs.std(ddof=1)) if len(aucs) > 1 else None
    low, high = max(0.0, mean - half_width), min(1.0, mean + half_width)
    return SeedMean(mean, sd, low, high, len(aucs), len(y_true))


def accuracy_difference(y_true: np.ndarray, a: np.ndarray, b: np.ndarray) -> Difference:
    """Compare the accuracy of two protocols; arguments as for `auc_difference`.

    The part of the images is the variance of an image's mean difference over the seeds (right by A
    less right by B), divided by the number of images.
    """
    y_true, a, b = _check(y_true, a, b)
    right_a, right_b = (p.argmax(axis=2) == y_true for p in (a, b))
    by_image = right_a.mean(axis=0) - right_b.mean(axis=0)
    n = len(y_true)
    by_images = float(by_image.var(ddof=1)) / n if n > 1 else 0.0
    return _difference(right_a.mean(axis=1), right_b.mean(axis=1), by_images, n_images=n)


def majority_mcnemar(y_true: np.ndarray, a: np.ndarray, b: np.ndarray) -> McnemarResult:
    """Compare the majority decisions by McNemar's exact test; arguments as for `auc_difference`.

    A majority decision is the class with the highest probability averaged over the seeds.
    """
    y_true, a, b = _check(y_true, a, b)
    right_a, right_b = (p.mean(axis=0).argmax(axis=1) == y_true for p in (a, b))
    return mcnemar_test(right_a, right_b)


def _check(
    y_true: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 3 or a.shape != b.shape or not len(a):
        raise ValueError(
            "A paired comparison takes probabilities (seeds, images, classes) of both sides, over "
            f"the same seeds and images; got {a.shape} and {b.shape}."
        )
    checked = [[check_predictions(y_true, run)[1] for run in side] for side in (a, b)]
    return check_predictions(y_true, a[0])[0], np.stack(checked[0]), np.stack(checked[1])


def _auc_shares(y_true: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the AUC of each seed, (s,), and each image's share in its variation, (s, n).

    The shares are DeLong's components over the size of their class.
    """
    present, counts = np.unique(y_true, return_counts=True)
    if len(present) < 2 or counts.min() < 2:
        raise ValueError(
            "The variance of an AUC needs two classes with two test images each, got "
            f"{dict(zip(present.tolist(), counts.tolist(), strict=True))} images by class."
        )
    num_classes = probabilities.shape[2]
    problems = [1] if num_classes == 2 else present.tolist()
    aucs, shares = np.zeros(len(probabilities)), np.zeros(probabilities.shape[:2])
    for label in problems:
        positive = y_true == label
        by_positive, by_negative = delong_components(positive, probabilities[:, :, label])
        aucs += by_positive.mean(axis=1) / len(problems)
        shares[:, positive] += by_positive / by_positive.shape[1] / len(problems)
        shares[:, ~positive] += by_negative / by_negative.shape[1] / len(problems)
    return aucs, shares


def _variance(y_true: np.ndarray, shares: np.ndarray) -> float:
    """Return the variance of a sum of shares, of images drawn class by class."""
    groups = [shares[y_true == label] for label in np.unique(y_true)]
    return float(sum(len(group) * group.var(ddof=1) for group in groups))


def _difference(a: np.ndarray, b: np.ndarray, by_images: float, *, n_images: int) -> Difference:
    differences = a - b
    value, sd = float(differences.mean()), None
    if len(differences) > 1:
        sd = float(differences.std(ddof=1))
    error, df = _error(differences, by_images)
    low = high = p_value = None
    if error > 1e-12:
        half_width = float(stats.t.ppf((1 + LEVEL) / 2, df)) * error
        low, high = value - half_width, value + half_width
        p_value = float(2 * stats.t.sf(abs(value) / error, df))
    elif abs(value) < 1e-12:
        value, low, high, p_value = 0.0, 0.0, 0.0, 1.0
    means = float(a.mean()), float(b.mean())
    return Difference(*means, value, sd, low, high, p_value, len(differences), n_images)


def _error(values: np.ndarray, by_images: float) -> tuple[float, float]:
    """Return the standard error of a mean over seeds and its degrees of freedom.

    These follow Welch and Satterthwaite: the images' part has none of its own (DeLong's test is a
    normal one), the seeds' part has one less than there are seeds. With one seed that part is
    unknown and left out.
    """
    by_seeds = float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0
    # Rounding alone is no scatter: sums of equal components differ in the last digits.
    if by_seeds < 1e-24:
        return math.sqrt(by_images), math.inf
    df = (by_images + by_seeds) ** 2 * (len(values) - 1) / by_seeds**2
    return math.sqrt(by_images + by_seeds), df
