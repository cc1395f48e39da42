"""Two protocols on the same test images, each trained with the same seeds: the paired difference.

The test images and the seeds are both samples, so a mean difference over seeds has two sources of
chance. Their variances are estimated apart and added (`params/comparisons.yaml` states the rule).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from helpers.metrics.scores import LEVEL, check_predictions, delong_components
from helpers.metrics.seeds import SeedMean


@dataclass(frozen=True)
class DelongResult:
    """Two AUCs on the same images.

    Attributes:
        auc_a: AUC of the first score.
        auc_b: AUC of the second score.
        difference: auc_a - auc_b.
        low: lower end of the 95 % interval of the difference.
        high: upper end of it.
        p_value: two-sided; None where the difference has no variance, yet is not zero.
        n: images.
    """

    auc_a: float
    auc_b: float
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    n: int


@dataclass(frozen=True)
class McnemarResult:
    """Two accuracies on the same images.

    Attributes:
        only_a: images that only the first classifier gets right.
        only_b: images that only the second one gets right.
        difference: accuracy of the first minus that of the second.
        p_value: two-sided, exact.
        n: images.
    """

    only_a: int
    only_b: int
    difference: float
    p_value: float
    n: int

    @property
    def value(self) -> float:
        """The difference, under the name that it has in `Difference`."""
        return self.difference


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
    `delong_test`.

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
