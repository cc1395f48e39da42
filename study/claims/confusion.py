"""What a printed confusion matrix implies, and whether printed scores fit any matrix at all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from helpers.metrics.power import newcombe
from helpers.metrics.scores import Estimate, proportion
from study.claims.check import ByColumn, Whole, checks
from study.claims.outcome import Outcome
from study.published import NOT_GIVEN, Published, last_digit
from study.sizes import matches
from study.verdicts import CONTRADICTED, NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED


@dataclass(frozen=True)
class Confusion:
    """Counts of a two-class test set.

    Attributes:
        tn: negatives called negative.
        fp: negatives called positive.
        fn: positives called negative.
        tp: positives called positive.
    """

    tn: int
    fp: int
    fn: int
    tp: int

    @property
    def n(self) -> int:
        """All images."""
        return self.tn + self.fp + self.fn + self.tp

    def score(self, name: str) -> Estimate:
        """Return a score with Wilson's interval; F1 has none.

        Raises:
            ValueError: an unknown score.
        """
        if name == "f1":
            value = 2 * self.tp / (2 * self.tp + self.fp + self.fn)
            return Estimate(value, None, None, self.n, "no interval")
        counts = {
            "accuracy": (self.tn + self.tp, self.n),
            "sensitivity": (self.tp, self.tp + self.fn),
            "specificity": (self.tn, self.tn + self.fp),
            "ppv": (self.tp, self.tp + self.fp),
            "npv": (self.tn, self.tn + self.fn),
            "false_negative_rate": (self.fn, self.fn + self.tp),
        }
        if name not in counts:
            raise ValueError(f"unknown score {name!r}; known: f1, {', '.join(counts)}.")
        return proportion(*counts[name])


@checks("A30", "A31", "A32", "A33", "A34", "A35", "A37")
def score_follows(*, printed: ByColumn, tn: Whole, fp: Whole, fn: Whole, tp: Whole) -> Outcome:
    """Check a printed score against the matrix.

    Rule: reproduced where the matrix gives the printed digits, else contradicted.
    """
    ((name, value),) = printed.items()
    score = Confusion(tn, fp, fn, tp).score(name)
    shown, interval = f"{score.value:.4f}", ""
    if value.unit == "%":
        shown = f"{100 * score.value:.2f} %"
    if score.low is not None:
        interval = f", 95 % interval {100 * score.low:.1f} to {100 * score.high:.1f} %"
    same = matches(score.value * (100 if value.unit == "%" else 1), value)
    return Outcome(
        verdict=REPRODUCED if same else CONTRADICTED,
        evidence=f"The confusion matrix gives {shown}{interval}; printed is {value.printed}.",
    )


@checks("A38")
def more_sensitive(*, tn: Whole, fp: Whole, fn: Whole, tp: Whole) -> Outcome:
    """Check that sensitivity is above specificity in the matrix.

    Rule: reproduced where Newcombe's interval of the difference lies above 0; contradicted where
    it lies below; else not reproduced.
    """
    gap = newcombe(tp, tp + fn, tn, tn + fp)
    verdict = CONTRADICTED if gap.high < 0 else NOT_REPRODUCED
    return Outcome(
        verdict=REPRODUCED if gap.low > 0 else verdict,
        evidence=f"{tp} of {tp + fn} against {tn} of {tn + fp}: {100 * gap.value:+.1f} points "
        f"(95 % {100 * gap.low:+.1f} to {100 * gap.high:+.1f}).",
    )


@dataclass(frozen=True)
class Scored:
    """All confusion matrices of a test set with a given accuracy.

    Attributes:
        errors: images that are wrong.
        true_positives: int (m,), of each matrix.
        scores: readings of F1 by name, float (m,) each.
    """

    errors: int
    true_positives: np.ndarray
    scores: Mapping[str, np.ndarray]


def matrices(accuracy: Published, *, positive: int, negative: int) -> Scored:
    """Return the matrices of `positive` and `negative` images that have a printed accuracy."""
    tp, tn = (
        grid.ravel() for grid in np.meshgrid(np.arange(positive + 1), np.arange(negative + 1))
    )
    n = positive + negative
    half = last_digit(accuracy) / (2 if accuracy.unit == "fraction" else 200)
    chosen = np.abs((tp + tn) / n - accuracy.fraction) <= half * (1 + 1e-6)
    tp, tn = tp[chosen], tn[chosen]
    errors = n - tp - tn
    with np.errstate(invalid="ignore"):
        of_positive, of_negative = (2 * right / (2 * right + errors) for right in (tp, tn))
    scores = {
        "of the positive class": of_positive,
        "of the negative class": of_negative,
        "mean over the classes": (of_positive + of_negative) / 2,
        "mean weighted by class": (positive * of_positive + negative * of_negative) / n,
    }
    return Scored(int(errors[0]) if len(errors) else -1, tp, scores)


# Sizes of a test set that are tried where the printed one has no matrix.
OTHER_SIZES = range(20, 400)
# Class sizes that are listed one by one.
FEW = 3


@checks("A43", "A44", "A45", "A46")
def f1_possible(*, accuracy: Published, f1: Published, positive: Whole, negative: Whole) -> Outcome:
    """Check that one matrix of the stated test set has both a printed accuracy and a printed F1.

    Every matrix of the test set with that accuracy is tried, F1 being that of either class or the
    mean over both, plain or weighted by class. The test set is the one that section 3.2 states, on
    which Table 4 repeats the numbers of Table 2. What other test sets would allow is said, and does
    not decide.

    Rule: reproduced where a matrix fits, else contradicted.
    """
    found = matrices(accuracy, positive=positive, negative=negative)
    half = last_digit(f1) / 2
    fitting = [
        name
        for name, scores in found.scores.items()
        if (np.abs(scores - f1.value) <= half * (1 + 1e-6)).any()
    ]
    n, tried = positive + negative, len(found.true_positives)
    if not tried:
        return Outcome(
            verdict=CONTRADICTED,
            evidence=f"No count of {n} images gives an accuracy of {accuracy.printed} %.",
        )
    values = found.scores["of the positive class"]
    below, above = values[values <= f1.value], values[values >= f1.value]
    near = [float(below.max())] if len(below) else []
    near += [float(above.min())] if len(above) else []
    around = " and ".join(f"{value:.4f}" for value in near)
    evidence = f"{n - found.errors} of {n} right: of {tried} matrices of {positive} positive and "
    evidence += f"{negative} negative images, "
    if fitting:
        evidence += f"there is one whose F1 is {f1.printed} ({'; another '.join(fitting)})."
    else:
        others = other_sets(accuracy, f1, OTHER_SIZES)
        elsewhere = "; ".join(f"by {name} {_sets_text(s, n)}" for name, s in others.items())
        never = " and ".join(name for name, sets in others.items() if not sets)
        evidence += (
            f"none has an F1 of {f1.printed}, of either class or as their mean, plain or weighted "
            f"by class; the nearest values of the positive class are {around}. Test sets of "
            f"{OTHER_SIZES[0]} to {OTHER_SIZES[-1]} images, of any balance, that have both: "
            f"{elsewhere}. So ruled out are the stated test set by any of these"
            f"{f', and {never} on all of them' if never else ''}. Neither another test set nor a "
            "mean over runs is mentioned."
        )
    return Outcome(verdict=REPRODUCED if fitting else CONTRADICTED, evidence=evidence)


def _sets_text(sets: Sequence[tuple[int, int]], n: int) -> str:
    """Write how many sizes test sets have, and the classes of those of `n` images or the fewest."""
    if not sets:
        return "none"
    sizes = sorted({sum(pair) for pair in sets})
    shown = n if n in sizes else sizes[0]
    pairs = sorted({(min(pair), max(pair)) for pair in sets if sum(pair) == shown})
    listed = ", ".join(f"{few} : {many}" for few, many in pairs)
    if len(pairs) > FEW:
        (few, many), (even, rest) = pairs[0], pairs[-1]
        listed = f"{few} : {many} to {even} : {rest}"
    return f"{len(sizes)} size{'' if len(sizes) == 1 else 's'} (of {shown} images {listed})"


def other_sets(
    accuracy: Published, f1: Published, sizes: Iterable[int]
) -> dict[str, list[tuple[int, int]]]:
    """Return which test sets can have an accuracy and an F1, by how F1 is taken.

    Returns:
        Name -> class sizes, those of the positive class first. "F1 of one class" is
        that of the positive one; with swapped labels it is that of the negative one.
    """
    half = last_digit(f1) / 2 * (1 + 1e-6)
    share = last_digit(accuracy) / (2 if accuracy.unit == "fraction" else 200) * (1 + 1e-6)
    found = {"F1 of one class": [], "the plain mean": [], "the mean weighted by class": []}
    for n in sizes:
        counts = np.arange(n + 1)
        for right in counts[np.abs(counts / n - accuracy.fraction) <= share].tolist():
            errors = n - right
            tp, fn = (
                grid.ravel() for grid in np.meshgrid(np.arange(right + 1), np.arange(errors + 1))
            )
            positive = tp + fn
            inside = (positive > 0) & (positive < n)
            tp, positive = tp[inside], positive[inside]
            with np.errstate(invalid="ignore"):
                one, other = (2 * k / (2 * k + errors) for k in (tp, right - tp))
            weighted = (positive * one + (n - positive) * other) / n
            for name, scores in zip(found, (one, (one + other) / 2, weighted), strict=True):
                fits = np.unique(positive[np.abs(scores - f1.value) <= half]).tolist()
                found[name] += [(k, n - k) for k in fits]
    return found


# Shares of diseased patients for which the negative predictive value is shown.
PREVALENCES = (0.1, 0.3, 0.5, 0.7, 0.9)


@checks("A69")
def reassuring(
    *, npv: Published, sensitivity: Published, specificity: Published, prevalence: Published
) -> Outcome:
    """Check that a negative result reassures as much as the printed value says.

    The negative predictive value holds for the test set's share of diseased patients.

    Rule: underspecified while the share in use is not given; else reproduced where the value at
    that share is not below the printed one, within its digits; not reproduced otherwise.
    """
    se, sp = sensitivity.fraction, specificity.fraction

    def value(share: float) -> float:
        return sp * (1 - share) / (sp * (1 - share) + (1 - se) * share)

    at = {share: value(share) for share in PREVALENCES}
    listed = ", ".join(f"{100 * v:.1f} % at {100 * share:.0f} %" for share, v in at.items())
    verdict = UNDERSPECIFIED
    if prevalence.printed != NOT_GIVEN:
        digit = last_digit(npv) / 100
        enough = value(prevalence.fraction) >= npv.fraction - digit
        verdict = REPRODUCED if enough else NOT_REPRODUCED
    return Outcome(
        verdict=verdict,
        evidence=f"{npv.printed} % is of a test set half diseased; with the printed sensitivity "
        f"and specificity it is {listed} of diseased patients. The share in use: "
        f"{prevalence.printed}.",
    )
