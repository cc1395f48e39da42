"""The variance of scores by images and by seeds, for any number of replicates at once.

What it rests on: `helpers.metrics.intervals`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import optimize, special, stats

from helpers.metrics.scores import LEVEL

# How steeply the critical value may rise with the seeds' share: with two seeds it would leap.
_STEEPEST = 10.0
# More degrees of freedom than these are those of a known variance.
_KNOWN = 1e6
# Rounding alone is no scatter: sums of equal terms differ in the last digits.
ROUNDING = 1e-24
_RELATIVE = 1e-9


@dataclass(frozen=True)
class Scores:
    """One measure of one system on one test set, by draw and image.

    `accuracy_scores`, `auc_scores`, `image_scores` and `contrast_scores` make it. All arrays may
    have leading axes, of replicates.

    Attributes:
        values: float (..., S), the measure of each draw.
        shares: float (..., S, n), what each image has in it: a draw's values on other images vary
            as sums of such shares do.
        labels: int (n,), classes within which images are drawn; all 0 where they are drawn freely.
        reference: float (..., S), the variance by images that a draw's value and the class sizes
            alone imply; NaN where they imply none.
        n_effective: the number of images m for which the variance is value (1 - value) / m where
            no image is wrong; NaN where the measure has no bounds.
        prior: weight of `reference` beside the images' own variance, in errors.
        sides: of a difference, both systems, where each has a variance that its value implies.
    """

    values: np.ndarray
    shares: np.ndarray
    labels: np.ndarray
    reference: np.ndarray
    n_effective: float
    prior: float = 0.0
    sides: tuple["Scores", "Scores"] | None = None

    @property
    def n(self) -> int:
        """Test images."""
        return self.shares.shape[-1]

    @property
    def bounded(self) -> bool:
        """Whether the measure lies within 0 .. 1."""
        return not math.isnan(self.n_effective)


def grouped(scores: Scores, groups: Sequence | None) -> Scores:
    """Average the draws of each group, in the order of their labels; None leaves them alone.

    Raises:
        ValueError: not one label a draw, or a missing one.
    """
    if groups is None:
        return scores
    if any(label is None or label != label for label in groups):
        raise ValueError("groups has None or NaN for a draw; expected a label for each.")
    labels = np.asarray(groups)
    if labels.shape != scores.values.shape[-1:]:
        raise ValueError(
            f"groups has {labels.size} labels for {scores.values.shape[-1]} draws; expected one a "
            "draw."
        )
    weights = np.stack([(labels == label) / (labels == label).sum() for label in np.unique(labels)])
    return replace(
        scores,
        values=scores.values @ weights.T,
        shares=np.einsum("gs,...sn->...gn", weights, scores.shares),
        reference=scores.reference @ weights.T,
        sides=scores.sides and tuple(grouped(side, groups) for side in scores.sides),
    )


def within_groups(values: np.ndarray, groups: Sequence | None) -> float:
    """Return what a single run's variance has above that of a group's mean; 0 without groups."""
    if groups is None:
        return 0.0
    labels = np.asarray(groups)
    members = [values[labels == label] for label in np.unique(labels)]
    spare = sum(len(group) - 1 for group in members)
    if not spare:
        return 0.0
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in members) / spare
    return within * (1 - float(np.mean([1 / len(group) for group in members])))


def population(
    scores: Scores, *, floor: tuple[float, float] | None = None
) -> tuple[np.ndarray, ...]:
    """Return value, variance, degrees of freedom, low, high and p of `mean`, (...) each."""
    scores = _evened(scores)
    value = scores.values.mean(axis=-1)
    draws = scores.values.shape[-1]
    between, within = _image_covariances(scores)
    images = np.maximum(between, 0.0) if draws > 1 else within
    if scores.bounded:
        images = _steadied(images, value, scores)
    seeds = here_variance(scores) / draws if draws > 1 else np.zeros_like(value)
    # What stands for a scatter that is zero by chance comes of all images.
    agree = scores.values.var(axis=-1) <= ROUNDING
    draws_df = np.where(agree, np.inf, max(draws - 1, 1))
    if floor:
        draws_df = np.where(floor[0] / draws > seeds, floor[1], draws_df)
        seeds = np.maximum(seeds, floor[0] / draws)
    variance = images + seeds
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(seeds > ROUNDING, seeds / variance, 0.0)
        df = _equivalent_df(share, draws_df)
        p = 2 * stats.t.sf(np.abs(value) / np.sqrt(variance), df)
    low, high = _ends(value, np.sqrt(variance), df, logit=scores.bounded)
    if scores.bounded:
        # Wilson's interval, which at 0 and 1 needs no variance.
        edge = 1 / (1 + critical_t(df) ** 2 / scores.n_effective)
        low = np.where(value >= 1, edge, np.where(value <= 0, 0.0, low))
        high = np.where(value >= 1, 1.0, np.where(value <= 0, 1 - edge, high))
    return value, variance, df, low, high, p


def _evened(scores: Scores) -> Scores:
    """Return a difference with the scatter that it has on the arcsine scale; its mean stays.

    Of two systems near 1 the one with more errors scatters more, so that what makes a difference
    large makes its standard error large. The angle 2 arcsin sqrt(value) scatters alike everywhere
    (Anscombe 1948, Biometrika 35:246-254, with 3/8 of an image right and wrong added). Deviations
    of each side are weighed by its slope there, over the ratio of both angles' difference to that
    of the values.
    """
    if scores.sides is None or scores.values.shape[-1] == 1:
        return scores  # with one draw it is DeLong's test
    means, angles, slopes = [], [], []
    for side in scores.sides:
        n, mean = side.n_effective, side.values.mean(axis=-1)
        shifted = (n * mean + 0.375) / (n + 0.75)
        means.append(mean)
        angles.append(2 * np.arcsin(np.sqrt(shifted)))
        slopes.append(n / (n + 0.75) / np.sqrt(shifted * (1 - shifted)))
    value = means[0] - means[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(
            np.abs(value) > 1e-9, (angles[0] - angles[1]) / value, (slopes[0] + slopes[1]) / 2
        )
    (first, second), (a, b) = [(slope / ratio)[..., None] for slope in slopes], scores.sides
    weighed = first * (a.values - means[0][..., None]) - second * (b.values - means[1][..., None])
    # Where all draws' differences agree they still do, whatever their sides share.
    agree = scores.values.var(axis=-1, keepdims=True) <= ROUNDING
    return replace(
        scores,
        values=np.where(agree, scores.values, value[..., None] + weighed),
        shares=first[..., None] * a.shares - second[..., None] * b.shares,
        sides=None,
    )


def _equivalent_df(share: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Return the degrees of freedom of the t distribution whose critical value is `welch_critical`.

    Args:
        share: float (...), the estimated part of the variance, of the whole.
        df: float (...), its degrees of freedom; infinite where it is known.
    """
    share, df = np.broadcast_arrays(share, df)
    found = np.full(share.shape, np.inf)
    for known in np.unique(df[np.isfinite(df)]):
        chosen = df == known
        found[chosen] = special.stdtridf(
            (1 + LEVEL) / 2, welch_critical(share[chosen], float(known))
        )
    return np.where(found > _KNOWN, np.inf, found)


def welch_critical(share: np.ndarray | float, df: float) -> np.ndarray:
    """Return the half-width (...), in standard errors, of the 95 % interval of a value.

    One part of its variance is known and one, `share` of the whole as estimated (...), has `df`
    degrees of freedom. As in Welch's and Aspin's tables it is that function of the estimated share
    with which the coverage is the level whatever the true share is, as nearly as one can be that
    never falls: the normal value, and Student's at the other end, joined by a beta distribution.
    """
    known, estimated = critical_t(np.inf), critical_t(df)
    return known + (estimated - known) * special.betainc(*_welch_shape(df), np.clip(share, 0, 1))


@lru_cache
def _welch_shape(df: float) -> np.ndarray:
    """Return both parameters of that beta distribution, by least squares over true shares."""
    true = np.linspace(0, 1, 42)[1:-1, None]
    estimated = true * stats.chi2.ppf((np.arange(500) + 0.5) / 500, df) / df
    variance = 1 - true + estimated
    known, rise = critical_t(np.inf), critical_t(df) - critical_t(np.inf)

    def miss(logarithms: np.ndarray) -> np.ndarray:
        critical = known + rise * special.betainc(*np.exp(logarithms), estimated / variance)
        covered = 2 * special.ndtr(critical * np.sqrt(variance)) - 1
        return 100 * (covered.mean(axis=1) - LEVEL)

    found = optimize.least_squares(
        miss, (0.5, 0.0), bounds=(-1, math.log(_STEEPEST)), xtol=1e-12, ftol=1e-12, gtol=1e-12
    )
    return np.exp(found.x).round(4)  # what lies further right differs from machine to machine


def here_variance(scores: Scores) -> np.ndarray:
    """Return the variance (...) of a single draw's value on these images.

    Values of an accuracy lie on a grid and may agree by chance alone. Where all do, it is the one
    that the draws' answers would give if each image's changed by itself.
    """
    spread = scores.values.var(axis=-1, ddof=1)
    if (spread > ROUNDING).all():
        return spread
    between, within = _image_covariances(scores)
    least = np.maximum(_RELATIVE * within, ROUNDING)
    rest = np.where(within - between > least, within - between, 0.0)
    return np.where(spread > ROUNDING, spread, rest)


def next_run_ends(
    scores: Scores, between: np.ndarray, *, groups: Sequence | None = None
) -> list[np.ndarray]:
    """Return the ends (...) of the 95 % interval of one more run on these images.

    Near 1 the values of runs are skewed to the left, their log odds hardly. Half an image right and
    half an image wrong are added (Haldane 1956), since a run may have none wrong. There are two
    seeds or more; `between` (...), `here_variance` of the groups, counts where their values agree.
    """
    runs, n, slope = scores, scores.n_effective, 1.0
    agree = grouped(scores, groups).values.var(axis=-1) <= ROUNDING
    if scores.bounded:
        runs = replace(
            scores, values=np.log(n * scores.values + 0.5) - np.log(n * (1 - scores.values) + 0.5)
        )
        value = scores.values.mean(axis=-1)
        slope = n / (n * value + 0.5) + n / (n * (1 - value) + 0.5)
    means = grouped(runs, groups).values
    seeds = means.shape[-1]
    spread = np.where(agree, between * slope**2, means.var(axis=-1, ddof=1))
    error = np.sqrt(spread * (1 + 1 / seeds) + within_groups(runs.values, groups))
    found = _ends(means.mean(axis=-1), error, seeds - 1, logit=False)
    if scores.bounded:
        found = [np.clip(((n + 1) * special.expit(end) - 0.5) / n, 0, 1) for end in found]
    return found


def _ends(
    value: np.ndarray | float, error: np.ndarray | float, df: np.ndarray | float, *, logit: bool
) -> list[np.ndarray]:
    """Return the ends of a 95 % interval, symmetric as it is or on the logit scale."""
    half = critical_t(df) * error
    if not logit:
        return [value - half, value + half]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        centre, half = np.log(value) - np.log1p(-value), half / (value * (1 - value))
        return [1 / (1 + np.exp(-(centre + sign * half))) for sign in (-1, 1)]


def _image_covariances(scores: Scores) -> tuple[np.ndarray, np.ndarray]:
    """Return the covariance of two draws' values by their common images, and a draw's variance.

    Both are averaged, over pairs of different draws and over draws; of one draw the first is the
    second.
    """
    draws = scores.values.shape[-1]
    everything = own = 0.0
    for label in np.unique(scores.labels):
        shares = scores.shares[..., scores.labels == label]
        everything = everything + shares.mean(axis=-2).var(axis=-1, ddof=1) * shares.shape[-1]
        own = own + shares.var(axis=-1, ddof=1).mean(axis=-1) * shares.shape[-1]
    return (draws * everything - own) / (draws - 1) if draws > 1 else own, own


def _steadied(images: np.ndarray, value: np.ndarray, scores: Scores) -> np.ndarray:
    """Draw a variance that rests on few errors towards the one that the value implies."""
    reference, prior = scores.reference.mean(axis=-1), scores.prior
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = (value * (1 - value)) ** 2 / reference
        steadied = (errors * images + prior * reference) / (errors + prior)
    return np.where(reference > 0, steadied, images)


def aggregate_seeds(values: list[float | None]) -> dict[str, float | int | None]:
    """Summarise values of a metric, one a seed; None where it is undefined.

    Returns:
        mean, sd (ddof = 1), n, and low, high: the 95 % t interval of the mean over training seeds
        (not of the test images). One seed has no sd and no interval; a metric that is undefined for
        one seed is undefined as a whole.

    Raises:
        ValueError: no values.
    """
    n = len(values)
    if n == 0:
        raise ValueError("aggregate_seeds needs the value of at least one seed, got none.")
    summary = {"mean": None, "sd": None, "n": n, "low": None, "high": None}
    if any(value is None or np.isnan(value) for value in values):
        return summary
    summary["mean"] = mean = float(np.mean(values))
    if n > 1:
        summary["sd"] = sd = float(np.std(values, ddof=1))
        half_width = float(critical_t(n - 1)) * sd / np.sqrt(n)
        summary["low"], summary["high"] = float(mean - half_width), float(mean + half_width)
    return summary


def critical_t(df: np.ndarray | float) -> np.ndarray | float:
    """Return the half-width, in standard errors, of a 95 % interval."""
    return stats.t.ppf((1 + LEVEL) / 2, df)
