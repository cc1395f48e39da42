"""Time the metrics with their 2,000 resamples, at the sizes of the test sets used here.

Usage: python -m benchmarks.metrics [--rounds 3] [--coverage] [--save]

CPU time of one call. With --coverage it also prints how often the 95 % intervals hold the true
value, over synthetic samples; that takes minutes.
"""

import sys
from functools import partial

import numpy as np

from benchmarks.common import cpu_seconds, main
from helpers.metrics.scores import auc_interval, evaluate, per_class
from study.tables.speed import Speed

SIZES = ((156, 2), (624, 2), (2005, 7), (3421, 8), (9000, 11))


def synthetic(n: int, num_classes: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (n,) and probabilities (n, K) of a classifier of medium quality."""
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, num_classes, n)
    scores = np.exp(rng.normal(size=(n, num_classes)) + 2 * np.eye(num_classes)[y_true])
    return y_true, scores / scores.sum(axis=1, keepdims=True)


def calibration_sample(n: int, sharpness: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two-class predictions, calibrated where sharpness is 1, overconfident above it."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=n)
    y_true = (rng.random(n) < 1 / (1 + np.exp(-logits))).astype(int)
    positive = 1 / (1 + np.exp(-sharpness * logits))
    return y_true, np.stack([1 - positive, positive], axis=1)


def measure(*, rounds: int = 3, coverage: bool = False) -> list[Speed]:
    """Time so many calls of `evaluate` and `per_class`; print the intervals' coverage if asked."""
    speeds = []
    for n, num_classes in SIZES:
        data = synthetic(n, num_classes, seed=0)
        for function in (evaluate, per_class):
            times = [cpu_seconds(partial(function, *data)) for _ in range(rounds)]
            name = f"{function.__name__}, {n:,} images, {num_classes} classes"
            headline = function is evaluate and n in (SIZES[0][0], SIZES[-1][0])
            speeds.append(Speed(name=name, unit="s", values=times, headline=headline))
    if coverage:
        cover_auc()
        cover_ece()
    return speeds


def cover_ece(repeats: int = 300, *, n: int = 156) -> None:
    """Print how often the 95 % interval of ECE holds the value of a million images."""
    print(f"\nECE, n = {n}, {repeats} samples: coverage of the basic interval (ours), percentile")
    for sharpness in (1.0, 1.3, 2.0, 4.0):
        truth = evaluate(*calibration_sample(10**6, sharpness, seed=1), n_resamples=0)["ece"].value
        hits = np.zeros(2)
        for seed in range(repeats):
            data = calibration_sample(n, sharpness, seed=seed)
            ece = evaluate(*data, n_resamples=500)["ece"]
            # The reflection undone; where zero or the value cut it, in favour of the percentile.
            percentile = 2 * ece.value - ece.high, 2 * ece.value - ece.low
            hits += ece.low <= truth <= ece.high, percentile[0] <= truth <= percentile[1]
        basic, percentile = hits / repeats
        print(f"  sharpness {sharpness:.1f}, true ECE {truth:.3f}: {basic:.2f}, {percentile:.2f}")


def cover_auc(repeats: int = 2000) -> None:
    """Print how often the 95 % interval of the AUC holds the true one, at BreastMNIST's size."""
    print(f"\nAUC, 114 positives and 42 negatives, {repeats} samples: coverage (ours)")
    positive = np.arange(156) < 114
    for truth, shift in ((0.80, 1.1902), (0.90, 1.8124), (0.97, 2.6599)):  # shift: sqrt(2) probit
        rng = np.random.default_rng(0)
        hits = 0
        for _ in range(repeats):
            estimate = auc_interval(positive, rng.normal(size=156) + shift * positive)
            hits += estimate.low <= truth <= estimate.high
        print(f"  true AUC {truth:.2f}: {hits / repeats:.3f}")


if __name__ == "__main__":
    sys.exit(main(measure))
