"""All metrics of all bootstrap resamples at once, by products of sparse matrices."""

import numpy as np
from scipy import sparse

ECE_BINS = 15


class LinearTables:
    """The sums over images from which all metrics follow, as sparse matrices.

    A bootstrap resample is a vector of counts (how often each image was drawn), and each table here
    is a fixed linear map of it: how much weight falls into each cell of the confusion matrix, each
    confidence bin, each step of a class's ROC. So all resamples are one product of a sparse matrix
    and the matrix of counts, and nothing is sorted again.
    """

    def __init__(self, y_true: np.ndarray, probabilities: np.ndarray, bins: np.ndarray):
        """Make the tables of labels (n,), probabilities (n, K) and confidence bins (n,)."""
        n, num_classes = probabilities.shape
        y_pred, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
        self.num_classes = num_classes
        everyone = np.ones(n, bool)
        self.confusion = _indicator(y_true * num_classes + y_pred, num_classes**2, everyone)
        self.steps = [_roc_steps(y_true == k, probabilities[:, k]) for k in range(num_classes)]
        gaps = (y_pred == y_true) - confidence
        self.calibration_gap = _indicator(bins, ECE_BINS, everyone, values=gaps)
        squared = ((probabilities - np.eye(num_classes)[y_true]) ** 2).sum(axis=1)
        if num_classes == 2:
            squared = (probabilities[:, 1] - y_true) ** 2
        self.squared_error = _indicator(np.zeros(n, int), 1, everyone, values=squared)

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
    rows: np.ndarray, num_rows: int, members: np.ndarray, *, values: np.ndarray | None = None
) -> sparse.csr_array:
    """Return the (num_rows, n) matrix that sums the members (n,) of the images into their rows.

    Member i is summed into rows[i], times values[i].
    """
    # float32 holds counts up to 16 million exactly; real values are summed in float64.
    values = np.ones(len(rows), np.float32) if values is None else values
    places = (rows, np.flatnonzero(members))
    return sparse.csr_array((values, places), shape=(num_rows, len(members)))


def _roc_steps(positive: np.ndarray, y_score: np.ndarray) -> tuple[sparse.csr_array, ...]:
    """Return the maps from image counts to the steps of one ROC, by ascending score.

    The m distinct scores of the positives cut the scores into 2m + 1 places: below the first, equal
    to it, between it and the second, ... The first map counts positives at each of the m scores,
    the second negatives in each of the places.
    """
    cuts, at = np.unique(y_score[positive], return_inverse=True)
    others = y_score[~positive]
    place = np.searchsorted(cuts, others, "left") + np.searchsorted(cuts, others, "right")
    return (
        _indicator(at, len(cuts), positive),
        _indicator(place, 2 * len(cuts) + 1, ~positive),
    )


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
