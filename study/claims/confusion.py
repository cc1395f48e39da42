"""What a printed confusion matrix implies, and whether printed scores fit any matrix at all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from helpers.metrics.power import newcombe
from helpers.metrics.scores import Estimate, proportion
from study.claims.arithmetic import fits, images, scale_of
from study.claims.check import ByColumn, Whole, checks
from study.claims.check_result import CheckResult
from study.published import NOT_GIVEN, Published, last_digit
from study.sizes import matches
from study.verdicts import CONTRADICTED, NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED


def score_of(name: str, *, tn: int, fp: int, fn: int, tp: int) -> Estimate:
    """Return a score of a confusion matrix with Wilson's interval; F1 has none.

    Raises:
        ValueError: an unknown score.
    """
    n = tn + fp + fn + tp
    if name == "f1":
        return Estimate(2 * tp / (2 * tp + fp + fn), None, None, n, "no interval")
    counts = {
        "accuracy": (tn + tp, n),
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "ppv": (tp, tp + fp),
        "npv": (tn, tn + fn),
        "false_negative_rate": (fn, fn + tp),
    }
    if name not in counts:
        raise ValueError(f"unknown score {name!r}; known: f1, {', '.join(counts)}.")
    return proportion(*counts[name])


@checks("A30", "A31", "A32", "A33", "A34", "A35", "A37")
def score_follows(*, printed: ByColumn, tn: Whole, fp: Whole, fn: Whole, tp: Whole) -> CheckResult:
    """Check a printed score against the matrix.

    Rule: reproduced where the matrix gives the printed digits, else contradicted.
    """
    ((name, value),) = printed.items()
    score = score_of(name, tn=tn, fp=fp, fn=fn, tp=tp)
    in_unit = score.value * scale_of(value)
    shown = f"{in_unit:.2f} %" if value.unit == "%" else f"{in_unit:.4f}"
    if score.low is not None:
        shown += f", 95 % interval {100 * score.low:.1f} to {100 * score.high:.1f} %"
    return CheckResult(
        verdict=REPRODUCED if matches(in_unit, value) else CONTRADICTED,
        evidence=f"The confusion matrix gives {shown}; printed is {value.printed}.",
    )


@checks("A38")
def more_sensitive(*, tn: Whole, fp: Whole, fn: Whole, tp: Whole) -> CheckResult:
    """Check that sensitivity is above specificity in the matrix.

    Rule: reproduced where Newcombe's interval of the difference lies above 0; contradicted where
    it lies below; else not reproduced.
    """
    gap = newcombe(tp, tp + fn, tn, tn + fp)
    verdict = CONTRADICTED if gap.high < 0 else NOT_REPRODUCED
    return CheckResult(
        verdict=REPRODUCED if gap.low > 0 else verdict,
        evidence=f"{tp} of {tp + fn} against {tn} of {tn + fp}: {100 * gap.value:+.1f} points "
        f"(95 % {100 * gap.low:+.1f} to {100 * gap.high:+.1f}).",
    )


@dataclass(frozen=True)
class Scored:
    """All confusion matrices of a test set with a given accuracy."""

    true_positives: np.ndarray  # int (m,), of each matrix
    scores: Mapping[str, np.ndarray]  # float (m,), F1 by how it is taken


def matrices(accuracy: Published, *, positive: int, negative: int) -> Scored:
    """Return the matrices of `positive` and `negative` images that have a printed accuracy."""
    tn, tp = np.indices((negative + 1, positive + 1)).reshape(2, -1)
    right = fits(scale_of(accuracy) * (tp + tn) / (positive + negative), accuracy)
    tp, tn = tp[right], tn[right]
    return Scored(tp, _f1_scores(tp, tn, positive, negative))


def _f1_scores(
    tp: np.ndarray, tn: np.ndarray, positive: np.ndarray | int, negative: np.ndarray | int
) -> dict[str, np.ndarray]:
    """Return F1 of matrices by how it is taken, float (m,) each, nan where it is undefined."""
    n = positive + negative
    errors = n - tp - tn
    with np.errstate(invalid="ignore"):
        of_positive, of_negative = (2 * right / (2 * right + errors) for right in (tp, tn))
    return {
        "of the positive class": of_positive,
        "of the negative class": of_negative,
        "mean over the classes": (of_positive + of_negative) / 2,
        "mean weighted by class": (positive * of_positive + negative * of_negative) / n,
    }


# Sizes of a test set that are tried where the printed one has no matrix.
OTHER_SIZES = range(20, 400)
# Class sizes that are listed one by one.
FEW = 3


@checks("A43", "A44", "A45", "A46")
def f1_possible(
    *, accuracy: Published, f1: Published, positive: Whole, negative: Whole
) -> CheckResult:
    """Check that one matrix of the stated test set has both a printed accuracy and a printed F1.

    Every matrix of the test set with that accuracy is tried, F1 being that of either class or the
    mean over both, plain or weighted by class. The test set is the one that section 3.2 states, on
    which Table 4 repeats the numbers of Table 2. What other test sets would allow is said, and does
    not decide.

    Rule: reproduced where a matrix fits, else contradicted.
    """
    found = matrices(accuracy, positive=positive, negative=negative)
    n, tried = positive + negative, len(found.true_positives)
    if not tried:
        return CheckResult(
            verdict=CONTRADICTED,
            evidence=f"No count of {n} images gives an accuracy of {accuracy.printed} %.",
        )
    evidence = (
        f"{images(accuracy, n)} of {n} right: of {tried} matrices of {positive} positive "
        f"and {negative} negative images, "
    )
    fitting = [name for name, scores in found.scores.items() if fits(scores, f1).any()]
    if fitting:
        evidence += f"there is one whose F1 is {f1.printed} ({'; another '.join(fitting)})."
        return CheckResult(verdict=REPRODUCED, evidence=evidence)
    values = np.unique(found.scores["of the positive class"])
    nearest = np.sort(values[np.abs(values - f1.value).argsort()[:2]])
    others = other_sets(accuracy, f1, OTHER_SIZES)
    elsewhere = "; ".join(f"by {name} {_sets_text(sets, n)}" for name, sets in others.items())
    never = " and ".join(name for name, sets in others.items() if not sets)
    evidence += (
        f"none has an F1 of {f1.printed}, of either class or as their mean, plain or weighted by "
        f"class; the nearest values of the positive class are {nearest[0]:.4f} and "
        f"{nearest[1]:.4f}. Test sets of {OTHER_SIZES[0]} to {OTHER_SIZES[-1]} images, of any "
        f"balance, that have both: {elsewhere}. So ruled out are the stated test set by any of "
        f"these{f', and {never} on all of them' if never else ''}. Neither another test set nor a "
        "mean over runs is mentioned."
    )
    return CheckResult(verdict=CONTRADICTED, evidence=evidence)


def _sets_text(sets: Sequence[tuple[int, int]], n: int) -> str:
    """Write how many sizes test sets have, and the classes of those of `n` images or the fewest."""
    if not sets:
        return "none"
    sizes = sorted({sum(pair) for pair in sets})
    shown = n if n in sizes else sizes[0]
    pairs = sorted({(min(pair), max(pair)) for pair in sets if sum(pair) == shown})
    listed = [f"{few} : {many}" for few, many in pairs]
    text = ", ".join(listed) if len(listed) <= FEW else f"{listed[0]} to {listed[-1]}"
    return f"{len(sizes)} size{'' if len(sizes) == 1 else 's'} (of {shown} images {text})"


# How F1 may have been taken on another test set; with swapped labels that of the positive class is
# that of the negative one.
TAKEN = {
    "F1 of one class": "of the positive class",
    "the plain mean": "mean over the classes",
    "the mean weighted by class": "mean weighted by class",
}


def other_sets(
    accuracy: Published, f1: Published, sizes: Iterable[int]
) -> dict[str, list[tuple[int, int]]]:
    """Return which test sets can have an accuracy and an F1, by how F1 is taken (`TAKEN`).

    They are told by their class sizes, those of the positive class first.
    """
    found = {name: [] for name in TAKEN}
    for n in sizes:
        counts = np.arange(n + 1)
        for right in counts[fits(scale_of(accuracy) * counts / n, accuracy)].tolist():
            fn, tp = np.indices((n - right + 1, right + 1)).reshape(2, -1)
            positive = tp + fn
            inside = (positive > 0) & (positive < n)
            tp, positive = tp[inside], positive[inside]
            scores = _f1_scores(tp, right - tp, positive, n - positive)
            for name, taken in TAKEN.items():
                classes = np.unique(positive[fits(scores[taken], f1)]).tolist()
                found[name] += [(size, n - size) for size in classes]
    return found


# Shares of diseased patients for which the negative predictive value is shown.
PREVALENCES = (0.1, 0.3, 0.5, 0.7, 0.9)


@checks("A69")
def reassuring(
    *, npv: Published, sensitivity: Published, specificity: Published, prevalence: Published
) -> CheckResult:
    """Check that a negative result reassures as much as the printed value says.

    The negative predictive value holds for the test set's share of diseased patients.

    Rule: underspecified while the share in use is not given; else reproduced where the value at
    that share is not below the printed one, within its digits; not reproduced otherwise.
    """
    se, sp = sensitivity.fraction, specificity.fraction

    def value(share: float) -> float:
        return sp * (1 - share) / (sp * (1 - share) + (1 - se) * share)

    listed = ", ".join(
        f"{100 * value(share):.1f} % at {100 * share:.0f} %" for share in PREVALENCES
    )
    verdict = UNDERSPECIFIED
    if prevalence.printed != NOT_GIVEN:
        digit = last_digit(npv) / 100
        enough = value(prevalence.fraction) >= npv.fraction - digit
        verdict = REPRODUCED if enough else NOT_REPRODUCED
    return CheckResult(
        verdict=verdict,
        evidence=f"{npv.printed} % is of a test set half diseased; with the printed sensitivity "
        f"and specificity it is {listed} of diseased patients. The share in use: "
        f"{prevalence.printed}.",
    )
