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

import numpy as np
from scipy import sparse, stats

LEVEL = 0.95
ECE_BINS = 15
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
    tables = _LinearTables(y_true, probabilities)
    points = _summarise(tables.statistics(np.ones((n, 1), np.float32)), y_true, num_classes)
    resampled = _summarise(_bootstrap(tables, y_true, n_resamples, seed), y_true, num_classes)
    estimates = {
        name: bootstrap_estimate(points[name][0], resampled[name], n=n, basic=name == "ece")
        for name in points
    }

    matrix = confusion_matrix(y_true, probabilities.argmax(axis=1), num_classes=num_classes)
    estimates["accuracy"] = proportion(np.trace(matrix), n)
    if num_classes == 2:
        estimates |= _binary_proportions(matrix)
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
    """Return one row a class: that class against all others.

    Args:
        y_true: labels, integers (n,), in 0 .. K-1.
        probabilities: one column a class, (n, K), rows summing to one.
        class_names: K names; "0", "1", ... if None.
        n_resamples: bootstrap resamples; 0 leaves the bootstrap intervals out.
        seed: seed of the bootstrap.

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
    tables = _LinearTables(y_true, probabilities)
    points = tables.statistics(np.ones((n, 1), np.float32))
    resampled = _bootstrap(tables, y_true, n_resamples, seed)
    matrix = confusion_matrix(y_true, probabilities.argmax(axis=1), num_classes=num_classes)

    rows = []
    for k, name in enumerate(names):
        hits, truth, predicted = matrix[k, k], matrix[k].sum(), matrix[:, k].sum()
        estimates = {
            "sensitivity": proportion(hits, truth),
            "specificity": proportion(n - truth - predicted + hits, n - truth),
            "ppv": proportion(hits, predicted),
            "auc": auc_interval(y_true == k, probabilities[:, k]),
        } | {
            key: bootstrap_estimate(points[key][k, 0], resampled[key][k], n=n)
            for key in ("f1", "average_precision")
        }
        row = {"class": name, "n": int(truth), "predicted": int(predicted)}
        rows.append(row | {key: value.to_dict() for key, value in estimates.items()})
    return rows


def confusion_matrix(y_true: np.ndarray, y_pred: np.ndarray, *, num_classes: int) -> np.ndarray:
    """Count the images by true and predicted class.

    Args:
        y_true: labels, integers (n,), in 0 .. num_classes-1.
        y_pred: predicted classes, likewise.
        num_classes: how many classes there are, present or not.

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
    interval = stats.binomtest(int(successes), int(n)).proportion_ci(LEVEL, method="wilson")
    value = float(successes / n)
    return Estimate(value, float(interval.low), float(interval.high), int(n), "Wilson")


def auc_interval(positive: np.ndarray, y_score: np.ndarray) -> Estimate:
    """Return the AUC of a two-class problem with its DeLong interval.

    The interval is symmetric for logit(AUC), not for the AUC: it stays within 0 .. 1 and covers
    better than the plain one for an AUC near 1 in a small set (Perme & Manevski 2019, Stat. Methods
    Med. Res. 28(12)). Where the DeLong variance is zero or unknown (perfect separation, all scores
    tied, one image in a class) it would claim certainty; there the score-type interval of Newcombe
    (2006, method 5) takes its place, which rests on the AUC and the class sizes alone.

    Args:
        positive: bool (n,), True for images of the positive class.
        y_score: float (n,), higher means more likely positive.

    Returns:
        The estimate; None throughout if a class is missing.

    Raises:
        ValueError: as `structural_components`.
    """
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return Estimate(None, None, None, len(positive), "DeLong: undefined, one class only")
    by_positive, by_negative = delong_components(positive, y_score[None])
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


def delong_components(positive: np.ndarray, y_scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the structural components of one or more AUCs, by midranks.

    Sun & Xu (2014), "Fast implementation of DeLong's algorithm", IEEE Signal Process. Lett. 21(11).

    Args:
        positive: bool (n,), True for the m images of the positive class.
        y_scores: float (..., n), one row a score.

    Returns:
        (..., m): for each positive image the share of negatives scored lower, ties counting half;
        and (..., n - m): for each negative image the share of positives scored higher. The mean of
        either along the last axis is the AUC.

    Raises:
        ValueError: as `structural_components`.
    """
    components = structural_components(positive, y_scores)
    return components[..., positive], components[..., ~positive]


def structural_components(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return DeLong's components of an AUC, in the order of the images.

    One sort for any number of draws (the idea of Sun & Xu 2014, without midranks where nothing is
    tied).

    Args:
        positive: bool (n,).
        scores: float (..., n).

    Returns:
        float (..., n): for a positive image the share of negatives scored lower, for a negative one
        the share of positives scored higher; ties count half.

    Raises:
        ValueError: arrays that do not fit, one class only, or NaN.
    """
    positive, scores = np.asarray(positive), np.asarray(scores)
    if positive.dtype != bool or positive.ndim != 1 or scores.shape[-1:] != positive.shape:
        raise ValueError(
            "An AUC needs positive as bool (n,) and scores as (..., n), got "
            f"{positive.dtype} {positive.shape} and {scores.shape}."
        )
    if positive.all() or not positive.any():
        raise ValueError(
            f"An AUC needs images of both classes, got {positive.sum()} positive ones of "
            f"{positive.size}."
        )
    if scores.dtype.kind == "f" and np.isnan(scores).any():
        raise ValueError("A score is NaN; an AUC needs a score for each image.")
    rows = np.ascontiguousarray(scores).reshape(-1, len(positive))
    order = np.argsort(rows, axis=-1)
    is_positive = positive[order]
    n_positive, n = int(positive.sum()), len(positive)
    # Positives and negatives lower than each place; without ties a place has itself alone.
    positives = (np.cumsum(is_positive, axis=-1, dtype=np.int32) - is_positive).astype(float)
    negatives = np.arange(n) - positives
    ordered = np.take_along_axis(rows, order, axis=-1)
    if len(tied := np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=-1))):
        first, last = _tied(ordered[tied])
        before, through = (np.take_along_axis(positives[tied], at, axis=-1) for at in (first, last))
        through = through + np.take_along_axis(is_positive[tied], last, axis=-1)
        positives[tied] = (before + through) / 2
        negatives[tied] = (first + last + 1) / 2 - positives[tied]
    components = np.empty(rows.shape)
    ranked = np.where(is_positive, negatives / (n - n_positive), 1 - positives / n_positive)
    np.put_along_axis(components, order, ranked, axis=-1)
    return components.reshape(scores.shape)


def _tied(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and last place, (..., n) each, of the run of ties that a place is in."""
    places = np.broadcast_to(np.arange(ordered.shape[-1]), ordered.shape)
    new = np.ones(ordered.shape, dtype=bool)
    new[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    first = np.maximum.accumulate(np.where(new, places, 0), axis=-1)
    ends = np.ones(ordered.shape, dtype=bool)
    ends[..., :-1] = new[..., 1:]
    reverse = np.where(ends, places, ordered.shape[-1])[..., ::-1]
    return first, np.minimum.accumulate(reverse, axis=-1)[..., ::-1]


def check_predictions(
    y_true: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (int64) and probabilities (float64), or say what is wrong with them.

    Args:
        y_true: labels, integers (n,), in 0 .. K-1.
        probabilities: one column a class, (n, K), K >= 2, rows summing to one.

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


def _binary_proportions(matrix: np.ndarray) -> dict[str, Estimate]:
    """Return the four proportions of a 2 x 2 confusion matrix."""
    (tn, fp), (fn, tp) = matrix
    return {
        "sensitivity": proportion(tp, tp + fn),
        "specificity": proportion(tn, tn + fp),
        "ppv": proportion(tp, tp + fp),
        "npv": proportion(tn, tn + fn),
    }


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


class _LinearTables:
    """The sums over images from which all metrics follow, as sparse matrices.

    A bootstrap resample is a vector of counts (how often each image was drawn), and each table here
    is a fixed linear map of it: how much weight falls into each cell of the confusion matrix, each
    confidence bin, each step of a class's ROC. So all resamples are one product of a sparse matrix
    and the matrix of counts, and nothing is sorted again.
    """

    def __init__(self, y_true: np.ndarray, probabilities: np.ndarray):
        n, num_classes = probabilities.shape
        y_pred, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
        self.num_classes = num_classes
        self.confusion = _indicator(y_true * num_classes + y_pred, num_classes**2)
        self.steps = [_roc_steps(y_true == k, probabilities[:, k]) for k in range(num_classes)]
        bins = confidence_bins(confidence)
        self.calibration_gap = _indicator(bins, ECE_BINS, values=(y_pred == y_true) - confidence)
        squared = ((probabilities - np.eye(num_classes)[y_true]) ** 2).sum(axis=1)
        if num_classes == 2:
            squared = (probabilities[:, 1] - y_true) ** 2
        self.squared_error = _indicator(np.zeros(n, int), 1, values=squared)

    def statistics(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Return the metrics for counts (n, R): by class (K, R), over all classes (R,)."""
        n = len(counts)
        cells = (self.confusion @ counts).astype(np.float64)
        cells = cells.reshape(self.num_classes, self.num_classes, -1)
        hits = np.einsum("kkr->kr", cells)
        truth, predicted = cells.sum(axis=1), cells.sum(axis=0)
        ranking = [_ranking_metrics(*step, counts) for step in self.steps]
        return {
            "accuracy": hits.sum(axis=0) / n,
            "sensitivity": _ratio(hits, truth),
            "specificity": _ratio(n - truth - predicted + hits, n - truth),
            "ppv": _ratio(hits, predicted),
            "npv": _ratio(n - truth - predicted + hits, n - predicted),
            "f1": _ratio(2 * hits, truth + predicted),
            "auc": np.stack([auc for auc, _ in ranking]),
            "average_precision": np.stack([precision for _, precision in ranking]),
            "ece": np.abs(self.calibration_gap @ counts).sum(axis=0) / n,
            "brier": (self.squared_error @ counts)[0] / n,
        }


def _indicator(
    rows: np.ndarray, num_rows: int, *, values: np.ndarray | None = None
) -> sparse.csr_array:
    """Return the (num_rows, n) matrix that sums image i (times values[i]) into row rows[i]."""
    # float32 holds counts up to 16 million exactly; real values are summed in float64.
    values = np.ones(len(rows), np.float32) if values is None else values
    return sparse.csr_array((values, (rows, np.arange(len(rows)))), shape=(num_rows, len(rows)))


def _roc_steps(positive: np.ndarray, y_score: np.ndarray) -> tuple[sparse.csr_array, ...]:
    """Return the maps from image counts to the steps of one ROC, by ascending score.

    The m distinct scores of the positives cut the scores into 2m + 1 places: below the first, equal
    to it, between it and the second, ... The first map counts positives at each of the m scores,
    the second negatives in each of the places.
    """
    cuts, at = np.unique(y_score[positive], return_inverse=True)
    others = y_score[~positive]
    place = np.searchsorted(cuts, others, "left") + np.searchsorted(cuts, others, "right")
    maps = []
    for rows, images, num_rows in (
        (at, np.flatnonzero(positive), len(cuts)),
        (place, np.flatnonzero(~positive), 2 * len(cuts) + 1),
    ):
        ones = np.ones(len(rows), np.float32)
        maps.append(sparse.csr_array((ones, (rows, images)), shape=(num_rows, len(positive))))
    return tuple(maps)


def _ranking_metrics(
    positives: sparse.csr_array, negatives: sparse.csr_array, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return AUC and average precision, (R,) each, of one one-vs-rest problem; NaN if undefined."""
    hits = positives @ counts  # (m, R)
    others = negatives @ counts  # (2m + 1, R)
    n_positive, n_negative = positives.nnz, negatives.nnz
    undefined = np.full(counts.shape[1], np.nan)
    if not n_positive:
        return undefined, undefined
    equal = others[1::2]
    below = np.cumsum(others[0:-1:2], axis=0)
    below[1:] += np.cumsum(equal, axis=0)[:-1]
    # Precision where the threshold is each positive score: all scored so high or higher.
    higher = np.cumsum(hits[::-1], axis=0)[::-1]
    selected = higher + (n_negative - below)
    precision = higher / np.maximum(selected, 1)
    average_precision = np.einsum("mr,mr->r", hits, precision, dtype=np.float64) / n_positive
    if not n_negative:
        return undefined, average_precision
    wins = np.einsum("mr,mr->r", hits, below + equal / 2, dtype=np.float64)
    return wins / (n_positive * n_negative), average_precision


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide, with NaN where the denominator is zero."""
    return np.where(denominator > 0, numerator / np.maximum(denominator, 1), np.nan)


def _bootstrap(
    tables: _LinearTables, y_true: np.ndarray, n_resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """Return the statistics of all resamples, blockwise to bound the memory."""
    blocks = [tables.statistics(np.empty((len(y_true), 0), np.float32))]
    blocks += [
        tables.statistics(counts) for counts in stratified_blocks(y_true, n_resamples, seed=seed)
    ]
    return {name: np.concatenate([b[name] for b in blocks], axis=-1) for name in blocks[0]}


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
    """Draw stratified bootstrap resamples, as counts.

    Args:
        y_true: labels, integers (n,).
        n_resamples: how many resamples, R.
        rng: source of the draws.

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
    summary = {}
    for name, values in statistics.items():
        if values.ndim == 2:
            values = values[1] if num_classes == 2 else values[present].mean(axis=0)
        summary[name] = values
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
