"""Metrics of one classifier on one set of images, each with its 95 % interval.

Everything is computed from `y_true` (labels) and `probabilities` (softmax outputs); the predicted
class is the one with the highest probability. With two classes, class 1 is the positive one. With
more, a metric is the plain mean over the one-vs-rest problems of the classes present in `y_true`.

Intervals:

- Wilson (1927) for plain proportions: accuracy, and with two classes sensitivity, specificity, PPV
  and NPV.
- DeLong, DeLong & Clarke-Pearson (1988), in the O(n log n) form of Sun & Xu (2014), for the AUC of
  two classes, on the logit scale (see `auc_interval`).
- Stratified percentile bootstrap for the rest: images are drawn with replacement within each class,
  so that each resample keeps the class sizes: the intervals take the prevalence as known, and a
  model that gives all images to one class has no spread in F1 or balanced accuracy.
- For ECE the same resamples, reflected (basic bootstrap): chance adds to ECE, in a resample once
  more, so that percentiles of a well calibrated model lie above the true value altogether;
  reflection takes the bias off (`benchmarks/metrics.py` measures both).

What is undefined is None, never 0: no positive predictions means no PPV.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
from scipy import stats

from helpers.metrics.auc import structural_components
from helpers.metrics.linear_tables import ECE_BINS, LinearTables

LEVEL = 0.95
# How far a row of probabilities may be from summing to one: allows for half precision.
SUM_TOLERANCE = 1e-3

# One block of bootstrap counts holds at most this many numbers; a cache-sized block is fastest.
_BLOCK = 2_000_000


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval: of one run, a mean over seeds, or a difference."""

    value: float | None  # the point estimate, None if undefined
    low: float | None  # lower end of the interval, None if there is none (`method` says why)
    high: float | None  # upper end of the interval, likewise
    n: int  # how many images (for a proportion: its denominator) the value rests on
    method: str  # how the interval was made, in words
    seeds: int | None = None  # independent draws, None where the value is of one run and no mean
    # Two-sided p value of a difference of zero; None for others, or without a test.
    p: float | None = None
    se: float | None = None  # standard error of `value`, where the interval was made from one
    # Degrees of freedom of its t distribution, None where the variance counts as known.
    df: float | None = None

    def __str__(self) -> str:
        """Return "0.912 (0.861 to 0.946)", or say what is missing."""
        if self.value is None:
            return "undefined"
        interval = "no interval" if self.low is None else f"{self.low:.3f} to {self.high:.3f}"
        return f"{self.value:.3f} ({interval})"

    def to_dict(self) -> dict:
        """Return the fields as a dictionary for JSON, without those that only several runs have."""
        several = ("seeds", "p", "se", "df")
        return {k: v for k, v in asdict(self).items() if v is not None or k not in several}


def evaluate(
    y_true: np.ndarray, probabilities: np.ndarray, *, n_resamples: int = 2000, seed: int = 0
) -> dict[str, Estimate]:
    """Return all metrics with their intervals.

    AUC and accuracy are those of `medmnist.Evaluator`. ECE has 15 equal-width bins of the top-class
    confidence (`confidence_bins`). Brier is scikit-learn's: mean of (p1 - y)^2 with two classes
    (0 to 1), and Brier's own sum over the classes with more (0 to 2).

    Args:
        y_true: labels, integers (n,), in 0 .. K-1.
        probabilities: one column a class, (n, K), K >= 2, rows summing to one.
        n_resamples: bootstrap resamples; 0 leaves the bootstrap intervals out.
        seed: seed of the bootstrap.

    Returns:
        Estimates by name: accuracy, auc, average_precision, sensitivity, specificity, ppv, npv, f1,
        balanced_accuracy, ece, brier. With more than two classes, a class absent from `y_true` is
        left out of the means; a class that is present and never predicted leaves PPV undefined.

    Raises:
        ValueError: arrays that do not fit the description.
    """
    y_true, probabilities = check_predictions(y_true, probabilities)
    n, num_classes = probabilities.shape
    points, resampled = (
        _summarise(statistics, y_true, num_classes)
        for statistics in _statistics(y_true, probabilities, n_resamples, seed)
    )
    estimates = {
        name: bootstrap_estimate(points[name][0], resampled[name], n=n, basic=name == "ece")
        for name in points
    }

    matrix = confusion_matrix(y_true, probabilities.argmax(axis=1), num_classes=num_classes)
    estimates["accuracy"] = proportion(np.trace(matrix), n)
    if num_classes == 2:
        estimates |= _against_rest(matrix, 1)
        estimates["auc"] = auc_interval(y_true == 1, probabilities[:, 1])
    return estimates


def per_class(
    y_true: np.ndarray,
    probabilities: np.ndarray,
    class_names: tuple[str, ...] | None = None,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
) -> list[dict]:
    """Return one row a class: that class against all others; arguments as for `evaluate`.

    `class_names` are K names; "0", "1", ... if None.

    Returns:
        Dictionaries ready for JSON: "class", "n" (images of the class), "predicted" (images given
        to it), and as `Estimate.to_dict()`: sensitivity, specificity, ppv (Wilson), auc (DeLong),
        f1, average_precision (bootstrap).

    Raises:
        ValueError: arrays that do not fit, or a wrong number of names.
    """
    y_true, probabilities = check_predictions(y_true, probabilities)
    n, num_classes = probabilities.shape
    names = tuple(map(str, range(num_classes))) if class_names is None else tuple(class_names)
    if len(names) != num_classes:
        raise ValueError(f"class_names has {len(names)} names for {num_classes} classes: {names}.")
    points, resampled = _statistics(y_true, probabilities, n_resamples, seed)
    matrix = confusion_matrix(y_true, probabilities.argmax(axis=1), num_classes=num_classes)

    rows = []
    for k, name in enumerate(names):
        estimates = _against_rest(matrix, k)
        del estimates["npv"]
        estimates["auc"] = auc_interval(y_true == k, probabilities[:, k])
        for key in ("f1", "average_precision"):
            estimates[key] = bootstrap_estimate(points[key][k, 0], resampled[key][k], n=n)
        row = {"class": name, "n": int(matrix[k].sum()), "predicted": int(matrix[:, k].sum())}
        rows.append(row | {key: value.to_dict() for key, value in estimates.items()})
    return rows


def _against_rest(matrix: np.ndarray, k: int) -> dict[str, Estimate]:
    """Return the proportions of class k against all others, from the confusion matrix."""
    hits, truth, predicted = matrix[k, k], matrix[k].sum(), matrix[:, k].sum()
    others, rejected = matrix.sum() - truth, matrix.sum() - predicted
    right = rejected - (truth - hits)  # others that are rejected
    return {
        "sensitivity": proportion(hits, truth),
        "specificity": proportion(right, others),
        "ppv": proportion(hits, predicted),
        "npv": proportion(right, rejected),
    }


def confusion_matrix(y_true: np.ndarray, y_pred: np.ndarray, *, num_classes: int) -> np.ndarray:
    """Count the images by true and predicted class, integers (n,) in 0 .. num_classes-1.

    Returns:
        int64 (num_classes, num_classes); rows are the truth.

    Raises:
        ValueError: shapes that differ, or labels out of range.
    """
    y_true = _check_labels(y_true, num_classes, name="y_true")
    y_pred = _check_labels(y_pred, num_classes, name="y_pred")
    if y_true.shape != y_pred.shape:
        raise ValueError(f"y_true has {len(y_true)} labels, y_pred has {len(y_pred)}.")
    cells = np.bincount(y_true * num_classes + y_pred, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def confidence_bins(confidence: np.ndarray) -> np.ndarray:
    """Return the ECE bin, 0 .. 14, of each confidence (0 .. 1).

    Bins are open below and closed above (Guo et al. 2017, "On calibration of modern neural
    networks", section 2); the first one holds 0 as well.

    Raises:
        ValueError: NaN, which belongs to no bin.
    """
    if np.isnan(confidence).any():
        raise ValueError("confidence has NaN; expected each image's top-class probability.")
    return np.searchsorted(np.arange(1, ECE_BINS) / ECE_BINS, confidence, side="left")


def proportion(successes: int, n: int) -> Estimate:
    """Return successes / n with its Wilson score interval (Wilson 1927); None where n is 0.

    Raises:
        ValueError: counts that are no whole numbers, or more successes than `n`.
    """
    # NaN leaves NaN, which counts as true.
    if successes % 1 or n % 1 or not 0 <= successes <= n:
        raise ValueError(f"expected whole numbers, 0 <= count <= n, got {successes} of {n}.")
    if n == 0:
        return Estimate(None, None, None, 0, "Wilson: undefined, no such image")
    low, high = _wilson_interval(int(successes), int(n))
    return Estimate(float(successes / n), low, high, int(n), "Wilson")


@cache  # scipy makes a p value with it, most of the time it takes; the same few counts recur
def _wilson_interval(successes: int, n: int) -> tuple[float, float]:
    interval = stats.binomtest(successes, n).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def auc_interval(positive: np.ndarray, y_score: np.ndarray) -> Estimate:
    """Return the AUC of a two-class problem with its DeLong interval.

    The interval is symmetric for logit(AUC), not for the AUC: it stays within 0 .. 1 and covers
    better than the plain one for an AUC near 1 in a small set (Perme & Manevski 2019, Stat. Methods
    Med. Res. 28(12)). Where the DeLong variance is zero or unknown (perfect separation, all scores
    tied, one image in a class) it would claim certainty; there the score-type interval of Newcombe
    (2006, method 5) takes its place, which rests on the AUC and the class sizes alone. None
    throughout if a class is missing.

    Arguments and errors as of `structural_components`, for one AUC.
    """
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return Estimate(None, None, None, len(positive), "DeLong: undefined, one class only")
    components = structural_components(positive, y_score[None])
    by_positive, by_negative = components[:, positive], components[:, ~positive]
    auc = float(by_positive.mean())
    variance = 0.0
    if min(n_positive, n_negative) > 1:
        variance = by_positive.var(ddof=1) / n_positive + by_negative.var(ddof=1) / n_negative
    if variance <= 0.0 or not 0.0 < auc < 1.0:
        low, high = _newcombe_interval(auc, n_positive, n_negative)
        return Estimate(auc, low, high, len(positive), "Newcombe, as the DeLong variance is 0")
    half_width = stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt(variance) / (auc * (1 - auc))
    logit = np.log(auc / (1 - auc))
    low, high = (float(1 / (1 + np.exp(-(logit + s * half_width)))) for s in (-1, 1))
    return Estimate(auc, low, high, len(positive), "DeLong, logit scale")


def check_predictions(
    y_true: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (int64) and probabilities (float64), both as `evaluate` takes them.

    Raises:
        ValueError: wrong shape or type, NaN, values outside 0 .. 1, rows that do not sum to one.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        raise ValueError(
            f"probabilities has shape {probabilities.shape}; expected (n, K) with one column for "
            "each of K >= 2 classes."
        )
    y_true = _check_labels(y_true, probabilities.shape[1], name="y_true")
    if len(y_true) != len(probabilities):
        raise ValueError(f"y_true has {len(y_true)} labels for {len(probabilities)} probabilities.")
    if not np.isfinite(probabilities).all():
        row = int(np.flatnonzero(~np.isfinite(probabilities).all(axis=1))[0])
        raise ValueError(f"probabilities has NaN or infinity, first in row {row}.")
    off = np.abs(probabilities.sum(axis=1) - 1)
    if probabilities.min() < 0 or off.max() > SUM_TOLERANCE:
        row = int(np.argmax((probabilities < 0).any(axis=1) | (off > SUM_TOLERANCE)))
        raise ValueError(
            f"probabilities must be >= 0 with rows summing to 1 (within {SUM_TOLERANCE}); row "
            f"{row} is {np.round(probabilities[row], 4).tolist()}. Are these logits? Apply a "
            "softmax first."
        )
    return y_true, probabilities


def _check_labels(labels: np.ndarray, num_classes: int, *, name: str) -> np.ndarray:
    """Return labels as int64 (n,), or say what is wrong with them."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(
            f"{name} has shape {labels.shape}; expected (n,) with n >= 1. For MedMNIST's (n, 1) "
            "labels take [:, 0]."
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{name} has dtype {labels.dtype}; expected integer labels.")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"{name} has labels from {labels.min()} to {labels.max()}; expected 0 to "
            f"{num_classes - 1} for {num_classes} classes."
        )
    return labels.astype(np.int64)


def _newcombe_interval(auc: float, n_positive: int, n_negative: int) -> tuple[float, float]:
    """Return the ends of all t with |auc - t| <= z sd(t), sd by Hanley & McNeil's formula.

    Newcombe (2006), Stat. Med. 25:559-573, method 5: both class sizes in the formula's two inner
    terms are replaced by their mean, so that AUC and 1 - AUC are treated alike.
    """
    z = stats.norm.ppf((1 + LEVEL) / 2)
    inner = (n_positive + n_negative) / 2 - 1
    t = np.linspace(0, 1, 100_001)
    variance = t * (1 - t) * (1 + inner * (1 - t) / (2 - t) + inner * t / (1 + t))
    # The set is one stretch of 0 .. 1 that holds `auc`; the grid is exact to 1e-5.
    inside = t[(auc - t) ** 2 <= z**2 * variance / (n_positive * n_negative)]
    return float(inside[0]), float(inside[-1])


def _statistics(
    y_true: np.ndarray, probabilities: np.ndarray, n_resamples: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return `LinearTables.statistics` of the images, R = 1, and of all resamples of them."""
    tables = LinearTables(y_true, probabilities, confidence_bins(probabilities.max(axis=1)))
    points = tables.statistics(np.ones((len(y_true), 1), np.float32))
    blocks = [tables.statistics(np.empty((len(y_true), 0), np.float32))]
    for counts in stratified_blocks(y_true, n_resamples, seed=seed):
        blocks.append(tables.statistics(counts))
    resampled = {name: np.concatenate([b[name] for b in blocks], axis=-1) for name in points}
    return points, resampled


def stratified_blocks(y_true: np.ndarray, n_resamples: int, *, seed: int) -> Iterator[np.ndarray]:
    """Yield `n_resamples` stratified resamples as counts, float32 (n, R), in blocks of R."""
    if not len(y_true):
        raise ValueError("There is no image to draw resamples from; expected one label or more.")
    if n_resamples < 0:
        raise ValueError(f"n_resamples is {n_resamples}; expected 0 (no bootstrap) or more.")
    rng = np.random.default_rng(seed)
    size = max(1, min(n_resamples, _BLOCK // len(y_true)))
    for start in range(0, n_resamples, size):
        yield stratified_counts(y_true, min(size, n_resamples - start), rng=rng)


def stratified_counts(
    y_true: np.ndarray, n_resamples: int, *, rng: np.random.Generator
) -> np.ndarray:
    """Draw R = `n_resamples` stratified bootstrap resamples of labels (n,), as counts.

    Returns:
        float32 (n, R): how often image i is in resample r; the counts of a class sum to its size.
    """
    counts = np.empty((len(y_true), n_resamples), np.float32)
    for label in np.unique(y_true):
        members = np.flatnonzero(y_true == label)
        drawn = rng.integers(len(members), size=(len(members), n_resamples))
        cells = (drawn * n_resamples + np.arange(n_resamples)).ravel()
        drawn_counts = np.bincount(cells, minlength=drawn.size)
        counts[members] = drawn_counts.reshape(len(members), n_resamples)
    return counts


def _summarise(
    statistics: dict[str, np.ndarray], y_true: np.ndarray, num_classes: int
) -> dict[str, np.ndarray]:
    """Reduce (K, R) metrics to (R,): the positive class, or the mean over the classes present."""
    present = np.unique(y_true)
    summary = dict(statistics)
    for name, values in statistics.items():
        if values.ndim == 2:
            summary[name] = values[1] if num_classes == 2 else values[present].mean(axis=0)
    summary["balanced_accuracy"] = statistics["sensitivity"][present].mean(axis=0)
    return summary


def bootstrap_estimate(
    value: float, resampled: np.ndarray, *, n: int, basic: bool = False
) -> Estimate:
    """Return a value with the percentile (or basic) interval of its resamples; NaN is undefined."""
    method = "stratified bootstrap, basic" if basic else "stratified bootstrap"
    if np.isnan(value):
        return Estimate(None, None, None, n, f"{method}: undefined")
    value = float(value)
    defined = resampled[~np.isnan(resampled)]
    if len(resampled) == 0:
        return Estimate(value, None, None, n, "no interval: no resamples asked for")
    # A perfect score is perfect in each resample: that is no evidence of certainty.
    if len(defined) == 0 or np.ptp(defined) < 1e-9:
        return Estimate(value, None, None, n, f"{method}: no interval, no spread")
    if len(defined) < len(resampled):
        method += f", {len(defined)} of {len(resampled)} defined"
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if basic:
        # Reflected at the value, kept at or above zero and around the value.
        low, high = min(value, max(0.0, 2 * value - high)), max(value, 2 * value - low)
    return Estimate(value, float(low), float(high), n, method)
