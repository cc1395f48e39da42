"""Means and differences of systems that were trained with several seeds and scored on one test set.

Test images and seeds are both samples, and every seed meets every image: the design of multi-reader
multi-case studies, with seeds as readers. Two questions are asked of it, and have two answers:

- `mean`: of other images and other seeds. Obuchowski & Rockette (1995, Commun. Stat. Simul.
  Comput. 24:285-308). The variance of a mean over S seeds is MS/S + Cov: MS, the variance of the
  values over seeds, holds what seeds and the chance that a seed has with an image add; Cov, the
  covariance of two seeds by their common images, holds what more seeds cannot take away. Cov comes
  from the images' shares in each value: deviations from the mean for an accuracy, DeLong's
  structural components for an AUC.
- `mean_here` and `one_more_run`: of other seeds on these very images, as where a printed number was
  scored on the same public test split. Only the seeds vary; Student's t.

All three take one system, or what one system has more than another, paired by seed (`less`).

The critical value, the scales and what steadies a variance from few errors were chosen by measured
coverage (`benchmarks/coverage.py`); `docs/methods.md` has the formulas, the reasons and the table.

A draw is one run. Draws that depend on each other (a seed repeated on several processors; or seeds
of one processor, where it is the processor that repeats) are given one label in `groups`; a group
then counts as one seed.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import integrate, special, stats

from helpers.metrics.auc import structural_components
from helpers.metrics.scores import Estimate, check_predictions
from helpers.metrics.variance import (
    ROUNDING,
    Scores,
    _ends,
    critical_t,
    grouped,
    here_variance,
    next_run_ends,
    population,
    within_groups,
)

# Weight, in errors, of the variance that value and class sizes alone imply. An AUC's own variance
# rests on fewer images than the value suggests: those that are ranked wrong.
_PRIOR_ACCURACY, _PRIOR_AUC = 0.1, 0.2


# --- measures ------------------------------------------------------------------------------------


def accuracy_scores(y_true: np.ndarray, probabilities: np.ndarray) -> Scores:
    """Return the accuracy of each draw; as `auc_scores`, for two images or more."""
    y_true, probabilities = _check(y_true, probabilities)
    return image_scores((probabilities.argmax(axis=2) == y_true).astype(float))


def image_scores(scores: np.ndarray, *, bounded: bool = True) -> Scores:
    """Return the mean over images of any score that each image has by itself.

    Args:
        scores: float (..., S, n), at least two images: 1 for right and 0 for wrong, or any other.
        bounded: whether a score lies within 0 .. 1 by its nature.

    Raises:
        ValueError: too few images or draws, NaN, or a bounded score outside 0 .. 1.
    """
    scores = _check_scores(scores)
    if bounded and not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(
            f"scores reach from {scores.min():g} to {scores.max():g}; expected 0 .. 1, or "
            "bounded=False."
        )
    n = scores.shape[-1]
    values = scores.mean(axis=-1)
    # Of anything between right and wrong a value implies no variance.
    counted = bounded and ((scores == 0) | (scores == 1)).all()
    reference = values * (1 - values) / n if counted else np.full(values.shape, np.nan)
    labels = np.zeros(n, dtype=np.int64)
    n_effective = float(n) if bounded else math.nan
    return Scores(values, scores / n, labels, reference, n_effective, _PRIOR_ACCURACY)


def contrast_scores(scores: np.ndarray, first: np.ndarray) -> Scores:
    """Return the mean score of some images less that of the others, say of one class of two.

    The images are not paired, each set varies by itself; the draws are, each saw both.

    Args:
        scores: float (..., S, n), as for `image_scores`.
        first: bool (n,), the images from whose mean that of the others is taken.

    Raises:
        ValueError: fewer than two images on a side, too few draws, or NaN.
    """
    scores, first = _check_scores(scores), np.asarray(first, dtype=bool)
    sizes = int(first.sum()), int((~first).sum())
    if first.shape != scores.shape[-1:] or min(sizes) < 2:
        raise ValueError(
            f"a contrast of {sizes[0]} and {sizes[1]} images, scores for {scores.shape[-1]}; "
            "expected two or more on each side, and one score each."
        )
    shares = scores * np.where(first, 1 / sizes[0], -1 / sizes[1])
    values = shares.sum(axis=-1)
    unknown = np.full(values.shape, np.nan)
    return Scores(values, shares, first.astype(np.int64), unknown, math.nan)


def auc_scores(y_true: np.ndarray, probabilities: np.ndarray) -> Scores:
    """Return the AUC of each draw; with more than two classes the mean, each against the rest.

    Args:
        y_true: labels, int (n,), in 0 .. K-1; two classes with two images each, or more.
        probabilities: float (S, n, K), rows summing to one.

    Raises:
        ValueError: arrays that do not fit, or too few images or classes.
    """
    y_true, probabilities = _check(y_true, probabilities)
    columns = [1] if probabilities.shape[2] == 2 else np.unique(y_true)
    return ranking_scores(y_true, {int(k): probabilities[:, :, k] for k in columns})


def ranking_scores(y_true: np.ndarray, by_class: dict[int, np.ndarray]) -> Scores:
    """Return the mean AUC of some one-against-the-rest problems.

    The images' shares are DeLong's structural components (1988, Biometrics 44:837-845) over the
    size of their class, summed over the problems. The reference variance is the binormal one of
    Obuchowski & McClish (1997, Stat. Med. 16:1529-1542), the problems taken as independent.

    Args:
        y_true: labels, int (n,).
        by_class: label -> float (..., S, n), higher for images more likely of that class.

    Raises:
        ValueError: too few images or classes, scores of a class without images, or NaN.
    """
    present, counts = np.unique(y_true, return_counts=True)
    if len(present) < 2 or counts.min() < 2:
        raise ValueError(
            "The variance of an AUC needs two classes with two test images each, got "
            f"{dict(zip(present.tolist(), counts.tolist(), strict=True))} images by class."
        )
    if not by_class or not set(by_class) <= set(present.tolist()):
        raise ValueError(
            f"by_class has scores for the classes {sorted(by_class)}; expected one or more of "
            f"{present.tolist()}, which have test images."
        )
    values = shares = reference = inverse = 0.0
    k = len(by_class)
    for label, scores in by_class.items():
        positive = y_true == label
        m, n = int(positive.sum()), int((~positive).sum())
        components = structural_components(positive, scores)
        auc = components[..., positive].mean(axis=-1)
        values = values + auc / k
        shares = shares + components / np.where(positive, m, n) / k
        reference = reference + _binormal_variance(auc, m, n) / k**2
        # Of Hanley & McNeil's variance (1982), made even in the two classes, as the AUC nears 1.
        inverse += (1 / m + 1 / n) / 4 / k**2
    return Scores(values, shares, np.asarray(y_true), reference, 1 / inverse, _PRIOR_AUC)


def less(a: Scores, b: Scores) -> Scores:
    """Return what A has more than B, draw by draw, on the same images in the same order.

    Draw k of both belongs together: what a seed decides is common to both.

    Raises:
        ValueError: other images, or another number of draws.
    """
    if not np.array_equal(a.labels, b.labels):
        raise ValueError(
            f"A difference is taken on the same images; got {a.n} and {b.n}, or other labels."
        )
    if a.values.shape != b.values.shape:
        raise ValueError(
            "A difference needs as many draws of both sides, got "
            f"{a.values.shape[-1]} and {b.values.shape[-1]}."
        )
    unknown = np.full(a.values.shape, np.nan)
    implied = np.isfinite(a.reference).all() and np.isfinite(b.reference).all()
    return Scores(
        a.values - b.values,
        a.shares - b.shares,
        a.labels,
        unknown,
        math.nan,
        sides=(a, b) if implied else None,
    )


def _binormal_variance(auc: np.ndarray, m: int, n: int) -> np.ndarray:
    """Return Obuchowski & McClish's variance of an AUC with m positives and n negatives."""
    a2 = 2 * stats.norm.ppf(auc) ** 2
    with np.errstate(invalid="ignore", over="ignore"):
        variance = 0.0099 * np.exp(-a2 / 2) * ((5 * a2 + 8) / m + (a2 + 8) / n)
    return np.where(np.isfinite(a2), variance, 0.0)


def _check_scores(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim < 2 or scores.shape[-1] < 2 or not scores.shape[-2]:
        raise ValueError(
            f"scores has shape {scores.shape}; expected (draws, images) of one draw and two images "
            "or more."
        )
    if not np.isfinite(scores).all():
        raise ValueError("scores has NaN or infinity; every draw needs a score for each image.")
    return scores


def _check(y_true: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probabilities = np.asarray(probabilities)
    if probabilities.ndim != 3 or not len(probabilities):
        raise ValueError(
            f"probabilities has shape {probabilities.shape}; expected (draws, images, classes), "
            "with one draw or more."
        )
    checked = [check_predictions(y_true, draw) for draw in probabilities]
    return checked[0][0], np.stack([draw for _, draw in checked])


# --- estimates -----------------------------------------------------------------------------------


def mean(
    scores: Scores,
    *,
    groups: Sequence | None = None,
    floor: tuple[float, float] | None = None,
) -> Estimate:
    """Estimate the mean over images and seeds: what another seed has on other images, on average.

    The interval is symmetric on the logit scale for a bounded measure, else as it is. Where no
    image is wrong, or none right, it is Wilson's for the effective number of images. With one seed
    the seeds' part is unknown and left out: the interval is that of the images alone, and `method`
    says so. A measure without bounds, as a difference is, has the p value of a mean of zero. Of two
    accuracies' or AUCs' difference over several seeds the standard error is that of the difference
    of their angles, 2 arcsin sqrt(value), over the ratio of both differences.

    Args:
        scores: of one system, or a difference, without leading axes.
        groups: a label a draw (see the module's header); None where all draws are independent.
        floor: a variance of single draws known from many systems, and its degrees of freedom: with
            that one two or three draws that lie close together by luck do not pass for certain. It
            takes the place of a smaller one where that does not make a p value smaller.

    Raises:
        ValueError: not one label a draw, a missing one, or a floor that is no variance.
    """
    if floor and not (0 <= floor[0] < math.inf and floor[1] > 0):
        raise ValueError(
            f"floor is {floor}; expected a variance from 0 and degrees of freedom above 0."
        )
    scores = grouped(scores, groups)
    found = population(scores)
    if floor:
        floored = population(scores, floor=floor)
        found = found if found[-1] >= floored[-1] else floored
    value, variance, df, low, high, p = (float(part) for part in found)
    seeds = scores.values.shape[-1]
    exact = scores.bounded and not 0 < value < 1
    how = "images x seeds" if seeds > 1 else "n = 1: images alone"
    if not scores.bounded and variance <= ROUNDING:
        # No difference at all is p = 1; any other without variance claims nothing.
        p = 1.0 if abs(value) < 1e-12 else None
        value = 0.0 if p else value
        how += ": no spread"
        return Estimate(value, None, None, scores.n, seeds=seeds, p=p, method=how, se=0.0)
    scale = "logit scale" if scores.bounded else "plain scale"
    return Estimate(
        value,
        low,
        high,
        scores.n,
        seeds=seeds,
        p=None if scores.bounded else p,
        method=f"{how}, Wilson, as nothing varies" if exact else f"{how}, {scale}",
        se=None if exact else math.sqrt(variance),
        df=None if math.isinf(df) else df,
    )


def mean_here(scores: Scores, *, groups: Sequence | None = None) -> Estimate:
    """Estimate the mean over seeds on these very images; arguments and p value as for `mean`.

    Student's t over the draws (with groups: over their means), on the logit scale for a bounded
    measure. One seed has no interval.
    """
    return _here(scores, groups, more_runs=0)


def one_more_run(scores: Scores, *, groups: Sequence | None = None) -> Estimate:
    """Predict where one more single run falls on these very images; arguments as for `mean`.

    mean +- t sd sqrt(1 + 1/S), with S - 1 degrees of freedom: of the values, or of the log odds of
    a bounded measure (`next_run_ends`). With groups a run differs from its group, and the groups
    from each other: both are in it. One seed has no interval. `se` is the standard deviation of
    what such a run differs from `value` by, as it is. There is no p value.
    """
    return _here(scores, groups, more_runs=1)


def power(effect: float, *, se: float, df: float | None) -> float:
    """Return how often a difference of true size `effect` is shown at 5 %, two-sided.

    Args:
        effect: the true difference, such as a printed gain.
        se: standard error of the difference in this design, such as `Estimate.se`.
        df: its degrees of freedom, such as `Estimate.df`; None where the variance counts as known.

    Returns:
        0 to 1, by the noncentral t distribution. `se` and `df` are estimates, and so is the power:
        it says what such a comparison can show, and is made for a size fixed beforehand, never for
        the one that was found.

    Raises:
        ValueError: no variance, or no size.
    """
    if not (se > 0 and (df is None or df > 0) and math.isfinite(effect)):
        raise ValueError(
            f"power needs se and df above zero and a finite effect, got {se}, {df} and {effect}."
        )
    shift, critical = effect / se, critical_t(np.inf if df is None else df)
    if df is None:
        return float(stats.norm.sf(critical - shift) + stats.norm.cdf(-critical - shift))

    # The tails of the noncentral t, as a mean over the scatter of the standard error: far out
    # `scipy.stats.nct` has no value, or in another process another one.
    def shown(quantile: float) -> float:
        reach = critical * math.sqrt(special.chdtri(df, 1 - quantile) / df)
        return special.ndtr(shift - reach) + special.ndtr(-reach - shift)

    return float(integrate.quad(shown, 0, 1)[0])


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjust the p values (m,) of many tests for their number, step-down; in the order given.

    Holm (1979), Scand. J. Stat. 6:65-70: the chance of any false rejection stays below the level,
    whatever the tests have to do with each other. Reject where the adjusted value is at most the
    level.

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


def _here(scores: Scores, groups: Sequence | None, *, more_runs: int) -> Estimate:
    of_groups = grouped(scores, groups)
    seeds = of_groups.values.shape[-1]
    value = float(of_groups.values.mean())
    how = "one more run, these images, t" if more_runs else "seeds alone, these images, t"
    if seeds == 1:
        return Estimate(value, None, None, scores.n, seeds=1, method=f"{how}: n = 1")
    between, single = here_variance(of_groups), within_groups(scores.values, groups)
    error = math.sqrt(float(between) * (more_runs + 1 / seeds) + more_runs * single)
    if error**2 <= ROUNDING:
        how += ": all runs answer alike"
        return Estimate(value, None, None, scores.n, seeds=seeds, method=how, se=0.0, df=seeds - 1)
    if more_runs:
        found = next_run_ends(scores, between, groups=groups)
    else:
        found = _ends(value, error, seeds - 1, logit=scores.bounded and 0 < value < 1)
    low, high = (float(end) for end in found)
    if scores.bounded:
        low, high = max(0.0, low), min(1.0, high)
    p = None
    if not (scores.bounded or more_runs):
        p = float(2 * stats.t.sf(abs(value) / error, seeds - 1))
    return Estimate(value, low, high, scores.n, how, seeds=seeds, p=p, se=error, df=seeds - 1)
