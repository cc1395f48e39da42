"""What a printed confusion matrix implies, and whether printed scores fit any matrix at all."""

from collections.abc import Iterable, Mapping
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
    }
    return Scored(int(errors[0]) if len(errors) else -1, tp, scores)


# Sizes of a test set that are tried where the printed one has no matrix.
OTHER_SIZES = range(20, 400)


@checks("A43", "A44", "A45", "A46")
def f1_possible(*, accuracy: Published, f1: Published, positive: Whole, negative: Whole) -> Outcome:
    """Check that one matrix has both a printed accuracy and a printed F1.

    Every matrix of the test set with that accuracy is tried, F1 being that of either class or the
    mean over both.

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
    evidence = f"{n - found.errors} of {n} right: of {tried} matrices, "
    if fitting:
        evidence += f"there is one whose F1 is {f1.printed} ({'; another '.join(fitting)})."
    else:
        evidence += (
            f"none has an F1 of {f1.printed}, of either class or as their mean; the nearest "
            f"values of the positive class are {around}. That these were the images is not said, "
            f"but the accuracies of Table 4 are whole counts of {n}. "
        )
        sizes = sizes_with(accuracy, f1, OTHER_SIZES)
        evidence += (
            f"No test set of {OTHER_SIZES[0]} to {OTHER_SIZES[-1]} images, of whatever balance, "
            "has both. "
            if not sizes
            else f"Test sets of {len(sizes)} other sizes up to {OTHER_SIZES[-1]} have both. "
        )
        evidence += "Means over runs are not mentioned."
    return Outcome(verdict=REPRODUCED if fitting else CONTRADICTED, evidence=evidence)


def sizes_with(accuracy: Published, f1: Published, sizes: Iterable[int]) -> list[int]:
    """Return the sizes of test sets, of whatever balance, that can have an accuracy and an F1.

    F1 of the positive class is 2 TP / (2 TP + errors), so every balance is tried with TP from 0 to
    the number of right answers.
    """
    half = last_digit(f1) / 2 * (1 + 1e-6)
    share = last_digit(accuracy) / (2 if accuracy.unit == "fraction" else 200) * (1 + 1e-6)
    found = []
    for n in sizes:
        right = np.arange(n + 1)
        right = right[np.abs(right / n - accuracy.fraction) <= share]
        for count in right:
            hits = np.arange(count + 1)
            with np.errstate(invalid="ignore"):
                scores = 2 * hits / (2 * hits + n - count)
            if (np.abs(scores - f1.value) <= half).any():
                found.append(n)
                break
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
